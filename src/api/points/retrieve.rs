//! `POST …/points` and `GET …/points/{id}`.

use std::sync::Arc;

use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::super::answer::Answer;
use super::super::body::{Body, Json, Name, path};
use super::super::error::{ApiError, Place};
use super::super::reading::Reading;
use super::super::{Context, Shared};
use super::refuse_shard_key;
use super::select::{Unsaid, WithPayload, WithVector, select};
use super::view::{Record, records};
use crate::collection::{PayloadSelect, Select, VectorSelect};
use crate::point::PointId;

#[derive(Deserialize)]
pub(in super::super) struct RetrieveBody {
    ids: Vec<PointId>,
    with_payload: Option<WithPayload>,
    #[serde(alias = "with_vectors")]
    with_vector: Option<WithVector>,
    shard_key: Option<IgnoredAny>,
}

impl Body for RetrieveBody {}

pub(in super::super) async fn retrieve(
    State(shared): Context,
    Name(name): Name,
    reading: Reading,
    Json { body, .. }: Json<RetrieveBody>,
) -> Result<Answer, ApiError> {
    refuse_shard_key(&body.shard_key)?;
    let max = shared.settings.limit_max;
    if body.ids.len() > max {
        let what = format!("{} ids invalid, must be at most {max}", body.ids.len());
        return Err(ApiError::validation("ids", what));
    }
    let collection = shared.collection(&name)?;
    let bytes_max = shared.settings.answer_bytes_max;
    let work = move || {
        let select = select(body.with_payload, body.with_vector, Unsaid::Payload);
        let points = collection.retrieve(&body.ids, &select)?;
        Answer::of(&records(&points), bytes_max)
    };
    shared.read(reading, work).await
}

/// The id in a path: a number, or a UUID in any of its forms.
pub(in super::super) struct IdInPath(PointId);

impl FromRequestParts<Arc<Shared>> for IdInPath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, shared: &Arc<Shared>) -> Result<Self, ApiError> {
        #[derive(Deserialize)]
        struct InPath {
            id: String,
        }
        let given = path::<InPath>(parts, shared).await?.id;
        let format = |error: crate::point::InvalidPointId| ApiError::Format {
            place: Place::Path,
            what: error.to_string(),
        };
        given.parse().map(IdInPath).map_err(format)
    }
}

/// One point, whole.
pub(in super::super) async fn retrieve_one(
    State(shared): Context,
    Name(name): Name,
    IdInPath(id): IdInPath,
    reading: Reading,
) -> Result<Answer, ApiError> {
    let collection = shared.collection(&name)?;
    let bytes_max = shared.settings.answer_bytes_max;
    let work = move || {
        let whole = Select { payload: PayloadSelect::All, vectors: VectorSelect::All };
        match collection.retrieve(&[id], &whole)?.first() {
            Some(point) => Answer::of(&Record(point), bytes_max),
            None => Err(ApiError::UnknownPoint(id)),
        }
    };
    shared.read(reading, work).await
}
