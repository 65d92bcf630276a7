//! Read your writes: a read may say what it must not be older than, and is told how new it is.
//!
//! `not_before` in the query, or the header `x-pointd-not-before`, is an operation id (a seq) or
//! a place in a topic (`topic/partition@offset`, see [`Wanted`]). A read with it begins when
//! that has been applied. Its answer carries `x-pointd-seq`, the seq up to which everything was
//! applied before the read began, and like every answer `x-pointd-log-id`: seqs are numbers of
//! one log, and mean nothing in another. A caller that sends `x-pointd-log-id` along is refused
//! where the log is another one.
//!
//! Promise: the answer has at least what was asked for; what was dead-lettered, skipped over or
//! recognised as a duplicate counts as passed. Waiting takes no search permit, no room for a
//! body and no thread, and ends with the read's own deadline. No promise: that the answer has
//! nothing newer, or that two answers are of one moment.

mod wanted;

use std::sync::{Arc, OnceLock};

use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use serde::Deserialize;
use tokio::sync::watch;
use tokio::time::timeout_at;

use super::body::{Params, query};
use super::error::{ApiError, Place};
use super::writes::WriteError;
use super::{Deadline, Shared};
use crate::position::Seq;
use wanted::Wanted;

const NOT_BEFORE: &str = "x-pointd-not-before";
const LOG_ID: &str = "x-pointd-log-id";
const SEQ: &str = "x-pointd-seq";

/// A read that may begin: what it waited for is there. Waits while it is extracted, so it
/// stands before the body in a handler's arguments.
#[derive(Clone, Copy)]
pub(super) struct Reading {
    pub(super) deadline: Deadline,
}

/// What the answer's headers will say, noted by [`Reading`] wherever the read ends.
#[derive(Clone, Default)]
struct Began(Arc<OnceLock<Seq>>);

#[derive(Deserialize)]
struct NotBefore {
    not_before: Option<String>,
}

impl FromRequestParts<Arc<Shared>> for Reading {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, shared: &Arc<Shared>) -> Result<Self, ApiError> {
        let params = Params::from_request_parts(parts, shared).await?;
        let deadline = shared.deadline(params.timeout_seconds());
        let in_query = query::<NotBefore>(parts, shared).await?.not_before;
        let in_header = text(&parts.headers, NOT_BEFORE)?;
        check_log(&parts.headers, shared)?;
        let wanted = match (in_query, in_header) {
            (Some(given), None) => Some(Wanted::parse(&given, Place::Query)?),
            (None, Some(given)) => Some(Wanted::parse(given, Place::Headers)?),
            (None, None) => None,
            (Some(_), Some(_)) => {
                let what =
                    format!("`{NOT_BEFORE}` stands beside `not_before` of the query: give one");
                return Err(ApiError::Format { place: Place::Headers, what });
            }
        };
        if let Some(wanted) = wanted {
            shared.wait_for(&wanted, deadline).await?;
        }
        // Before the read looks at anything, so the answer has at least this.
        if let Some(began) = parts.extensions.get::<Began>() {
            let _ = began.0.set(shared.doors.catalog.applied());
        }
        Ok(Reading { deadline })
    }
}

/// Stands around every handler: every answer names its log, and every read's says how new it is.
pub(super) async fn tell(
    State(shared): State<Arc<Shared>>,
    mut request: Request,
    next: Next,
) -> Response {
    let began = Began::default();
    request.extensions_mut().insert(began.clone());
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    if let Ok(log) = HeaderValue::try_from(shared.doors.log_id.to_string()) {
        headers.insert(LOG_ID, log);
    }
    if let Some(seq) = began.0.get() {
        headers.insert(SEQ, HeaderValue::from(seq.0));
    }
    response
}

fn check_log(headers: &HeaderMap, shared: &Shared) -> Result<(), ApiError> {
    let Some(given) = text(headers, LOG_ID)? else { return Ok(()) };
    let ours = shared.doors.log_id;
    match given.parse::<uuid::Uuid>() {
        Ok(id) if id == ours.0 => Ok(()),
        Ok(id) => Err(ApiError::OtherLog { given: id, ours }),
        Err(_) => {
            let what = format!("`{LOG_ID}` is a UUID, as answers carry it");
            Err(ApiError::Format { place: Place::Headers, what })
        }
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &'static str) -> Result<Option<&'a str>, ApiError> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    value.to_str().map(Some).map_err(|_| {
        let what = format!("`{name}` is not ASCII text");
        ApiError::Format { place: Place::Headers, what }
    })
}

impl Shared {
    /// Returns once `wanted` is passed; fails at once where it never can be.
    async fn wait_for(&self, wanted: &Wanted, deadline: Deadline) -> Result<(), ApiError> {
        let (mut applied, mut stream) = (self.doors.applied.clone(), None);
        let arrived = async {
            loop {
                // Marked as seen before it is looked at: what comes after wakes us.
                let seq = *applied.borrow_and_update();
                if wanted.is_passed(seq, &self.doors, &mut stream)? {
                    return Ok(());
                }
                self.woken(&mut applied).await?;
            }
        };
        let in_time = timeout_at(deadline.at, arrived).await;
        in_time.unwrap_or_else(|_| {
            let stands = wanted.stands(&self.doors);
            let allowed = deadline.allowed;
            Err(ApiError::NotYet { wanted: wanted.to_string(), stands, allowed })
        })
    }

    async fn woken(&self, applied: &mut watch::Receiver<Seq>) -> Result<(), ApiError> {
        tokio::select! {
            // The applier drops its end when it has ended.
            changed = applied.changed() => changed.map_err(|_| WriteError::Closed.into()),
            () = self.doors.shutdown.asked() => Err(WriteError::Closed.into()),
        }
    }
}
