//! Messages that are refused: under which reason, and in words that say what would be right.

use super::*;
use crate::filter::DEPTH_MAX;

/// An operation as written, the reason, and a part of the detail.
type Case = (&'static str, Reason, &'static str);

use Reason::*;

#[rustfmt::skip] // A case is a line.
const CASES: &[Case] = &[
    // Selectors: a slip must never change more points than were meant.
    (r#""delete": {}"#, InvalidMessage, "delete: say which points with either `points` (a list of point ids) or `filter`: neither is given"),
    (r#""delete": {"points": [1], "filter": {}}"#, InvalidMessage, "delete: say which points with either `points` (a list of point ids) or `filter`: both are given"),
    (r#""delete": {"filtr": {"must": []}}"#, InvalidMessage, "delete.filtr: unknown field `filtr`, expected one of `points`, `filter`"),
    (r#""delete": {"points": [1], "filtr": {}}"#, InvalidMessage, "unknown field `filtr`"),
    (r#""delete": {"point": [1]}"#, InvalidMessage, "unknown field `point`"),
    (r#""delete": {"points": null, "filter": null}"#, InvalidMessage, "neither is given"),
    (r#""delete": {"points": 1}"#, InvalidMessage, "delete.points: invalid type"),
    (r#""delete": {"points": ["x"]}"#, InvalidMessage, "delete.points[0]: `x` is not a point id"),
    (r#""delete": {"points": [1], "shard_key": "a"}"#, InvalidMessage, "delete: `shard_key` is not supported by pointd: leave it out"),
    (r#""delete": {"filter": {"musst": []}}"#, InvalidMessage, "musst"),
    (r#""delete": {"filter": []}"#, InvalidMessage, "delete.filter"),
    (r#""delete": 5"#, InvalidMessage, "delete: invalid type: integer `5`, expected an object with `points` or `filter`"),
    (r#""delete": [[1]]"#, InvalidMessage, "delete: invalid length 1, expected an object with `points` or `filter`"),
    (r#""clear_payload": {}"#, InvalidMessage, "clear_payload: say which points"),
    (r#""clear_payload": {"points": [1], "keys": ["a"]}"#, InvalidMessage, "unknown field `keys`"),
    // Payload.
    (r#""set_payload": {"points": [1]}"#, InvalidMessage, "set_payload: missing field `payload`"),
    (r#""set_payload": {"payload": {"a": 1}}"#, InvalidMessage, "set_payload: say which points"),
    (r#""set_payload": {"payload": {"a": 1}, "points": [1], "filter": {}}"#, InvalidMessage, "both are given"),
    (r#""set_payload": {"payload": [1], "points": [1]}"#, InvalidMessage, "set_payload.payload: invalid type"),
    (r#""set_payload": {"payload": {}, "points": [1], "key": "a."}"#, InvalidMessage, "set_payload.key: `a.` is not a key: write `a`"),
    (r#""set_payload": {"payload": {}, "points": [1], "keys": ["a"]}"#, InvalidMessage, "unknown field `keys`, expected one of `payload`"),
    (r#""set_payload": {"payload": {"a": 1e999}, "points": [1]}"#, NotJson, "number out of range"),
    (r#""overwrite_payload": {"payload": {}, "points": [1], "key": "a"}"#, InvalidMessage, "overwrite_payload: `key` is for `set_payload`"),
    (r#""delete_payload": {"points": [1]}"#, InvalidMessage, "delete_payload: missing field `keys`"),
    (r#""delete_payload": {"keys": "a", "points": [1]}"#, InvalidMessage, "delete_payload.keys: invalid type"),
    (r#""delete_payload": {"keys": ["a", ""], "points": [1]}"#, InvalidMessage, "delete_payload.keys[1]: `` is not a key"),
    (r#""delete_payload": {"keys": ["a"]}"#, InvalidMessage, "delete_payload: say which points"),
    // Vectors.
    (r#""update_vectors": {}"#, InvalidMessage, "update_vectors: missing field `points`"),
    (r#""update_vectors": {"points": []}"#, InvalidMessage, "update_vectors: `points` is empty: give at least one point"),
    (r#""update_vectors": {"points": [{"vector": [1]}]}"#, MissingId, "update_vectors: points[0] has no `id`"),
    (r#""update_vectors": {"points": [{"id": 1}]}"#, InvalidMessage, "update_vectors.points[0]: missing field `vector`"),
    (r#""update_vectors": {"points": [{"id": 1, "vector": {}}]}"#, InvalidMessage, "points[0].vector is empty: give at least one vector by name"),
    (r#""update_vectors": {"points": [{"id": 1, "vector": []}]}"#, InvalidVector, "the vector of point 1 is empty"),
    (r#""update_vectors": {"points": [{"id": 1, "vector": {"a": [1, 1e39]}}]}"#, InvalidVector, "vector `a` of point 1 has a value at 1"),
    (r#""update_vectors": {"points": [{"id": 1, "vector": [1], "payload": {}}]}"#, InvalidMessage, "unknown field `payload`"),
    (r#""update_vectors": {"points": [{"id": 1, "vector": [1]}], "update_filter": {}}"#, InvalidMessage, "update_vectors: `update_filter` is not supported"),
    (r#""update_vectors": {"points": [{"id": 1, "vector": {"a": [1], "a": [2]}}]}"#, InvalidMessage, "vector `a` is given twice"),
    (r#""delete_vectors": {"points": [1]}"#, InvalidMessage, "delete_vectors: missing field `vector`"),
    (r#""delete_vectors": {"points": [1], "vector": []}"#, InvalidMessage, "delete_vectors: `vector` is empty: give the names"),
    (r#""delete_vectors": {"points": [1], "vector": "a"}"#, InvalidMessage, "delete_vectors.vector: invalid type"),
    (r#""delete_vectors": {"vector": ["a"]}"#, InvalidMessage, "delete_vectors: say which points"),
    (r#""delete_vectors": {"points": [1], "vector": ["a"], "vectors": ["a"]}"#, InvalidMessage, "duplicate field"),
    // Upserts that would be conditional.
    (r#""upsert": {"points": [], "update_filter": {"must": []}}"#, InvalidMessage, "upsert: `update_filter` is not supported"),
    (r#""upsert": {"points": [], "update_mode": "insert_only"}"#, InvalidMessage, "upsert: an `update_mode` other than `upsert` is not supported"),
    (r#""upsert": {"points": [], "shard_key": "a"}"#, InvalidMessage, "upsert: `shard_key` is not supported"),
    (r#""upsert": {"points": [{"id": 1, "vectr": [1]}]}"#, InvalidMessage, "upsert.points[0].vectr: unknown field `vectr`"),
    // Places in a list.
    (r#""operations": [{"delete": {"points": [1]}}, {"set_payload": {"payload": {}}}]"#, InvalidMessage, "operations[1].set_payload: say which points"),
    (r#""operations": [{"delete": {"points": [1]}}, {"set_payload": {"payload": 1}}]"#, InvalidMessage, "operations[1].set_payload.payload: invalid type"),
    (r#""operations": [{"upsert": {"points": [{"vector": [1]}]}}]"#, MissingId, "operations[0].upsert: points[0] has no `id`"),
    (r#""operations": [{"explode": {}}]"#, UnknownOperation, "operations[0]: `explode` is not an operation: known are `upsert`"),
    (r#""operations": [{"delete": {"points": [1]}, "upsert": {"points": []}}]"#, InvalidMessage, "operations[0]: an entry of `operations` has one operation"),
    (r#""operations": [{}]"#, InvalidMessage, "operations[0]: an entry of `operations` has one operation"),
    (r#""operations": {}"#, InvalidMessage, "operations: invalid type"),
    (r#""create_index": {"field_name": "a", "field_schema": "keyword"}"#, UnknownOperation, "`create_index` is not an operation"),
    (r#""delete": {"points": [1]}, "upsert": {"points": []}"#, InvalidMessage, "several operations: give them in order"),
];

#[test]
fn what_is_wrong_is_named_with_its_place_and_what_would_be_right() {
    let mut wrong = Vec::new();
    for (operation, reason, part) in CASES {
        let text = format!(r#"{{"collection": "c", {operation}}}"#);
        match decode_message(text.as_bytes(), None, &LIMITS) {
            Err(refusal) if refusal.reason == *reason && refusal.detail.contains(part) => {}
            other => wrong.push(format!("{text}: {other:?}")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_is_unusual_and_right_is_taken() {
    let read = |text: &str| {
        let text = format!("{{{text}}}");
        decode_message(text.as_bytes(), Some("c"), &LIMITS).map(|message| message.operations)
    };
    let all = Operation::DeletePoints(Selector::Filter(Filter::default()));
    assert_eq!(read(r#""delete": {"filter": {}, "shard_key": null}"#).unwrap(), [all]);
    let none = Operation::ClearPayload(Selector::Ids(vec![]));
    assert_eq!(read(r#""clear_payload": {"points": [], "filter": null}"#).unwrap(), [none]);
    // The older spelling of the names.
    let names = Operation::DeleteVectors {
        points: Selector::Ids(vec![PointId::Number(1)]),
        names: vec!["a".to_owned()],
    };
    let body = r#""delete_vectors": {"points": [1], "vectors": ["a"]}"#;
    assert_eq!(read(body).unwrap(), [names]);
    let mode = r#""upsert": {"points": [], "update_mode": "upsert", "update_filter": null}"#;
    assert_eq!(read(mode).unwrap(), [Operation::Upsert(vec![])]);
    assert_eq!(read(r#""operations": []"#).unwrap(), []);
}

/// A filter is kept in the log as it is written again, with a list where one condition stood:
/// nested as deep as a filter may be, it must still read back.
#[test]
fn the_deepest_filter_survives_the_log() {
    let levels = DEPTH_MAX - 1;
    let nest = |levels| {
        let (open, close) = (r#"{"must":"#.repeat(levels), "}".repeat(levels));
        format!(r#"{{"delete": {{"filter": {open}{{"must": {{"has_id": [1]}}}}{close}}}}}"#)
    };
    let read = |text: String| decode_message(text.as_bytes(), Some("c"), &LIMITS);
    let body = Body::Message(read(nest(levels)).unwrap());
    assert_eq!(decode(encode(&body)).unwrap(), body);
    assert_eq!(read(nest(levels + 1)).unwrap_err().reason, InvalidMessage);
}
