//! What a message makes of the points it touches, worked out before anyone sees it.
//!
//! Operations are taken in order, each on what those before it left: a filter in the third
//! operation sees the points as the first two made them. Nothing is changed here, so a message
//! that cannot be applied is refused whole.

use serde_json::{Map, Value};

use super::Collection;
use super::staged::{Staged, Touched, Vector};
use super::state::{State, Which};
use crate::ann;
use crate::filter::Filter;
use crate::operation::{Operation, PointVectors, Reason, Refusal, Selector, UpsertPoint};
use crate::point::{Distance, NamedVector, Payload, PointId, Slot, UNNAMED, merge};

/// What one message may make of payloads that are stored already: it is held in memory until it is
/// published, and its replay must not need more than there is. A constant, as the outcome of a
/// record never depends on configuration.
const PAYLOAD_BYTES_MAX: usize = 512 << 20;

/// What becomes of an id that has no point.
#[derive(Clone, Copy)]
enum Missing {
    PassOver,
    Refuse,
}

impl Collection {
    /// Carries the operations out on paper. What is the catalog's (creating and deleting a
    /// collection, indexes) is passed over.
    pub(super) fn stage<'a>(&self, operations: &'a [Operation]) -> Result<Staged<'a>, Refusal> {
        self.stage_onto(Staged::default(), operations)
    }

    /// The same without what filters select: enough to see most of what will be refused.
    pub(super) fn stage_roughly<'a>(
        &self,
        operations: &'a [Operation],
    ) -> Result<Staged<'a>, Refusal> {
        self.stage_onto(Staged { rough: true, ..Staged::default() }, operations)
    }

    fn stage_onto<'a>(
        &self,
        mut staged: Staged<'a>,
        operations: &'a [Operation],
    ) -> Result<Staged<'a>, Refusal> {
        for (at, operation) in operations.iter().enumerate() {
            self.stage_operation(operation, &mut staged).map_err(|refusal| {
                if operations.len() == 1 {
                    return refusal;
                }
                Refusal { detail: format!("operations[{at}]: {}", refusal.detail), ..refusal }
            })?;
        }
        Ok(staged)
    }

    fn stage_operation<'a>(
        &self,
        operation: &'a Operation,
        staged: &mut Staged<'a>,
    ) -> Result<(), Refusal> {
        match operation {
            Operation::Upsert(points) => self.stage_upsert(points, staged),
            Operation::UpdateVectors(points) => self.stage_vectors(points, staged),
            Operation::DeleteVectors { points, names } => {
                self.stage_delete_vectors(points, names, staged)
            }
            Operation::DeletePoints(points) => {
                self.each_of(points, staged, Missing::PassOver, |_, point| point.delete())
            }
            Operation::SetPayload { points, payload, key } => {
                let values = map(payload);
                self.each_payload(points, staged, |payload| match key {
                    Some(key) => key.merge(payload, &values),
                    None => merge(payload, &values),
                })
            }
            Operation::OverwritePayload { points, payload } => {
                self.each_overwritten(points, staged, payload)
            }
            Operation::DeletePayload { points, keys } => {
                self.each_payload(points, staged, |payload| {
                    for key in keys {
                        key.remove(payload);
                    }
                })
            }
            Operation::ClearPayload(points) => {
                self.each_overwritten(points, staged, &Payload::empty())
            }
            Operation::CreateCollection { .. }
            | Operation::DeleteCollection
            | Operation::CreateIndex { .. }
            | Operation::DeleteIndex { .. } => Ok(()),
        }
    }

    fn stage_upsert<'a>(
        &self,
        points: &'a [UpsertPoint],
        staged: &mut Staged<'a>,
    ) -> Result<(), Refusal> {
        let state = self.read();
        for point in points {
            staged.touch(&state, point.id).replace(point.payload.clone());
            for vector in &point.vectors {
                self.stage_vector(&state, point.id, vector, staged)?;
            }
        }
        Ok(())
    }

    fn stage_vectors<'a>(
        &self,
        points: &'a [PointVectors],
        staged: &mut Staged<'a>,
    ) -> Result<(), Refusal> {
        let state = self.read();
        for PointVectors { id, vectors } in points {
            if !staged.touch(&state, *id).exists {
                return Err(unknown_point(*id));
            }
            for vector in vectors {
                self.stage_vector(&state, *id, vector, staged)?;
            }
        }
        Ok(())
    }

    fn stage_vector<'a>(
        &self,
        state: &State,
        id: PointId,
        vector: &'a NamedVector,
        staged: &mut Staged<'a>,
    ) -> Result<(), Refusal> {
        let place = self.checked_place(id, vector)?;
        let mut stored = Vector::Given(&vector.values);
        if self.vectors[place].params.distance == Distance::Cosine {
            let start = staged.normalized.len();
            staged.normalized.extend_from_slice(&vector.values);
            if !ann::normalize(&mut staged.normalized[start..]) {
                return Err(zero_vector(id, &vector.name));
            }
            stored = Vector::Normalized(start..staged.normalized.len());
        }
        staged.touch(state, id).set_vector(place, stored);
        Ok(())
    }

    /// The place of a vector that has the dimensions it should have.
    fn checked_place(&self, id: PointId, vector: &NamedVector) -> Result<usize, Refusal> {
        let name = &vector.name;
        let place = self.place_of(name).ok_or_else(|| {
            let detail = format!("point {id}: {}", self.unknown_vector(name));
            Refusal::new(Reason::UnknownVector, detail)
        })?;
        let (given, expected) = (vector.values.len(), self.vectors[place].params.size);
        if given == expected {
            return Ok(place);
        }
        let detail = format!("point {id}: {} has {given} dimensions, give {expected}", shown(name));
        Err(Refusal::new(Reason::WrongDimension, detail))
    }

    fn unknown_vector(&self, name: &str) -> String {
        format!("{} does not exist here: there is {}", shown(name), self.known_vectors())
    }

    fn stage_delete_vectors<'a>(
        &self,
        points: &Selector,
        names: &[String],
        staged: &mut Staged<'a>,
    ) -> Result<(), Refusal> {
        let place = |name: &String| {
            let refuse = || Refusal::new(Reason::UnknownVector, self.unknown_vector(name));
            self.place_of(name).ok_or_else(refuse)
        };
        let places = names.iter().map(place).collect::<Result<Vec<usize>, _>>()?;
        let rough = staged.rough;
        self.each_of(points, staged, Missing::Refuse, |state, point| {
            for place in places.iter().copied().filter(|_| !rough) {
                if point.has_vector(state, place) {
                    point.set_vector(place, Vector::Gone);
                    // A row that ends leaves no trace once merged: the payload's new row carries
                    // the point's version.
                    point.payload = Some(point.payload(state));
                }
            }
        })
    }

    fn each_overwritten(
        &self,
        points: &Selector,
        staged: &mut Staged<'_>,
        payload: &Payload,
    ) -> Result<(), Refusal> {
        let change = |_: &State, point: &mut Touched<'_>| point.payload = Some(payload.clone());
        self.each_of(points, staged, Missing::Refuse, change)
    }

    fn each_payload<'a>(
        &self,
        points: &Selector,
        staged: &mut Staged<'a>,
        mut change: impl FnMut(&mut Map<String, Value>),
    ) -> Result<(), Refusal> {
        let (rough, mut bytes) = (staged.rough, staged.payload_bytes);
        self.each_of(points, staged, Missing::Refuse, |state, point| {
            // Beyond the bound nothing is made any more: the message will be refused.
            if rough || bytes > PAYLOAD_BYTES_MAX {
                return;
            }
            let mut payload = map(&point.payload(state));
            change(&mut payload);
            let payload = Payload::from_map(&payload);
            bytes += payload.as_bytes().len();
            point.payload = Some(payload);
        })?;
        staged.payload_bytes = bytes;
        if bytes <= PAYLOAD_BYTES_MAX {
            return Ok(());
        }
        let detail = format!(
            "it would write more than {PAYLOAD_BYTES_MAX} bytes of payloads at once: select fewer \
             points by each of several messages"
        );
        Err(Refusal::new(Reason::TooLarge, detail))
    }

    fn each_of<'a>(
        &self,
        points: &Selector,
        staged: &mut Staged<'a>,
        missing: Missing,
        mut change: impl FnMut(&State, &mut Touched<'a>),
    ) -> Result<(), Refusal> {
        let matching;
        let ids = match points {
            Selector::Ids(ids) => ids,
            Selector::Filter(_) if staged.rough => return Ok(()),
            Selector::Filter(filter) => {
                matching = self.matching(filter, staged);
                &matching
            }
        };
        let state = self.read();
        for id in ids {
            let point = staged.touch(&state, *id);
            match (point.exists, missing) {
                (true, _) => change(&state, point),
                (false, Missing::PassOver) => {}
                (false, Missing::Refuse) => return Err(unknown_point(*id)),
            }
        }
        Ok(())
    }

    /// The points that a filter matches now, with what is staged, in order of id.
    fn matching(&self, filter: &Filter, staged: &Staged<'_>) -> Vec<PointId> {
        // After a start, to fill them costs about what one filter without them does, and there
        // may be thousands to replay.
        if filter.reads_keys() {
            while self.read().fields.has_gaps() && self.fill_index() {}
        }
        let captured = self.capture(&self.read(), filter, Which::Payload);
        let evaluator = captured.facts.evaluator(filter, &self.vectors);
        let slots = captured.slots(&evaluator);
        let state = self.read();
        let id = |slot| Some(state.payload.row(Slot(slot))?.key().id);
        let mut ids: Vec<PointId> = slots.iter().filter_map(id).collect();
        ids.retain(|id| !staged.points.contains_key(id));
        let touched = staged.points.iter().filter(|(id, point)| {
            let has_vector = |place| point.has_vector(&state, place);
            point.exists && evaluator.matches_with(**id, &point.payload(&state), &has_vector)
        });
        ids.extend(touched.map(|(id, _)| *id));
        ids.sort_unstable();
        ids
    }
}

