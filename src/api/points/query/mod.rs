//! `POST …/points/query` and its batch.

mod input;
mod plan;

use axum::extract::State;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::super::answer::{Answer, AnswerList};
use super::super::body::{Body, Json, Name};
use super::super::error::ApiError;
use super::super::reading::Reading;
use super::super::{Context, Shared};
use super::params::SearchParams;
use super::select::{WithPayload, WithVector};
use super::view::{ordered_scored, scored};
use super::{check_batch, check_time};
use crate::filter::Filter;
use input::{LookupFrom, QueryInput};
use plan::{Found, Plan};

#[derive(Deserialize)]
pub(in super::super) struct QueryBody {
    query: Option<QueryInput>,
    /// The vector's name.
    using: Option<String>,
    filter: Option<Filter>,
    params: Option<SearchParams>,
    score_threshold: Option<f32>,
    limit: Option<usize>,
    offset: Option<usize>,
    with_payload: Option<WithPayload>,
    #[serde(alias = "with_vectors")]
    with_vector: Option<WithVector>,
    prefetch: Option<Value>,
    lookup_from: Option<LookupFrom>,
    shard_key: Option<IgnoredAny>,
}

#[derive(Deserialize)]
pub(in super::super) struct BatchBody {
    searches: Vec<QueryBody>,
}

impl Body for QueryBody {}
impl Body for BatchBody {}

#[derive(Serialize)]
struct Points<P> {
    points: P,
}

impl Serialize for Found {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Found::Scored(points) => Points { points: scored(points) }.serialize(serializer),
            Found::Ordered(points) => {
                Points { points: ordered_scored(points) }.serialize(serializer)
            }
        }
    }
}

/// Each comparison of a row with an example costs as much as a search's: a request may ask for
/// as many as a batch has searches.
fn check_comparisons(plans: &[Plan], shared: &Shared) -> Result<(), ApiError> {
    let comparisons = plans.iter().map(Plan::comparisons).fold(0, usize::saturating_add);
    let max = shared.settings.batch_max;
    if comparisons <= max.max(plans.len()) {
        return Ok(());
    }
    let what = format!("{comparisons} examples invalid, together at most {max}");
    Err(ApiError::validation("query", what))
}

pub(in super::super) async fn query(
    State(shared): Context,
    Name(name): Name,
    reading: Reading,
    Json { body, .. }: Json<QueryBody>,
) -> Result<Answer, ApiError> {
    let collection = shared.collection(&name)?;
    let plan = body.into_plan(&shared, &name)?;
    check_comparisons(std::slice::from_ref(&plan), &shared)?;
    let bytes_max = shared.settings.answer_bytes_max;
    let work = move || Answer::of(&plan.run(&collection)?, bytes_max);
    shared.read(reading, work).await
}

pub(in super::super) async fn query_batch(
    State(shared): Context,
    Name(name): Name,
    reading: Reading,
    Json { body, .. }: Json<BatchBody>,
) -> Result<Answer, ApiError> {
    check_batch(body.searches.len(), shared.settings.batch_max)?;
    let collection = shared.collection(&name)?;
    let plans = body.searches.into_iter().map(|query| query.into_plan(&shared, &name));
    let plans = plans.collect::<Result<Vec<_>, _>>()?;
    check_comparisons(&plans, &shared)?;
    let bytes_max = shared.settings.answer_bytes_max;
    let work = move || {
        let mut answers = AnswerList::new(bytes_max);
        for plan in plans {
            check_time(reading.deadline)?;
            answers.push(&plan.run(&collection)?)?;
        }
        Ok(answers.end())
    };
    shared.read(reading, work).await
}
