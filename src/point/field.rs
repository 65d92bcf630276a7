//! Payload indexes as they are asked for: which field, and what kind of values it holds.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// What a payload index is of. Qdrant's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FieldType {
    Keyword,
    Integer,
    Float,
    Geo,
    Text,
    Bool,
    Datetime,
    Uuid,
}

/// A payload index as it was asked for. `params` are kept as given, to be told again; those
/// that decide what matches (a text index's) are read by the index.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FieldSchema {
    pub data_type: FieldType,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub params: Option<Map<String, Value>>,
}

impl From<FieldType> for FieldSchema {
    fn from(data_type: FieldType) -> Self {
        FieldSchema { data_type, params: None }
    }
}

impl FieldSchema {
    /// From Qdrant's forms: a type's name, or an object with `type` and parameters.
    pub fn from_json(value: Value) -> Result<FieldSchema, String> {
        match value {
            Value::String(_) => Ok(field_type(&value)?.into()),
            Value::Object(params) => {
                let given = params.get("type");
                let given = given.ok_or_else(|| format!("no `type`: give one of {TYPES}"))?;
                Ok(FieldSchema { data_type: field_type(given)?, params: Some(params) })
            }
            other => Err(format!(
                "{other} describes no index: give a type ({TYPES}), or an object with `type`"
            )),
        }
    }

    /// In the form it was given in.
    pub fn to_json(&self) -> Value {
        match &self.params {
            Some(params) => Value::Object(params.clone()),
            None => serde_json::json!(self.data_type),
        }
    }
}

fn field_type(given: &Value) -> Result<FieldType, String> {
    FieldType::deserialize(given)
        .map_err(|_| format!("{given} is not a type of index: give one of {TYPES}"))
}

/// For errors.
const TYPES: &str = "keyword, integer, float, geo, text, bool, datetime, uuid";
