//! Who may come in.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::Shared;
use super::error::ApiError;
use super::routes::is_open;

/// Asks for the key, if one is configured, before anything of the body is read.
pub(super) async fn ask_for_key(
    State(shared): State<Arc<Shared>>,
    request: Request,
    next: Next,
) -> Response {
    let Some(key) = &shared.settings.api_key else { return next.run(request).await };
    if is_open(request.uri().path()) {
        return next.run(request).await;
    }
    match given(request.headers()) {
        None => ApiError::NoKey.into_response(),
        Some(given) if key.is(given) => next.run(request).await,
        Some(_) => ApiError::WrongKey.into_response(),
    }
}

fn given(headers: &HeaderMap) -> Option<&[u8]> {
    if let Some(key) = headers.get("api-key") {
        return Some(key.as_bytes());
    }
    let value = headers.get(header::AUTHORIZATION)?.as_bytes();
    let (scheme, rest) = value.split_at_checked("bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| rest.trim_ascii())
}
