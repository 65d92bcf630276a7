//! Filters: written as the JSON that says the same, and read by the one parser of filters. They
//! are a small part of few messages, and the rules about them stand in one place.

use proto::condition::ConditionOneOf;
use proto::r#match::MatchValue;
use qdrant_client::qdrant as proto;
use serde_json::{Map, Value, json};

use super::invalid;
use super::points::point_ids;
use crate::filter::{Filter, datetime};
use crate::operation::{Refusal, unsupported};

pub fn read(given: proto::Filter) -> Result<Filter, Refusal> {
    let value = filter(given)?;
    Filter::try_from(&value).map_err(|error| invalid(format!("the filter: {error}")))
}

fn filter(given: proto::Filter) -> Result<Value, Refusal> {
    let proto::Filter { should, must, must_not, min_should } = given;
    let mut clauses = Map::new();
    for (name, given) in [("must", must), ("should", should), ("must_not", must_not)] {
        if !given.is_empty() {
            clauses.insert(name.to_owned(), conditions(given)?);
        }
    }
    if let Some(proto::MinShould { conditions: given, min_count }) = min_should {
        let value = json!({ "conditions": conditions(given)?, "min_count": min_count });
        clauses.insert("min_should".to_owned(), value);
    }
    Ok(Value::Object(clauses))
}

fn conditions(given: Vec<proto::Condition>) -> Result<Value, Refusal> {
    given.into_iter().map(condition).collect::<Result<_, _>>().map(Value::Array)
}

fn condition(given: proto::Condition) -> Result<Value, Refusal> {
    Ok(match given.condition_one_of {
        None => {
            let detail =
                "the filter has a condition that is empty, or of a kind that is not known here";
            return Err(invalid(detail));
        }
        Some(ConditionOneOf::Field(given)) => field(given)?,
        Some(ConditionOneOf::IsEmpty(given)) => json!({ "is_empty": { "key": given.key } }),
        Some(ConditionOneOf::IsNull(given)) => json!({ "is_null": { "key": given.key } }),
        Some(ConditionOneOf::HasId(given)) => json!({ "has_id": point_ids(given.has_id)? }),
        Some(ConditionOneOf::HasVector(given)) => json!({ "has_vector": given.has_vector }),
        Some(ConditionOneOf::Filter(given)) => filter(given)?,
        Some(ConditionOneOf::Nested(proto::NestedCondition { key, filter: given })) => {
            let mut nested = Map::from_iter([("key".to_owned(), key.into())]);
            if let Some(given) = given {
                nested.insert("filter".to_owned(), filter(given)?);
            }
            json!({ "nested": nested })
        }
        Some(ConditionOneOf::Slice(_)) => {
            return Err(unsupported("the condition `slice`", "select by a key or by ids"));
        }
    })
}

fn field(given: proto::FieldCondition) -> Result<Value, Refusal> {
    let mut fields = Map::from_iter([("key".to_owned(), Value::from(given.key))]);
    let mut add = |name: &str, value: Value| fields.insert(name.to_owned(), value);
    if let Some(proto::Match { match_value }) = given.r#match {
        add("match", matching(match_value)?);
    }
    if given.range.is_some() && given.datetime_range.is_some() {
        return Err(invalid(
            "a condition has a `range` and a `datetime_range`: write two conditions",
        ));
    }
    if let Some(proto::Range { lt, gt, gte, lte }) = given.range {
        add("range", bounds([("lt", lt), ("gt", gt), ("gte", gte), ("lte", lte)], number)?);
    }
    if let Some(proto::DatetimeRange { lt, gt, gte, lte }) = given.datetime_range {
        let given = [("lt", lt), ("gt", gt), ("gte", gte), ("lte", lte)];
        add("range", bounds(given, |moment| date(moment.seconds, moment.nanos))?);
    }
    if let Some(proto::ValuesCount { lt, gt, gte, lte }) = given.values_count {
        let given = [("lt", lt), ("gt", gt), ("gte", gte), ("lte", lte)];
        add("values_count", bounds(given, |count| Ok(count.into()))?);
    }
    if let Some(proto::GeoBoundingBox { top_left, bottom_right }) = given.geo_bounding_box {
        let corners = [("top_left", top_left), ("bottom_right", bottom_right)];
        add("geo_bounding_box", bounds(corners, place)?);
    }
    if let Some(proto::GeoRadius { center, radius }) = given.geo_radius {
        let mut area = bounds([("center", center)], place)?;
        area["radius"] = number(f64::from(radius))?;
        add("geo_radius", area);
    }
    if let Some(proto::GeoPolygon { exterior, interiors }) = given.geo_polygon {
        let mut area = bounds([("exterior", exterior)], ring)?;
        area["interiors"] = interiors.into_iter().map(ring).collect::<Result<_, _>>()?;
        add("geo_polygon", area);
    }
    if let Some(expected) = given.is_empty {
        add("is_empty", expected.into());
    }
    if let Some(expected) = given.is_null {
        add("is_null", expected.into());
    }
    Ok(Value::Object(fields))
}

