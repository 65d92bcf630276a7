//! What protobuf can say and pointd has not, by name; nothing of it is passed over.

use prost::Message as _;
use qdrant_client::qdrant as wire;

use super::*;

type Case = (&'static str, Vec<u8>, Reason, &'static str);

fn selector(ids: &[u64]) -> Option<wire::PointsSelector> {
    let ids = ids.iter().map(|id| (*id).into()).collect();
    let list = wire::PointsIdsList { ids };
    Some(wire::PointsSelector {
        points_selector_one_of: Some(wire::points_selector::PointsSelectorOneOf::Points(list)),
    })
}

fn upsert(point: wire::PointStruct) -> Vec<u8> {
    wire::UpsertPoints { points: vec![point], ..Default::default() }.encode_to_vec()
}

fn with_vector(vector: wire::Vector) -> Vec<u8> {
    let options = wire::vectors::VectorsOptions::Vector(vector);
    let vectors = Some(wire::Vectors { vectors_options: Some(options) });
    upsert(wire::PointStruct { id: Some(1.into()), vectors, ..Default::default() })
}

fn form(form: wire::vector::Vector) -> Vec<u8> {
    with_vector(wire::Vector { vector: Some(form), ..Default::default() })
}

fn with_payload(kind: wire::value::Kind) -> Vec<u8> {
    let payload = [("a".to_owned(), wire::Value { kind: Some(kind) })].into();
    upsert(wire::PointStruct { id: Some(1.into()), payload, vectors: None })
}

/// A payload of lists in lists.
fn nested(levels: usize) -> Vec<u8> {
    let mut kind = wire::value::Kind::BoolValue(true);
    for _ in 0..levels {
        let values = vec![wire::Value { kind: Some(kind) }];
        kind = wire::value::Kind::ListValue(wire::ListValue { values });
    }
    with_payload(kind)
}

#[allow(deprecated, reason = "older clients send it")]
#[rustfmt::skip] // A case is a line.
fn vector_cases() -> Vec<Case> {
    use wire::vector::Vector::{Dense, Document, MultiDense, Sparse};
    vec![
        ("UpsertPoints", upsert(wire::PointStruct::default()), Reason::MissingId, "points[0] has no `id`"),
        ("UpsertPoints", upsert(wire::PointStruct { id: Some("7".into()), ..Default::default() }), Reason::InvalidMessage, "`7` is not a point id"),
        ("UpsertPoints", form(Dense(wire::DenseVector { data: vec![] })), Reason::InvalidVector, "the vector of point 1 is empty"),
        ("UpsertPoints", form(Dense(wire::DenseVector { data: vec![1.0, f32::NAN] })), Reason::InvalidVector, "has a value at 1"),
        ("UpsertPoints", form(Dense(wire::DenseVector { data: vec![f32::INFINITY] })), Reason::InvalidVector, "has a value at 0"),
        ("UpsertPoints", form(Sparse(wire::SparseVector::default())), Reason::InvalidMessage, "a sparse vector is not supported"),
        ("UpsertPoints", form(MultiDense(wire::MultiDenseVector::default())), Reason::InvalidMessage, "a multivector is not supported"),
        ("UpsertPoints", form(Document(wire::Document::default())), Reason::InvalidMessage, "inference is not supported"),
        ("UpsertPoints", with_vector(wire::Vector { data: vec![1.0], indices: Some(wire::SparseIndices { data: vec![1] }), ..Default::default() }), Reason::InvalidMessage, "a sparse vector is not supported"),
        ("UpsertPoints", with_vector(wire::Vector { data: vec![1.0, 2.0], vectors_count: Some(2), ..Default::default() }), Reason::InvalidMessage, "a multivector is not supported"),
        ("UpsertPoints", with_payload(wire::value::Kind::DoubleValue(f64::INFINITY)), Reason::InvalidMessage, "points[0]: a payload has the number inf"),
        ("UpsertPoints", nested(200), Reason::TooDeep, "recursion limit"),
        ("UpdatePointVectors", wire::UpdatePointVectors { points: vec![wire::PointVectors { id: Some(1.into()), vectors: None }], ..Default::default() }.encode_to_vec(), Reason::InvalidMessage, "points[0] has no vectors"),
        ("UpdatePointVectors", wire::UpdatePointVectors { collection_name: "c".into(), ..Default::default() }.encode_to_vec(), Reason::InvalidMessage, "`points` is empty"),
    ]
}

