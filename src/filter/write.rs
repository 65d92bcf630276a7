//! Filters as JSON: what parsing takes, so that a filter survives the log.

use serde::ser::{Error, SerializeMap};
use serde::{Serialize, Serializer};

use super::{
    AnyVariants, Condition, FieldCondition, Filter, GeoPoint, GeoPolygon, Ids, Match, MatchValue,
    MinShould, Predicate, Range, datetime,
};
use crate::point::Path;

/// `{name: value}`.
fn one<S: Serializer, T: Serialize + ?Sized>(
    serializer: S,
    name: &str,
    value: &T,
) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(1))?;
    map.serialize_entry(name, value)?;
    map.end()
}

impl Serialize for Filter {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        let clauses =
            [("must", &self.must), ("should", &self.should), ("must_not", &self.must_not)];
        for (name, conditions) in clauses {
            if !conditions.is_empty() {
                map.serialize_entry(name, conditions)?;
            }
        }
        if let Some(min_should) = &self.min_should {
            map.serialize_entry("min_should", min_should)?;
        }
        map.end()
    }
}

impl Serialize for MinShould {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("conditions", &self.conditions)?;
        map.serialize_entry("min_count", &self.min_count)?;
        map.end()
    }
}

#[derive(Serialize)]
struct Keyed<'a> {
    key: &'a Path,
    #[serde(skip_serializing_if = "Option::is_none")]
    filter: Option<&'a Filter>,
}

impl Serialize for Condition {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Condition::Field(condition) => condition.serialize(serializer),
            Condition::IsEmpty(key) => one(serializer, "is_empty", &Keyed { key, filter: None }),
            Condition::IsNull(key) => one(serializer, "is_null", &Keyed { key, filter: None }),
            Condition::HasId(ids) => one(serializer, "has_id", ids),
            Condition::HasVector(name) => one(serializer, "has_vector", name),
            Condition::Nested { key, filter } => {
                one(serializer, "nested", &Keyed { key, filter: Some(filter) })
            }
            Condition::Filter(filter) => filter.serialize(serializer),
        }
    }
}

impl Serialize for Ids {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl Serialize for FieldCondition {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("key", &self.key)?;
        for (at, predicate) in self.predicates.iter().enumerate() {
            let name = predicate.field();
            if self.predicates[..at].iter().any(|earlier| earlier.field() == name) {
                return Err(S::Error::custom(format!(
                    "a condition on `{}` has two predicates `{name}`: write two conditions",
                    self.key
                )));
            }
            predicate.serialize_into(name, &mut map)?;
        }
        map.end()
    }
}

impl Predicate {
    /// The field of a condition that it is written in.
    fn field(&self) -> &'static str {
        match self {
            Predicate::Match(_) => "match",
            Predicate::Range(_) | Predicate::DatetimeRange(_) => "range",
            Predicate::GeoBoundingBox(_) => "geo_bounding_box",
            Predicate::GeoRadius(_) => "geo_radius",
            Predicate::GeoPolygon(_) => "geo_polygon",
            Predicate::ValuesCount(_) => "values_count",
            Predicate::IsEmpty(_) => "is_empty",
            Predicate::IsNull(_) => "is_null",
        }
    }

    fn serialize_into<M: SerializeMap>(&self, name: &str, map: &mut M) -> Result<(), M::Error> {
        match self {
            Predicate::Match(value) => map.serialize_entry(name, value),
            Predicate::Range(range) => map.serialize_entry(name, &range.try_map(finite)?),
            Predicate::DatetimeRange(range) => {
                let text = |moment: i64| datetime::format(moment).ok_or(moment);
                let range = range.try_map(text).map_err(|moment| {
                    M::Error::custom(format!("no date lies {moment} µs from 1970"))
                })?;
                map.serialize_entry(name, &range)
            }
            Predicate::GeoBoundingBox(area) => map.serialize_entry(name, area),
            Predicate::GeoRadius(area) => {
                finite::<M::Error>(area.radius)?;
                map.serialize_entry(name, area)
            }
            Predicate::GeoPolygon(area) => map.serialize_entry(name, area),
            Predicate::ValuesCount(range) => map.serialize_entry(name, range),
            Predicate::IsEmpty(expected) | Predicate::IsNull(expected) => {
                map.serialize_entry(name, expected)
            }
        }
    }
}

/// JSON has no other numbers: they would be written as `null` and read as no bound at all.
fn finite<E: Error>(number: f64) -> Result<f64, E> {
    let fault = || E::custom(format!("{number} is not a number that can be written"));
    number.is_finite().then_some(number).ok_or_else(fault)
}

impl Serialize for Match {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Match::Value(value) => one(serializer, "value", value),
            Match::Any(list) => one(serializer, "any", list),
            Match::Except(list) => one(serializer, "except", list),
            Match::Text(text) => one(serializer, "text", text),
            Match::TextAny(text) => one(serializer, "text_any", text),
            Match::Phrase(text) => one(serializer, "phrase", text),
        }
    }
}

impl Serialize for MatchValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            MatchValue::Bool(value) => serializer.serialize_bool(*value),
            MatchValue::Integer(value) => serializer.serialize_i64(*value),
            MatchValue::Keyword(value) => serializer.serialize_str(value),
        }
    }
}

impl Serialize for AnyVariants {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            AnyVariants::Strings(list) => serializer.collect_seq(list),
            AnyVariants::Integers(list) => serializer.collect_seq(list),
        }
    }
}

impl<T: Serialize> Serialize for Range<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        let bounds = [("lt", &self.lt), ("lte", &self.lte), ("gt", &self.gt), ("gte", &self.gte)];
        for (name, bound) in bounds {
            if let Some(bound) = bound {
                map.serialize_entry(name, bound)?;
            }
        }
        map.end()
    }
}

#[derive(Serialize)]
struct Ring<'a> {
    points: &'a [GeoPoint],
}

impl Serialize for GeoPolygon {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("exterior", &Ring { points: &self.exterior })?;
        if !self.interiors.is_empty() {
            let rings: Vec<Ring<'_>> =
                self.interiors.iter().map(|points| Ring { points }).collect();
            map.serialize_entry("interiors", &rings)?;
        }
        map.end()
    }
}
