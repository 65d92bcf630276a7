//! Every path, and what stands around every handler. No other file writes a path.

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, MatchedPath, Request, State};
use axum::http::{Method, Uri};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::{delete, get, post, put};
use tokio::time::Instant;

use super::error::ApiError;
use super::{ApiSettings, Doors, Shared, answer, auth};
use super::{collections, create, dead_letters, indexes, points, reading, service, sources};
use crate::operation::{
    ClearPayloadBody, DeleteBody, DeletePayloadBody, DeleteVectorsBody, OverwritePayloadBody,
    SetPayloadBody, UpdateVectorsBody, UpsertBody,
};

/// Answered without a key, as Qdrant does: they tell nothing about what is stored.
const OPEN: [&str; 4] = ["/", "/healthz", "/livez", "/readyz"];

pub(super) fn is_open(path: &str) -> bool {
    OPEN.contains(&path)
}

/// The routes with everything that stands around them.
pub fn router(settings: ApiSettings, doors: Doors) -> Router {
    over(Shared::new(settings, doors))
}

pub(super) fn over(shared: Arc<Shared>) -> Router {
    let body_bytes_max = shared.settings.body_bytes_max;
    service_routes()
        .merge(collection_routes())
        .merge(point_routes())
        .merge(change_routes())
        .fallback(unknown_route)
        .method_not_allowed_fallback(wrong_method)
        .layer(DefaultBodyLimit::max(body_bytes_max))
        .layer(from_fn_with_state(Arc::clone(&shared), reading::tell))
        .layer(from_fn_with_state(Arc::clone(&shared), auth::ask_for_key))
        .layer(from_fn_with_state(Arc::clone(&shared), measure))
        .with_state(shared)
}

fn service_routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/", get(service::version))
        .route("/healthz", get(service::healthz))
        .route("/livez", get(service::livez))
        .route("/readyz", get(service::readyz))
        .route("/metrics", get(service::metrics))
        .route("/sources", get(sources::list))
        .route("/dead-letters", get(dead_letters::list))
        .route("/dead-letters/{seq}", get(dead_letters::show))
        .route("/dead-letters/redrive", post(dead_letters::redrive))
        .route("/dead-letters/drop", post(dead_letters::drop))
}

fn collection_routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/collections", get(collections::list))
        .route(
            "/collections/{collection}",
            get(collections::describe).put(create::create).delete(collections::delete),
        )
        .route("/collections/{collection}/exists", get(collections::exists))
        .route("/collections/{collection}/index", put(indexes::create))
        .route("/collections/{collection}/index/{field}", delete(indexes::delete))
}

fn point_routes() -> Router<Arc<Shared>> {
    Router::new()
        .route(
            "/collections/{collection}/points",
            put(points::write::<UpsertBody>).post(points::retrieve),
        )
        .route("/collections/{collection}/points/{id}", get(points::retrieve_one))
        .route("/collections/{collection}/points/scroll", post(points::scroll))
        .route("/collections/{collection}/points/count", post(points::count))
        .route("/collections/{collection}/points/search", post(points::search))
        .route("/collections/{collection}/points/search/batch", post(points::search_batch))
        .route("/collections/{collection}/points/query", post(points::query))
        .route("/collections/{collection}/points/query/batch", post(points::query_batch))
}

fn change_routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/collections/{collection}/points/batch", post(points::write_batch))
        .route("/collections/{collection}/points/delete", post(points::write::<DeleteBody>))
        .route("/collections/{collection}/points/vectors", put(points::write::<UpdateVectorsBody>))
        .route(
            "/collections/{collection}/points/vectors/delete",
            post(points::write::<DeleteVectorsBody>),
        )
        .route(
            "/collections/{collection}/points/payload",
            post(points::write::<SetPayloadBody>).put(points::write::<OverwritePayloadBody>),
        )
        .route(
            "/collections/{collection}/points/payload/delete",
            post(points::write::<DeletePayloadBody>),
        )
        .route(
            "/collections/{collection}/points/payload/clear",
            post(points::write::<ClearPayloadBody>),
        )
}

async fn unknown_route(method: Method, uri: Uri) -> ApiError {
    ApiError::UnknownRoute { method: shown(method.as_str()), path: shown(uri.path()) }
}

async fn wrong_method(method: Method, uri: Uri) -> ApiError {
    ApiError::WrongMethod { method: shown(method.as_str()), path: shown(uri.path()) }
}

/// As much of what a caller sent as an answer repeats.
fn shown(given: &str) -> String {
    given.chars().take(200).collect()
}

/// Notes when the request began, and counts it by its route's template.
async fn measure(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let metrics = &shared.doors.metrics.http;
    let method = method_label(request.method());
    let route = request.extensions().get::<MatchedPath>().cloned();
    let started = Instant::now();
    let response = answer::STARTED.scope(started, next.run(request)).await;
    let route = route.as_ref().map_or("unknown", MatchedPath::as_str);
    let status = response.status();
    metrics
        .duration_seconds
        .with_label_values(&[method, route])
        .observe(started.elapsed().as_secs_f64());
    metrics.responses.with_label_values(&[method, route, status.as_str()]).inc();
    response
}

/// A caller may invent methods; a label may not.
fn method_label(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}
