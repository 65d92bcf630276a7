//! Every condition, in protobuf and in JSON.

use prost::Message as _;
use proto::condition::ConditionOneOf;
use proto::r#match::MatchValue;
use qdrant_client::qdrant as proto;
use serde_json::{Value, json};

use super::*;
use crate::point::PointId;

/// The forms that the generated filters have: `has_id`, matches of a value, clauses.
pub fn filter(value: &Value) -> proto::Filter {
    let clause = |name: &str| {
        let conditions = value.get(name).and_then(Value::as_array);
        conditions.into_iter().flatten().map(condition).collect()
    };
    proto::Filter {
        should: clause("should"),
        must: clause("must"),
        must_not: clause("must_not"),
        min_should: None,
    }
}

fn condition(value: &Value) -> proto::Condition {
    let one_of = if let Some(ids) = value.get("has_id") {
        let ids: Vec<PointId> = serde_json::from_value(ids.clone()).unwrap();
        let has_id = ids.into_iter().map(super::proto::id).collect();
        ConditionOneOf::HasId(proto::HasIdCondition { has_id })
    } else if let Some(key) = value.get("key") {
        let matched = match &value["match"]["value"] {
            Value::String(text) => MatchValue::Keyword(text.clone()),
            number => MatchValue::Integer(number.as_i64().unwrap()),
        };
        ConditionOneOf::Field(on(key.as_str().unwrap(), |field| field.r#match = Some(is(matched))))
    } else {
        ConditionOneOf::Filter(filter(value))
    };
    proto::Condition { condition_one_of: Some(one_of) }
}

fn is(value: MatchValue) -> proto::Match {
    proto::Match { match_value: Some(value) }
}

fn on(key: &str, set: impl FnOnce(&mut proto::FieldCondition)) -> proto::FieldCondition {
    let mut field = proto::FieldCondition { key: key.to_owned(), ..Default::default() };
    set(&mut field);
    field
}

/// The refusal or the operations of a delete by a filter with this condition.
fn delete(one_of: Option<ConditionOneOf>) -> Result<Vec<Operation>, Refusal> {
    let must = vec![proto::Condition { condition_one_of: one_of }];
    let filter = proto::Filter { must, ..Default::default() };
    let message = proto::DeletePoints {
        points: Some(proto::PointsSelector {
            points_selector_one_of: Some(proto::points_selector::PointsSelectorOneOf::Filter(
                filter,
            )),
        }),
        ..Default::default()
    };
    read_protobuf(&message.encode_to_vec(), "DeletePoints").map(|message| message.operations)
}

fn strings() -> proto::RepeatedStrings {
    proto::RepeatedStrings { strings: vec!["x".into(), "y".into()] }
}

fn integers() -> proto::RepeatedIntegers {
    proto::RepeatedIntegers { integers: vec![1, -2] }
}

fn place(lon: f64, lat: f64) -> proto::GeoPoint {
    proto::GeoPoint { lon, lat }
}

fn triangle() -> proto::GeoLineString {
    let points = [(0.0, 0.0), (4.0, 0.0), (0.0, 4.0), (0.0, 0.0)];
    proto::GeoLineString { points: points.map(|(lon, lat)| place(lon, lat)).to_vec() }
}

fn moment(seconds: i64, nanos: i32) -> Option<proto::Timestamp> {
    Some(proto::Timestamp { seconds, nanos })
}

/// A condition on the key `a`, and the rest of what JSON says of it.
type Case = (proto::FieldCondition, Value);

fn matches() -> Vec<Case> {
    let cases = [
        (MatchValue::Keyword("x".into()), json!({"value": "x"})),
        (MatchValue::Integer(-5), json!({"value": -5})),
        (MatchValue::Boolean(false), json!({"value": false})),
        (MatchValue::Text("x y".into()), json!({"text": "x y"})),
        (MatchValue::TextAny("x y".into()), json!({"text_any": "x y"})),
        (MatchValue::Phrase("x y".into()), json!({"phrase": "x y"})),
        (MatchValue::Keywords(strings()), json!({"any": ["x", "y"]})),
        (MatchValue::Integers(integers()), json!({"any": [1, -2]})),
        (MatchValue::ExceptKeywords(strings()), json!({"except": ["x", "y"]})),
        (MatchValue::ExceptIntegers(integers()), json!({"except": [1, -2]})),
    ];
    let case = |(value, text)| {
        (on("a", |field| field.r#match = Some(is(value))), json!({ "match": text }))
    };
    cases.into_iter().map(case).collect()
}

fn ranges() -> Vec<Case> {
    let numbers = proto::Range { lt: Some(1.5), gt: Some(-0.5), gte: None, lte: Some(f64::MAX) };
    let dates = proto::DatetimeRange {
        gte: moment(1, 5000),
        lt: moment(-1, 999_999_000),
        ..Default::default()
    };
    let counts = proto::ValuesCount { gte: Some(2), ..Default::default() };
    let (after, before) = ("1970-01-01T00:00:01.000005Z", "1969-12-31T23:59:59.999999Z");
    vec![
        (
            on("a", |field| field.range = Some(numbers)),
            json!({"range": {"lt": 1.5, "gt": -0.5, "lte": f64::MAX}}),
        ),
        (
            on("a", |field| field.datetime_range = Some(dates)),
            json!({"range": {"gte": after, "lt": before}}),
        ),
        (on("a", |field| field.values_count = Some(counts)), json!({"values_count": {"gte": 2}})),
        (on("a", |field| field.is_empty = Some(true)), json!({"is_empty": true})),
        (on("a", |field| field.is_null = Some(false)), json!({"is_null": false})),
    ]
}

fn areas() -> Vec<Case> {
    let ring = json!({"points": [
        {"lon": 0.0, "lat": 0.0}, {"lon": 4.0, "lat": 0.0}, {"lon": 0.0, "lat": 4.0},
        {"lon": 0.0, "lat": 0.0},
    ]});
    let (one, other) = (Some(place(1.0, 2.0)), Some(place(3.0, -4.0)));
    let corners = proto::GeoBoundingBox { top_left: one, bottom_right: other };
    let circle = proto::GeoRadius { center: one, radius: 1500.5 };
    let polygon = proto::GeoPolygon { exterior: Some(triangle()), interiors: vec![triangle()] };
    let (one, other) = (json!({"lon": 1.0, "lat": 2.0}), json!({"lon": 3.0, "lat": -4.0}));
    vec![
        (
            on("a", |field| field.geo_bounding_box = Some(corners)),
            json!({"geo_bounding_box": {"top_left": one, "bottom_right": other}}),
        ),
        (
            on("a", |field| field.geo_radius = Some(circle)),
            json!({"geo_radius": {"center": one, "radius": 1500.5}}),
        ),
        (
            on("a", |field| field.geo_polygon = Some(polygon)),
            json!({"geo_polygon": {"exterior": ring, "interiors": [ring]}}),
        ),
    ]
}

/// Conditions that are on no key, or on no value at it.
fn others() -> Vec<(ConditionOneOf, Value)> {
    let has_id = vec![7.into(), "936da01f-9abd-4d9d-80c7-02af85c822a8".into()];
    let x = on("a", |field| field.r#match = Some(is(MatchValue::Keyword("x".into()))));
    let x = proto::Condition { condition_one_of: Some(ConditionOneOf::Field(x)) };
    let min_should = Some(proto::MinShould { conditions: vec![x.clone()], min_count: 1 });
    let counted = proto::Filter { min_should, ..Default::default() };
    let not_x = proto::Filter { must_not: vec![x], ..Default::default() };
    let nested = proto::NestedCondition { key: "parts".into(), filter: Some(not_x.clone()) };
    let is_x = json!({"key": "a", "match": {"value": "x"}});
    vec![
        (
            ConditionOneOf::IsEmpty(proto::IsEmptyCondition { key: "a.b".into() }),
            json!({"is_empty": {"key": "a.b"}}),
        ),
        (
            ConditionOneOf::IsNull(proto::IsNullCondition { key: "a".into() }),
            json!({"is_null": {"key": "a"}}),
        ),
        (
            ConditionOneOf::HasId(proto::HasIdCondition { has_id }),
            json!({"has_id": [7, "936da01f-9abd-4d9d-80c7-02af85c822a8"]}),
        ),
        (
            ConditionOneOf::HasVector(proto::HasVectorCondition { has_vector: "image".into() }),
            json!({"has_vector": "image"}),
        ),
        (
            ConditionOneOf::Nested(nested),
            json!({"nested": {"key": "parts", "filter": {"must_not": [is_x]}}}),
        ),
        (ConditionOneOf::Filter(not_x), json!({"must_not": [is_x]})),
        (
            ConditionOneOf::Filter(counted),
            json!({"min_should": {"conditions": [is_x], "min_count": 1}}),
        ),
    ]
}

#[test]
fn every_condition_is_the_one_that_json_says() {
    let fields = matches().into_iter().chain(ranges()).chain(areas());
    let fields = fields.map(|(field, mut text)| {
        text["key"] = "a".into();
        (ConditionOneOf::Field(field), text)
    });
    for (condition, text) in fields.chain(others()) {
        let said = json!({"delete": {"filter": {"must": [text]}}}).to_string();
        let expected = read(&said, &[]).unwrap().operations;
        assert_eq!(delete(Some(condition)), Ok(expected), "{text}");
    }
}

#[test]
fn what_a_filter_cannot_say_is_refused_by_name() {
    let field = |set: fn(&mut proto::FieldCondition)| Some(ConditionOneOf::Field(on("a", set)));
    let nan = Some(f64::NAN);
    let cases: [(Option<ConditionOneOf>, &str); 12] = [
        (None, "a condition that is empty"),
        (Some(ConditionOneOf::Slice(proto::SliceCondition { total: 2, index: 0 })), "`slice`"),
        (field(|it| it.r#match = Some(is(MatchValue::Prefix("x".into())))), "`prefix`"),
        (field(|it| it.r#match = Some(is(MatchValue::Substring("x".into())))), "`substring`"),
        (field(|it| it.r#match = Some(proto::Match::default())), "a `match` that is empty"),
        (field(|_| {}), "needs one of `match`"),
        (
            Some(ConditionOneOf::Field(on("a", |it| {
                it.range = Some(proto::Range { lt: nan, ..Default::default() });
            }))),
            "the number NaN",
        ),
        (
            field(|it| {
                it.range = Some(proto::Range::default());
                it.datetime_range = Some(proto::DatetimeRange::default());
            }),
            "write two conditions",
        ),
        (
            field(|it| {
                let lt = Some(proto::Timestamp { seconds: i64::MAX, nanos: 0 });
                it.datetime_range = Some(proto::DatetimeRange { lt, ..Default::default() });
            }),
            "no date lies",
        ),
        (
            Some(ConditionOneOf::Nested(proto::NestedCondition { key: "a".into(), filter: None })),
            "needs `filter`",
        ),
        (Some(ConditionOneOf::IsNull(proto::IsNullCondition { key: "a.".into() })), "not a key"),
        (field(|it| it.geo_radius = Some(proto::GeoRadius::default())), "needs `center`"),
    ];
    for (condition, part) in cases {
        let refusal = delete(condition).unwrap_err();
        assert_eq!(refusal.reason, Reason::InvalidMessage, "{refusal}");
        assert!(refusal.detail.contains(part), "{part}: {refusal}");
        assert!(refusal.detail.starts_with("DeletePoints: "), "{refusal}");
    }
}
