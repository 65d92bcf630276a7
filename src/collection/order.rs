//! Points in order of a payload field, page by page.

use std::ops::Bound;

use super::read::{Picked, Wanted};
use super::select::{Evaluator, Facts, answer};
use super::slots::Answer;
use super::state::State;
use super::{Collection, PointView, ReadError, Select};
use crate::filter::Filter;
use crate::index::{Direction, OrderValue};
use crate::point::{Path, PointId, Slot};
use crate::rows::Row;

/// Values looked at in one hold of the lock, unless more are equal.
const HOLD_VALUES: usize = 1024;

/// A page in order of a field that has an index of numbers or dates.
#[derive(Clone, Debug)]
pub struct Ordered {
    pub filter: Filter,
    pub key: Path,
    pub direction: Direction,
    /// The first value to answer, in the order of `direction`. A number is compared with dates
    /// as microseconds since 1970, and a date with numbers.
    pub start_from: Option<OrderValue>,
    pub limit: usize,
    pub select: Select,
}

struct Candidate {
    value: OrderValue,
    id: PointId,
    slot: Slot,
    picked: Picked,
    /// Its payload has to be read to know whether it matches.
    unsure: Option<Row>,
}

struct Found {
    candidates: Vec<Candidate>,
    facts: Facts,
    /// The last value looked at; `None` at the end.
    last: Option<OrderValue>,
}

impl Collection {
    /// A point comes once for each of its values, equal values in order of id. Points without a
    /// value of the index's kind do not come.
    pub fn ordered(&self, ordered: &Ordered) -> Result<Vec<(PointView, OrderValue)>, ReadError> {
        let wanted = self.wanted(&ordered.select)?;
        let mut from = ordered.start_from.map_or(Bound::Unbounded, Bound::Included);
        let mut page = Vec::new();
        while page.len() < ordered.limit {
            let room = ordered.limit - page.len();
            self.complete_index(&ordered.key);
            let found = self.find_ordered(&self.read(), ordered, &wanted, from, room)?;
            let evaluator = found.facts.evaluator(&ordered.filter, &self.vectors);
            let matches = |candidate: &Candidate| candidate.matches(&evaluator);
            let matching = found.candidates.into_iter().filter(matches);
            page.extend(matching.map(|found| (found.picked, found.value)));
            match found.last {
                Some(value) => from = Bound::Excluded(value),
                None => break,
            }
        }
        page.truncate(ordered.limit);
        let point = |(picked, value)| (self.view(picked, &wanted), value);
        Ok(page.into_iter().map(point).collect())
    }

    /// Helps to fill the index, if it is not complete: without it every page would read every
    /// payload.
    fn complete_index(&self, key: &Path) {
        let lacks = || {
            let state = self.read();
            state.fields.index(key).is_some() && !state.fields.is_complete(key)
        };
        while lacks() && self.fill_index() {}
    }

    fn find_ordered(
        &self,
        state: &State,
        ordered: &Ordered,
        wanted: &Wanted<'_>,
        from: Bound<OrderValue>,
        room: usize,
    ) -> Result<Found, ReadError> {
        let none = || ReadError::NoOrder { key: ordered.key.to_string() };
        let index = state.fields.index(&ordered.key).ok_or_else(none)?;
        let answer = answer(state, &self.vectors, &ordered.filter);
        let facts = state.facts();
        let first = match from {
            Bound::Included(value) | Bound::Excluded(value) => Some(value),
            Bound::Unbounded => None,
        };
        let values = index.ordered(first, ordered.direction).ok_or_else(none)?;
        // Only forward, so that the pages come to an end.
        let is_seen = |value: OrderValue| match (from, ordered.direction) {
            (Bound::Excluded(last), Direction::Ascending) => value <= last,
            (Bound::Excluded(last), Direction::Descending) => value >= last,
            _ => false,
        };
        let mut values = values.skip_while(|(value, _)| is_seen(*value));
        let (candidates, last) = take(state, &answer, wanted, &mut values, room);
        Ok(Found { candidates, facts, last })
    }
}

impl Candidate {
    fn matches(&self, evaluator: &Evaluator<'_>) -> bool {
        let unsure = self.unsure.as_ref();
        unsure.is_none_or(|payload| evaluator.matches(self.id, self.slot, payload))
    }
}

/// Points with an equal value.
#[derive(Default)]
struct Run {
    /// And whether the point matches for sure.
    points: Vec<(PointId, Slot, bool)>,
    sure: usize,
}

impl Run {
    /// The first `room` in order of id, and those before them that may match.
    fn take(&mut self, room: usize, mut each: impl FnMut(PointId, Slot, bool)) {
        self.points.sort_unstable();
        let mut left = room;
        for (id, slot, is_sure) in self.points.drain(..) {
            if left == 0 {
                break;
            }
            left -= usize::from(is_sure);
            each(id, slot, is_sure);
        }
        self.points.clear();
        self.sure = 0;
    }
}

/// Takes whole runs of equal values until there are enough, each in order of id.
fn take(
    state: &State,
    answer: &Answer,
    wanted: &Wanted<'_>,
    values: &mut dyn Iterator<Item = (OrderValue, u32)>,
    room: usize,
) -> (Vec<Candidate>, Option<OrderValue>) {
    let (mut candidates, mut sure) = (Vec::new(), 0);
    let mut run = Run::default();
    let mut flush = |value: OrderValue, run: &mut Run, sure: &mut usize| {
        let left = room - (*sure).min(room);
        *sure += run.sure;
        run.take(left, |id, slot, is_sure| {
            let picked = wanted.pick(state, id, slot);
            let unsure = state.payload.row(slot).filter(|_| !is_sure);
            candidates.push(Candidate { value, id, slot, picked, unsure });
        });
    };
    let mut last: Option<OrderValue> = None;
    for (seen, (value, slot)) in values.enumerate() {
        if let Some(ended) = last.filter(|last| *last != value) {
            flush(ended, &mut run, &mut sure);
            if sure >= room || seen >= room.max(HOLD_VALUES) {
                return (candidates, last);
            }
        }
        last = Some(value);
        let slot = Slot(slot);
        let is_sure = answer.sure.contains(slot);
        if is_sure || answer.maybe.contains(slot) {
            let Some(row) = state.payload.row(slot) else { continue };
            run.points.push((row.key().id, slot, is_sure));
            run.sure += usize::from(is_sure);
        }
    }
    if let Some(ended) = last {
        flush(ended, &mut run, &mut sure);
    }
    (candidates, None)
}
