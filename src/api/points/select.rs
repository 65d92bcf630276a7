//! `with_payload` and `with_vector`.

use serde::Deserialize;
use serde_json::Value;

use crate::collection::{PayloadSelect, Select, VectorSelect};
use crate::point::Path;

/// `true`, `false`, a list of keys, `{"include": […]}` or `{"exclude": […]}`.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "Value")]
pub(super) struct WithPayload(PayloadSelect);

/// `true`, `false`, or a list of vector names.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "Value")]
pub(super) struct WithVector(VectorSelect);

/// What an answer carries where the request does not say.
#[derive(Clone, Copy)]
pub(super) enum Unsaid {
    /// Retrieve and scroll.
    Payload,
    /// Searches.
    Nothing,
}

pub(super) fn select(
    payload: Option<WithPayload>,
    vector: Option<WithVector>,
    unsaid: Unsaid,
) -> Select {
    let unsaid = match unsaid {
        Unsaid::Payload => PayloadSelect::All,
        Unsaid::Nothing => PayloadSelect::None,
    };
    Select {
        payload: payload.map_or(unsaid, |given| given.0),
        vectors: vector.map_or(VectorSelect::None, |given| given.0),
    }
}

impl TryFrom<Value> for WithPayload {
    type Error = String;

    fn try_from(value: Value) -> Result<Self, String> {
        let wrong = || {
            "with_payload is true, false, a list of keys, {\"include\": [keys]} or \
             {\"exclude\": [keys]}"
                .to_owned()
        };
        let select = match value {
            Value::Bool(true) => PayloadSelect::All,
            Value::Bool(false) => PayloadSelect::None,
            Value::Array(keys) => PayloadSelect::Include(paths(keys, wrong)?),
            Value::Object(map) if map.len() == 1 => match map.into_iter().next() {
                Some((name, Value::Array(keys))) if name == "include" => {
                    PayloadSelect::Include(paths(keys, wrong)?)
                }
                Some((name, Value::Array(keys))) if name == "exclude" => {
                    PayloadSelect::Exclude(paths(keys, wrong)?)
                }
                _ => return Err(wrong()),
            },
            _ => return Err(wrong()),
        };
        Ok(WithPayload(select))
    }
}

fn paths(keys: Vec<Value>, wrong: impl Fn() -> String) -> Result<Vec<Path>, String> {
    let read = |key| match key {
        Value::String(key) => key.parse().map_err(|error| format!("with_payload: {error}")),
        _ => Err(wrong()),
    };
    keys.into_iter().map(read).collect()
}

impl TryFrom<Value> for WithVector {
    type Error = String;

    fn try_from(value: Value) -> Result<Self, String> {
        let wrong = || "with_vector is true, false, or a list of vector names".to_owned();
        let select = match value {
            Value::Bool(true) => VectorSelect::All,
            Value::Bool(false) => VectorSelect::None,
            Value::Array(names) => {
                let name = |name| match name {
                    Value::String(name) => Ok(name),
                    _ => Err(wrong()),
                };
                VectorSelect::Named(names.into_iter().map(name).collect::<Result<_, _>>()?)
            }
            _ => return Err(wrong()),
        };
        Ok(WithVector(select))
    }
}
