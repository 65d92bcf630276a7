//! Operations as the protobuf messages that say them.

use prost::Message as _;
use proto::points_selector::PointsSelectorOneOf;
use proto::points_update_operation::{self as update, Operation as Update};
use proto::vectors::VectorsOptions;
use qdrant_client::qdrant as proto;
use serde_json::Value;

use super::filters;
use crate::operation::{Message, Operation, Selector, UpsertPoint};
use crate::point::{NamedVector, Path, Payload, PointId, UNNAMED};

/// Which of the spellings that a client may choose.
#[derive(Clone, Copy, Debug)]
pub struct Spelling {
    /// `data` of the vector itself, as clients before 1.16 write it.
    pub old_vectors: bool,
    /// One operation as an entry of a batch too.
    pub batch: bool,
}

/// The type and the bytes.
pub fn message(message: &Message, spelling: Spelling) -> (&'static str, Vec<u8>) {
    let collection_name = message.collection.clone();
    match &message.operations[..] {
        [one] if !spelling.batch => single(collection_name, one, spelling),
        each => {
            let operations = each
                .iter()
                .map(|one| proto::PointsUpdateOperation { operation: Some(entry(one, spelling)) });
            let batch = proto::UpdateBatchPoints {
                collection_name,
                wait: Some(true),
                operations: operations.collect(),
                ..Default::default()
            };
            ("UpdateBatchPoints", batch.encode_to_vec())
        }
    }
}

fn single(
    collection_name: String,
    operation: &Operation,
    spelling: Spelling,
) -> (&'static str, Vec<u8>) {
    macro_rules! bytes {
        ($type:ident { $($field:ident: $value:expr),* }) => {
            proto::$type { collection_name, wait: Some(true), $($field: $value,)* ..Default::default() }
                .encode_to_vec()
        };
    }
    match entry(operation, spelling) {
        Update::Upsert(it) => ("UpsertPoints", bytes!(UpsertPoints { points: it.points })),
        Update::DeletePoints(it) => ("DeletePoints", bytes!(DeletePoints { points: it.points })),
        Update::UpdateVectors(it) => {
            ("qdrant.UpdatePointVectors", bytes!(UpdatePointVectors { points: it.points }))
        }
        Update::DeleteVectors(update::DeleteVectors { points_selector, vectors, .. }) => (
            "DeletePointVectors",
            bytes!(DeletePointVectors { points_selector: points_selector, vectors: vectors }),
        ),
        Update::SetPayload(it) => (
            "type.googleapis.com/qdrant.SetPayloadPoints",
            bytes!(SetPayloadPoints {
                payload: it.payload,
                points_selector: it.points_selector,
                key: it.key
            }),
        ),
        Update::OverwritePayload(it) => (
            "OverwritePayloadPoints",
            bytes!(SetPayloadPoints { payload: it.payload, points_selector: it.points_selector }),
        ),
        Update::DeletePayload(it) => (
            "DeletePayloadPoints",
            bytes!(DeletePayloadPoints { keys: it.keys, points_selector: it.points_selector }),
        ),
        Update::ClearPayload(it) => {
            ("ClearPayloadPoints", bytes!(ClearPayloadPoints { points: it.points }))
        }
        other => panic!("not written here: {other:?}"),
    }
}

