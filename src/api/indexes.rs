//! Payload indexes: `PUT …/index` and `DELETE …/index/{field_name}`.
//!
//! They make filters faster and `order_by` possible. Of the parameters, those that decide what
//! matches (a text index's) are kept and used; those about memory and disk are kept and told
//! again. An index of a field that has one replaces it.

use std::sync::Arc;

use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::answer::Answer;
use super::body::{Body, Json, Name, Params, path};
use super::error::{ApiError, Place};
use super::{Context, Shared};
use crate::operation::Operation;
use crate::point::{FieldSchema, FieldType, InvalidPath, Path};

#[derive(Deserialize)]
pub(super) struct CreateIndexBody {
    field_name: Path,
    field_schema: Option<FieldSchemaBody>,
}

impl Body for CreateIndexBody {}

/// The name of a type, or an object of parameters with its `type`.
#[derive(Deserialize)]
#[serde(try_from = "Value")]
struct FieldSchemaBody(FieldSchema);

impl TryFrom<Value> for FieldSchemaBody {
    type Error = String;

    fn try_from(value: Value) -> Result<Self, String> {
        FieldSchema::from_json(value).map(FieldSchemaBody)
    }
}

/// An index as a collection's description shows it.
#[derive(Serialize)]
pub(super) struct IndexView {
    data_type: FieldType,
    #[serde(skip_serializing_if = "Option::is_none")]
    params: Option<Map<String, Value>>,
    /// That have a value the index can hold.
    points: u64,
}

impl IndexView {
    pub(super) fn new(schema: FieldSchema, points: u64) -> IndexView {
        let FieldSchema { data_type, params } = schema;
        // Clients tell the parameters of one type from another's by the type among them.
        let params = params.map(|mut params| {
            params.insert("type".to_owned(), json!(data_type));
            params
        });
        IndexView { data_type, params, points }
    }
}

pub(super) async fn create(
    State(shared): Context,
    Name(name): Name,
    params: Params,
    Json { body, .. }: Json<CreateIndexBody>,
) -> Result<Answer, ApiError> {
    let Some(FieldSchemaBody(schema)) = body.field_schema else {
        return Err(ApiError::validation(
            "field_schema",
            format!("missing: {}", FieldSchema::FORMS),
        ));
    };
    let operation = Operation::CreateIndex { field: body.field_name, schema, from_config: false };
    let deadline = shared.deadline(params.timeout_seconds());
    Answer::short(&shared.write(&name, vec![operation], params.wait, deadline).await?)
}

/// The field in a path.
pub(super) struct FieldInPath(Path);

impl FromRequestParts<Arc<Shared>> for FieldInPath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, shared: &Arc<Shared>) -> Result<Self, ApiError> {
        #[derive(Deserialize)]
        struct InPath {
            field: String,
        }
        let given = path::<InPath>(parts, shared).await?.field;
        let format =
            |error: InvalidPath| ApiError::Format { place: Place::Path, what: error.to_string() };
        given.parse().map(FieldInPath).map_err(format)
    }
}

pub(super) async fn delete(
    State(shared): Context,
    Name(name): Name,
    FieldInPath(field): FieldInPath,
    params: Params,
) -> Result<Answer, ApiError> {
    let deadline = shared.deadline(params.timeout_seconds());
    let operations = vec![Operation::DeleteIndex { field }];
    Answer::short(&shared.write(&name, operations, params.wait, deadline).await?)
}
