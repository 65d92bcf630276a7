//! The daemon itself: version, health, metrics.

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::{Context, QDRANT_VERSION, answer, sources};

#[derive(Serialize)]
struct Version {
    title: &'static str,
    version: &'static str,
    pointd_version: &'static str,
}

/// Outside the envelope, as Qdrant answers it.
pub(super) async fn version() -> Response {
    let version = Version {
        title: "pointd - durable vector collections, speaking Qdrant's API",
        version: QDRANT_VERSION,
        pointd_version: env!("CARGO_PKG_VERSION"),
    };
    // Three constants always print.
    answer::json(StatusCode::OK, serde_json::to_vec(&version).unwrap_or_default())
}

pub(super) async fn healthz() -> &'static str {
    "healthz check passed\n"
}

pub(super) async fn livez() -> &'static str {
    "livez check passed\n"
}

/// 200, or 503 with one reason a line.
pub(super) async fn readyz(State(shared): Context) -> Response {
    let mut reasons = shared.doors.readiness.reasons();
    if shared.doors.shutdown.is_asked() {
        reasons.push("shutting down".into());
    }
    reasons.extend(sources::halted(&*shared.doors.sources));
    if reasons.is_empty() {
        return "ready\n".into_response();
    }
    (StatusCode::SERVICE_UNAVAILABLE, reasons.join("\n") + "\n").into_response()
}

pub(super) async fn metrics(State(shared): Context) -> Response {
    // Lag grows while nothing happens, so it is taken when it is looked at.
    let text = sources::metrics(&shared.doors);
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], text).into_response()
}
