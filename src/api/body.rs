//! What comes in: JSON bodies, query parameters, path parameters.

use std::sync::Arc;

use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use bytes::Bytes;
use futures_util::StreamExt;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout_at;

use super::Shared;
use super::error::{ApiError, Place};
use crate::operation::{self, check_nesting};

/// A longer body is parsed on a thread of its own.
const PARSE_ASIDE_KIBIBYTES: u32 = 64;

/// A body that is this many times too long is not read to its end.
const DISCARD_BODIES: usize = 8;

/// A parsed body. It keeps its room in `bodies` until the handler is done with it.
pub(super) struct Json<T> {
    pub(super) body: T,
    #[expect(dead_code, reason = "held for its drop")]
    room: OwnedSemaphorePermit,
}

/// A type that bodies are parsed into.
pub(super) trait Body: DeserializeOwned + Send + 'static {}

impl<T: Body> FromRequest<Arc<Shared>> for Json<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, shared: &Arc<Shared>) -> Result<Self, ApiError> {
        let deadline = shared.deadline(None);
        let late = |_| ApiError::BodyTimeout { allowed: deadline.allowed };
        let max = shared.settings.body_bytes_max;
        let length = declared_length(&request);
        if length.is_some_and(|length| length > max) {
            // Failing to is no worse than not trying.
            let _ = timeout_at(deadline.at, discard(request, max)).await;
            return Err(ApiError::BodyTooLarge { max });
        }
        let kibibytes = u32::try_from(length.unwrap_or(max).div_ceil(1024)).unwrap_or(u32::MAX);
        let room = shared.bodies.clone().acquire_many_owned(kibibytes);
        let closed = |error| ApiError::Broken(format!("no room for bodies: {error}"));
        let room = timeout_at(deadline.at, room).await.map_err(late)?.map_err(closed)?;
        let bytes = timeout_at(deadline.at, Bytes::from_request(request, shared));
        let bytes = bytes.await.map_err(late)?.map_err(|error| match error.status() {
            StatusCode::PAYLOAD_TOO_LARGE => ApiError::BodyTooLarge { max },
            _ => ApiError::Format { place: Place::Body, what: error.body_text() },
        })?;
        let read = move || parse::<T>(&bytes);
        let body = match kibibytes > PARSE_ASIDE_KIBIBYTES {
            false => read()?,
            true => tokio::task::spawn_blocking(read)
                .await
                .map_err(|error| ApiError::Broken(format!("parsing ended early: {error}")))??,
        };
        Ok(Json { body, room })
    }
}

/// Reads a body that is too long, and keeps nothing. Most clients read no answer before they
/// have sent everything: closing on them would show them a reset connection and no reason.
/// One that asked whether to send is just told no.
async fn discard(request: Request, max: usize) {
    if request.headers().contains_key(header::EXPECT) {
        return;
    }
    let most = max.saturating_mul(DISCARD_BODIES);
    let (mut seen, mut chunks) = (0, request.into_body().into_data_stream());
    while let Some(Ok(chunk)) = chunks.next().await {
        seen += chunk.len();
        if seen > most {
            return;
        }
    }
}

fn declared_length(request: &Request) -> Option<usize> {
    request.headers().get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    let format = |what| ApiError::Format { place: Place::Body, what };
    check_nesting(bytes).map_err(|refusal| format(refusal.detail))?;
    operation::parse(bytes).map_err(|invalid| format(invalid.detail))
}

/// Query parameters. Those of Qdrant that are about its clusters (`ordering`, `consistency`)
/// are passed over.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub(super) struct Params {
    /// Answer when the write is visible, not already when it is durable.
    #[serde(default)]
    pub(super) wait: bool,
    /// Seconds.
    timeout: Option<u64>,
}

impl Params {
    pub(super) fn timeout_seconds(&self) -> Option<u64> {
        self.timeout
    }
}

impl FromRequestParts<Arc<Shared>> for Params {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, shared: &Arc<Shared>) -> Result<Self, ApiError> {
        let place = Place::Query;
        let params = query::<Params>(parts, shared).await?;
        match params.timeout {
            Some(0) => Err(ApiError::Validation {
                place,
                field: "timeout",
                what: "value 0 invalid, must be 1 or larger".into(),
            }),
            _ => Ok(params),
        }
    }
}

pub(super) async fn query<T: DeserializeOwned>(
    parts: &mut Parts,
    shared: &Arc<Shared>,
) -> Result<T, ApiError> {
    match Query::<T>::from_request_parts(parts, shared).await {
        Ok(Query(given)) => Ok(given),
        Err(error) => {
            let what = error.body_text();
            let what = what.trim_start_matches("Failed to deserialize query string: ").to_owned();
            Err(ApiError::Format { place: Place::Query, what })
        }
    }
}

/// The collection's name in a path.
pub(super) struct Name(pub(super) String);

impl FromRequestParts<Arc<Shared>> for Name {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, shared: &Arc<Shared>) -> Result<Self, ApiError> {
        #[derive(Deserialize)]
        struct InPath {
            collection: String,
        }
        path::<InPath>(parts, shared).await.map(|path| Name(path.collection))
    }
}

pub(super) async fn path<T: DeserializeOwned + Send>(
    parts: &mut Parts,
    shared: &Arc<Shared>,
) -> Result<T, ApiError> {
    match Path::<T>::from_request_parts(parts, shared).await {
        Ok(Path(given)) => Ok(given),
        Err(error) => Err(ApiError::Format { place: Place::Path, what: error.body_text() }),
    }
}