#[rustfmt::skip] // A case is a line.
fn field_cases() -> Vec<Case> {
    let key = Some(wire::ShardKeySelector::default());
    let filter = Some(wire::Filter::default());
    let points = vec![wire::PointVectors::default()];
    let names = Some(wire::VectorsSelector { names: vec!["a".into()] });
    let batch = |operation| wire::UpdateBatchPoints { operations: vec![wire::PointsUpdateOperation { operation }], ..Default::default() }.encode_to_vec();
    let overwrite = wire::points_update_operation::OverwritePayload { key: Some("a".into()), points_selector: selector(&[1]), ..Default::default() };
    vec![
        ("UpsertPoints", wire::UpsertPoints { update_filter: filter.clone(), ..Default::default() }.encode_to_vec(), Reason::InvalidMessage, "`update_filter` is not supported"),
        ("UpsertPoints", wire::UpsertPoints { update_mode: Some(1), ..Default::default() }.encode_to_vec(), Reason::InvalidMessage, "an `update_mode` other than"),
        ("UpsertPoints", wire::UpsertPoints { shard_key_selector: key.clone(), ..Default::default() }.encode_to_vec(), Reason::InvalidMessage, "`shard_key_selector` is not supported"),
        ("UpdatePointVectors", wire::UpdatePointVectors { update_filter: filter, points, ..Default::default() }.encode_to_vec(), Reason::InvalidMessage, "`update_filter` is not supported"),
        ("DeletePoints", wire::DeletePoints { points: selector(&[1]), shard_key_selector: key.clone(), ..Default::default() }.encode_to_vec(), Reason::InvalidMessage, "`shard_key_selector` is not supported"),
        ("DeletePoints", wire::DeletePoints { collection_name: "c".into(), ..Default::default() }.encode_to_vec(), Reason::InvalidMessage, "neither is given"),
        ("DeletePoints", wire::DeletePoints { points: Some(wire::PointsSelector::default()), ..Default::default() }.encode_to_vec(), Reason::InvalidMessage, "neither is given"),
        ("ClearPayloadPoints", wire::ClearPayloadPoints { collection_name: "c".into(), ..Default::default() }.encode_to_vec(), Reason::InvalidMessage, "neither is given"),
        ("DeletePointVectors", wire::DeletePointVectors { points_selector: selector(&[1]), ..Default::default() }.encode_to_vec(), Reason::InvalidMessage, "`vectors` is empty"),
        ("DeletePointVectors", wire::DeletePointVectors { vectors: names, ..Default::default() }.encode_to_vec(), Reason::InvalidMessage, "neither is given"),
        ("DeletePayloadPoints", wire::DeletePayloadPoints { keys: vec!["a".into(), String::new()], points_selector: selector(&[1]), ..Default::default() }.encode_to_vec(), Reason::InvalidMessage, "keys[1]: `` is not a key"),
        ("SetPayloadPoints", wire::SetPayloadPoints { key: Some("a.".into()), points_selector: selector(&[1]), ..Default::default() }.encode_to_vec(), Reason::InvalidMessage, "`key`: `a.` is not a key"),
        ("OverwritePayloadPoints", wire::SetPayloadPoints { key: Some("a".into()), points_selector: selector(&[1]), ..Default::default() }.encode_to_vec(), Reason::InvalidMessage, "`key` is for setting"),
        ("UpdateBatchPoints", batch(None), Reason::InvalidMessage, "operations[0] is empty"),
        ("UpdateBatchPoints", batch(Some(wire::points_update_operation::Operation::OverwritePayload(overwrite))), Reason::InvalidMessage, "operations[0].overwrite_payload: `key` is for setting"),
        // Bytes of no message, of another one, and cut.
        ("UpsertPoints", DELETE.into(), Reason::NotProtobuf, "UpsertPoints: cannot be read as this message"),
        ("UpsertPoints", vec![], Reason::NotProtobuf, "the value is empty"),
        // Fields that no version known today has.
        ("UpsertPoints", vec![0x50, 1], Reason::InvalidMessage, "field 10 of UpsertPoints is not known"),
        ("DeletePoints", vec![0x1a, 4, 0x12, 2, 0x28, 1], Reason::InvalidMessage, "field 5 of Filter is not known"),
        ("UpsertPoints", vec![0x1a, 6, 0x0a, 2, 0x08, 1, 0x28, 1], Reason::InvalidMessage, "field 5 of PointStruct is not known"),
    ]
}

#[test]
fn what_is_not_supported_is_named_with_its_message() {
    let mut wrong = Vec::new();
    for (name, bytes, reason, part) in vector_cases().into_iter().chain(field_cases()) {
        match read_protobuf(&bytes, name) {
            Err(refusal)
                if refusal.reason == reason
                    && refusal.detail.contains(part)
                    && refusal.detail.contains(name) => {}
            other => wrong.push(format!("{name}, {part}: {other:?}")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_type_is_named_and_known() {
    let bytes = wire::DeletePoints { points: selector(&[7]), ..Default::default() }.encode_to_vec();
    let expected = read(DELETE, &[]);
    for name in ["DeletePoints", "qdrant.DeletePoints", "type.googleapis.com/qdrant.DeletePoints"] {
        assert_eq!(read_protobuf(&bytes, name), expected);
    }
    for name in ["", "deletepoints", "qdrant.CreateCollection", "DeletePoints "] {
        let refusal = read_protobuf(&bytes, name).unwrap_err();
        assert_eq!(refusal.reason, Reason::UnknownFormat, "{refusal}");
        assert!(refusal.detail.contains("`UpdateBatchPoints`"), "{refusal}");
    }
}

#[test]
fn a_payload_as_deep_as_clients_write_is_taken() {
    assert!(read_protobuf(&nested(20), "UpsertPoints").is_ok());
}
