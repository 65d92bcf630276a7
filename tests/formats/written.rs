//! Operations of every kind as a producer may write them.

use std::collections::{BTreeSet, HashMap};
use std::io::Write;

use pointd::commands::produce::form;
use prost::Message as _;
use qdrant_client::qdrant as proto;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

/// One operation in the forms that can say it.
pub struct Written {
    /// The id of the point it changes.
    pub key: String,
    pub json: String,
    /// The name of the protobuf message.
    pub message: &'static str,
    pub protobuf: Vec<u8>,
    /// The record form; `None` is a tombstone.
    pub record: Option<String>,
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let level = flate2::Compression::default();
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), level);
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::bulk::compress(bytes, 0).unwrap()
}

/// Operations of every kind on points that exist at their turn, and at last an upsert of `last`.
pub fn history(count: usize, last: u64) -> Vec<Written> {
    let mut random = StdRng::seed_from_u64(4);
    let mut live = BTreeSet::new();
    let mut written: Vec<Written> = (0..count)
        .map(|at| {
            let known = live.iter().nth(random.random_range(0..live.len().max(1))).copied();
            match (random.random_range(0..12), known) {
                (kind @ 6.., Some(id)) => {
                    // Half of them by a filter that finds the same point.
                    let (ids, filter) = selectors(id, random.random());
                    match kind {
                        6 => set_payload(id, at, &ids, &filter),
                        7 => overwrite_payload(id, at, &ids, &filter),
                        8 => delete_payload(id, &ids, &filter),
                        9 => clear_payload(id, &ids, &filter),
                        10 => delete_vectors(id, &ids, &filter),
                        _ => update_vectors(id, at),
                    }
                }
                (5, Some(id)) => {
                    live.remove(&id);
                    delete(id)
                }
                _ => {
                    let id = random.random_range(0..60);
                    live.insert(id);
                    upsert(id, at)
                }
            }
        })
        .collect();
    written.push(upsert(last, 0));
    written
}

/// What records and tombstones can say.
pub fn upserts_and_deletes(count: usize, last: u64) -> Vec<Written> {
    let mut random = StdRng::seed_from_u64(5);
    let mut written: Vec<Written> = (0..count)
        .map(|at| {
            let id = random.random_range(0..60);
            if random.random_ratio(1, 4) { delete(id) } else { upsert(id, at) }
        })
        .collect();
    written.push(upsert(last, 0));
    written
}

fn vectors(at: usize) -> ([f32; 2], [f32; 3]) {
    let value = at as f32;
    ([value, -0.5 * value], [1.0, value + 0.25, 3.0])
}

fn named(at: usize) -> (Value, proto::Vectors) {
    let (a, b) = vectors(at);
    let both = HashMap::from([("a".to_owned(), a.to_vec()), ("b".to_owned(), b.to_vec())]);
    (json!({ "a": a, "b": b }), both.into())
}

fn payload(at: usize) -> (Value, HashMap<String, proto::Value>) {
    let payload = json!({
        "at": at, "share": at as f64 / 7.0, "name": format!("point é {at}"),
        "tags": ["x", at % 3], "none": null, "maker": { "city": "Łódź", "since": -5 },
    });
    let fields = payload.as_object().unwrap().clone().into_iter();
    (payload, fields.map(|(key, value)| (key, form::value(value))).collect())
}

fn selectors(id: u64, by_filter: bool) -> (Value, proto::PointsSelector) {
    if by_filter {
        let filter = proto::Filter::must([proto::Condition::has_id([id])]);
        (json!({ "filter": { "must": [{ "has_id": [id] }] } }), filter.into())
    } else {
        (json!({ "points": [id] }), vec![proto::PointId::from(id)].into())
    }
}

/// The operation `name` with these members beside the selector.
fn operation(name: &str, selector: &Value, members: Value) -> String {
    let mut body = selector.clone();
    body.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    json!({ name: body }).to_string()
}

fn of(id: u64, json: String, message: &'static str, protobuf: Vec<u8>) -> Written {
    Written { key: id.to_string(), json, message, protobuf, record: None }
}

