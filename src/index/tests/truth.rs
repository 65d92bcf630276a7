use proptest::prelude::*;
use serde_json::{Value, json};

use super::any::{field, payload, predicate, schema};
use super::{TYPES, Twin};
use crate::filter::{AnyVariants, Match, MatchValue, Predicate};
use crate::point::{FieldSchema, FieldType};

/// Where nothing is left to the payload.
fn is_exact(data_type: FieldType, predicate: &Predicate) -> bool {
    use FieldType::*;
    match (data_type, predicate) {
        (Integer | Float, Predicate::Range(_)) | (Datetime, Predicate::DatetimeRange(_)) => true,
        (Bool, Predicate::Match(Match::Value(MatchValue::Bool(_)))) => true,
        (Keyword, Predicate::Match(Match::Value(MatchValue::Keyword(_)))) => true,
        (Keyword, Predicate::Match(Match::Any(AnyVariants::Strings(_)))) => true,
        (Integer, Predicate::Match(Match::Value(MatchValue::Integer(_)))) => true,
        (Integer, Predicate::Match(Match::Any(AnyVariants::Integers(_)))) => true,
        (Text, Predicate::Match(Match::Text(_) | Match::TextAny(_))) => true,
        (Keyword, Predicate::Match(Match::Except(AnyVariants::Strings(list)))) => list.len() < 2,
        (Integer, Predicate::Match(Match::Except(AnyVariants::Integers(list)))) => list.len() < 2,
        _ => false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn an_answer_never_differs_from_the_filter(
        field in field(),
        schema in schema(),
        steps in proptest::collection::vec((0..48u32, proptest::option::weighted(0.8, payload())), 1..90),
        predicates in proptest::collection::vec(predicate(), 24),
    ) {
        let mut twin = Twin::new(field, &schema);
        for (slot, payload) in steps {
            twin.put(slot, payload);
        }
        for predicate in predicates {
            let answer = twin.answer(&predicate);
            if is_exact(schema.data_type, &predicate) {
                let maybe = answer.map(|answer| answer.maybe.len());
                prop_assert_eq!(maybe, Some(0), "{:?}", predicate);
            }
        }
        // Nothing is left of what was there.
        for slot in 0..48 {
            twin.put(slot, None);
        }
        prop_assert_eq!(twin.index.points(), 0);
        let fresh = Twin::new(field, &schema).index.bytes();
        prop_assert_eq!(twin.index.bytes(), fresh);
    }

    #[test]
    fn equal_entries_are_equal_answers(
        field in field(),
        schema in schema(),
        payloads in (payload(), payload()),
        predicates in proptest::collection::vec(predicate(), 8),
    ) {
        let mut twin = Twin::new(field, &schema);
        let (first, second) = payloads;
        let entries = |payload: &Value| payload.as_object().map(|map| twin.index.extract(map));
        if entries(&first) == entries(&second) {
            twin.put(1, Some(first));
            let before: Vec<_> = predicates.iter().map(|predicate| twin.answer(predicate)).collect();
            // Without telling the index.
            twin.payloads.insert(1, second.as_object().cloned().unwrap_or_default());
            for (predicate, before) in predicates.iter().zip(before) {
                prop_assert_eq!(twin.answer(predicate), before);
            }
        }
    }
}

#[test]
fn points_are_those_with_a_value_of_the_kind() {
    for (data_type, points) in TYPES.into_iter().zip([4, 2, 3, 1, 4, 1, 1, 1]) {
        let mut twin = Twin::new("f", &FieldSchema::from(data_type));
        let values = json!([
            5, 5.5, true, null, "red", [null, 7, "blue"], [], {"lon": 1, "lat": 2}, "2024-01-01",
            "550e8400-e29b-41d4-a716-446655440000"
        ]);
        for (slot, value) in values.as_array().unwrap().iter().enumerate() {
            twin.put(slot as u32, Some(json!({"f": value})));
        }
        twin.put(99, Some(json!({"g": 5})));
        assert_eq!(twin.index.points(), points, "{data_type:?}");
    }
}

#[test]
fn only_a_text_index_answers_text_and_none_says_what_is_missing() {
    for data_type in TYPES {
        let twin = Twin::new("f", &FieldSchema::from(data_type));
        for text in [Match::Text, Match::TextAny, Match::Phrase] {
            let answer = twin.answer(&Predicate::Match(text("red".to_owned())));
            assert_eq!(answer.is_some(), data_type == FieldType::Text);
        }
        assert_eq!(twin.answer(&Predicate::IsEmpty(true)), None);
        assert_eq!(twin.answer(&Predicate::IsNull(false)), None);
        assert_eq!(twin.answer(&Predicate::ValuesCount(Default::default())), None);
    }
}
