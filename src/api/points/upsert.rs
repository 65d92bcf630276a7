//! `PUT …/points`.

use axum::extract::State;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::super::Context;
use super::super::answer::Answer;
use super::super::body::{Body, Json, Name, Params, parse};
use super::super::error::ApiError;
use super::{refuse_if_given, refuse_shard_key};
use crate::operation::{Operation, UpsertBody};

/// Fields of today's Qdrant that make an upsert conditional. [`UpsertBody`] passes over what it
/// does not know beside `points` and `batch`, so they are looked for on their own.
#[derive(Deserialize)]
struct Conditions {
    update_filter: Option<IgnoredAny>,
    update_mode: Option<String>,
    shard_key: Option<IgnoredAny>,
}

impl Body for UpsertBody {
    fn check(bytes: &[u8]) -> Result<(), ApiError> {
        let conditions: Conditions = parse(bytes)?;
        refuse_shard_key(&conditions.shard_key)?;
        let instead = "upsert replaces points whole, whether they exist or not";
        refuse_if_given(&conditions.update_filter, "`update_filter`", instead)?;
        let mode = conditions.update_mode.filter(|mode| mode != "upsert");
        refuse_if_given(&mode, "an `update_mode` other than `upsert`", instead)
    }
}

pub(in super::super) async fn upsert(
    State(shared): Context,
    Name(name): Name,
    params: Params,
    Json { body, .. }: Json<UpsertBody>,
) -> Result<Answer, ApiError> {
    let points = body.into_points().map_err(|refusal| ApiError::refused(&name, refusal))?;
    let deadline = shared.deadline(params.timeout_seconds());
    let update = shared.write(&name, Operation::Upsert(points), params.wait, deadline).await?;
    Answer::short(&update)
}
