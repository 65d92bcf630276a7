//! Protobuf says what JSON says, and no bytes make it fail otherwise than by a refusal.

use proptest::prelude::*;
use prost::Message as _;
use qdrant_client::qdrant as wire;
use serde_json::json;

use super::proto::Spelling;
use super::*;
use crate::operation::tests::any_message;
use crate::operation::to_json;
use crate::point::Payload;

fn any_spelling() -> impl Strategy<Value = Spelling> {
    any::<(bool, bool)>().prop_map(|(old_vectors, batch)| Spelling { old_vectors, batch })
}

/// Messages whose collection has a name: protobuf has no other way to name none.
fn any_named() -> impl Strategy<Value = Message> {
    any_message().prop_map(|mut message| {
        message.collection.insert(0, 'c');
        message
    })
}

proptest! {
    #[test]
    fn a_message_is_the_same_in_json_and_in_protobuf(
        message in any_named(),
        spelling in any_spelling(),
    ) {
        let (name, bytes) = super::proto::message(&message, spelling);
        prop_assert_eq!(read(to_json(&message), &[]), Ok(message.clone()));
        if bytes.is_empty() {
            return Ok(());
        }
        prop_assert_eq!(read_protobuf(&bytes, name), Ok(message));
    }

    #[test]
    fn any_bytes_are_read_or_refused(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        name in prop::sample::select(&TYPES[..]),
    ) {
        let refused = read_protobuf(&bytes, name).err();
        prop_assert!(refused.is_none_or(|refusal| !refusal.detail.is_empty()));
        for encoding in ["gzip", "zstd"] {
            let _ = read(&bytes, &[("content-encoding", encoding)]);
        }
        let tombstone = Incoming { value: None, key: Some(&bytes), ..incoming(&[], &[]) };
        let _ = decode(&tombstone, &decoding(Format::Auto));
    }

    #[test]
    fn mutated_messages_are_read_or_refused(
        message in any_named(),
        spelling in any_spelling(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let (name, mut bytes) = super::proto::message(&message, spelling);
        prop_assume!(!bytes.is_empty());
        for (at, byte) in &changes {
            let at = at.index(bytes.len());
            bytes[at] = *byte;
        }
        let _ = read_protobuf(&bytes, name);
        bytes.truncate(cut.index(bytes.len()));
        let _ = read_protobuf(&bytes, name);
        let mut text = to_json(&message).into_bytes();
        for (at, byte) in changes {
            let at = at.index(text.len());
            text[at] = byte;
        }
        let _ = read(&text, &[]);
    }
}

#[test]
fn a_payload_keeps_every_kind_of_value_in_canonical_json() {
    use wire::value::Kind;
    let value = |kind| wire::Value { kind: Some(kind) };
    let list = [Kind::BoolValue(true), Kind::DoubleValue(1.0), Kind::NullValue(0)].map(value);
    let inner = [("z", Kind::IntegerValue(i64::MIN)), ("a", Kind::StringValue("é\"".into()))];
    let fields = inner.map(|(key, kind)| (key.to_owned(), value(kind))).into();
    let payload = [
        ("list", Kind::ListValue(wire::ListValue { values: list.to_vec() })),
        ("inner", Kind::StructValue(wire::Struct { fields })),
        ("double", Kind::DoubleValue(-1.891_000_000_000_005_3)),
    ];
    let mut payload: std::collections::HashMap<_, _> =
        payload.map(|(key, kind)| (key.to_owned(), value(kind))).into();
    payload.insert("none".to_owned(), wire::Value { kind: None });
    let point = wire::PointStruct { id: Some(7.into()), payload, vectors: None };
    let message = wire::UpsertPoints { points: vec![point], ..Default::default() };
    let message = read_protobuf(&message.encode_to_vec(), "UpsertPoints").unwrap();
    let expected = json!({
        "double": -1.891_000_000_000_005_3_f64,
        "inner": {"a": "é\"", "z": i64::MIN},
        "list": [true, 1.0, null],
        "none": null,
    });
    let expected = Payload::from_map(expected.as_object().unwrap());
    match &message.operations[..] {
        [Operation::Upsert(points)] => assert_eq!(points[0].payload, expected),
        other => panic!("{other:?}"),
    }
}

/// Two bytes a point, some hundred times as much in memory.
#[test]
fn many_tiny_points_are_refused_before_they_are_made() {
    let bytes = |count: usize| b"\x1a\x00".repeat(count);
    // Read, and refused for what they lack.
    let refusal = read_protobuf(&bytes(1000), "UpsertPoints").unwrap_err();
    assert_eq!(refusal.reason, Reason::MissingId);
    let refusal = read_protobuf(&bytes(100_000), "UpsertPoints").unwrap_err();
    assert_eq!(refusal.reason, Reason::TooLarge);
    assert!(refusal.detail.contains("send fewer"), "{}", refusal.detail);
}
