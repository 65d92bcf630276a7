use bytes::Bytes;
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::*;
use crate::point::{Distance, UNNAMED};

const LIMITS: Limits = Limits { message_bytes_max: usize::MAX };

fn any_id() -> impl Strategy<Value = PointId> {
    prop_oneof![
        any::<u64>().prop_map(PointId::Number),
        any::<u128>().prop_map(|uuid| PointId::Uuid(Uuid::from_u128(uuid))),
    ]
}

fn any_values() -> impl Strategy<Value = Vec<f32>> {
    let finite = any::<u32>().prop_map(f32::from_bits).prop_filter("finite", |v| v.is_finite());
    vec(finite, 1..8)
}

fn any_vectors() -> impl Strategy<Value = Vec<NamedVector>> {
    prop_oneof![
        any_values().prop_map(|values| vec![NamedVector { name: UNNAMED.to_owned(), values }]),
        btree_map(".*", any_values(), 0..3).prop_map(|named| {
            named.into_iter().map(|(name, values)| NamedVector { name, values }).collect()
        }),
    ]
}

fn any_payload() -> impl Strategy<Value = Payload> {
    let value = prop_oneof![
        any::<Option<bool>>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".*".prop_map(Value::from),
        vec(any::<i32>(), 0..3).prop_map(Value::from),
    ];
    btree_map(".*", value, 0..4)
        .prop_map(|members| Payload::from_map(&members.into_iter().collect::<Map<_, _>>()))
}

fn any_point_operation() -> impl Strategy<Value = Operation> {
    let point = (any_id(), any_vectors(), any_payload());
    prop_oneof![
        vec(point.prop_map(|(id, vectors, payload)| UpsertPoint { id, vectors, payload }), 0..4)
            .prop_map(Operation::Upsert),
        vec(any_id(), 0..4).prop_map(Operation::DeletePoints),
    ]
}

fn any_message() -> impl Strategy<Value = Message> {
    (".*", vec(any_point_operation(), 0..4)).prop_map(|(collection, operations)| Message {
        collection,
        operations,
        original: None,
        waits: false,
    })
}

proptest! {
    #[test]
    fn a_message_written_as_json_decodes_to_the_same_message(message in any_message()) {
        let text = to_json(&message);
        prop_assert_eq!(decode_message(text.as_bytes(), None, &LIMITS).unwrap(), message);
    }

    #[test]
    fn a_body_reads_back_as_it_was_written(message in any_message(), waits: bool, kept: bool) {
        let original = kept.then(|| Original {
            key: Some(Bytes::from_static(b"key")),
            value: Bytes::from_static(b"\xff"),
            headers: vec![("a".to_owned(), Bytes::from_static(b"b"))],
        });
        let body = Body::Message(Message { waits, original, ..message });
        prop_assert_eq!(decode(encode(&body)).unwrap(), body);
    }
}

#[test]
fn the_other_bodies_read_back_too() {
    let schema = Schema::unnamed(3, Distance::Cosine);
    let create = Operation::CreateCollection { schema, from_config: true };
    let message = |operation| {
        Body::Message(Message {
            collection: "c".to_owned(),
            operations: vec![operation],
            original: None,
            waits: false,
        })
    };
    let rejected = Reason::ALL.iter().map(|reason| {
        Body::Rejected(Rejection {
            refusal: Refusal::new(*reason, "why"),
            original: Original::default(),
        })
    });
    let others = [
        message(create),
        message(Operation::DeleteCollection),
        Body::Duplicate,
        Body::Moved,
        Body::Start { forget_others: true },
        Body::Start { forget_others: false },
    ];
    for body in others.into_iter().chain(rejected) {
        assert_eq!(decode(encode(&body)).unwrap(), body);
    }
}