/// Whether each new point finds a slot. Counts from the number of points alone, so that a
/// replay decides as the first run did; slots that the message itself frees do not count.
pub(super) fn has_room(state: &State, staged: &Staged<'_>, slots_max: u32) -> Result<(), Refusal> {
    let left = u64::from(slots_max) - state.ids.len();
    if staged.points.len() as u64 <= left {
        return Ok(());
    }
    let new = staged.points.values().filter(|point| point.exists && point.slot.is_none()).count();
    if new as u64 <= left {
        return Ok(());
    }
    let detail = format!("{new} new points do not fit: a collection has at most {slots_max}");
    Err(Refusal::new(Reason::CollectionFull, detail))
}

/// A payload was validated when it was made.
fn map(payload: &Payload) -> Map<String, Value> {
    payload.to_map().unwrap_or_default()
}

fn shown(name: &str) -> String {
    if name == UNNAMED { "the unnamed vector".to_owned() } else { format!("vector `{name}`") }
}

fn unknown_point(id: PointId) -> Refusal {
    let detail = format!("No point with id {id} found: upsert it first");
    Refusal::new(Reason::UnknownPoint, detail)
}

fn zero_vector(id: PointId, name: &str) -> Refusal {
    let detail = format!(
        "point {id}: {} is zero, which has no cosine similarity with anything: leave it out",
        shown(name)
    );
    Refusal::new(Reason::ZeroVector, detail)
}
