//! Payloads, predicates and schemas of any shape, with few values so that they meet.

use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value, json};

use super::TYPES;
use crate::filter::{
    AnyVariants, GeoBoundingBox, GeoPoint, GeoPolygon, GeoRadius, Match, MatchValue, Predicate,
    Range, datetime,
};
use crate::point::{FieldSchema, FieldType};

const WORDS: [&str; 12] = [
    "red",
    "blue",
    "Red",
    "",
    "red car",
    "The quick-brown fox",
    "fox, the RED fox",
    "550e8400-e29b-41d4-a716-446655440000",
    "550E8400-E29B-41D4-A716-446655440000",
    "550e8400e29b41d4a716446655440000",
    "00000000-0000-0000-0000-000000000001",
    "quick",
];

const DATES: [&str; 6] = [
    "2024-01-01T00:00:00Z",
    "2024-01-01",
    "2024-01-01 12:00:00+02:00",
    "2024-01-01T12:00:00.123456Z",
    "1969-12-31T23:59:59Z",
    "2196-02-29",
];

const INTEGERS: [i64; 11] = [
    0,
    1,
    2,
    5,
    -5,
    9_007_199_254_740_992,
    9_007_199_254_740_993,
    -9_007_199_254_740_993,
    i64::MAX,
    i64::MAX - 1,
    i64::MIN,
];

const FLOATS: [f64; 9] =
    [0.0, -0.0, 5.0, 4.999, -5.5, 1e300, 9_007_199_254_740_992.0, 9.223372036854775e18, 1e-320];

/// Places on lines and corners of the areas below, and elsewhere.
const PLACES: [(f64, f64); 10] = [
    (0.0, 0.0),
    (13.4, 52.5),
    (180.0, 10.0),
    (-180.0, 10.0),
    (179.5, -10.0),
    (-179.5, -10.0),
    (0.0, 90.0),
    (100.0, -90.0),
    (5.0, 5.0),
    (10.0, 10.0),
];

fn number() -> impl Strategy<Value = Value> {
    prop_oneof![
        4 => select(&INTEGERS[..]).prop_map(Value::from),
        3 => select(&FLOATS[..]).prop_map(Value::from),
        1 => Just(Value::from(u64::MAX)),
        1 => (-6..6i64).prop_map(Value::from),
    ]
}

pub(super) fn place() -> impl Strategy<Value = (f64, f64)> {
    prop_oneof![
        2 => select(&PLACES[..]),
        1 => (-180.0..180.0f64, -90.0..90.0f64),
        1 => (-1.0..12.0f64, -1.0..12.0f64),
    ]
}

fn leaf() -> impl Strategy<Value = Value> {
    prop_oneof![
        1 => Just(Value::Null),
        2 => any::<bool>().prop_map(Value::from),
        4 => number(),
        4 => select(&WORDS[..]).prop_map(Value::from),
        2 => select(&DATES[..]).prop_map(Value::from),
        3 => place().prop_map(|(lon, lat)| json!({"lon": lon, "lat": lat})),
        1 => Just(json!({"lon": 200, "lat": 0})),
        1 => Just(json!({})),
    ]
}

/// Values of one kind, so that some of them are in a list and others not.
fn list() -> impl Strategy<Value = Value> {
    let words = proptest::collection::vec(select(&WORDS[..]).prop_map(Value::from), 1..6);
    let uuids = proptest::collection::vec(select(&WORDS[7..11]).prop_map(Value::from), 1..6);
    prop_oneof![words, uuids, proptest::collection::vec(number(), 1..6)].prop_map(Value::from)
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![4 => any_value(), 1 => list()]
}

fn any_value() -> impl Strategy<Value = Value> {
    leaf().prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            3 => proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            1 => inner.clone().prop_map(|value| json!({"b": value})),
            1 => proptest::collection::vec(inner, 0..3)
                .prop_map(|list| list.into_iter().map(|value| json!({"b": value})).collect()),
        ]
    })
}

pub(super) fn payload() -> impl Strategy<Value = Value> {
    prop_oneof![
        8 => value().prop_map(|value| json!({"f": value})),
        2 => value().prop_map(|value| json!({"f": {"b": value}, "b": 5})),
        1 => Just(json!({})),
        1 => value().prop_map(|value| json!({"g": value})),
    ]
}

pub(super) fn field() -> impl Strategy<Value = &'static str> {
    prop_oneof![3 => Just("f"), 3 => select(vec!["f[]", "f.b", "f[].b", "f.b[]", "f[0]", "f[][]"])]
}

