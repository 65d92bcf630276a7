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
    /// What would be right, for errors.
    pub const FORMS: &str = "give a type as \"keyword\", \"integer\", \"float\", \"bool\", \"geo\", \
                             \"datetime\", \"text\" or \"uuid\", or an object with its `type` \
                             and parameters";

    /// From Qdrant's forms: a type's name, or an object with `type` and parameters.
    pub fn from_json(value: Value) -> Result<FieldSchema, String> {
        match value {
            Value::String(_) => Ok(field_type(&value)?.into()),
            Value::Object(mut params) => {
                let missing = || format!("a field's schema without its `type`: {}", Self::FORMS);
                let data_type = field_type(&params.remove(TYPE).ok_or_else(missing)?)?;
                // An object of nothing but its type is the type's name, written longer.
                let params = Some(params).filter(|params| !params.is_empty());
                Ok(FieldSchema { data_type, params })
            }
            other => {
                let shown: String = other.to_string().chars().take(40).collect();
                Err(format!("{shown} is not a field's schema: {}", Self::FORMS))
            }
        }
    }

    /// A form that [`FieldSchema::from_json`] reads back.
    pub fn to_json(&self) -> Value {
        let mut params = self.params.clone().unwrap_or_default();
        let data_type = serde_json::json!(self.data_type);
        if params.is_empty() {
            return data_type;
        }
        params.insert(TYPE.to_owned(), data_type);
        Value::Object(params)
    }
}

/// The member of Qdrant's long form that names the type.
const TYPE: &str = "type";

fn field_type(given: &Value) -> Result<FieldType, String> {
    FieldType::deserialize(given).map_err(|_| {
        let shown: String = given.to_string().chars().take(40).collect();
        format!("{shown} is not a type of field: {}", FieldSchema::FORMS)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_schema_reads_back_in_the_form_it_is_given_in() {
        for given in [json!("geo"), json!({"type": "text", "lowercase": false})] {
            let schema = FieldSchema::from_json(given.clone()).unwrap();
            assert_eq!(schema.to_json(), given);
        }
        assert_eq!(FieldSchema::from_json(json!({"type": "uuid"})), Ok(FieldType::Uuid.into()));
        for bad in [json!(1), json!("keywords"), json!({"lowercase": true}), json!({"type": 1})] {
            assert!(FieldSchema::from_json(bad.clone()).unwrap_err().contains("\"keyword\""));
        }
    }
}
