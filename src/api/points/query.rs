//! `POST …/points/query` and its batch.

use axum::extract::State;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::super::answer::{Answer, AnswerList};
use super::super::body::{Body, Json, Name};
use super::super::error::ApiError;
use super::super::reading::Reading;
use super::super::{Context, Shared};
use super::input::QueryInput;
use super::params::SearchParams;
use super::select::{Unsaid, WithPayload, WithVector, select};
use super::view::scored;
use super::{check_batch, check_limit, check_time, refuse_if_given, refuse_shard_key};
use crate::collection::{Collection, ScoredPoint, Scroll, Search};
use crate::filter::Filter;
use crate::point::UNNAMED;

const LIMIT_DEFAULT: usize = 10;

/// The score of points that were not scored, as in Qdrant.
const NOT_SCORED: f32 = 1.0;

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
    lookup_from: Option<Value>,
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

/// What a query comes down to.
enum Plan {
    Search(Search),
    /// No query: by id. So many are passed over first.
    Scroll(Scroll, usize),
}

impl QueryBody {
    fn into_plan(self, shared: &Shared) -> Result<Plan, ApiError> {
        refuse_shard_key(&self.shard_key)?;
        let prefetch = self.prefetch.filter(|given| *given != Value::Array(Vec::new()));
        refuse_if_given(&prefetch, "`prefetch`", "ask each query on its own")?;
        let instead = "give the other point's vector as the query";
        refuse_if_given(&self.lookup_from, "`lookup_from`", instead)?;
        let limit = self.limit.unwrap_or(LIMIT_DEFAULT);
        let offset = self.offset.unwrap_or(0);
        check_limit(limit, offset, shared.settings.limit_max)?;
        let filter = self.filter.unwrap_or_default();
        let select = select(self.with_payload, self.with_vector, Unsaid::Nothing);
        let Some(QueryInput(query)) = self.query else {
            let instead = "points come by id, without a score; give a `query` to score by";
            refuse_if_given(&self.score_threshold, "`score_threshold` without `query`", instead)?;
            let limit = limit + offset;
            return Ok(Plan::Scroll(Scroll { filter, offset: None, limit, select }, offset));
        };
        let params = self.params.unwrap_or_default();
        Ok(Plan::Search(Search {
            vector: self.using.unwrap_or_else(|| UNNAMED.to_owned()),
            query,
            filter,
            limit,
            offset,
            score_threshold: self.score_threshold,
            exact: params.exact,
            ef: params.hnsw_ef,
            select,
        }))
    }
}

impl Plan {
    fn run(&self, collection: &Collection) -> Result<Vec<ScoredPoint>, ApiError> {
        match self {
            Plan::Search(search) => Ok(collection.search(search)?),
            Plan::Scroll(scroll, skipped) => {
                let points = collection.scroll(scroll)?.points.into_iter().skip(*skipped);
                Ok(points.map(|point| ScoredPoint { point, score: NOT_SCORED }).collect())
            }
        }
    }
}

pub(in super::super) async fn query(
    State(shared): Context,
    Name(name): Name,
    reading: Reading,
    Json { body, .. }: Json<QueryBody>,
) -> Result<Answer, ApiError> {
    let collection = shared.collection(&name)?;
    let plan = body.into_plan(&shared)?;
    let bytes_max = shared.settings.answer_bytes_max;
    let work = move || {
        let points = plan.run(&collection)?;
        Answer::of(&Points { points: scored(&points) }, bytes_max)
    };
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
    let plans = body.searches.into_iter().map(|query| query.into_plan(&shared));
    let plans = plans.collect::<Result<Vec<_>, _>>()?;
    let bytes_max = shared.settings.answer_bytes_max;
    let work = move || {
        let mut answers = AnswerList::new(bytes_max);
        for plan in &plans {
            check_time(reading.deadline)?;
            let points = plan.run(&collection)?;
            answers.push(&Points { points: scored(&points) })?;
        }
        Ok(answers.end())
    };
    shared.read(reading, work).await
}
