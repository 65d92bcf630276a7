//! Payload indexes as they are asked for: which field, and what kind of values it holds.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// What a payload index is of. Qdrant's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
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
