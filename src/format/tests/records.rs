//! The record form, and tombstones.

use super::*;
use crate::operation::UpsertPoint;
use crate::point::{NamedVector, PointId, UNNAMED};

fn record(text: &str, format: Format) -> Result<Message, Refusal> {
    decode(&incoming(text.as_bytes(), &[]), &decoding(format))
}

fn points(message: Message) -> Vec<UpsertPoint> {
    match message.operations.into_iter().next() {
        Some(Operation::Upsert(points)) => points,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_record_is_an_upsert_of_its_point() {
    let message = r#"{"collection": "d", "upsert": {"points": [
        {"id": 7, "vector": {"a": [1, 2], "b": [3]}, "payload": {"x": 1}}]}}"#;
    let named = r#"{"id": 7, "vector": {"a": [1, 2], "b": [3]}, "payload": {"x": 1},
        "collection_name": "d"}"#;
    assert_eq!(record(named, Format::Auto), record(message, Format::Auto));
    assert_eq!(record(named, Format::Record), record(message, Format::Auto));
    let unnamed = r#"{"id": "936da01f9abd4d9d80c702af85c822a8", "vector": [0.5]}"#;
    let message = record(unnamed, Format::Record).unwrap();
    assert_eq!(message.collection, "c");
    let point = points(message).remove(0);
    assert_eq!(point.vectors, [NamedVector { name: UNNAMED.to_owned(), values: vec![0.5] }]);
    assert!(point.payload.is_empty());
    assert!(record(DELETE, Format::Record).is_err());
}

#[test]
fn what_a_record_cannot_say_is_refused_by_name() {
    #[rustfmt::skip] // A case is a line.
    let cases = [
        (r#"{"collection_name": "c", "vector": [1]}"#, Reason::MissingId, "no `id`"),
        (r#"{"collection_name": "c", "id": -1, "vector": [1]}"#, Reason::InvalidMessage, "a point id"),
        (r#"{"collection_name": "c", "id": 1, "vector": {"s": {"indices": [1], "values": [1]}}}"#, Reason::InvalidMessage, "no sparse vectors"),
        (r#"{"collection_name": "c", "id": 1, "vector": {"m": [[1], [2]]}}"#, Reason::InvalidMessage, "multivectors are not supported"),
        (r#"{"collection_name": "c", "id": 1, "vector": [[1], [2]]}"#, Reason::InvalidMessage, "multivectors are not supported"),
        (r#"{"collection_name": "c", "id": 1, "shard_key_selector": [5]}"#, Reason::InvalidMessage, "`shard_key_selector` is not supported"),
        (r#"{"collection_name": "c", "id": 1, "vectr": [1]}"#, Reason::InvalidMessage, "and nothing else"),
        (r#"{"collection_name": "c", "delete": {"points": [1]}}"#, Reason::InvalidMessage, "and nothing else"),
        (r#"{"collection_name": "c", "collection": "c", "id": 1}"#, Reason::InvalidMessage, "and nothing else"),
        (r#"{"collection_name": "c", "id": 1, "id": 2}"#, Reason::InvalidMessage, "duplicate field `id`"),
        (r#"{"collection": "c", "id": 1, "vector": [1]}"#, Reason::UnknownOperation, "`id` is not an operation"),
    ];
    for (text, reason, part) in cases {
        let refusal = record(text, Format::Auto).expect_err(text);
        assert_eq!(refusal.reason, reason, "{text}: {refusal}");
        assert!(refusal.detail.contains(part), "{text}: {refusal}");
    }
}

#[test]
fn a_tombstone_deletes_the_point_in_its_key() {
    let uuid = "936da01f-9abd-4d9d-80c7-02af85c822a8";
    let tombstone = |key: Option<&[u8]>| {
        let incoming = Incoming { topic: None, key, value: None, headers: &[] };
        decode(&incoming, &decoding(Format::Protobuf))
    };
    let id = |text: &str| text.parse::<PointId>().unwrap();
    for (key, expected) in [
        ("7".to_owned(), id("7")),
        ("18446744073709551615".to_owned(), id("18446744073709551615")),
        (uuid.to_owned(), id(uuid)),
        (uuid.replace('-', "").to_uppercase(), id(uuid)),
        (format!("\"{uuid}\""), id(uuid)),
        (" 7 ".to_owned(), id("7")),
        (r#"{"id": 7}"#.to_owned(), id("7")),
        (format!(r#"{{"id": "{uuid}"}}"#), id(uuid)),
        (r#"{"schema": {"type": "int64"}, "payload": 7}"#.to_owned(), id("7")),
        (r#"{"payload": {"id": 7}, "schema": null}"#.to_owned(), id("7")),
    ] {
        let message = tombstone(Some(key.as_bytes())).unwrap();
        assert_eq!(message.collection, "c");
        let expected = Operation::DeletePoints(Selector::Ids(vec![expected]));
        assert_eq!(message.operations, [expected], "{key}");
    }
    let not_ids: [Option<&[u8]>; 9] = [
        None,
        Some(b""),
        Some(b"-1"),
        Some(b"\xff\x00"),
        Some(b"seven"),
        Some(b"\"7\""),
        Some(br#"{"id": 7, "tenant": 1}"#),
        Some(br#"{"schema": null, "payload": null}"#),
        Some(br#"[7]"#),
    ];
    for key in not_ids {
        let refusal = tombstone(key).expect_err("no id");
        assert_eq!(refusal.reason, Reason::MissingValue, "{key:?}");
        assert!(refusal.detail.contains("its id as key"), "{refusal}");
    }
}

#[test]
fn an_empty_value_is_no_tombstone() {
    for (format, reason) in [
        (Format::Auto, Reason::NotJson),
        (Format::Json, Reason::NotJson),
        (Format::Record, Reason::NotJson),
        (Format::Protobuf, Reason::NotProtobuf),
    ] {
        let headers = [header("type", "DeletePoints")];
        let incoming = Incoming { key: Some(b"7"), ..incoming(b"", &headers) };
        assert_eq!(decode(&incoming, &decoding(format)).unwrap_err().reason, reason);
    }
}
