//! The point id in a key: what a tombstone deletes.

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::operation::{Reason, Refusal};
use crate::point::PointId;

/// The id that a message without a value names in its key: as text, as JSON, or in the object
/// (with its schema or without) that Kafka Connect makes of a key.
pub fn point_id(key: Option<&[u8]>) -> Result<PointId, Refusal> {
    let Some(key) = key else {
        let detail = format!("neither a value nor a key: {FORMS}");
        return Err(Refusal::new(Reason::MissingValue, detail));
    };
    let text = std::str::from_utf8(key).ok();
    let id = text
        .and_then(|text| text.parse().ok().or_else(|| in_json(&serde_json::from_str(text).ok()?)));
    id.ok_or_else(|| {
        let shown: String = String::from_utf8_lossy(key).chars().take(80).collect();
        let detail = format!("no value, and the key `{shown}` names no point: {FORMS}");
        Refusal::new(Reason::MissingValue, detail)
    })
}

const FORMS: &str = "to delete a point, send no value and its id as key (an unsigned 64-bit \
                     integer or a UUID, as text or JSON, or `{\"id\": …}`); give anything else a value";

fn in_json(value: &Value) -> Option<PointId> {
    match value {
        Value::Object(members) if members.len() == 2 && members.contains_key("schema") => {
            match members.get("payload")? {
                Value::Object(members) => only_id(members),
                id => PointId::deserialize(id).ok(),
            }
        }
        Value::Object(members) => only_id(members),
        id => PointId::deserialize(id).ok(),
    }
}

/// A key of more than the id is not the id's alone: another row has the rest of it.
fn only_id(members: &Map<String, Value>) -> Option<PointId> {
    let id = members.get("id").filter(|_| members.len() == 1)?;
    PointId::deserialize(id).ok()
}
