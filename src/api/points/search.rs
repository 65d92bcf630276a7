//! `POST …/points/search` and its batch.

use axum::extract::State;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::super::answer::{Answer, AnswerList};
use super::super::body::{Body, Json, Name};
use super::super::error::ApiError;
use super::super::reading::Reading;
use super::super::{Context, Shared};
use super::params::SearchParams;
use super::select::{Unsaid, WithPayload, WithVector, select};
use super::view::scored;
use super::{check_batch, check_limit, check_time, input, refuse_shard_key};
use crate::collection::{Query, Search};
use crate::filter::Filter;
use crate::point::UNNAMED;

#[derive(Deserialize)]
pub(in super::super) struct SearchBody {
    vector: VectorBody,
    limit: usize,
    offset: Option<usize>,
    filter: Option<Filter>,
    params: Option<SearchParams>,
    score_threshold: Option<f32>,
    with_payload: Option<WithPayload>,
    #[serde(alias = "with_vectors")]
    with_vector: Option<WithVector>,
    shard_key: Option<IgnoredAny>,
}

#[derive(Deserialize)]
pub(in super::super) struct BatchBody {
    searches: Vec<SearchBody>,
}

impl Body for SearchBody {}
impl Body for BatchBody {}

/// `[…]` or `{"name": …, "vector": […]}`.
#[derive(Deserialize)]
#[serde(try_from = "Value")]
struct VectorBody {
    name: String,
    values: Vec<f32>,
}

impl TryFrom<Value> for VectorBody {
    type Error = String;

    fn try_from(value: Value) -> Result<Self, String> {
        match value {
            Value::Array(values) => {
                Ok(VectorBody { name: UNNAMED.to_owned(), values: input::dense(values)? })
            }
            Value::Object(mut map) => match (map.remove("name"), map.remove("vector")) {
                (Some(Value::String(name)), Some(Value::Array(values))) => {
                    Ok(VectorBody { name, values: input::dense(values)? })
                }
                (Some(_), Some(Value::Object(_))) => Err(input::SPARSE.to_owned()),
                _ => Err(WRONG.to_owned()),
            },
            _ => Err(WRONG.to_owned()),
        }
    }
}

const WRONG: &str = "vector is a list of numbers, or {\"name\": …, \"vector\": [numbers]}";

impl SearchBody {
    fn into_search(self, shared: &Shared) -> Result<Search, ApiError> {
        refuse_shard_key(&self.shard_key)?;
        let offset = self.offset.unwrap_or(0);
        check_limit(self.limit, offset, shared.settings.limit_max)?;
        let params = self.params.unwrap_or_default();
        Ok(Search {
            vector: self.vector.name,
            query: Query::Vector(self.vector.values),
            filter: self.filter.unwrap_or_default(),
            limit: self.limit,
            offset,
            score_threshold: self.score_threshold,
            exact: params.exact,
            ef: params.hnsw_ef,
            select: select(self.with_payload, self.with_vector, Unsaid::Nothing),
        })
    }
}

pub(in super::super) async fn search(
    State(shared): Context,
    Name(name): Name,
    reading: Reading,
    Json { body, .. }: Json<SearchBody>,
) -> Result<Answer, ApiError> {
    let collection = shared.collection(&name)?;
    let search = body.into_search(&shared)?;
    let bytes_max = shared.settings.answer_bytes_max;
    let work = move || Answer::of(&scored(&collection.search(&search)?), bytes_max);
    shared.read(reading, work).await
}

pub(in super::super) async fn search_batch(
    State(shared): Context,
    Name(name): Name,
    reading: Reading,
    Json { body, .. }: Json<BatchBody>,
) -> Result<Answer, ApiError> {
    check_batch(body.searches.len(), shared.settings.batch_max)?;
    let collection = shared.collection(&name)?;
    let searches = body.searches.into_iter().map(|search| search.into_search(&shared));
    let searches = searches.collect::<Result<Vec<_>, _>>()?;
    let bytes_max = shared.settings.answer_bytes_max;
    let work = move || {
        let mut answers = AnswerList::new(bytes_max);
        for search in &searches {
            check_time(reading.deadline)?;
            answers.push(&scored(&collection.search(search)?))?;
        }
        Ok(answers.end())
    };
    shared.read(reading, work).await
}
