//! Points in order of id, page by page.

use super::read::{Picked, Wanted};
use super::select::{Answer, answer, matches};
use super::state::State;
use super::{Collection, Page, ReadError, Scroll};
use crate::point::{PointId, Slot};
use crate::rows::Row;

/// Ids looked at in one hold of the lock, if a page does not need more.
const HOLD_IDS: usize = 1024;

/// A point on the way to a page: its payload has to be read to know whether it matches, unless
/// that is sure.
struct Candidate {
    id: PointId,
    picked: Picked,
    unsure: Option<Row>,
}

/// What one hold of the lock found.
struct Found {
    candidates: Vec<Candidate>,
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
        loop {
            let found = find(&self.read(), scroll, &wanted, from, room - page.len());
            for Candidate { id, picked, unsure } in found.candidates {
                if unsure.is_none_or(|payload| matches(&scroll.filter, id, &payload)) {
                    page.push((id, picked));
                }
            }
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
}

fn find(
    state: &State,
    scroll: &Scroll,
    wanted: &Wanted<'_>,
    from: Option<PointId>,
    room: usize,
) -> Found {
    // Again in each hold, because slots change hands.
    let answer = answer(state, &scroll.filter);
    match answer.possible().listed() {
        Some(slots) => {
            let point = |slot| Some((state.payload.row(Slot(slot))?.key().id, Slot(slot)));
            let mut points: Vec<(PointId, Slot)> = slots.iter().filter_map(point).collect();
            points.retain(|(id, _)| from.is_none_or(|from| *id >= from));
            points.sort_unstable();
            take(state, &answer, wanted, points.into_iter(), room)
        }
        None => take(state, &answer, wanted, state.ids.from(from), room),
    }
}

fn take(
    state: &State,
    answer: &Answer,
    wanted: &Wanted<'_>,
    points: impl Iterator<Item = (PointId, Slot)>,
    room: usize,
) -> Found {
    let (mut candidates, mut sure) = (Vec::new(), 0);
    for (seen, (id, slot)) in points.enumerate() {
        if sure >= room || seen >= room.max(HOLD_IDS) {
            return Found { candidates, next: Some(id) };
        }
        let unsure = if answer.sure.contains(slot) {
            sure += 1;
            None
        } else if answer.maybe.contains(slot) {
            state.payload.row(slot)
        } else {
            continue;
        };
        candidates.push(Candidate { id, picked: wanted.pick(state, id, slot), unsure });
    }
    Found { candidates, next: None }
}
