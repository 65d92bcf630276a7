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

#[test]
fn every_condition_is_the_one_that_json_says() {
    let matched = |value| on("a", |field| field.r#match = Some(is(value)));
    let ring = json!({"points": [
        {"lon": 0.0, "lat": 0.0}, {"lon": 4.0, "lat": 0.0}, {"lon": 0.0, "lat": 4.0},
        {"lon": 0.0, "lat": 0.0},
    ]});
    let fields = [
        (matched(MatchValue::Keyword("x".into())), json!({"match": {"value": "x"}})),
        (matched(MatchValue::Integer(-5)), json!({"match": {"value": -5}})),
        (matched(MatchValue::Boolean(false)), json!({"match": {"value": false}})),
        (matched(MatchValue::Text("x y".into())), json!({"match": {"text": "x y"}})),
        (matched(MatchValue::TextAny("x y".into())), json!({"match": {"text_any": "x y"}})),
        (matched(MatchValue::Phrase("x y".into())), json!({"match": {"phrase": "x y"}})),
        (matched(MatchValue::Keywords(strings())), json!({"match": {"any": ["x", "y"]}})),
        (matched(MatchValue::Integers(integers())), json!({"match": {"any": [1, -2]}})),
        (matched(MatchValue::ExceptKeywords(strings())), json!({"match": {"except": ["x", "y"]}})),
        (matched(MatchValue::ExceptIntegers(integers())), json!({"match": {"except": [1, -2]}})),
        (
            on("a", |field| {
                field.range = Some(proto::Range {
                    lt: Some(1.5),
                    gt: Some(-0.5),
                    gte: None,
                    lte: Some(f64::MAX),
                });
            }),
            json!({"range": {"lt": 1.5, "gt": -0.5, "lte": f64::MAX}}),
        ),
        (
            on("a", |field| {
                field.datetime_range = Some(proto::DatetimeRange {
                    gte: moment(1, 5000),
                    lt: moment(-1, 999_999_000),
                    ..Default::default()
                });
            }),
            json!({"range": {
                "gte": "1970-01-01T00:00:01.000005Z", "lt": "1969-12-31T23:59:59.999999Z",
            }}),
        ),
        (
            on("a", |field| {
                field.values_count =
                    Some(proto::ValuesCount { gte: Some(2), ..Default::default() });
            }),
            json!({"values_count": {"gte": 2}}),
        ),
        (
            on("a", |field| {
                field.geo_bounding_box = Some(proto::GeoBoundingBox {
                    top_left: Some(place(1.0, 2.0)),
                    bottom_right: Some(place(3.0, -4.0)),
                });
            }),
            json!({"geo_bounding_box": {
                "top_left": {"lon": 1.0, "lat": 2.0}, "bottom_right": {"lon": 3.0, "lat": -4.0},
            }}),
        ),
        (
            on("a", |field| {
                let center = Some(place(1.0, 2.0));
                field.geo_radius = Some(proto::GeoRadius { center, radius: 1500.5 });
            }),
            json!({"geo_radius": {"center": {"lon": 1.0, "lat": 2.0}, "radius": 1500.5}}),
        ),
        (
            on("a", |field| {
                field.geo_polygon = Some(proto::GeoPolygon {
                    exterior: Some(triangle()),
                    interiors: vec![triangle()],
                });
            }),
            json!({"geo_polygon": {"exterior": ring, "interiors": [ring]}}),
        ),
        (on("a", |field| field.is_empty = Some(true)), json!({"is_empty": true})),
        (on("a", |field| field.is_null = Some(false)), json!({"is_null": false})),
    ];
    let fields = fields.into_iter().map(|(field, mut text)| {
        text["key"] = "a".into();
        (ConditionOneOf::Field(field), text)
    });
    let has_id = vec![7.into(), "936da01f-9abd-4d9d-80c7-02af85c822a8".into()];
    let x = matched(MatchValue::Keyword("x".into()));
    let x = proto::Condition { condition_one_of: Some(ConditionOneOf::Field(x)) };
    let counted = proto::Filter {
        min_should: Some(proto::MinShould { conditions: vec![x.clone()], min_count: 1 }),
        ..Default::default()
    };
    let not_x = proto::Filter { must_not: vec![x], ..Default::default() };
    let is_x = json!({"key": "a", "match": {"value": "x"}});
    let others = [
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
            ConditionOneOf::Nested(proto::NestedCondition {
                key: "parts".into(),
                filter: Some(not_x.clone()),
            }),
            json!({"nested": {"key": "parts", "filter": {"must_not": [is_x]}}}),
        ),
        (ConditionOneOf::Filter(not_x), json!({"must_not": [is_x]})),
        (
            ConditionOneOf::Filter(counted),
            json!({"min_should": {"conditions": [is_x], "min_count": 1}}),
        ),
    ];
    for (condition, text) in fields.chain(others) {
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
