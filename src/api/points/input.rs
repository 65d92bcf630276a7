//! The query language of today's Qdrant, as far as it is understood here: nearest to a vector
//! or to a point. The rest is recognised, so that it can be refused by name.

use serde::Deserialize;
use serde_json::Value;

use crate::collection::Query;
use crate::point::PointId;

pub(super) const SPARSE: &str = "sparse vectors ({\"indices\", \"values\"}) are not supported by pointd: give a list of numbers";

/// A vector, an id, or `{"nearest": either}`.
#[derive(Debug, Deserialize)]
#[serde(try_from = "Value")]
pub(super) struct QueryInput(pub(super) Query);

/// What else `query` may hold in Qdrant.
const OTHER_QUERIES: [&str; 9] = [
    "recommend",
    "discover",
    "context",
    "order_by",
    "fusion",
    "rrf",
    "formula",
    "sample",
    "relevance_feedback",
];

const WRONG: &str =
    "query is a list of numbers, a point id (a number or a UUID), or {\"nearest\": either}";

impl TryFrom<Value> for QueryInput {
    type Error = String;

    fn try_from(value: Value) -> Result<Self, String> {
        let Value::Object(mut map) = value else { return vector_or_id(value).map(QueryInput) };
        if let Some(name) = OTHER_QUERIES.iter().find(|name| map.contains_key(**name)) {
            return Err(format!("a `{name}` query is not supported by pointd: {WRONG}"));
        }
        if map.get("mmr").is_some_and(|mmr| !mmr.is_null()) {
            return Err("`mmr` is not supported by pointd: leave it out".to_owned());
        }
        match map.remove("nearest") {
            Some(nearest) => vector_or_id(nearest).map(QueryInput),
            None => vector_or_id(Value::Object(map)).map(QueryInput),
        }
    }
}

fn vector_or_id(value: Value) -> Result<Query, String> {
    match value {
        Value::Array(values) => dense(values).map(Query::Vector),
        Value::Number(_) | Value::String(_) => match PointId::deserialize(&value) {
            Ok(id) => Ok(Query::Point(id)),
            Err(error) => Err(format!("{error}; {WRONG}")),
        },
        Value::Object(map) if map.contains_key("indices") => Err(SPARSE.to_owned()),
        Value::Object(map) if map.contains_key("model") => Err(format!(
            "inference (text, image, object with a model) is not supported by pointd: {WRONG}"
        )),
        _ => Err(WRONG.to_owned()),
    }
}

/// A list of numbers. Whether they are finite as f32, and as many as they should be, the
/// collection says.
pub(super) fn dense(values: Vec<Value>) -> Result<Vec<f32>, String> {
    if values.first().is_some_and(Value::is_array) {
        return Err("multivectors (lists of lists) are not supported by pointd: give one list \
                    of numbers"
            .to_owned());
    }
    let number = |(at, value): (usize, Value)| match value.as_f64() {
        Some(number) => Ok(number as f32),
        None => Err(format!("a vector is a list of numbers, its element {at} is {value}")),
    };
    values.into_iter().enumerate().map(number).collect()
}
