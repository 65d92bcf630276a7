//! `PUT /collections/{collection}`.
//!
//! Taken: `vectors`, one `{size, distance}` or several by name. Passed over, because they change
//! how fast or where, never what is answered: `hnsw_config`, `optimizers_config`, `wal_config`,
//! `quantization_config` (we answer from the f32 rows), `on_disk`, `on_disk_payload`,
//! `shard_number`, `replication_factor`, `write_consistency_factor`, `strict_mode_config`,
//! `sharding_method: "auto"`, `datatype: "float32"`. Refused, because passing over them would
//! answer something else than was asked for: `multivector_config`, `sparse_vectors`, any other
//! `sharding_method` or `datatype`, `metadata`, `init_from`.

use std::collections::BTreeMap;

use axum::extract::State;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::Context;
use super::answer::Answer;
use super::body::{Body, Json, Name, Params};
use super::collections::changed;
use super::error::{ApiError, Place};
use crate::operation::Operation;
use crate::point::{Distance, Schema, UNNAMED, VectorParams};

/// As long as a file name may be in Qdrant, which names directories so. Ours are numbers.
const NAME_BYTES_MAX: usize = 255;

#[derive(Deserialize)]
pub(super) struct CreateBody {
    vectors: Option<VectorsBody>,
    sharding_method: Option<String>,
    sparse_vectors: Option<Map<String, Value>>,
    metadata: Option<Map<String, Value>>,
    init_from: Option<Value>,
}

impl Body for CreateBody {}

/// One vector's parameters, or several by name.
#[derive(Deserialize)]
#[serde(try_from = "Map<String, Value>")]
enum VectorsBody {
    Unnamed(VectorBody),
    Named(BTreeMap<String, VectorBody>),
}

#[derive(Deserialize)]
struct VectorBody {
    size: usize,
    distance: Distance,
    datatype: Option<String>,
    multivector_config: Option<Value>,
}

impl TryFrom<Map<String, Value>> for VectorsBody {
    type Error = String;

    fn try_from(map: Map<String, Value>) -> Result<Self, String> {
        // A vector may be named `size`; its value would be an object.
        let is_unnamed = ["size", "distance"]
            .iter()
            .any(|field| map.get(*field).is_some_and(|value| !value.is_object()));
        if is_unnamed {
            let vector = serde_json::from_value(Value::Object(map));
            return vector.map(VectorsBody::Unnamed).map_err(|error| error.to_string());
        }
        let read = |(name, value)| match serde_json::from_value(value) {
            Ok(vector) => Ok((name, vector)),
            Err(error) => Err(format!(
                "`{name}`: {error}; a vector is {{\"size\": 4, \"distance\": \"Cosine\"}}"
            )),
        };
        map.into_iter().map(read).collect::<Result<_, _>>().map(VectorsBody::Named)
    }
}

pub(super) async fn create(
    State(shared): Context,
    Name(name): Name,
    params: Params,
    Json { body, .. }: Json<CreateBody>,
) -> Result<Answer, ApiError> {
    check_name(&name)?;
    let schema = body.into_schema()?;
    let deadline = shared.deadline(params.timeout_seconds());
    let operation = Operation::CreateCollection { schema, from_config: false };
    let update = shared.write(&name, vec![operation], true, deadline).await?;
    changed(update.status)
}

/// Qdrant's rule, so that a collection can move there under its name.
fn check_name(name: &str) -> Result<(), ApiError> {
    let invalid = |what: String| {
        Err(ApiError::Validation { place: Place::Path, field: "collection_name", what })
    };
    if name.is_empty() || name.len() > NAME_BYTES_MAX {
        return invalid(format!("a name has 1 to {NAME_BYTES_MAX} bytes, this one {}", name.len()));
    }
    if name == "." || name == ".." {
        return invalid(format!("`{name}` cannot be a collection's name"));
    }
    let forbidden = |c: char| c.is_control() || "<>:\"/\\|?*".contains(c);
    match name.chars().find(|c| forbidden(*c)) {
        Some(c) => invalid(format!("a collection's name cannot contain {c:?}")),
        None => Ok(()),
    }
}

impl CreateBody {
    fn into_schema(self) -> Result<Schema, ApiError> {
        if self.sparse_vectors.is_some_and(|vectors| !vectors.is_empty()) {
            return Err(ApiError::unsupported("`sparse_vectors`", "give dense `vectors` only"));
        }
        if self.sharding_method.is_some_and(|method| method != "auto") {
            let instead = "leave it out: one node has one shard";
            return Err(ApiError::unsupported("`sharding_method`", instead));
        }
        if self.metadata.is_some_and(|metadata| !metadata.is_empty()) {
            return Err(ApiError::unsupported("`metadata`", "leave it out: it is not kept"));
        }
        if self.init_from.is_some() {
            return Err(ApiError::unsupported("`init_from`", "scroll the other, and upsert"));
        }
        let vectors = match self.vectors {
            Some(VectorsBody::Unnamed(vector)) => BTreeMap::from([(UNNAMED.to_owned(), vector)]),
            Some(VectorsBody::Named(vectors)) => vectors,
            None => {
                let what = "missing: give {\"size\": …, \"distance\": …}, or such by name";
                return Err(ApiError::validation("vectors", what));
            }
        };
        let params = vectors
            .into_iter()
            .map(|(name, vector)| Ok((name, vector.into_params()?)))
            .collect::<Result<_, ApiError>>()?;
        let schema = Schema { vectors: params };
        let invalid =
            |error: crate::point::InvalidSchema| ApiError::validation("vectors", error.to_string());
        schema.validate().map_err(invalid)?;
        Ok(schema)
    }
}

impl VectorBody {
    fn into_params(self) -> Result<VectorParams, ApiError> {
        if self.multivector_config.is_some() {
            let instead = "a point has one vector under each name";
            return Err(ApiError::unsupported("`multivector_config`", instead));
        }
        if let Some(datatype) = self.datatype.filter(|datatype| datatype != "float32") {
            let what = format!("the datatype `{}`", datatype.chars().take(40).collect::<String>());
            return Err(ApiError::unsupported(what, "vectors are kept as `float32`"));
        }
        Ok(VectorParams { size: self.size, distance: self.distance })
    }
}
