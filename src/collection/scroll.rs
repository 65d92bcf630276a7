//! Points in order of id, page by page.

use super::read::{Picked, Wanted};
use super::select::{Evaluator, Facts, answer};
use super::slots::Answer;
use super::state::State;
use super::{Collection, Page, ReadError, Scroll};
use crate::point::{PointId, Slot};
use crate::rows::Row;

/// Ids looked at in one hold of the lock, if a page does not need more.
const HOLD_IDS: usize = 1024;

/// The same where no payload will have to be read.
const HOLD_SURE_IDS: usize = 16_384;

/// What it costs to collect one matching slot and its id, in steps of a walk over the ids.
const COLLECT_STEPS: u64 = 4;

/// A point on the way to a page: its payload has to be read to know whether it matches, unless
/// that is sure.
struct Candidate {
    id: PointId,
    slot: Slot,
    picked: Picked,
    unsure: Option<Row>,
}

/// What one hold of the lock found.
struct Found {
    candidates: Vec<Candidate>,
    facts: Facts,
    /// Where to go on; `None` at the end of the collection.
    next: Option<PointId>,
}

impl Collection {
    /// A page without conditions on payloads is of one moment. With them, each point is; a page
    /// that takes long to fill may see messages come in between its points.
    pub fn scroll(&self, scroll: &Scroll) -> Result<Page, ReadError> {
        let wanted = self.wanted(&scroll.select)?;
        // One more than asked for, which the next page begins with.
        let room = scroll.limit.saturating_add(1);
        let (mut from, mut page) = (scroll.offset, Vec::new());
        // Grows while little matches: what a hold begins with, the filter's answer, costs too.
        let mut hold = HOLD_IDS;
        loop {
            let found = self.find(&self.read(), scroll, &wanted, from, (room - page.len(), hold));
            hold = (hold * 2).min(HOLD_SURE_IDS);
            let evaluator = found.facts.evaluator(&scroll.filter, &self.vectors);
            let matches = |candidate: &Candidate| candidate.matches(&evaluator);
            let matching = found.candidates.into_iter().filter(matches);
            page.extend(matching.map(|found| (found.id, found.picked)));
            from = found.next;
            if page.len() >= room || from.is_none() {
                break;
            }
        }
        let next_page_offset = page.get(scroll.limit).map(|(id, _)| *id);
        page.truncate(scroll.limit);
        let points = page.into_iter().map(|(_, picked)| self.view(picked, &wanted)).collect();
        Ok(Page { points, next_page_offset })
    }

    fn find(
        &self,
        state: &State,
        scroll: &Scroll,
        wanted: &Wanted<'_>,
        from: Option<PointId>,
        (room, hold): (usize, usize),
    ) -> Found {
        // Again in each hold, because slots change hands.
        let answer = answer(state, &self.vectors, &scroll.filter);
        let possible = answer.possible();
        let few = possible.listed().filter(|slots| is_cheaper(slots.len(), state, room));
        let (candidates, next) = match few {
            Some(slots) => {
                let point = |slot| Some((state.payload.row(Slot(slot))?.key().id, Slot(slot)));
                let mut points: Vec<(PointId, Slot)> = slots.iter().filter_map(point).collect();
                points.retain(|(id, _)| from.is_none_or(|from| *id >= from));
                points.sort_unstable();
                take(state, &answer, wanted, points.into_iter(), (room, hold))
            }
            None => take(state, &answer, wanted, state.ids.from(from), (room, hold)),
        };
        Found { candidates, facts: state.facts(), next }
    }
}

impl Candidate {
    fn matches(&self, evaluator: &Evaluator<'_>) -> bool {
        let unsure = self.unsure.as_ref();
        unsure.is_none_or(|payload| evaluator.matches(self.id, self.slot, payload))
    }
}

/// Whether collecting all that may match costs less than walking over the ids until `room` of
/// them were found.
fn is_cheaper(matching: u64, state: &State, room: usize) -> bool {
    let walked = (room as u64).saturating_mul(state.ids.len()) / matching.max(1);
    matching.saturating_mul(COLLECT_STEPS) <= walked.min(state.ids.len())
}

fn take(
    state: &State,
    answer: &Answer,
    wanted: &Wanted<'_>,
    points: impl Iterator<Item = (PointId, Slot)>,
    (room, hold): (usize, usize),
) -> (Vec<Candidate>, Option<PointId>) {
    let hold = if answer.maybe.is_none() { HOLD_SURE_IDS } else { hold };
    let (mut candidates, mut sure) = (Vec::new(), 0);
    for (seen, (id, slot)) in points.enumerate() {
        if sure >= room || seen >= room.max(hold) {
            return (candidates, Some(id));
        }
        let unsure = if answer.sure.contains(slot) {
            sure += 1;
            None
        } else if answer.maybe.contains(slot) {
            state.payload.row(slot)
        } else {
            continue;
        };
        candidates.push(Candidate { id, slot, picked: wanted.pick(state, id, slot), unsure });
    }
    (candidates, None)
}
