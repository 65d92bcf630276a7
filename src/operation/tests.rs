mod pinned;
mod refusals;

use bytes::Bytes;
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::*;
use crate::point::{Distance, FieldType, UNNAMED};

const LIMITS: Limits = Limits { message_bytes_max: usize::MAX };

pub(crate) fn any_id() -> impl Strategy<Value = PointId> {
    prop_oneof![
        any::<u64>().prop_map(PointId::Number),
        any::<u128>().prop_map(|uuid| PointId::Uuid(Uuid::from_u128(uuid))),
    ]
}

pub(crate) fn any_values() -> impl Strategy<Value = Vec<f32>> {
    let finite = any::<u32>().prop_map(f32::from_bits).prop_filter("finite", |v| v.is_finite());
    vec(finite, 1..8)
}

pub(crate) fn any_vectors() -> impl Strategy<Value = Vec<NamedVector>> {
    prop_oneof![
        any_values().prop_map(|values| vec![NamedVector { name: UNNAMED.to_owned(), values }]),
        btree_map(".*", any_values(), 0..3).prop_map(|named| {
            named.into_iter().map(|(name, values)| NamedVector { name, values }).collect()
        }),
    ]
}

pub(crate) fn any_payload() -> impl Strategy<Value = Payload> {
    let value = prop_oneof![
        any::<Option<bool>>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".*".prop_map(Value::from),
        vec(any::<i32>(), 0..3).prop_map(Value::from),
    ];
    btree_map(".*", value, 0..4)
        .prop_map(|members| Payload::from_map(&members.into_iter().collect::<Map<_, _>>()))
}

/// A filter of a few of the language's forms; all of them are the filter's own tests'.
pub(crate) fn any_filter() -> impl Strategy<Value = Filter> {
    let key = || any_path().prop_map(|path| json!(path.to_string()));
    let leaf = prop_oneof![
        vec(any_id(), 0..3).prop_map(|ids| json!({ "has_id": ids })),
        (key(), any::<i64>())
            .prop_map(|(key, number)| json!({"key": key, "match": {"value": number}})),
        (key(), ".*").prop_map(|(key, text)| json!({"key": key, "match": {"value": text}})),
    ];
    let condition = leaf.prop_recursive(3, 12, 3, |inner| {
        let clause = prop::sample::select(&["must", "should", "must_not"][..]);
        btree_map(clause, vec(inner, 0..3), 1..3).prop_map(|clauses| json!(clauses))
    });
    vec(condition, 0..3)
        .prop_map(|conditions| serde_json::from_value(json!({ "must": conditions })).unwrap())
}

pub(crate) fn any_path() -> impl Strategy<Value = Path> {
    let path = "[a-z]{1,3}(\\[\\])?(\\.([a-z]|\"a\\.b\")){0,2}";
    path.prop_map(|text: String| text.parse().unwrap())
}

pub(crate) fn any_selector() -> impl Strategy<Value = Selector> {
    prop_oneof![
        vec(any_id(), 0..4).prop_map(Selector::Ids),
        any_filter().prop_map(Selector::Filter),
    ]
}

/// Every operation that messages have.
pub(crate) fn any_point_operation() -> impl Strategy<Value = Operation> {
    let point = (any_id(), any_vectors(), any_payload());
    let vectors = any_vectors().prop_filter("at least one", |vectors| !vectors.is_empty());
    let vectors = (any_id(), vectors).prop_map(|(id, vectors)| PointVectors { id, vectors });
    prop_oneof![
        vec(point.prop_map(|(id, vectors, payload)| UpsertPoint { id, vectors, payload }), 0..4)
            .prop_map(Operation::Upsert),
        any_selector().prop_map(Operation::DeletePoints),
        vec(vectors, 1..4).prop_map(Operation::UpdateVectors),
        (any_selector(), vec(".*", 1..4))
            .prop_map(|(points, names)| Operation::DeleteVectors { points, names }),
        (any_selector(), any_payload(), prop::option::of(any_path()))
            .prop_map(|(points, payload, key)| Operation::SetPayload { points, payload, key }),
        (any_selector(), any_payload())
            .prop_map(|(points, payload)| Operation::OverwritePayload { points, payload }),
        (any_selector(), vec(any_path(), 0..4))
            .prop_map(|(points, keys)| Operation::DeletePayload { points, keys }),
        any_selector().prop_map(Operation::ClearPayload),
    ]
}

