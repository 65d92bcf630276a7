//! What a caller did wrong, or what we cannot do now; its status and its sentence.

use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::answer::{json, started};
use super::writes::WriteError;
use crate::collection::ReadError;
use crate::operation::{Reason, Refusal};
use crate::point::PointId;
use crate::position::Seq;
use crate::wal::LogId;

/// The first words (`Not found:`, `Wrong input:`, `Format error in …`) are Qdrant's: some
/// clients look for them.
#[derive(Debug, thiserror::Error)]
pub(super) enum ApiError {
    #[error("Not found: Collection `{0}` doesn't exist!")]
    UnknownCollection(String),
    #[error("Wrong input: Collection `{0}` already exists!")]
    CollectionExists(String),
    #[error("Not found: Point with id {0} does not exists!")]
    UnknownPoint(PointId),
    #[error("Not found: {0}")]
    NotFound(String),
    #[error("Not found: pointd has no {method} {path}")]
    UnknownRoute { method: String, path: String },
    #[error("Method not allowed: {path} does not take {method}; see the header `allow`")]
    WrongMethod { method: String, path: String },
    #[error("Format error in {place}: {what}")]
    Format { place: Place, what: String },
    #[error("Validation error in {place}: [{field}: {what}]")]
    Validation { place: Place, field: &'static str, what: String },
    #[error("Wrong input: {0}")]
    BadInput(String),
    #[error("Wrong input: {what} is not supported by pointd: {instead}")]
    Unsupported { what: String, instead: &'static str },
    #[error("Must provide an API key or an Authorization bearer token")]
    NoKey,
    #[error("Invalid API key")]
    WrongKey,
    #[error("Payload too large: a body may have {max} bytes; send fewer points at once")]
    BodyTooLarge { max: usize },
    #[error(
        "Bad request: the answer would have more than {max} bytes: ask for fewer points, or \
         without vectors or payload"
    )]
    AnswerTooLarge { max: usize },
    #[error("Timeout: the body did not arrive within {} s", allowed.as_secs_f64())]
    BodyTimeout { allowed: Duration },
    #[error("Timeout: the read took longer than {} s", allowed.as_secs_f64())]
    ReadTimeout { allowed: Duration },
    #[error(
        "Timeout: the write was not durable within {} s. It may still become so: write it \
         again, which changes nothing if it has",
        allowed.as_secs_f64()
    )]
    WriteTimeout { allowed: Duration },
    #[error("Timeout: {wanted} was not applied within {} s: {stands}", allowed.as_secs_f64())]
    NotYet { wanted: String, stands: String, allowed: Duration },
    #[error(
        "Conflict: the log {given} is not this one's, which is {ours}: operation ids of one log \
         mean nothing in another"
    )]
    OtherLog { given: uuid::Uuid, ours: LogId },
    #[error("Conflict: {0}")]
    Conflict(String),
    #[error("{0}")]
    Write(#[from] WriteError),
    #[error("{error} (operation {seq} was logged before this was known, and changed nothing)")]
    RefusedLate { error: Box<ApiError>, seq: Seq },
    #[error("Service internal error: {0}")]
    Broken(String),
}

/// The part of a request that an error is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Body,
    Query,
    Path,
    Headers,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Place::Body => "JSON body",
            Place::Query => "query parameters",
            Place::Path => "path parameters",
            Place::Headers => "headers",
        })
    }
}

impl ApiError {
    pub(super) fn validation(field: &'static str, what: impl Into<String>) -> Self {
        ApiError::Validation { place: Place::Body, field, what: what.into() }
    }

    pub(super) fn unsupported(what: impl Into<String>, instead: &'static str) -> Self {
        ApiError::Unsupported { what: what.into(), instead }
    }

    /// A message that cannot be applied as things stand; nothing was logged.
    pub(super) fn refused(collection: &str, refusal: Refusal) -> Self {
        match refusal.reason {
            Reason::UnknownCollection => ApiError::UnknownCollection(collection.to_owned()),
            Reason::CollectionExists => ApiError::CollectionExists(collection.to_owned()),
            // A collection's own schema was checked before it became a message.
            Reason::InvalidSchema => ApiError::validation("field_schema", refusal.detail),
            Reason::UnknownPoint => ApiError::NotFound(refusal.detail),
            Reason::UnknownVector => {
                ApiError::BadInput(format!("Not existing vector name error: {}", refusal.detail))
            }
            Reason::WrongDimension => {
                ApiError::BadInput(format!("Vector dimension error: {}", refusal.detail))
            }
            _ => ApiError::BadInput(refusal.detail),
        }
    }

    /// A message that could be applied when it was logged, and could not when its turn came.
    pub(super) fn refused_late(collection: &str, refusal: Refusal, seq: Seq) -> Self {
        ApiError::RefusedLate { error: Box::new(ApiError::refused(collection, refusal)), seq }
    }

    pub(super) fn status(&self) -> StatusCode {
        use ApiError::*;
        match self {
            UnknownCollection(_) | UnknownPoint(_) | NotFound(_) | UnknownRoute { .. } => {
                StatusCode::NOT_FOUND
            }
            CollectionExists(_) | OtherLog { .. } | Conflict(_) => StatusCode::CONFLICT,
            WrongMethod { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Validation { .. } => StatusCode::UNPROCESSABLE_ENTITY,
            Format { .. } | BadInput(_) | Unsupported { .. } | AnswerTooLarge { .. } => {
                StatusCode::BAD_REQUEST
            }
            NoKey | WrongKey => StatusCode::UNAUTHORIZED,
            BodyTooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            BodyTimeout { .. } | ReadTimeout { .. } | NotYet { .. } | WriteTimeout { .. } => {
                StatusCode::REQUEST_TIMEOUT
            }
            Write(error) => error.status(),
            RefusedLate { error, .. } => error.status(),
            Broken(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl From<ReadError> for ApiError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::NoSuchPoint(_) | ReadError::NoVector(_) => {
                ApiError::NotFound(error.to_string())
            }
            ReadError::Failed(_) => ApiError::Broken(error.to_string()),
            ReadError::UnknownVector { .. } => {
                ApiError::BadInput(format!("Not existing vector name error: {error}"))
            }
            ReadError::WrongDimension { .. } => {
                ApiError::BadInput(format!("Vector dimension error: {error}"))
            }
            error => ApiError::BadInput(error.to_string()),
        }
    }
}

#[derive(Serialize)]
struct Envelope {
    status: Status,
    time: f64,
}

#[derive(Serialize)]
struct Status {
    error: String,
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = self.status();
        if status.is_server_error() {
            tracing::warn!(status = status.as_u16(), error = %self, "request failed");
        }
        let envelope = Envelope {
            status: Status { error: self.to_string() },
            time: started().elapsed().as_secs_f64(),
        };
        // Two strings and a number always print.
        let text = serde_json::to_vec(&envelope).unwrap_or_default();
        let mut response = json(status, text);
        if let ApiError::Write(error) = &self
            && let Some(seconds) = error.retry_after_seconds()
        {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if matches!(self, ApiError::BodyTooLarge { .. } | ApiError::BodyTimeout { .. }) {
            // What is left of the body would be read as the next request.
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(header::CONNECTION, close);
        }
        response
    }
}