pub(super) fn schema() -> impl Strategy<Value = FieldSchema> {
    let text = (
        select(vec!["word", "whitespace", "prefix"]),
        proptest::option::of(1..4usize),
        proptest::option::of(4..6usize),
        any::<bool>(),
        any::<bool>(),
    );
    let text = text.prop_map(|(tokenizer, min_token_len, max_token_len, lowercase, phrase)| {
        json!({
            "tokenizer": tokenizer,
            "min_token_len": min_token_len,
            "max_token_len": max_token_len,
            "lowercase": lowercase,
            "phrase_matching": phrase,
        })
    });
    (select(&TYPES[..]), text).prop_map(|(data_type, text)| {
        let params: Option<Map<_, _>> = text.as_object().cloned();
        FieldSchema { data_type, params: params.filter(|_| data_type == FieldType::Text) }
    })
}

fn strings() -> impl Strategy<Value = AnyVariants> {
    let text = prop_oneof![4 => select(&WORDS[..]), 1 => select(&DATES[..])];
    proptest::collection::btree_set(text.prop_map(str::to_owned), 0..7)
        .prop_map(AnyVariants::Strings)
}

fn integers() -> impl Strategy<Value = AnyVariants> {
    proptest::collection::btree_set(select(&INTEGERS[..]), 0..7).prop_map(AnyVariants::Integers)
}

fn range<T: Clone + std::fmt::Debug>(
    bound: impl Strategy<Value = T> + Clone,
) -> impl Strategy<Value = Range<T>> {
    let bound = proptest::option::weighted(0.4, bound);
    (bound.clone(), bound.clone(), bound.clone(), bound).prop_map(|(lt, lte, gt, gte)| Range {
        lt,
        lte,
        gt,
        gte,
    })
}

fn matches() -> impl Strategy<Value = Match> {
    let words = || select(&WORDS[..]).prop_map(str::to_owned);
    prop_oneof![
        any::<bool>().prop_map(|value| Match::Value(MatchValue::Bool(value))),
        select(&INTEGERS[..]).prop_map(|value| Match::Value(MatchValue::Integer(value))),
        words().prop_map(|value| Match::Value(MatchValue::Keyword(value))),
        strings().prop_map(Match::Any),
        integers().prop_map(Match::Any),
        strings().prop_map(Match::Except),
        integers().prop_map(Match::Except),
        words().prop_map(Match::Text),
        words().prop_map(Match::TextAny),
        words().prop_map(Match::Phrase),
    ]
}

pub(super) fn area() -> impl Strategy<Value = Predicate> {
    let point = || place().prop_map(|(lon, lat)| GeoPoint { lon, lat });
    prop_oneof![
        (point(), point()).prop_map(|(top_left, bottom_right)| {
            Predicate::GeoBoundingBox(GeoBoundingBox { top_left, bottom_right })
        }),
        (point(), point()).prop_map(|(a, b)| {
            let top_left = GeoPoint { lon: a.lon, lat: a.lat.max(b.lat) };
            let bottom_right = GeoPoint { lon: b.lon, lat: a.lat.min(b.lat) };
            Predicate::GeoBoundingBox(GeoBoundingBox { top_left, bottom_right })
        }),
        (point(), radius())
            .prop_map(|(center, radius)| Predicate::GeoRadius(GeoRadius { center, radius })),
        (ring(), proptest::collection::vec(ring(), 0..2)).prop_map(|(exterior, interiors)| {
            Predicate::GeoPolygon(GeoPolygon { exterior, interiors })
        }),
    ]
}

fn radius() -> impl Strategy<Value = f64> {
    prop_oneof![-1.0..100.0f64, 0.0..1e6f64, 0.0..2.1e7f64]
}

/// Closed, and of any shape: it may cross itself.
fn ring() -> impl Strategy<Value = Vec<GeoPoint>> {
    let corners = proptest::collection::vec(place(), 3..7);
    corners.prop_map(|corners| {
        let first = corners.first().copied();
        let corners = corners.into_iter().chain(first);
        corners.map(|(lon, lat)| GeoPoint { lon, lat }).collect()
    })
}

pub(super) fn predicate() -> impl Strategy<Value = Predicate> {
    let numbers = prop_oneof![
        select(&FLOATS[..]),
        select(&INTEGERS[..]).prop_map(|value| value as f64),
        -6.0..6.0f64
    ];
    let date = select(&DATES[..]).prop_map(|date| datetime::parse(date).unwrap());
    prop_oneof![
        6 => matches().prop_map(Predicate::Match),
        3 => range(numbers).prop_map(Predicate::Range),
        2 => range(date).prop_map(Predicate::DatetimeRange),
        4 => area(),
        1 => range(0..4u64).prop_map(Predicate::ValuesCount),
        1 => any::<bool>().prop_map(Predicate::IsEmpty),
        1 => any::<bool>().prop_map(Predicate::IsNull),
    ]
}