pub(crate) fn any_message() -> impl Strategy<Value = Message> {
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
            value: Some(Bytes::from_static(b"\xff")),
            headers: vec![("a".to_owned(), Bytes::from_static(b"b"))],
        });
        let message = Message { waits, original, ..message };
        let redrive = Redrive { letter: Seq(u64::MAX), attempt: Ok(message.clone()) };
        for body in [Body::Message(message), Body::Redrive(redrive)] {
            prop_assert_eq!(decode(encode(&body)).unwrap(), body);
        }
    }

    #[test]
    fn a_decision_about_letters_reads_back_as_it_was_written(
        letters in vec(any::<u64>(), 0..5), reason in 0..Reason::ALL.len(), detail in ".*"
    ) {
        let refused = Refusal { reason: Reason::ALL[reason], detail };
        let redrive = Redrive { letter: Seq(letters.len() as u64), attempt: Err(refused) };
        let drop = Body::DropLetters(letters.into_iter().map(Seq).collect());
        for body in [drop, Body::Redrive(redrive)] {
            prop_assert_eq!(decode(encode(&body)).unwrap(), body);
        }
    }
}

/// As deep as may be, and then written with one bracket more of our own.
#[test]
fn what_was_written_from_a_record_is_not_too_deep_to_be_read_again() {
    let levels = NESTING_MAX - 4;
    let payload = format!("{}1{}", "[".repeat(levels), "]".repeat(levels));
    let body = format!(r#"{{"points":[{{"id":1,"vector":[1],"payload":{{"a":{payload}}}}}]}}"#);
    check_nesting(body.as_bytes()).unwrap();
    let upsert: UpsertBody = parse(body.as_bytes()).unwrap();
    let message = Message {
        collection: "c".to_owned(),
        operations: vec![
            upsert.try_into().unwrap(),
            Operation::DeletePoints(Selector::Ids(vec![])),
        ],
        original: None,
        waits: false,
    };
    let text = to_json(&message);
    let refused = decode_message(text.as_bytes(), None, &LIMITS).unwrap_err();
    assert_eq!(refused.reason, Reason::TooDeep);
    assert_eq!(decode_written(&text).unwrap(), message);
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
            rewritten: false,
        })
    });
    let field: Path = "a[].b".parse().unwrap();
    let params = json!({"type": "text", "tokenizer": "word"}).as_object().cloned();
    let schema = FieldSchema { data_type: FieldType::Text, params };
    let index = Operation::CreateIndex { field: field.clone(), schema, from_config: true };
    let plain = Operation::CreateIndex {
        field: field.clone(),
        schema: FieldType::Uuid.into(),
        from_config: false,
    };
    let others = [
        message(create),
        message(Operation::DeleteCollection),
        message(index),
        message(plain),
        message(Operation::DeleteIndex { field }),
        Body::Duplicate,
        Body::moved(),
        Body::Moved { why: Some("given up".into()) },
        Body::start(true),
        Body::start(false),
        Body::Start { forget_others: false, why: Some("begun again".into()) },
    ];
    for body in others.into_iter().chain(rejected) {
        assert_eq!(decode(encode(&body)).unwrap(), body);
    }
}

#[test]
fn a_detail_that_quotes_the_message_is_cut_between_characters() {
    let key = "ä".repeat(1 << 20);
    let refused = Refusal::new(Reason::InvalidMessage, format!("x{key}"));
    assert!(refused.detail.len() <= 2048 + '…'.len_utf8());
    assert!(refused.detail.ends_with("ä…"));
    assert_eq!(Refusal::new(Reason::NotJson, "why").detail, "why");
}
