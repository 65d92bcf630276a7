//! One message: checked and prepared without the lock, published inside it.

use std::sync::PoisonError;

use super::state::State;
use super::{Collection, SLOTS_MAX};
use crate::ann;
use crate::operation::{Operation, Reason, Refusal, UpsertPoint};
use crate::point::{Distance, NamedVector, PointId};
use crate::position::Seq;
use crate::rows::{Cell, RowKey};

/// What preparing a message leaves for publishing it. Kept from message to message, so that
/// none allocates.
#[derive(Default)]
pub(super) struct Staging {
    /// Per vector of the message, in order: the place of its column.
    columns: Vec<usize>,
    /// The normalised vectors of the message, in order.
    normalized: Vec<f32>,
}

impl Collection {
    /// Could this message be applied now? Changes nothing.
    pub fn check(&self, operations: &[Operation]) -> Result<(), Refusal> {
        self.prepare(operations, &mut Staging::default())?;
        has_room(&self.read(), operations, SLOTS_MAX)
    }

    /// Applies one message, whole or not at all. `CreateCollection` and `DeleteCollection` are
    /// the catalog's and are passed over. One caller at a time.
    pub fn apply(&self, seq: Seq, operations: &[Operation]) -> Result<(), Refusal> {
        let mut staging = self.staging.lock().unwrap_or_else(PoisonError::into_inner);
        self.prepare(operations, &mut staging)?;
        let mut state = self.write();
        has_room(&state, operations, SLOTS_MAX)?;
        publish(&mut state, &staging, seq, operations, &self.vectors);
        let (points, head_bytes) = (state.ids.len(), state.memory_bytes());
        drop(state);
        self.gauges.applied(points, head_bytes);
        Ok(())
    }

    fn prepare(&self, operations: &[Operation], staging: &mut Staging) -> Result<(), Refusal> {
        staging.columns.clear();
        staging.normalized.clear();
        for operation in operations {
            let Operation::Upsert(points) = operation else { continue };
            for point in points {
                for vector in &point.vectors {
                    self.prepare_vector(point.id, vector, staging)?;
                }
            }
        }
        Ok(())
    }

    fn prepare_vector(
        &self,
        id: PointId,
        vector: &NamedVector,
        staging: &mut Staging,
    ) -> Result<(), Refusal> {
        let name = &vector.name;
        let Some(place) = self.place_of(name) else {
            let known = self.known_vectors();
            let detail =
                format!("point {id}: vector `{name}` does not exist here: there is {known}");
            return Err(Refusal::new(Reason::UnknownVector, detail));
        };
        let params = &self.vectors[place].params;
        if vector.values.len() != params.size {
            let (given, expected) = (vector.values.len(), params.size);
            let detail =
                format!("point {id}: vector `{name}` has {given} dimensions, give {expected}");
            return Err(Refusal::new(Reason::WrongDimension, detail));
        }
        staging.columns.push(place);
        if params.distance == Distance::Cosine {
            let start = staging.normalized.len();
            staging.normalized.extend_from_slice(&vector.values);
            if !ann::normalize(&mut staging.normalized[start..]) {
                let detail = format!(
                    "point {id}: vector `{name}` is zero, which has no cosine similarity with \
                     anything: leave it out"
                );
                return Err(Refusal::new(Reason::ZeroVector, detail));
            }
        }
        Ok(())
    }
}

/// Whether each new point finds a slot. Counts from the number of points alone, so that a
/// replay decides as the first run did; slots that the message itself frees do not count.
pub(super) fn has_room(
    state: &State,
    operations: &[Operation],
    slots_max: u32,
) -> Result<(), Refusal> {
    let upserts = operations.iter().map(|operation| match operation {
        Operation::Upsert(points) => points.len() as u64,
        _ => 0,
    });
    let left = u64::from(slots_max) - state.ids.len();
    if upserts.sum::<u64>() <= left {
        return Ok(());
    }
    let points = operations.iter().flat_map(|operation| match operation {
        Operation::Upsert(points) => &points[..],
        _ => &[],
    });
    let new = points.filter(|point| state.ids.get(point.id).is_none()).count() as u64;
    if new <= left {
        return Ok(());
    }
    let detail = format!("{new} new points do not fit: a collection has at most {slots_max}");
    Err(Refusal::new(Reason::CollectionFull, detail))
}

fn publish(
    state: &mut State,
    staging: &Staging,
    seq: Seq,
    operations: &[Operation],
    vectors: &[super::VectorColumn],
) {
    let (mut columns, mut normalized) = (&staging.columns[..], &staging.normalized[..]);
    for operation in operations {
        match operation {
            Operation::Upsert(points) => {
                for point in points {
                    let own;
                    (own, columns) = columns.split_at(point.vectors.len());
                    let slot = state.ids.get_or_insert(point.id);
                    let key = RowKey { slot, seq, id: point.id };
                    upsert(state, key, point, own, vectors, &mut normalized);
                }
            }
            Operation::DeletePoints(ids) => {
                for id in ids {
                    delete(state, seq, *id);
                }
            }
            Operation::CreateCollection { .. } | Operation::DeleteCollection => {}
        }
    }
    state.seq = seq;
}

fn upsert(
    state: &mut State,
    key: RowKey,
    point: &UpsertPoint,
    columns: &[usize],
    vectors: &[super::VectorColumn],
    normalized: &mut &[f32],
) {
    for (vector, place) in point.vectors.iter().zip(columns) {
        let mut values = &vector.values[..];
        if vectors[*place].params.distance == Distance::Cosine {
            (values, *normalized) = normalized.split_at(values.len());
        }
        state.vectors[*place].push(key, Cell::Vector(values));
    }
    for (place, column) in state.vectors.iter_mut().enumerate() {
        if !columns.contains(&place) {
            column.end(key);
        }
    }
    state.payload.push(key, Cell::Payload(&point.payload));
}

fn delete(state: &mut State, seq: Seq, id: PointId) {
    let Some(slot) = state.ids.get(id) else { return };
    let key = RowKey { slot, seq, id };
    for column in &mut state.vectors {
        column.end(key);
    }
    state.payload.end(key);
    state.ids.remove(id);
}
