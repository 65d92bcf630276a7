//! Ids, vectors, payloads and points.

use std::collections::HashMap;

use proto::point_id::PointIdOptions;
use proto::value::Kind;
use proto::vector::Vector as Form;
use proto::vectors::VectorsOptions;
use qdrant_client::qdrant as proto;
use serde::Deserialize;
use serde::de::value::{Error as ValueError, StrDeserializer};
use serde_json::{Map, Number, Value};

use super::invalid;
use crate::operation::{
    NESTING_MAX, PointVectors, Reason, Refusal, UpsertPoint, named_vector, unsupported,
};
use crate::point::{NamedVector, Path, Payload, PointId, UNNAMED};

/// `None` where none is given.
pub fn point_id(given: Option<proto::PointId>) -> Result<Option<PointId>, Refusal> {
    match given.and_then(|id| id.point_id_options) {
        None => Ok(None),
        Some(PointIdOptions::Num(number)) => Ok(Some(PointId::Number(number))),
        // A number as text is no id, as in JSON.
        Some(PointIdOptions::Uuid(text)) => {
            PointId::deserialize(StrDeserializer::<ValueError>::new(&text))
                .map(Some)
                .map_err(|error| invalid(error.to_string()))
        }
    }
}

pub fn point_ids(given: Vec<proto::PointId>) -> Result<Vec<PointId>, Refusal> {
    let each = given.into_iter().enumerate().map(|(at, id)| {
        let detail = || format!("ids[{at}] is empty: give an unsigned 64-bit integer or a UUID");
        point_id(Some(id))?.ok_or_else(|| Refusal::new(Reason::MissingId, detail()))
    });
    each.collect()
}

pub fn upsert_point(at: usize, point: proto::PointStruct) -> Result<UpsertPoint, Refusal> {
    let Some(id) = point_id(point.id)? else {
        let detail = format!("points[{at}] has no `id`: give an unsigned 64-bit integer or a UUID");
        return Err(Refusal::new(Reason::MissingId, detail));
    };
    let vectors = point.vectors.map_or(Ok(Vec::new()), |given| vectors(id, given))?;
    let payload = if point.payload.is_empty() {
        Payload::empty()
    } else {
        payload(point.payload).map_err(|Refusal { reason, detail }| {
            Refusal::new(reason, format!("points[{at}]: {detail}"))
        })?
    };
    Ok(UpsertPoint { id, vectors, payload })
}

pub fn point_vectors(at: usize, point: proto::PointVectors) -> Result<PointVectors, Refusal> {
    let Some(id) = point_id(point.id)? else {
        let detail = format!("points[{at}] has no `id`: give the id of a point that exists");
        return Err(Refusal::new(Reason::MissingId, detail));
    };
    let vectors = point.vectors.map_or(Ok(Vec::new()), |given| vectors(id, given))?;
    if vectors.is_empty() {
        return Err(invalid(format!("points[{at}] has no vectors: give at least one")));
    }
    Ok(PointVectors { id, vectors })
}

/// The vectors of point `id`, in the order of their names: a map's entries come in any.
fn vectors(id: PointId, given: proto::Vectors) -> Result<Vec<NamedVector>, Refusal> {
    match given.vectors_options {
        None => Ok(Vec::new()),
        Some(VectorsOptions::Vector(vector)) => {
            let values = dense(vector)?;
            Ok(vec![named_vector(id, UNNAMED.to_owned(), values)?])
        }
        Some(VectorsOptions::Vectors(named)) => {
            let mut vectors = named
                .vectors
                .into_iter()
                .map(|(name, vector)| named_vector(id, name, dense(vector)?))
                .collect::<Result<Vec<_>, _>>()?;
            vectors.sort_unstable_by(|one, other| one.name.cmp(&other.name));
            Ok(vectors)
        }
    }
}

/// The numbers, in today's form or in the one that Qdrant's clients before 1.16 send.
#[allow(deprecated, reason = "older clients send nothing else")]
fn dense(vector: proto::Vector) -> Result<Vec<f32>, Refusal> {
    let instead = "give a dense vector";
    match vector.vector {
        Some(Form::Dense(dense)) => Ok(dense.data),
        Some(Form::Sparse(_)) => Err(unsupported("a sparse vector", instead)),
        Some(Form::MultiDense(_)) => Err(unsupported("a multivector", instead)),
        Some(Form::Document(_) | Form::Image(_) | Form::Object(_)) => {
            Err(unsupported("inference", "give the vector itself"))
        }
        None if vector.indices.is_some() => Err(unsupported("a sparse vector", instead)),
        None if vector.vectors_count.is_some() => Err(unsupported("a multivector", instead)),
        None => Ok(vector.data),
    }
}

pub fn payload(given: HashMap<String, proto::Value>) -> Result<Payload, Refusal> {
    members(given, 1).map(|map| Payload::from_map(&map))
}

fn members(
    given: HashMap<String, proto::Value>,
    depth: usize,
) -> Result<Map<String, Value>, Refusal> {
    given.into_iter().map(|(key, value)| Ok((key, json(value, depth)?))).collect()
}

/// `depth` is that of the object or list the value stands in.
fn json(value: proto::Value, depth: usize) -> Result<Value, Refusal> {
    if depth > NESTING_MAX {
        let detail = format!("a payload nests deeper than {NESTING_MAX} levels");
        return Err(Refusal::new(Reason::TooDeep, detail));
    }
    match value.kind {
        // As Qdrant reads it.
        None | Some(Kind::NullValue(_)) => Ok(Value::Null),
        Some(Kind::BoolValue(value)) => Ok(Value::Bool(value)),
        Some(Kind::IntegerValue(value)) => Ok(value.into()),
        Some(Kind::StringValue(value)) => Ok(Value::String(value)),
        Some(Kind::DoubleValue(value)) => {
            Number::from_f64(value).map(Value::Number).ok_or_else(|| {
                invalid(format!("a payload has the number {value}: JSON has only finite ones"))
            })
        }
        Some(Kind::StructValue(inner)) => members(inner.fields, depth + 1).map(Value::Object),
        Some(Kind::ListValue(list)) => {
            let each = list.values.into_iter().map(|value| json(value, depth + 1));
            each.collect::<Result<_, _>>().map(Value::Array)
        }
    }
}

pub fn keys(given: Vec<String>) -> Result<Vec<Path>, Refusal> {
    let each = given.into_iter().enumerate();
    each.map(|(at, text)| text.parse().map_err(|error| invalid(format!("keys[{at}]: {error}"))))
        .collect()
}
