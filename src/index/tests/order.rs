use proptest::prelude::*;
use serde_json::Value;

use super::Twin;
use super::any::{field, payload};
use crate::filter::datetime;
use crate::index::{Direction, OrderValue};
use crate::point::{FieldSchema, FieldType};

/// Each slot with each of its different values, in order.
fn expected(twin: &Twin) -> Vec<(OrderValue, u32)> {
    let mut pairs = Vec::new();
    for (slot, payload) in &twin.payloads {
        twin.index.field().scalars(payload, &mut |value: &Value| {
            let value = match twin.index.schema().data_type {
                FieldType::Integer => whole(value).map(OrderValue::Integer),
                FieldType::Float => value.as_f64().map(OrderValue::Float),
                _ => value.as_str().and_then(datetime::parse).map(OrderValue::Datetime),
            };
            pairs.extend(value.map(|value| (value, *slot)));
        });
    }
    pairs.sort_unstable();
    pairs.dedup();
    pairs
}

/// Also of floats that are an i64, to the last digit.
fn whole(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| {
        let float = value.as_f64()?;
        let digits = format!("{float:.0}");
        digits.parse().ok().filter(|_| digits.parse() == Ok(float))
    })
}

fn start() -> impl Strategy<Value = OrderValue> {
    prop_oneof![
        (-6..6i64).prop_map(OrderValue::Integer),
        (-6.0..6.0f64).prop_map(OrderValue::Float),
        Just(OrderValue::Float(9_007_199_254_740_992.0)),
        (0..2_000_000_000i64).prop_map(|seconds| OrderValue::Datetime(seconds * 1_000_000)),
    ]
}

fn is_not_below(value: OrderValue, from: OrderValue) -> bool {
    let number = |value| match value {
        OrderValue::Integer(value) | OrderValue::Datetime(value) => value as f64,
        OrderValue::Float(value) => value,
    };
    number(value) >= number(from)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn slots_come_in_the_order_of_their_values(
        field in field(),
        data_type in proptest::sample::select(vec![FieldType::Integer, FieldType::Float, FieldType::Datetime]),
        payloads in proptest::collection::vec(payload(), 1..60),
        from in start(),
    ) {
        let mut twin = Twin::new(field, &FieldSchema::from(data_type));
        for (slot, payload) in payloads.into_iter().enumerate() {
            twin.put(slot as u32, Some(payload));
        }
        let ordered = |from, direction| twin.index.ordered(from, direction).map(Vec::from_iter);
        let mut expected = expected(&twin);
        prop_assert_eq!(ordered(None, Direction::Ascending), Some(expected.clone()));
        let upwards: Vec<_> =
            expected.iter().copied().filter(|(value, _)| is_not_below(*value, from)).collect();
        prop_assert_eq!(ordered(Some(from), Direction::Ascending), Some(upwards));
        expected.reverse();
        prop_assert_eq!(ordered(None, Direction::Descending), Some(expected.clone()));
        let downwards: Vec<_> =
            expected.iter().copied().filter(|(value, _)| is_not_below(from, *value)).collect();
        prop_assert_eq!(ordered(Some(from), Direction::Descending), Some(downwards));
    }
}

#[test]
fn other_kinds_have_no_order() {
    for data_type in
        [FieldType::Keyword, FieldType::Text, FieldType::Geo, FieldType::Bool, FieldType::Uuid]
    {
        let twin = Twin::new("f", &FieldSchema::from(data_type));
        assert!(twin.index.ordered(None, Direction::Ascending).is_none());
    }
}
