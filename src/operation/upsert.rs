//! The body of an upsert, in the forms that messages and HTTP requests share.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::selector::{refuse_shard_key, unsupported};
use super::vectors::{BatchVectorsBody, VectorsBody, named_vector};
use super::{Operation, Reason, Refusal, UpsertPoint};
use crate::point::{Payload, PointId, UNNAMED};

/// `{"points": […]}` or `{"batch": {"ids", "vectors", "payloads"}}`. What would make an upsert
/// conditional in today's Qdrant is known, so that it is refused; other fields are passed over.
#[derive(Debug, Deserialize)]
#[serde(expecting = "an object with `points` or `batch`")]
pub struct UpsertBody {
    points: Option<Vec<PointBody>>,
    batch: Option<BatchBody>,
    update_filter: Option<IgnoredAny>,
    update_mode: Option<String>,
    shard_key: Option<IgnoredAny>,
}

/// A misspelt `vector` would store a point without one, so unknown fields are refused.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a point: an object with `id`, `vector` and `payload`")]
struct PointBody {
    id: Option<PointId>,
    vector: Option<VectorsBody>,
    payload: Option<Payload>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object with `ids`, `vectors` and `payloads`")]
struct BatchBody {
    ids: Vec<PointId>,
    vectors: BatchVectorsBody,
    payloads: Option<Vec<Option<Payload>>>,
}

impl TryFrom<UpsertBody> for Operation {
    type Error = Refusal;

    fn try_from(body: UpsertBody) -> Result<Self, Refusal> {
        body.into_points().map(Operation::Upsert)
    }
}

impl UpsertBody {
    /// The points, whichever form they came in.
    fn into_points(self) -> Result<Vec<UpsertPoint>, Refusal> {
        refuse_shard_key(&self.shard_key)?;
        let instead = "upsert replaces points whole, whether they exist or not";
        if self.update_filter.is_some() {
            return Err(unsupported("`update_filter`", instead));
        }
        if self.update_mode.is_some_and(|mode| mode != "upsert") {
            return Err(unsupported("an `update_mode` other than `upsert`", instead));
        }
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
        let vectors = self.vector.map_or(Ok(Vec::new()), |vector| vector.into_named(id))?;
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
                let vector = named_vector(point.id, name.clone(), values)?;
                point.vectors.push(vector);
            }
        }
        Ok(points)
    }
}

fn same_length(what: &str, given: usize, ids: usize) -> Result<(), Refusal> {
    if given == ids {
        return Ok(());
    }
    let detail = format!("a batch of {ids} ids has {given} {what}: give one for each id");
    Err(Refusal::new(Reason::InvalidMessage, detail))
}
