//! A message as JSON again: what a dead letter shows when the bytes that were delivered are
//! not at hand.

use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::{Message, Operation, UpsertPoint};
use crate::point::{NamedVector, UNNAMED};

/// The message in the form that [`decode_message`](super::decode_message) reads back to the
/// same operations on the same collection. Creating and deleting a collection have no message
/// form; they are written alike, for the eye.
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
        Operation::DeletePoints(ids) => ("delete", json!({ "points": ids }).to_string()),
        Operation::CreateCollection { schema, .. } => {
            ("create_collection", json!({ "vectors": schema.vectors }).to_string())
        }
        Operation::DeleteCollection => ("delete_collection", "{}".to_owned()),
    }
}

fn point(point: &UpsertPoint) -> String {
    let id = json!(point.id);
    // Text that is not JSON cannot become a payload; should it have, the letter shows it as a
    // string rather than break the line it stands in.
    let payload = std::str::from_utf8(point.payload.as_bytes())
        .ok()
        .and_then(|text| serde_json::from_str::<&RawValue>(text).ok())
        .map_or_else(|| json!(format!("{:?}", point.payload)).to_string(), ToString::to_string);
    match &point.vectors[..] {
        [] => format!("{{\"id\":{id},\"payload\":{payload}}}"),
        [NamedVector { name, values }] if name == UNNAMED => {
            format!("{{\"id\":{id},\"vector\":{},\"payload\":{payload}}}", numbers(values))
        }
        named => {
            let named = named.iter().map(|vector| {
                format!("{}:{}", Value::from(vector.name.as_str()), numbers(&vector.values))
            });
            format!("{{\"id\":{id},\"vector\":{{{}}},\"payload\":{payload}}}", joined(named))
        }
    }
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
    // A float always serialises; one that is not finite as `null`.
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