fn matching(given: Option<MatchValue>) -> Result<Value, Refusal> {
    Ok(match given {
        None => {
            let detail = "a condition has a `match` that is empty, or of a kind that is not known";
            return Err(invalid(detail));
        }
        Some(MatchValue::Keyword(text)) => json!({ "value": text }),
        Some(MatchValue::Integer(number)) => json!({ "value": number }),
        Some(MatchValue::Boolean(value)) => json!({ "value": value }),
        Some(MatchValue::Text(text)) => json!({ "text": text }),
        Some(MatchValue::TextAny(text)) => json!({ "text_any": text }),
        Some(MatchValue::Phrase(text)) => json!({ "phrase": text }),
        Some(MatchValue::Keywords(list)) => json!({ "any": list.strings }),
        Some(MatchValue::Integers(list)) => json!({ "any": list.integers }),
        Some(MatchValue::ExceptKeywords(list)) => json!({ "except": list.strings }),
        Some(MatchValue::ExceptIntegers(list)) => json!({ "except": list.integers }),
        Some(MatchValue::Prefix(_)) => {
            return Err(unsupported("matching by `prefix`", "match whole values or words"));
        }
        Some(MatchValue::Substring(_)) => {
            return Err(unsupported("matching by `substring`", "match whole values or words"));
        }
    })
}

/// The parts that are given, under their names.
fn bounds<T, const N: usize>(
    given: [(&str, Option<T>); N],
    write: impl Fn(T) -> Result<Value, Refusal>,
) -> Result<Value, Refusal> {
    let given = given.into_iter().filter_map(|(name, bound)| Some((name, bound?)));
    given
        .map(|(name, bound)| Ok((name.to_owned(), write(bound)?)))
        .collect::<Result<Map<_, _>, _>>()
        .map(Value::Object)
}

/// JSON has only finite numbers: another would be read as no bound at all.
fn number(given: f64) -> Result<Value, Refusal> {
    let refuse = || invalid(format!("the filter has the number {given}: give a finite one"));
    serde_json::Number::from_f64(given).map(Value::Number).ok_or_else(refuse)
}

fn date(seconds: i64, nanoseconds: i32) -> Result<Value, Refusal> {
    let microseconds = seconds
        .checked_mul(1_000_000)
        .and_then(|whole| whole.checked_add(i64::from(nanoseconds / 1000)));
    let text = microseconds.and_then(datetime::format);
    text.map(Value::String)
        .ok_or_else(|| invalid(format!("no date lies {seconds} seconds from 1970")))
}

fn place(proto::GeoPoint { lon, lat }: proto::GeoPoint) -> Result<Value, Refusal> {
    Ok(json!({ "lon": number(lon)?, "lat": number(lat)? }))
}

fn ring(given: proto::GeoLineString) -> Result<Value, Refusal> {
    let points = given.points.into_iter().map(place).collect::<Result<Vec<_>, _>>()?;
    Ok(json!({ "points": points }))
}
