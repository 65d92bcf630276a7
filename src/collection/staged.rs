//! Points as a message leaves them, before anyone sees it.

use std::collections::BTreeMap;
use std::ops::Range;

use super::state::State;
use crate::point::{Payload, PointId, Slot};

/// The points a message touches, as it leaves them.
#[derive(Default)]
pub(super) struct Staged<'a> {
    pub(super) points: BTreeMap<PointId, Touched<'a>>,
    /// Vectors as they will be stored, where that is not as they were given.
    pub(super) normalized: Vec<f32>,
    /// For a look ahead that reads no payloads: filters select nothing, payloads stay.
    pub(super) rough: bool,
    /// Of payloads that were made here.
    pub(super) payload_bytes: usize,
}

/// A point as the operations so far leave it.
#[derive(Default)]
pub(super) struct Touched<'a> {
    /// Its slot, if the point was there before the message.
    pub(super) slot: Option<Slot>,
    pub(super) exists: bool,
    /// `None`: as it was.
    pub(super) payload: Option<Payload>,
    /// Whether it was made anew, so that vectors that are not listed are none.
    pub(super) whole: bool,
    /// By place in the schema, each at most once.
    pub(super) vectors: Vec<(usize, Vector<'a>)>,
}

#[derive(Clone)]
pub(super) enum Vector<'a> {
    Given(&'a [f32]),
    /// In [`Staged::normalized`].
    Normalized(Range<usize>),
    Gone,
}

impl<'a> Staged<'a> {
    pub(super) fn touch(&mut self, state: &State, id: PointId) -> &mut Touched<'a> {
        self.points.entry(id).or_insert_with(|| {
            let slot = state.ids.get(id);
            Touched { slot, exists: slot.is_some(), ..Touched::default() }
        })
    }

    /// `None` for a vector that is gone.
    pub(super) fn values<'s>(&'s self, vector: &'s Vector<'a>) -> Option<&'s [f32]> {
        match vector {
            Vector::Given(values) => Some(values),
            Vector::Normalized(range) => {
                Some(self.normalized.get(range.clone()).unwrap_or_default())
            }
            Vector::Gone => None,
        }
    }
}

impl<'a> Touched<'a> {
    pub(super) fn delete(&mut self) {
        *self = Touched { slot: self.slot, ..Touched::default() };
    }

    pub(super) fn replace(&mut self, payload: Payload) {
        let slot = self.slot;
        *self =
            Touched { slot, exists: true, payload: Some(payload), whole: true, vectors: vec![] };
    }

    pub(super) fn set_vector(&mut self, place: usize, vector: Vector<'a>) {
        match self.vectors.iter_mut().find(|(known, _)| *known == place) {
            Some((_, known)) => *known = vector,
            None => self.vectors.push((place, vector)),
        }
    }

    pub(super) fn has_vector(&self, state: &State, place: usize) -> bool {
        match self.vectors.iter().find(|(known, _)| *known == place) {
            Some((_, vector)) => !matches!(vector, Vector::Gone),
            None => !self.whole && self.slot.is_some_and(|slot| state.vectors[place].has(slot)),
        }
    }

    pub(super) fn payload(&self, state: &State) -> Payload {
        let stored = || state.payload.row(self.slot?)?.payload();
        self.payload.clone().or_else(stored).unwrap_or_else(Payload::empty)
    }
}
