//! Bad bodies of changes, each twice: as a request, which is answered and leaves no trace, and
//! as a message, which becomes a dead letter. Neither changes anything that readers see.

use serde_json::Value;

use super::super::Fixture;
use super::super::views::{at, partition};
use crate::operation::{self, Limits, Original, Reason, Rejection};

use Reason::*;

/// Name of the operation, its body, the status and a part of the sentence over HTTP, and the
/// reason of the dead letter.
type Case = (&'static str, &'static str, u16, &'static str, Reason);

#[rustfmt::skip] // A case is a line.
const CASES: &[Case] = &[
    ("upsert", "{}", 400, "an upsert has either `points` (a list of points) or `batch`", InvalidMessage),
    ("upsert", "[]", 400, "an object with `points` or `batch`", InvalidMessage),
    ("upsert", "7", 400, "invalid type: integer `7`, expected an object with `points` or `batch`", InvalidMessage),
    ("upsert", r#"{"points": [{"vector": [1, 2]}]}"#, 400, "points[0] has no `id`: give an unsigned 64-bit integer or a UUID", MissingId),
    ("upsert", r#"{"points": [{"id": -1}]}"#, 400, "points[0].id: invalid type: integer `-1`, expected a point id", InvalidMessage),
    ("upsert", r#"{"points": [{"id": "7"}]}"#, 400, "points[0].id: `7` is not a point id: give", InvalidMessage),
    ("upsert", r#"{"points": [{"id": 1, "vectr": [1, 2]}]}"#, 400, "points[0].vectr: unknown field `vectr`, expected one of `id`, `vector`, `payload`", InvalidMessage),
    ("upsert", r#"{"points": [{"id": 1, "vector": [1, 2], "payload": [1]}]}"#, 400, "points[0].payload: invalid type", InvalidMessage),
    ("upsert", r#"{"points": [{"id": 1, "vector": []}]}"#, 400, "the vector of point 1 is empty", InvalidVector),
    ("upsert", r#"{"points": [{"id": 1, "vector": [1, 1e39]}]}"#, 400, "has a value at 1 that is not a finite 32-bit float", InvalidVector),
    ("upsert", r#"{"points": [{"id": 1, "vector": [1, "2"]}]}"#, 400, "points[0].vector", InvalidMessage),
    ("upsert", r#"{"points": [{"id": 1, "vector": [1, 2, 3]}]}"#, 400, "Vector dimension error: point 1: the unnamed vector has 3 dimensions, give 2", WrongDimension),
    ("upsert", r#"{"points": [{"id": 1, "vector": {"x": [1, 2]}}]}"#, 400, "Not existing vector name error: point 1:", UnknownVector),
    ("upsert", r#"{"batch": {"ids": [1, 2], "vectors": [[1, 2]]}}"#, 400, "a batch of 2 ids has 1 vectors: give one for each id", InvalidMessage),
    ("upsert", r#"{"batch": {"ids": [1], "vectors": [[1, 2]], "payloads": []}}"#, 400, "a batch of 1 ids has 0 payloads: give one", InvalidMessage),
    ("upsert", r#"{"batch": {"ids": [1], "vectors": [[1, 2]], "payload": [{}]}}"#, 400, "batch.payload: unknown field `payload`, expected one of `ids`", InvalidMessage),
    ("upsert", r#"{"batch": {"vectors": [[1, 2]]}}"#, 400, "batch: missing field `ids`", InvalidMessage),
    ("upsert", r#"{"points": [], "update_filter": {}}"#, 400, "`update_filter` is not supported by pointd: upsert replaces points whole", InvalidMessage),
    ("upsert", r#"{"points": [], "update_mode": "insert_only"}"#, 400, "an `update_mode` other than `upsert` is not supported", InvalidMessage),
    ("upsert", r#"{"points": [], "shard_key": "a"}"#, 400, "`shard_key` is not supported by pointd: leave it out", InvalidMessage),
    ("delete", "{}", 400, "say which points with either `points` (a list of point ids) or `filter`: neither is given", InvalidMessage),
    ("delete", r#"{"points": [1], "filter": {}}"#, 400, "say which points with either `points` (a list of point ids) or `filter`: both are given", InvalidMessage),
    ("delete", r#"{"ids": [1]}"#, 400, "unknown field `ids`, expected one of `points`, `filter`", InvalidMessage),
    ("delete", r#"{"points": 1}"#, 400, "points: invalid type: integer `1`, expected a sequence", InvalidMessage),
    ("delete", r#"{"points": [1, null]}"#, 400, "points[1]: invalid type: null, expected a point id", InvalidMessage),
    ("delete", r#"{"filter": []}"#, 400, "filter: a filter is expected here, not `[]`", InvalidMessage),
    ("delete", r#"{"filter": {"msut": []}}"#, 400, "filter: a filter has no field `msut`: did you mean `must`?", InvalidMessage),
    ("delete", r#"{"filter": {"must": [{"key": "color"}]}}"#, 400, "at `must[0]`: a condition on a key needs one of `match`", InvalidMessage),
    ("delete", r#"{"filter": {"must": [{"key": "a[", "match": {"value": 1}}]}}"#, 400, "`a[` is not a key", InvalidMessage),
    ("delete", r#"{"filter": {"must": [{"key": "a", "match": {"valeu": 1}}]}}"#, 400, "`valeu`", InvalidMessage),
    ("delete", r#"{"filter": {"must": [{"key": "a", "range": {"gte": "x"}}]}}"#, 400, "must[0].range", InvalidMessage),
    ("delete", r#"{"points": [1], "shard_key": "a"}"#, 400, "`shard_key` is not supported by pointd", InvalidMessage),
    ("update_vectors", "{}", 400, "missing field `points`", InvalidMessage),
    ("update_vectors", r#"{"points": []}"#, 400, "`points` is empty: give at least one point with its vectors", InvalidMessage),
    ("update_vectors", r#"{"points": [{"vector": [1, 2]}]}"#, 400, "points[0] has no `id`: give the id of a point that exists", MissingId),
    ("update_vectors", r#"{"points": [{"id": 1}]}"#, 400, "points[0]: missing field `vector`", InvalidMessage),
    ("update_vectors", r#"{"points": [{"id": 1, "vector": {}}]}"#, 400, "points[0].vector is empty: give at least one vector by name", InvalidMessage),
    ("update_vectors", r#"{"points": [{"id": 1, "vector": [1, 2], "payload": {}}]}"#, 400, "points[0].payload: unknown field `payload`, expected `id` or `vector`", InvalidMessage),
    ("update_vectors", r#"{"points": [{"id": 77, "vector": [1, 2]}]}"#, 404, "Not found: No point with id 77 found", UnknownPoint),
    ("update_vectors", r#"{"points": [{"id": 1, "vector": [1, 2]}, {"id": 78, "vector": [1, 2]}]}"#, 404, "Not found: No point with id 78 found", UnknownPoint),
    ("update_vectors", r#"{"points": [{"id": 1, "vector": {"x": [1, 2]}}]}"#, 400, "Not existing vector name error: point 1:", UnknownVector),
    ("update_vectors", r#"{"points": [{"id": 1, "vector": [1]}]}"#, 400, "Vector dimension error: point 1: the unnamed vector has 1 dimensions, give 2", WrongDimension),
    ("update_vectors", r#"{"points": [{"id": 1, "vector": [1, 1e39]}]}"#, 400, "not a finite 32-bit float", InvalidVector),
    ("update_vectors", r#"{"points": [{"id": 1, "vector": [1, 2]}], "update_filter": {}}"#, 400, "`update_filter` is not supported", InvalidMessage),
    ("delete_vectors", r#"{"points": [1]}"#, 400, "missing field `vector`", InvalidMessage),
    ("delete_vectors", r#"{"points": [1], "vector": []}"#, 400, "`vector` is empty: give the names of the vectors to delete", InvalidMessage),
    ("delete_vectors", r#"{"points": [1], "vector": "x"}"#, 400, "vector: invalid type", InvalidMessage),
    ("delete_vectors", r#"{"vector": [""]}"#, 400, "say which points", InvalidMessage),
    ("delete_vectors", r#"{"points": [1, 77], "vector": [""]}"#, 404, "Not found: No point with id 77 found", UnknownPoint),
    ("delete_vectors", r#"{"points": [1], "vector": ["x"]}"#, 400, "Not existing vector name error:", UnknownVector),
    ("set_payload", r#"{"points": [1]}"#, 400, "missing field `payload`", InvalidMessage),
    ("set_payload", r#"{"payload": {"a": 1}}"#, 400, "say which points with either `points` (a list of point ids) or `filter`: neither is given", InvalidMessage),
    ("set_payload", r#"{"payload": {"a": 1}, "points": [1], "filter": {}}"#, 400, "both are given", InvalidMessage),
    ("set_payload", r#"{"payload": null, "points": [1]}"#, 400, "payload: invalid type: null", InvalidMessage),
    ("set_payload", r#"{"payload": {"a": 1}, "points": [1], "key": ""}"#, 400, "key: `` is not a key: write `a`", InvalidMessage),
    ("set_payload", r#"{"payload": {"a": 1}, "points": [1], "key": "a..b"}"#, 400, "key: `a..b` is not a key", InvalidMessage),
    ("set_payload", r#"{"payload": {"a": 1}, "point": [1]}"#, 400, "unknown field `point`, expected one of `payload`, `points`, `filter`, `key`", InvalidMessage),
    ("overwrite_payload", r#"{"payload": {"a": 1}, "points": [1], "key": "b"}"#, 400, "`key` is for `set_payload`: overwriting replaces the payload whole", InvalidMessage),
    ("set_payload", r#"{"payload": {"a": 1}, "points": [1, 77]}"#, 404, "Not found: No point with id 77 found", UnknownPoint),
    ("overwrite_payload", r#"{"payload": {"a": 1}, "points": [77]}"#, 404, "Not found: No point with id 77 found", UnknownPoint),
    ("overwrite_payload", r#"{"payload": {"a": 1}}"#, 400, "say which points", InvalidMessage),
    ("delete_payload", r#"{"points": [1]}"#, 400, "missing field `keys`", InvalidMessage),
    ("delete_payload", r#"{"keys": "a", "points": [1]}"#, 400, "keys: invalid type", InvalidMessage),
    ("delete_payload", r#"{"keys": ["a", "b["], "points": [1]}"#, 400, "keys[1]: `b[` is not a key", InvalidMessage),
    ("delete_payload", r#"{"keys": ["a"]}"#, 400, "say which points", InvalidMessage),
    ("delete_payload", r#"{"keys": ["a"], "points": [77]}"#, 404, "Not found: No point with id 77 found", UnknownPoint),
    ("clear_payload", r#"{"points": [77]}"#, 404, "Not found: No point with id 77 found", UnknownPoint),
    ("clear_payload", "{}", 400, "say which points", InvalidMessage),
    ("clear_payload", r#"{"points": [1], "keys": ["a"]}"#, 400, "unknown field `keys`, expected one of `points`, `filter`", InvalidMessage),
    ("clear_payload", r#"{"points": ["x"]}"#, 400, "points[0]: `x` is not a point id", InvalidMessage),
    ("operations", "{}", 400, "operations: invalid type: map, expected a sequence", InvalidMessage),
    ("operations", r#"[{"explode": {}}]"#, 400, "operations[0]: `explode` is not an operation: known are `upsert`, `delete`", UnknownOperation),
    ("operations", r#"[{"delete": {"points": [1]}}, {}]"#, 400, "operations[1]: an entry of `operations` has one operation", InvalidMessage),
    ("operations", r#"[{"delete": {"points": [1]}}, {"set_payload": {"payload": {"a": 1}}}]"#, 400, "operations[1].set_payload: say which points", InvalidMessage),
    ("operations", r#"[{"delete": {"points": [1]}}, {"set_payload": {"payload": 1, "points": [1]}}]"#, 400, "operations[1].set_payload.payload: invalid type", InvalidMessage),
    // A whole message or none of it: the first operation could be applied alone.
    ("operations", r#"[{"delete": {"points": [1]}}, {"update_vectors": {"points": [{"id": 1, "vector": [1, 1]}]}}]"#, 404, "Not found: operations[1]: No point with id 1 found", UnknownPoint),
    ("operations", r#"[{"clear_payload": {"points": [1]}}, {"upsert": {"points": [{"id": 3, "vector": [1]}]}}]"#, 400, "Vector dimension error", WrongDimension),
];

/// Where the operation's body goes over HTTP.
fn route(operation: &str) -> (&'static str, &'static str) {
    match operation {
        "upsert" => ("PUT", ""),
        "delete" => ("POST", "/delete"),
        "update_vectors" => ("PUT", "/vectors"),
        "delete_vectors" => ("POST", "/vectors/delete"),
        "set_payload" => ("POST", "/payload"),
        "overwrite_payload" => ("PUT", "/payload"),
        "delete_payload" => ("POST", "/payload/delete"),
        "clear_payload" => ("POST", "/payload/clear"),
        _ => ("POST", "/batch"),
    }
}

/// All that readers see of the collection.
async fn everything(fixture: &Fixture) -> (String, String) {
    let all = r#"{"limit": 100, "with_payload": true, "with_vector": true}"#;
    let points = fixture.ask("POST", "/collections/demo/points/scroll", all).await;
    (points.1, fixture.ask("GET", "/collections/demo", "").await.1)
}

#[tokio::test]
async fn requests_are_answered_and_leave_no_trace() {
    let fixture = Fixture::with_points().await;
    let before = everything(&fixture).await;
    let mut wrong = Vec::new();
    for (operation, body, status, part, _) in CASES {
        let (method, path) = route(operation);
        let text = match *operation {
            "operations" => format!(r#"{{"operations": {body}}}"#),
            _ => (*body).to_owned(),
        };
        for wait in ["", "?wait=true"] {
            let path = format!("/collections/demo/points{path}{wait}");
            let (given, answer) = fixture.ask(method, &path, &text).await;
            let value: Value = serde_json::from_str(&answer).unwrap();
            let error = value["status"]["error"].as_str().unwrap_or_default();
            if given != *status || !error.contains(part) {
                wrong.push(format!("{method} {path} {text}: {given} {answer}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(everything(&fixture).await, before);
    assert_eq!(fixture.doors.catalog.applied().0, 2);
    assert_eq!(fixture.doors.catalog.dead_letters().len(), 0);
}

#[tokio::test]
async fn messages_become_dead_letters_and_change_nothing() {
    let fixture = Fixture::with_points().await;
    let before = everything(&fixture).await;
    let (stream, limits) = (partition("orders", 0), Limits { message_bytes_max: 10_000 });
    let mut wrong = Vec::new();
    for (at_offset, (operation, body, _, _, reason)) in CASES.iter().enumerate() {
        let text = format!(r#"{{"collection": "demo", "{operation}": {body}}}"#);
        let body = match operation::decode_message(text.as_bytes(), None, &limits) {
            Ok(message) => operation::Body::Message(message),
            Err(refusal) => {
                let original = Original::of(text.clone());
                operation::Body::Rejected(Rejection { refusal, original, rewritten: false })
            }
        };
        fixture.direct.apply(at(&stream, at_offset as u64 + 1), body);
        let letters = fixture.doors.catalog.dead_letters();
        match letters.last() {
            Some(letter) if letters.len() == at_offset + 1 && letter.refusal.reason == *reason => {}
            last => wrong.push(format!("{text}: {last:?}")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(everything(&fixture).await, before);
}