fn upsert(id: u64, at: usize) -> Written {
    let ((vector, vectors), (payload, fields)) = (named(at), payload(at));
    let point = json!({ "id": id, "vector": vector, "payload": payload });
    let message = proto::UpsertPoints {
        points: vec![proto::PointStruct {
            id: Some(id.into()),
            payload: fields,
            vectors: Some(vectors),
        }],
        ..Default::default()
    };
    let mut record = point.clone();
    record["collection_name"] = "records".into();
    let json = json!({ "upsert": { "points": [point] } }).to_string();
    let written = of(id, json, "UpsertPoints", message.encode_to_vec());
    Written { record: Some(record.to_string()), ..written }
}

fn delete(id: u64) -> Written {
    let (json, points) = selectors(id, false);
    let message = proto::DeletePoints { points: Some(points), ..Default::default() };
    let json = operation("delete", &json, json!({}));
    of(id, json, "qdrant.DeletePoints", message.encode_to_vec())
}

fn update_vectors(id: u64, at: usize) -> Written {
    let (a, _) = vectors(at);
    let points = vec![proto::PointVectors {
        id: Some(id.into()),
        vectors: Some(HashMap::from([("a".to_owned(), a.to_vec())]).into()),
    }];
    let message = proto::UpdatePointVectors { points, ..Default::default() };
    let json = json!({ "update_vectors": { "points": [{ "id": id, "vector": { "a": a } }] } });
    of(id, json.to_string(), "UpdatePointVectors", message.encode_to_vec())
}

fn delete_vectors(id: u64, json: &Value, points: &proto::PointsSelector) -> Written {
    let message = proto::DeletePointVectors {
        points_selector: Some(points.clone()),
        vectors: Some(proto::VectorsSelector { names: vec!["b".into()] }),
        ..Default::default()
    };
    let json = operation("delete_vectors", json, json!({ "vector": ["b"] }));
    of(id, json, "DeletePointVectors", message.encode_to_vec())
}

/// In a batch, beside a payload that is set at a key.
fn set_payload(id: u64, at: usize, json: &Value, points: &proto::PointsSelector) -> Written {
    use proto::points_update_operation::{Operation, SetPayload};
    let entry = |key: Option<&str>, name: &str| proto::PointsUpdateOperation {
        operation: Some(Operation::SetPayload(SetPayload {
            payload: [(name.to_owned(), form::value(at.into()))].into(),
            points_selector: Some(points.clone()),
            key: key.map(str::to_owned),
            shard_key_selector: None,
        })),
    };
    let message = proto::UpdateBatchPoints {
        operations: vec![entry(None, "set"), entry(Some("maker"), "year")],
        ..Default::default()
    };
    let plain = operation("set_payload", json, json!({ "payload": { "set": at } }));
    let keyed = json!({ "payload": { "year": at }, "key": "maker" });
    let keyed = operation("set_payload", json, keyed);
    let json = format!("{{\"operations\": [{plain}, {keyed}]}}");
    of(id, json, "UpdateBatchPoints", message.encode_to_vec())
}

fn overwrite_payload(id: u64, at: usize, json: &Value, points: &proto::PointsSelector) -> Written {
    let (payload, fields) = payload(at);
    let message = proto::SetPayloadPoints {
        payload: fields,
        points_selector: Some(points.clone()),
        ..Default::default()
    };
    let json = operation("overwrite_payload", json, json!({ "payload": payload }));
    of(id, json, "OverwritePayloadPoints", message.encode_to_vec())
}

fn delete_payload(id: u64, json: &Value, points: &proto::PointsSelector) -> Written {
    let keys = ["tags[]", "maker.city"];
    let message = proto::DeletePayloadPoints {
        keys: keys.map(str::to_owned).to_vec(),
        points_selector: Some(points.clone()),
        ..Default::default()
    };
    let json = operation("delete_payload", json, json!({ "keys": keys }));
    of(id, json, "DeletePayloadPoints", message.encode_to_vec())
}

fn clear_payload(id: u64, json: &Value, points: &proto::PointsSelector) -> Written {
    let message = proto::ClearPayloadPoints { points: Some(points.clone()), ..Default::default() };
    let json = operation("clear_payload", json, json!({}));
    of(id, json, "ClearPayloadPoints", message.encode_to_vec())
}
