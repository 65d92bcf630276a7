//! Points as answers carry them. What was not asked for is left out, as in Qdrant.

use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::collection::{PointView, ScoredPoint};
use crate::index::OrderValue;
use crate::point::UNNAMED;

/// The score of points that were not scored, as in Qdrant.
pub(super) const NOT_SCORED: f32 = 1.0;

/// `{"id", "payload", "vector"}`.
pub(super) struct Record<'a>(pub(super) &'a PointView);

/// `{"id", "version", "score", "payload", "vector"}`.
pub(super) struct Scored<'a>(pub(super) &'a ScoredPoint);

/// `{"id", "payload", "vector", "order_value"}`.
struct OrderedRecord<'a>(&'a (PointView, OrderValue));

/// `{"id", "version", "score", "payload", "vector", "order_value"}`.
struct OrderedScored<'a>(&'a (PointView, OrderValue));

/// The unnamed vector as a list, others as an object by name; a point without any has `{}`.
struct Vectors<'a>(&'a [(String, Vec<f32>)]);

fn parts<M: SerializeMap>(map: &mut M, point: &PointView) -> Result<(), M::Error> {
    if let Some(payload) = &point.payload {
        map.serialize_entry("payload", payload)?;
    }
    if let Some(vectors) = &point.vectors {
        map.serialize_entry("vector", &Vectors(vectors))?;
    }
    Ok(())
}

fn order_value<M: SerializeMap>(map: &mut M, value: &OrderValue) -> Result<(), M::Error> {
    match value {
        OrderValue::Integer(number) | OrderValue::Datetime(number) => {
            map.serialize_entry("order_value", number)
        }
        OrderValue::Float(number) => map.serialize_entry("order_value", number),
    }
}

impl Serialize for Record<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("id", &self.0.id)?;
        parts(&mut map, self.0)?;
        map.end()
    }
}

impl Serialize for OrderedRecord<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (point, value) = self.0;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("id", &point.id)?;
        parts(&mut map, point)?;
        order_value(&mut map, value)?;
        map.end()
    }
}

impl Serialize for OrderedScored<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (point, value) = self.0;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("id", &point.id)?;
        map.serialize_entry("version", &point.version)?;
        map.serialize_entry("score", &NOT_SCORED)?;
        parts(&mut map, point)?;
        order_value(&mut map, value)?;
        map.end()
    }
}

impl Serialize for Scored<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("id", &self.0.point.id)?;
        map.serialize_entry("version", &self.0.point.version)?;
        map.serialize_entry("score", &self.0.score)?;
        parts(&mut map, &self.0.point)?;
        map.end()
    }
}

impl Serialize for Vectors<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            [(name, values)] if name == UNNAMED => values.serialize(serializer),
            named => serializer.collect_map(named.iter().map(|(name, values)| (name, values))),
        }
    }
}

/// The points of a page, each printed as `A` prints it.
pub(super) fn records(points: &[PointView]) -> impl Serialize {
    List(points, Record)
}

pub(super) fn ordered_records(points: &[(PointView, OrderValue)]) -> impl Serialize {
    List(points, OrderedRecord)
}

pub(super) fn ordered_scored(points: &[(PointView, OrderValue)]) -> impl Serialize {
    List(points, OrderedScored)
}

pub(super) fn scored(points: &[ScoredPoint]) -> impl Serialize {
    List(points, Scored)
}

struct List<'a, P, V>(&'a [P], fn(&'a P) -> V);

impl<P, V: Serialize> Serialize for List<'_, P, V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(self.1))
    }
}
