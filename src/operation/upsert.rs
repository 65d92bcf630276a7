//! The bodies of upsert and delete, in the forms that messages and HTTP requests share.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{MapAccess, SeqAccess, Visitor};

use super::{Reason, Refusal, UpsertPoint};
use crate::point::{NamedVector, Payload, PointId, UNNAMED};

/// `{"points": […]}` or `{"batch": {"ids", "vectors", "payloads"}}`.
#[derive(Debug, Deserialize)]
pub struct UpsertBody {
    points: Option<Vec<PointBody>>,
    batch: Option<BatchBody>,
}

/// A misspelt `vector` would store a point without one, so unknown fields are refused.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PointBody {
    id: Option<PointId>,
    vector: Option<VectorsBody>,
    payload: Option<Payload>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct BatchBody {
    ids: Vec<PointId>,
    vectors: BatchVectorsBody,
    payloads: Option<Vec<Option<Payload>>>,
}

/// `{"points": [ids]}`.
#[derive(Debug, Deserialize)]
pub struct DeleteBody {
    points: Option<Vec<PointId>>,
}

/// A vector's numbers. Read as f64, so that one beyond f32's range becomes infinite and is
/// refused by name; read as f32 it would be a fault of the JSON text.
struct Values(Vec<f32>);

impl<'de> Deserialize<'de> for Values {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Numbers;
        impl<'de> Visitor<'de> for Numbers {
            type Value = Values;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a vector (a list of numbers)")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Values, A::Error> {
                Ok(Values(numbers(seq)?))
            }
        }
        deserializer.deserialize_seq(Numbers)
    }
}

fn numbers<'de, A: SeqAccess<'de>>(mut seq: A) -> Result<Vec<f32>, A::Error> {
    let mut values = Vec::with_capacity(128);
    while let Some(value) = seq.next_element::<f64>()? {
        values.push(value as f32);
    }
    Ok(values)
}

/// One unnamed vector, or vectors by name. A hand-written visitor, because serde's untagged
/// enums buffer every number of every vector first.
#[derive(Debug)]
enum VectorsBody {
    Unnamed(Vec<f32>),
    Named(Vec<(String, Vec<f32>)>),
}

#[derive(Debug)]
enum BatchVectorsBody {
    Unnamed(Vec<Vec<f32>>),
    Named(BTreeMap<String, Vec<Vec<f32>>>),
}

impl<'de> Deserialize<'de> for VectorsBody {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Vectors;
        impl<'de> Visitor<'de> for Vectors {
            type Value = VectorsBody;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a vector (a list of numbers), or an object of vectors by name")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<VectorsBody, A::Error> {
                Ok(VectorsBody::Unnamed(numbers(seq)?))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<VectorsBody, A::Error> {
                let mut named: Vec<(String, Vec<f32>)> = Vec::new();
                while let Some((name, Values(values))) = map.next_entry()? {
                    if named.iter().any(|(known, _)| *known == name) {
                        let twice = format_args!("vector `{name}` is given twice").to_string();
                        return Err(serde::de::Error::custom(twice));
                    }
                    named.push((name, values));
                }
                Ok(VectorsBody::Named(named))
            }
        }
        deserializer.deserialize_any(Vectors)
    }
}

impl<'de> Deserialize<'de> for BatchVectorsBody {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Vectors;
        impl<'de> Visitor<'de> for Vectors {
            type Value = BatchVectorsBody;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of vectors, or an object of lists of vectors by name")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut vectors = Vec::new();
                while let Some(Values(values)) = seq.next_element()? {
                    vectors.push(values);
                }
                Ok(BatchVectorsBody::Unnamed(vectors))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut named = BTreeMap::new();
                while let Some((name, vectors)) = map.next_entry::<String, Vec<Values>>()? {
                    named.insert(name, vectors.into_iter().map(|Values(values)| values).collect());
                }
                Ok(BatchVectorsBody::Named(named))
            }
        }
        deserializer.deserialize_any(Vectors)
    }
}

impl UpsertBody {
    /// The points, whichever form they came in.
    pub fn into_points(self) -> Result<Vec<UpsertPoint>, Refusal> {
        match (self.points, self.batch) {
            (Some(points), None) => {
                points.into_iter().enumerate().map(|(at, point)| point.into_point(at)).collect()
            }
            (None, Some(batch)) => batch.into_points(),
            _ => Err(Refusal::new(
                Reason::InvalidMessage,
                "an upsert has either `points` (a list of points) or `batch` (ids, vectors, payloads)",
            )),
        }
    }
}

impl PointBody {
    fn into_point(self, at: usize) -> Result<UpsertPoint, Refusal> {
        let Some(id) = self.id else {
            return Err(Refusal::new(
                Reason::MissingId,
                format!("points[{at}] has no `id`: give an unsigned 64-bit integer or a UUID"),
            ));
        };
        let vectors = match self.vector {
            None => Vec::new(),
            Some(VectorsBody::Unnamed(values)) => vec![named(id, UNNAMED.to_owned(), values)?],
            Some(VectorsBody::Named(vectors)) => vectors
                .into_iter()
                .map(|(name, values)| named(id, name, values))
                .collect::<Result<_, _>>()?,
        };
        Ok(UpsertPoint { id, vectors, payload: self.payload.unwrap_or_else(Payload::empty) })
    }
}

impl BatchBody {
    fn into_points(self) -> Result<Vec<UpsertPoint>, Refusal> {
        let count = self.ids.len();
        let mut payloads = self.payloads.unwrap_or_else(|| vec![None; count]);
        same_length("payloads", payloads.len(), count)?;
        let mut points: Vec<UpsertPoint> = self
            .ids
            .into_iter()
            .zip(payloads.drain(..))
            .map(|(id, payload)| UpsertPoint {
                id,
                vectors: Vec::new(),
                payload: payload.unwrap_or_else(Payload::empty),
            })
            .collect();
        let columns = match self.vectors {
            BatchVectorsBody::Unnamed(vectors) => BTreeMap::from([(UNNAMED.to_owned(), vectors)]),
            BatchVectorsBody::Named(named) => named,
        };
        for (name, vectors) in columns {
            same_length("vectors", vectors.len(), count)?;
            for (point, values) in points.iter_mut().zip(vectors) {
                let vector = named(point.id, name.clone(), values)?;
                point.vectors.push(vector);
            }
        }
        Ok(points)
    }
}

impl DeleteBody {
    pub fn into_ids(self) -> Result<Vec<PointId>, Refusal> {
        self.points.ok_or_else(|| {
            Refusal::new(Reason::InvalidMessage, "a delete has `points`: a list of point ids")
        })
    }
}

fn same_length(what: &str, given: usize, ids: usize) -> Result<(), Refusal> {
    if given == ids {
        return Ok(());
    }
    let detail = format!("a batch of {ids} ids has {given} {what}: give one for each id");
    Err(Refusal::new(Reason::InvalidMessage, detail))
}

fn named(id: PointId, name: String, values: Vec<f32>) -> Result<NamedVector, Refusal> {
    let refuse = |what: String| {
        let vector = if name == UNNAMED { "the vector".into() } else { format!("vector `{name}`") };
        Refusal::new(Reason::InvalidVector, format!("{vector} of point {id} {what}"))
    };
    if values.is_empty() {
        return Err(refuse("is empty".into()));
    }
    // 1e39 is a number of JSON, and infinite as an f32.
    if let Some(at) = values.iter().position(|value| !value.is_finite()) {
        return Err(refuse(format!("has a value at {at} that is not a finite 32-bit float")));
    }
    Ok(NamedVector { name, values })
}
