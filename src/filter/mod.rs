//! Conditions on points, and the one evaluator that is the truth about them.
//!
//! An index may answer a condition faster, never differently: what it cannot answer for
//! certain is evaluated here, over the payload.

mod evaluate;

use serde::{Deserialize, Serialize};

use crate::point::{InvalidPath, Path, PointId};

/// `must`, `should` and `must_not`, each one condition or a list. An empty filter matches all.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Filter {
    #[serde(default, deserialize_with = "one_or_many")]
    pub must: Vec<Condition>,
    /// At least one holds, if any is given.
    #[serde(default, deserialize_with = "one_or_many")]
    pub should: Vec<Condition>,
    #[serde(default, deserialize_with = "one_or_many")]
    pub must_not: Vec<Condition>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(try_from = "ConditionBody")]
pub enum Condition {
    /// The value at `key` is this one, or a list with an element that is.
    Match {
        key: Path,
        value: MatchValue,
    },
    HasId(Vec<PointId>),
    Nested(Filter),
}

/// A value that `match` compares with. Numbers with a fraction are not matched, as in Qdrant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum MatchValue {
    Bool(bool),
    Integer(i64),
    Keyword(String),
}

/// A condition as written: which one it is shows in the fields it has.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ConditionBody {
    key: Option<String>,
    r#match: Option<MatchBody>,
    has_id: Option<Vec<PointId>>,
    #[serde(default, deserialize_with = "optional_list")]
    must: Option<Vec<Condition>>,
    #[serde(default, deserialize_with = "optional_list")]
    should: Option<Vec<Condition>>,
    #[serde(default, deserialize_with = "optional_list")]
    must_not: Option<Vec<Condition>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MatchBody {
    value: MatchValue,
}

const CONDITIONS: &str = "a condition is {\"key\": …, \"match\": {\"value\": …}}, {\"has_id\": […]}, \
                          or a filter of its own";

impl TryFrom<ConditionBody> for Condition {
    type Error = String;

    fn try_from(body: ConditionBody) -> Result<Self, String> {
        let is_filter = body.must.is_some() || body.should.is_some() || body.must_not.is_some();
        match (body.key, body.r#match, body.has_id, is_filter) {
            (Some(key), Some(matched), None, false) => {
                let key = key.parse().map_err(|error: InvalidPath| error.to_string())?;
                Ok(Condition::Match { key, value: matched.value })
            }
            (None, None, Some(ids), false) => Ok(Condition::HasId(ids)),
            (None, None, None, true) => Ok(Condition::Nested(Filter {
                must: body.must.unwrap_or_default(),
                should: body.should.unwrap_or_default(),
                must_not: body.must_not.unwrap_or_default(),
            })),
            _ => Err(CONDITIONS.to_owned()),
        }
    }
}

fn one_or_many<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<Condition>, D::Error> {
    Ok(optional_list(deserializer)?.unwrap_or_default())
}

fn optional_list<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Vec<Condition>>, D::Error> {
    // Through a value, so that the error names the condition's fault and not serde's
    // "did not match any variant".
    let value = Option::<serde_json::Value>::deserialize(deserializer)?;
    let parse = |value| serde_json::from_value(value).map_err(serde::de::Error::custom);
    match value {
        None => Ok(None),
        Some(serde_json::Value::Array(values)) => {
            values.into_iter().map(parse).collect::<Result<_, _>>().map(Some)
        }
        Some(value) => Ok(Some(vec![parse(value)?])),
    }
}
