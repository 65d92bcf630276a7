//! The query language of today's Qdrant, as far as it is understood here. The rest is
//! recognised, so that it can be refused by name.

use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::{Map, Value};

use super::super::input::example;
use super::super::order::OrderBy;
use crate::collection::{Example, Objective, Pair, Recommend};

/// A vector, an id, or an object whose key names the query.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "Value")]
pub(super) enum QueryInput {
    Like(Objective),
    OrderBy(OrderBy),
    /// Points by chance.
    Sample,
}

/// Where the points that are named as examples are.
#[derive(Debug, Deserialize)]
pub(super) struct LookupFrom {
    pub(super) collection: String,
    /// The vector's name; that of the searched one, if not given.
    pub(super) vector: Option<String>,
    pub(super) shard_key: Option<IgnoredAny>,
}

/// What `query` may be, and is here.
const QUERIES: [&str; 6] = ["nearest", "recommend", "discover", "context", "order_by", "sample"];

/// What else `query` may be in Qdrant.
const OTHER_QUERIES: [&str; 4] = ["fusion", "rrf", "formula", "relevance_feedback"];

const WRONG: &str = "query is a list of numbers, a point id (a number or a UUID), or one of \
                     {\"nearest\"}, {\"recommend\"}, {\"discover\"}, {\"context\"}, \
                     {\"order_by\"} and {\"sample\"}";
const WRONG_EXAMPLE: &str = "an example is a list of numbers or a point id (a number or a UUID)";
const WRONG_PAIR: &str = "context is a list of {\"positive\": example, \"negative\": example}";
const WRONG_STRATEGY: &str = "strategy is \"average_vector\", \"best_score\" or \"sum_scores\"";

#[derive(Deserialize)]
struct RecommendInput {
    positive: Option<Vec<Value>>,
    negative: Option<Vec<Value>>,
    strategy: Option<String>,
}

#[derive(Deserialize)]
struct DiscoverInput {
    target: Value,
    #[serde(default)]
    context: Value,
}

#[derive(Deserialize)]
struct PairInput {
    positive: Value,
    negative: Value,
}

impl TryFrom<Value> for QueryInput {
    type Error = String;

    fn try_from(value: Value) -> Result<Self, String> {
        let nearest = |value| Ok(QueryInput::Like(Objective::Nearest(example(value, WRONG)?)));
        let Value::Object(mut map) = value else { return nearest(value) };
        if let Some(name) = OTHER_QUERIES.iter().find(|name| map.contains_key(**name)) {
            return Err(format!("a `{name}` query is not supported by pointd: {WRONG}"));
        }
        if map.get("mmr").is_some_and(|mmr| !mmr.is_null()) {
            return Err("`mmr` is not supported by pointd: leave it out".to_owned());
        }
        let Some((name, body)) = the_one_of(&QUERIES, &mut map)? else {
            return nearest(Value::Object(map));
        };
        match name {
            "recommend" => recommend(within(name, body)?).map(QueryInput::Like),
            "discover" => discover(within(name, body)?).map(QueryInput::Like),
            "context" => Ok(QueryInput::Like(Objective::Context(pairs(body)?))),
            "order_by" => OrderBy::try_from(body).map(QueryInput::OrderBy),
            "sample" if body == "random" => Ok(QueryInput::Sample),
            "sample" => Err(format!("sample is \"random\", not {body}")),
            _ => nearest(body),
        }
    }
}

/// The one of these keys that the object has.
fn the_one_of(
    names: &[&'static str],
    map: &mut Map<String, Value>,
) -> Result<Option<(&'static str, Value)>, String> {
    let mut found = None;
    for name in names {
        if let Some(body) = map.remove(*name)
            && let Some((other, _)) = found.replace((*name, body))
        {
            return Err(format!("`{other}` and `{name}` are two queries: give one"));
        }
    }
    Ok(found)
}

fn within<T: DeserializeOwned>(name: &str, body: Value) -> Result<T, String> {
    serde_json::from_value(body).map_err(|error| format!("{name}: {error}"))
}

fn recommend(input: RecommendInput) -> Result<Objective, String> {
    let examples = |given: Option<Vec<Value>>| -> Result<Vec<Example>, String> {
        given.unwrap_or_default().into_iter().map(|value| example(value, WRONG_EXAMPLE)).collect()
    };
    let positive = examples(input.positive)?;
    let like = Recommend { positive, negative: examples(input.negative)? };
    match input.strategy.as_deref() {
        None | Some("average_vector") => Ok(Objective::Average(like)),
        Some("best_score") => Ok(Objective::Best(like)),
        Some("sum_scores") => Ok(Objective::Sum(like)),
        Some(other) => Err(format!("recommend: {WRONG_STRATEGY}, not `{other}`")),
    }
}

fn discover(input: DiscoverInput) -> Result<Objective, String> {
    let target = example(input.target, WRONG_EXAMPLE)?;
    Ok(Objective::Discover { target, context: pairs(input.context)? })
}

/// A pair, a list of pairs, or nothing.
fn pairs(given: Value) -> Result<Vec<Pair>, String> {
    let given = match given {
        Value::Null => Vec::new(),
        Value::Array(pairs) => pairs,
        one => vec![one],
    };
    let pair = |value: Value| {
        let PairInput { positive, negative } =
            serde_json::from_value(value).map_err(|error| format!("{error}; {WRONG_PAIR}"))?;
        let positive = example(positive, WRONG_EXAMPLE)?;
        Ok(Pair { positive, negative: example(negative, WRONG_EXAMPLE)? })
    };
    given.into_iter().map(pair).collect()
}
