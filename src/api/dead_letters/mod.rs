//! `/dead-letters`: what could not be applied, and why; and what an operator decides about it.
//!
//! `GET` lists or shows. `POST …/redrive` tries letters again, `POST …/drop` gives them up; each
//! decision is a record of the log, so it holds for ever once it is answered.

mod decide;
mod select;
mod view;

use std::sync::Arc;

use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use serde::{Deserialize, Serialize};

use super::answer::Answer;
use super::body::{path, query};
use super::error::{ApiError, Place};
use super::reading::Reading;
use super::{Context, Shared};
use crate::catalog::DeadLetter;
use crate::operation::{Message, Original, Reason, Refusal};
use crate::position::{Seq, Stream};
use view::Letter;

pub(super) use decide::{drop, redrive};

const LIMIT_DEFAULT: usize = 10;

/// Decodes the original of a letter as its source would today; `None`: it came over HTTP. The
/// daemon, which knows the sources' settings, gives it.
pub type Redecode =
    Arc<dyn Fn(Option<&Stream>, &Original) -> Result<Message, Refusal> + Send + Sync>;

/// Says how the forwarding of letters stands, as the list shows it.
pub type Forwarding = Arc<dyn Fn() -> serde_json::Value + Send + Sync>;

/// Query parameters. Pages go by seq: letters that leave meanwhile move nothing.
#[derive(Deserialize)]
pub(super) struct PageParams {
    limit: Option<usize>,
    /// The first seq to answer.
    #[serde(default)]
    offset: u64,
    source: Option<String>,
    reason: Option<Reason>,
    with_original: Option<bool>,
}

#[derive(Serialize)]
struct Page {
    dead_letters: Vec<Letter>,
    /// All that are kept and meant, on this page or another.
    total: usize,
    next_page_offset: Option<Seq>,
    #[serde(skip_serializing_if = "Option::is_none")]
    forwarding: Option<serde_json::Value>,
}

pub(super) async fn list(
    State(shared): Context,
    page: PageParams,
    reading: Reading,
) -> Result<Answer, ApiError> {
    let limit = page.limit.unwrap_or(LIMIT_DEFAULT);
    let max = shared.settings.limit_max;
    if limit == 0 || limit > max {
        let what = format!("value {limit} invalid, must be 1 to {max}");
        return Err(ApiError::Validation { place: Place::Query, field: "limit", what });
    }
    // Not all of the doors: a list that outlasts shutdown would keep the log's queue open.
    let catalog = Arc::clone(&shared.doors.catalog);
    let bytes_max = shared.settings.answer_bytes_max;
    let forwarding = shared.doors.forwarding.as_ref().map(|forwarding| forwarding());
    let work = move || {
        let mut letters = catalog.dead_letters();
        letters.retain(|letter| is_meant(letter, page.source.as_deref(), page.reason));
        let total = letters.len();
        let mut rest = letters.iter().filter(|letter| letter.seq.0 >= page.offset);
        let view = match page.with_original {
            Some(false) => Letter::without_original,
            _ => Letter::of,
        };
        let page = Page {
            dead_letters: rest.by_ref().take(limit).map(|letter| view(letter)).collect(),
            total,
            next_page_offset: rest.next().map(|letter| letter.seq),
            forwarding,
        };
        Answer::of(&page, bytes_max)
    };
    shared.read(reading, work).await
}

pub(super) async fn show(
    State(shared): Context,
    InPath { seq }: InPath,
    reading: Reading,
) -> Result<Answer, ApiError> {
    let catalog = Arc::clone(&shared.doors.catalog);
    let bytes_max = shared.settings.answer_bytes_max;
    let work = move || match catalog.dead_letter(seq) {
        Some(letter) => Answer::of(&Letter::of(&letter), bytes_max),
        None => Err(ApiError::NotFound(format!("no dead letter {seq} is kept"))),
    };
    shared.read(reading, work).await
}

fn is_meant(letter: &DeadLetter, source: Option<&str>, reason: Option<Reason>) -> bool {
    source.is_none_or(|source| letter.source() == source)
        && reason.is_none_or(|reason| letter.refusal.reason == reason)
}

#[derive(Deserialize)]
pub(super) struct InPath {
    seq: Seq,
}

impl FromRequestParts<Arc<Shared>> for InPath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, shared: &Arc<Shared>) -> Result<Self, ApiError> {
        path(parts, shared).await
    }
}

impl FromRequestParts<Arc<Shared>> for PageParams {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, shared: &Arc<Shared>) -> Result<Self, ApiError> {
        query(parts, shared).await
    }
}
