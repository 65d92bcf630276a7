//! The messages: made from their serial number alone, so that nobody has to keep them. Many do
//! something else when they are applied twice, or in another order.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

/// Ids are 0 to this, buckets are ids modulo [`BUCKETS`].
pub const IDS: u64 = 200;
pub const BUCKETS: u64 = 10;
pub const COLLECTION: &str = "c";
/// The configuration of the collection.
pub const SECTION: &str = "[collections.c]\nsize = 4\ndistance = \"Euclid\"\n";

/// The id that message `serial` is about: what it is keyed by.
pub fn key(serial: u64) -> u64 {
    StdRng::seed_from_u64(serial).random_range(0..IDS)
}

fn vector(serial: u64) -> Value {
    json!([serial as f32, (serial % 7) as f32, 0.5, -1.0])
}

/// A message that touches no other point than the one it is keyed by.
pub fn keyed_text(serial: u64) -> String {
    let mut random = StdRng::seed_from_u64(serial);
    let id = random.random_range(0..IDS);
    let operation = match random.random_range(0..10) {
        0..5 => {
            let payload = json!({"serial": serial});
            let point = json!({"id": id, "vector": vector(serial), "payload": payload});
            json!({"upsert": {"points": [point]}})
        }
        5..7 => json!({"set_payload": {"payload": {"touched": serial}, "points": [id]}}),
        7..9 => json!({"update_vectors": {"points": [{"id": id, "vector": vector(serial)}]}}),
        _ => json!({"delete": {"points": [id]}}),
    };
    operation.to_string()
}

/// The message's text. Every twentieth is no message at all.
pub fn text(serial: u64) -> String {
    let mut random = StdRng::seed_from_u64(serial);
    let id = random.random_range(0..IDS);
    let bucket = id % BUCKETS;
    let in_bucket = json!({"key": "bucket", "match": {"value": bucket}});
    let operation = match random.random_range(0..20) {
        0..10 => {
            let payload = json!({"serial": serial, "bucket": bucket});
            let point = json!({"id": id, "vector": vector(serial), "payload": payload});
            json!({"upsert": {"points": [point]}})
        }
        10..13 => json!({"set_payload": {
            "payload": {"touched": serial}, "filter": {"must": [in_bucket]},
        }}),
        13..15 => {
            let old = json!({"key": "serial", "range": {"lt": serial.saturating_sub(IDS)}});
            json!({"delete": {"filter": {"must": [in_bucket, old]}}})
        }
        15..18 => json!({"update_vectors": {"points": [{"id": id, "vector": vector(serial)}]}}),
        18 => json!({"delete": {"points": [id]}}),
        _ => return format!("{{\"collection\": \"c\", \"upsert\": poison {serial}"),
    };
    operation.to_string()
}