fn entry(operation: &Operation, spelling: Spelling) -> Update {
    let shard_key_selector = None;
    match operation {
        Operation::Upsert(points) => Update::Upsert(update::PointStructList {
            points: points.iter().map(|it| point(it, spelling)).collect(),
            ..Default::default()
        }),
        Operation::DeletePoints(points) => {
            let points = Some(selector(points));
            Update::DeletePoints(update::DeletePoints { points, shard_key_selector })
        }
        Operation::UpdateVectors(points) => {
            let points = points.iter().map(|point| proto::PointVectors {
                id: Some(id(point.id)),
                vectors: vectors(&point.vectors, spelling),
            });
            let points = points.collect();
            Update::UpdateVectors(update::UpdateVectors { points, ..Default::default() })
        }
        Operation::DeleteVectors { points, names } => {
            Update::DeleteVectors(update::DeleteVectors {
                points_selector: Some(selector(points)),
                vectors: Some(proto::VectorsSelector { names: names.clone() }),
                shard_key_selector,
            })
        }
        Operation::SetPayload { points, payload, key } => Update::SetPayload(update::SetPayload {
            payload: members(payload),
            points_selector: Some(selector(points)),
            key: key.as_ref().map(Path::to_string),
            shard_key_selector,
        }),
        Operation::OverwritePayload { points, payload } => {
            Update::OverwritePayload(update::OverwritePayload {
                payload: members(payload),
                points_selector: Some(selector(points)),
                key: None,
                shard_key_selector,
            })
        }
        Operation::DeletePayload { points, keys } => Update::DeletePayload(update::DeletePayload {
            keys: keys.iter().map(Path::to_string).collect(),
            points_selector: Some(selector(points)),
            shard_key_selector,
        }),
        Operation::ClearPayload(points) => {
            let points = Some(selector(points));
            Update::ClearPayload(update::ClearPayload { points, shard_key_selector })
        }
        other => panic!("no message says this: {other:?}"),
    }
}

fn point(point: &UpsertPoint, spelling: Spelling) -> proto::PointStruct {
    proto::PointStruct {
        id: Some(id(point.id)),
        payload: members(&point.payload),
        vectors: vectors(&point.vectors, spelling),
    }
}

pub fn id(id: PointId) -> proto::PointId {
    match id {
        PointId::Number(number) => number.into(),
        PointId::Uuid(uuid) => uuid.to_string().into(),
    }
}

#[allow(deprecated, reason = "older clients send it")]
fn vectors(given: &[NamedVector], spelling: Spelling) -> Option<proto::Vectors> {
    let one = |values: &[f32]| {
        let data = values.to_vec();
        match spelling.old_vectors {
            true => proto::Vector { data, ..Default::default() },
            false => proto::Vector {
                vector: Some(proto::vector::Vector::Dense(proto::DenseVector { data })),
                ..Default::default()
            },
        }
    };
    let options = match given {
        [] => return None,
        [NamedVector { name, values }] if name == UNNAMED => VectorsOptions::Vector(one(values)),
        named => {
            let named = named.iter().map(|it| (it.name.clone(), one(&it.values)));
            VectorsOptions::Vectors(proto::NamedVectors { vectors: named.collect() })
        }
    };
    Some(proto::Vectors { vectors_options: Some(options) })
}

fn selector(points: &Selector) -> proto::PointsSelector {
    let one_of = match points {
        Selector::Ids(ids) => {
            let ids = ids.iter().copied().map(id).collect();
            PointsSelectorOneOf::Points(proto::PointsIdsList { ids })
        }
        Selector::Filter(filter) => {
            let text = serde_json::to_value(filter).unwrap();
            PointsSelectorOneOf::Filter(filters::filter(&text))
        }
    };
    proto::PointsSelector { points_selector_one_of: Some(one_of) }
}

fn members(payload: &Payload) -> std::collections::HashMap<String, proto::Value> {
    let map = payload.to_map().unwrap();
    map.into_iter().map(|(key, value)| (key, value_of(value))).collect()
}

fn value_of(value: Value) -> proto::Value {
    use proto::value::Kind;
    let kind = match value {
        Value::Null => Kind::NullValue(0),
        Value::Bool(value) => Kind::BoolValue(value),
        Value::Number(number) => match number.as_i64() {
            Some(number) => Kind::IntegerValue(number),
            None => Kind::DoubleValue(number.as_f64().unwrap()),
        },
        Value::String(text) => Kind::StringValue(text),
        Value::Array(list) => {
            Kind::ListValue(proto::ListValue { values: list.into_iter().map(value_of).collect() })
        }
        Value::Object(map) => Kind::StructValue(proto::Struct {
            fields: map.into_iter().map(|(key, value)| (key, value_of(value))).collect(),
        }),
    };
    proto::Value { kind: Some(kind) }
}
