//! What a condition asks of the values at its key.

use std::collections::BTreeSet;

use serde_json::Value;

use super::fields::{Fields, count, expected, flag, list, number, text};
use super::{InvalidFilter, Parsed};
use crate::filter::{
    AnyVariants, GeoBoundingBox, GeoPoint, GeoPolygon, GeoRadius, Match, MatchValue, Predicate,
    Range, datetime,
};

/// The fields that only a condition on a key has.
pub(super) const COMPARISONS: [&str; 6] =
    ["match", "range", "geo_bounding_box", "geo_radius", "geo_polygon", "values_count"];
/// Those that have a form of their own without `key`, too.
pub(super) const FLAGS: [&str; 2] = ["is_empty", "is_null"];

const MATCHES: [&str; 6] = ["value", "any", "except", "text", "text_any", "phrase"];
const BOUNDS: [&str; 4] = ["lt", "lte", "gt", "gte"];

pub(super) fn of(fields: &Fields<'_>) -> Parsed<Vec<Predicate>> {
    let given = [
        fields.get("match", matching)?.map(Predicate::Match),
        fields.get("range", range)?,
        fields.get("geo_bounding_box", bounding_box)?.map(Predicate::GeoBoundingBox),
        fields.get("geo_radius", radius)?.map(Predicate::GeoRadius),
        fields.get("geo_polygon", polygon)?.map(Predicate::GeoPolygon),
        fields.get("values_count", |value| bounds(value, count))?.map(Predicate::ValuesCount),
        fields.get("is_empty", flag)?.map(Predicate::IsEmpty),
        fields.get("is_null", flag)?.map(Predicate::IsNull),
    ];
    Ok(given.into_iter().flatten().collect())
}

fn matching(value: &Value) -> Parsed<Match> {
    let fields = Fields::of(value, "`match`", &MATCHES)?;
    let given = [
        fields.get("value", match_value)?.map(Match::Value),
        fields.get("any", variants)?.map(Match::Any),
        fields.get("except", variants)?.map(Match::Except),
        fields.get("text", text)?.map(Match::Text),
        fields.get("text_any", text)?.map(Match::TextAny),
        fields.get("phrase", text)?.map(Match::Phrase),
    ];
    let mut given = given.into_iter().flatten();
    match (given.next(), given.next()) {
        (Some(matched), None) => Ok(matched),
        _ => Err(InvalidFilter::new(format!(
            "`match` needs exactly one of `{}`",
            MATCHES.join("`, `")
        ))),
    }
}

fn match_value(value: &Value) -> Parsed<MatchValue> {
    let integer = || value.as_i64().map(MatchValue::Integer);
    let keyword = || value.as_str().map(|text| MatchValue::Keyword(text.to_owned()));
    let matched = value.as_bool().map(MatchValue::Bool).or_else(integer).or_else(keyword);
    matched.ok_or_else(|| {
        let hint = if value.is_number() {
            "a string, a 64-bit integer or a boolean (for other numbers give a `range`)"
        } else {
            "a string, a 64-bit integer or a boolean"
        };
        expected(hint, value)
    })
}

/// Strings or integers, as the first element is.
fn variants(value: &Value) -> Parsed<AnyVariants> {
    let integers = value.get(0).is_some_and(Value::is_number);
    if integers {
        let integer = |value: &Value| {
            let what = "a 64-bit integer, as every element of this list has to be,";
            value.as_i64().ok_or_else(|| expected(what, value))
        };
        let integers = list(value, "a list of strings or of integers", integer)?;
        return Ok(AnyVariants::Integers(BTreeSet::from_iter(integers)));
    }
    let string = |value: &Value| {
        let what = "a string, as every element of this list has to be,";
        text(value).map_err(|_| expected(what, value))
    };
    let strings = list(value, "a list of strings or of integers", string)?;
    Ok(AnyVariants::Strings(BTreeSet::from_iter(strings)))
}

fn bounds<T>(value: &Value, read: impl Fn(&Value) -> Parsed<T>) -> Parsed<Range<T>> {
    let fields = Fields::of(value, "a range", &BOUNDS)?;
    Ok(Range {
        lt: fields.get("lt", &read)?,
        lte: fields.get("lte", &read)?,
        gt: fields.get("gt", &read)?,
        gte: fields.get("gte", &read)?,
    })
}

/// Of dates if one bound is a string, else of numbers.
fn range(value: &Value) -> Parsed<Predicate> {
    let of_dates = BOUNDS.iter().any(|name| value.get(name).is_some_and(Value::is_string));
    let of_numbers = BOUNDS.iter().any(|name| value.get(name).is_some_and(Value::is_number));
    if of_dates && of_numbers {
        return Err(InvalidFilter::new(
            "a range is of numbers or of dates: the bounds here are of both kinds",
        ));
    }
    if of_dates {
        return bounds(value, date).map(Predicate::DatetimeRange);
    }
    bounds(value, number).map(Predicate::Range)
}

fn date(value: &Value) -> Parsed<i64> {
    let what = "a date such as `2014-01-01T00:00:00Z` (RFC 3339, or without zone in UTC)";
    value.as_str().and_then(datetime::parse).ok_or_else(|| expected(what, value))
}

fn bounding_box(value: &Value) -> Parsed<GeoBoundingBox> {
    let fields = Fields::of(value, "`geo_bounding_box`", &["top_left", "bottom_right"])?;
    let top_left = fields.require("top_left", point)?;
    Ok(GeoBoundingBox { top_left, bottom_right: fields.require("bottom_right", point)? })
}

fn radius(value: &Value) -> Parsed<GeoRadius> {
    let fields = Fields::of(value, "`geo_radius`", &["center", "radius"])?;
    let center = fields.require("center", point)?;
    Ok(GeoRadius { center, radius: fields.require("radius", number)? })
}

fn polygon(value: &Value) -> Parsed<GeoPolygon> {
    let fields = Fields::of(value, "`geo_polygon`", &["exterior", "interiors"])?;
    let exterior = fields.require("exterior", ring)?;
    let interiors = fields.get("interiors", |value| list(value, "a list of rings", ring))?;
    Ok(GeoPolygon { exterior, interiors: interiors.unwrap_or_default() })
}

fn ring(value: &Value) -> Parsed<Vec<GeoPoint>> {
    let fields = Fields::of(value, "a ring", &["points"])?;
    let points = fields.require("points", |value| list(value, "a list of points", point))?;
    let same = |a: f64, b: f64| (a - b).abs() <= f64::EPSILON;
    match (points.as_slice(), points.len()) {
        ([first, .., last], 4..) if same(first.lon, last.lon) && same(first.lat, last.lat) => {
            Ok(points)
        }
        (_, 4..) => Err(InvalidFilter::new("a ring is closed: let the last point be the first")),
        (_, count) => Err(InvalidFilter::new(format!(
            "a ring has at least 4 points, the last being the first: here are {count}"
        ))),
    }
}

fn point(value: &Value) -> Parsed<GeoPoint> {
    let fields = Fields::of(value, "a point", &["lon", "lat"])?;
    let (lon, lat) = (fields.require("lon", number)?, fields.require("lat", number)?);
    let point = GeoPoint { lon, lat };
    if !point.is_in_bounds() {
        return Err(InvalidFilter::new(format!(
            "`lon` {lon} and `lat` {lat} are no place: `lon` is within -180 and 180, `lat` within \
             -90 and 90"
        )));
    }
    Ok(point)
}
