//! `POST …/points/count`.

use axum::extract::State;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use super::super::Context;
use super::super::answer::Answer;
use super::super::body::{Body, Json, Name};
use super::super::error::ApiError;
use super::super::reading::Reading;
use super::refuse_shard_key;
use crate::filter::Filter;

/// `exact` is passed over: every count is.
#[derive(Deserialize)]
pub(in super::super) struct CountBody {
    filter: Option<Filter>,
    shard_key: Option<IgnoredAny>,
}

impl Body for CountBody {}

#[derive(Serialize)]
struct Count {
    count: u64,
}

pub(in super::super) async fn count(
    State(shared): Context,
    Name(name): Name,
    reading: Reading,
    Json { body, .. }: Json<CountBody>,
) -> Result<Answer, ApiError> {
    refuse_shard_key(&body.shard_key)?;
    let collection = shared.collection(&name)?;
    let filter = body.filter.unwrap_or_default();
    let work = move || Answer::short(&Count { count: collection.count(&filter) });
    shared.read(reading, work).await
}
