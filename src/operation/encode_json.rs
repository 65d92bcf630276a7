//! A message as JSON again: what a dead letter shows when the bytes that were delivered are
//! not at hand.

use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::{Message, Operation, Selector, UpsertPoint};
use crate::point::{NamedVector, Payload, UNNAMED};

/// The message in the form that [`decode_message`](super::decode_message) reads back to the
/// same operations on the same collection. Creating and deleting collections and indexes have no
/// message form; they are written alike, for the eye.
pub fn to_json(message: &Message) -> String {
    let mut operations = message.operations.iter().map(operation);
    let body = match (operations.next(), operations.next()) {
        (Some((name, body)), None) => format!("{}:{body}", Value::from(name)),
        (first, second) => {
            let listed = first.into_iter().chain(second).chain(operations);
            let listed = listed.map(|(name, body)| format!("{{{}:{body}}}", Value::from(name)));
            format!("\"operations\":[{}]", joined(listed))
        }
    };
    format!("{{\"collection\":{},{body}}}", Value::from(message.collection.as_str()))
}

fn operation(operation: &Operation) -> (&'static str, String) {
    match operation {
        Operation::Upsert(points) => {
            ("upsert", format!("{{\"points\":[{}]}}", joined(points.iter().map(point))))
        }
        Operation::DeletePoints(points) => ("delete", object(&[selector(points)])),
        Operation::UpdateVectors(points) => {
            let points = points.iter().map(|point| {
                object(&[("id", json!(point.id).to_string()), ("vector", vector(&point.vectors))])
            });
            ("update_vectors", format!("{{\"points\":[{}]}}", joined(points)))
        }
        Operation::DeleteVectors { points, names } => {
            ("delete_vectors", object(&[("vector", json_text(names)), selector(points)]))
        }
        Operation::SetPayload { points, payload, key } => {
            let mut members = vec![("payload", payload_text(payload)), selector(points)];
            members.extend(key.as_ref().map(|key| ("key", json_text(key))));
            ("set_payload", object(&members))
        }
        Operation::OverwritePayload { points, payload } => {
            let members = [("payload", payload_text(payload)), selector(points)];
            ("overwrite_payload", object(&members))
        }
        Operation::DeletePayload { points, keys } => {
            ("delete_payload", object(&[("keys", json_text(keys)), selector(points)]))
        }
        Operation::ClearPayload(points) => ("clear_payload", object(&[selector(points)])),
        Operation::CreateCollection { schema, .. } => {
            ("create_collection", json!({ "vectors": schema.vectors }).to_string())
        }
        Operation::DeleteCollection => ("delete_collection", "{}".to_owned()),
        Operation::CreateIndex { field, schema, .. } => {
            let members = [("field_name", json_text(field)), ("field_schema", json_text(schema))];
            ("create_index", object(&members))
        }
        Operation::DeleteIndex { field } => {
            ("delete_index", object(&[("field_name", json_text(field))]))
        }
    }
}

fn selector(points: &Selector) -> (&'static str, String) {
    match points {
        Selector::Ids(ids) => ("points", json_text(ids)),
        Selector::Filter(filter) => ("filter", json_text(filter)),
    }
}

fn point(point: &UpsertPoint) -> String {
    let mut members = vec![("id", json_text(&point.id))];
    if !point.vectors.is_empty() {
        members.push(("vector", vector(&point.vectors)));
    }
    members.push(("payload", payload_text(&point.payload)));
    object(&members)
}

fn vector(vectors: &[NamedVector]) -> String {
    match vectors {
        [NamedVector { name, values }] if name == UNNAMED => numbers(values),
        named => {
            let named = named.iter().map(|vector| {
                format!("{}:{}", Value::from(vector.name.as_str()), numbers(&vector.values))
            });
            format!("{{{}}}", joined(named))
        }
    }
}

/// Text that is not JSON cannot become a payload; should it have, the letter shows it as a
/// string rather than break the line it stands in.
fn payload_text(payload: &Payload) -> String {
    std::str::from_utf8(payload.as_bytes())
        .ok()
        .and_then(|text| serde_json::from_str::<&RawValue>(text).ok())
        .map_or_else(|| json!(format!("{payload:?}")).to_string(), ToString::to_string)
}

/// Members whose values are JSON already.
fn object(members: &[(&str, String)]) -> String {
    let members = members.iter().map(|(name, value)| format!("{}:{value}", Value::from(*name)));
    format!("{{{}}}", joined(members))
}

fn numbers(values: &[f32]) -> String {
    format!("[{}]", joined(values.iter().map(|value| number(*value))))
}

/// The shortest text that reads back as the same f32. Readers go through f64, and rounding
/// twice can miss by one step: then the value is written with all the digits of an f64.
fn number(value: f32) -> String {
    let short = json_text(&value);
    match serde_json::from_str::<f32>(&short) {
        Ok(read) if read.to_bits() == value.to_bits() => short,
        _ => json_text(&f64::from(value)),
    }
}

fn json_text<T: serde::Serialize>(value: &T) -> String {
    // Floats, text and lists of such always serialise; a float that is not finite as `null`.
    serde_json::to_string(value).unwrap_or_else(|_| "null".to_owned())
}

fn joined(parts: impl Iterator<Item = String>) -> String {
    let mut text = String::new();
    for (at, part) in parts.enumerate() {
        if at > 0 {
            text.push(',');
        }
        text.push_str(&part);
    }
    text
}
