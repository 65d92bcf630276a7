//! `POST …/points/delete`.

use axum::extract::State;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::super::Context;
use super::super::answer::Answer;
use super::super::body::{Body, Json, Name, Params, parse};
use super::super::error::ApiError;
use super::{refuse_if_given, refuse_shard_key};
use crate::operation::{DeleteBody, Operation};

#[derive(Deserialize)]
struct Selector {
    filter: Option<IgnoredAny>,
    shard_key: Option<IgnoredAny>,
}

impl Body for DeleteBody {
    fn check(bytes: &[u8]) -> Result<(), ApiError> {
        let selector: Selector = parse(bytes)?;
        refuse_shard_key(&selector.shard_key)?;
        let instead = "give the ids in `points`; scroll with the filter finds them";
        refuse_if_given(&selector.filter, "a delete by `filter`", instead)
    }
}

pub(in super::super) async fn delete(
    State(shared): Context,
    Name(name): Name,
    params: Params,
    Json { body, .. }: Json<DeleteBody>,
) -> Result<Answer, ApiError> {
    let ids = body.into_ids().map_err(|refusal| ApiError::refused(&name, refusal))?;
    let deadline = shared.deadline(params.timeout_seconds());
    let update = shared.write(&name, Operation::DeletePoints(ids), params.wait, deadline).await?;
    Answer::short(&update)
}
