//! Which points a filter matches.
//!
//! A condition answers two sets of slots: those that match for sure, and those that may, for
//! which the payload has to be read. An index narrows *maybe* and widens *sure*; it never
//! decides differently from [`Filter::matches`].

use std::sync::Arc;

use roaring::RoaringBitmap;

use super::column::Part;
use super::state::{State, Which};
use crate::filter::{Condition, Filter, Subject};
use crate::point::{PointId, Slot};
use crate::position::Seq;
use crate::rows::{Row, RowKey};

/// Up to this many points are taken by their slots, one by one.
const FEW: u64 = 4096;

/// Slots, or all slots but some: "not these" costs no more than "these".
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Slots {
    bits: RoaringBitmap,
    all_but: bool,
}

impl Slots {
    pub(super) fn none() -> Self {
        Slots { bits: RoaringBitmap::new(), all_but: false }
    }

    pub(super) fn all() -> Self {
        Slots { bits: RoaringBitmap::new(), all_but: true }
    }

    pub(super) fn these(bits: RoaringBitmap) -> Self {
        Slots { bits, all_but: false }
    }

    pub(super) fn is_all(&self) -> bool {
        self.all_but && self.bits.is_empty()
    }

    pub(super) fn is_none(&self) -> bool {
        !self.all_but && self.bits.is_empty()
    }

    pub(super) fn contains(&self, slot: Slot) -> bool {
        self.bits.contains(slot.0) != self.all_but
    }

    /// The slots, unless they are all but some.
    pub(super) fn listed(&self) -> Option<&RoaringBitmap> {
        (!self.all_but).then_some(&self.bits)
    }

    pub(super) fn not(self) -> Self {
        Slots { bits: self.bits, all_but: !self.all_but }
    }

    pub(super) fn and(self, other: &Slots) -> Self {
        let (bits, all_but) = match (self.all_but, other.all_but) {
            (false, false) => (self.bits & &other.bits, false),
            (false, true) => (self.bits - &other.bits, false),
            (true, false) => (&other.bits - self.bits, false),
            (true, true) => (self.bits | &other.bits, true),
        };
        Slots { bits, all_but }
    }

    pub(super) fn or(self, other: &Slots) -> Self {
        self.not().and(&other.clone().not()).not()
    }

    /// How many of the existing slots these are.
    pub(super) fn count_of(&self, existing: &RoaringBitmap) -> u64 {
        let common = self.bits.intersection_len(existing);
        if self.all_but { existing.len() - common } else { common }
    }
}

/// Slots that match for sure, and others that may.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Answer {
    pub(super) sure: Slots,
    pub(super) maybe: Slots,
}

impl Answer {
    fn sure(sure: Slots) -> Self {
        Answer { sure, maybe: Slots::none() }
    }

    pub(super) fn possible(&self) -> Slots {
        self.sure.clone().or(&self.maybe)
    }

    fn and(self, other: Answer) -> Self {
        let possible = self.possible().and(&other.possible());
        let sure = self.sure.and(&other.sure);
        Answer { maybe: possible.and(&sure.clone().not()), sure }
    }

    fn or(self, other: Answer) -> Self {
        let possible = self.possible().or(&other.possible());
        let sure = self.sure.or(&other.sure);
        Answer { maybe: possible.and(&sure.clone().not()), sure }
    }

    fn not(self) -> Self {
        Answer { sure: self.possible().not(), maybe: self.maybe }
    }
}

/// What is known of a filter without reading payloads.
pub(super) fn answer(state: &State, filter: &Filter) -> Answer {
    let all = filter.must.iter().map(|condition| answer_condition(state, condition));
    let mut result = all.fold(Answer::sure(Slots::all()), Answer::and);
    if !filter.should.is_empty() {
        let any = filter.should.iter().map(|condition| answer_condition(state, condition));
        result = result.and(any.fold(Answer::sure(Slots::none()), Answer::or));
    }
    for condition in &filter.must_not {
        result = result.and(answer_condition(state, condition).not());
    }
    if filter.min_should.is_some() {
        result = result.and(Answer { sure: Slots::none(), maybe: Slots::all() });
    }
    result
}

fn answer_condition(state: &State, condition: &Condition) -> Answer {
    match condition {
        Condition::Field(_)
        | Condition::IsEmpty(_)
        | Condition::IsNull(_)
        | Condition::HasVector(_)
        | Condition::Nested { .. } => Answer { sure: Slots::none(), maybe: Slots::all() },
        Condition::HasId(ids) => {
            let slots = ids.iter().filter_map(|id| state.ids.get(id));
            Answer::sure(Slots::these(slots.map(|slot| slot.0).collect()))
        }
        Condition::Filter(filter) => answer(state, filter),
    }
}

/// A filter's answer at one moment, with what is needed to finish it without the lock.
pub(super) enum Captured {
    /// So few points can match that they are at hand.
    Few(Vec<Candidate>),
    Many {
        answer: Answer,
        existing: Arc<RoaringBitmap>,
        /// Where the payloads are, if they have to be read.
        payloads: Vec<Part>,
    },
}

pub(super) struct Candidate {
    pub(super) id: PointId,
    pub(super) payload: Row,
    /// Its row in the column that was asked for.
    pub(super) row: Option<Row>,
    sure: bool,
}

impl Captured {
    /// `column` is where a candidate's row is wanted from.
    pub(super) fn take(state: &State, filter: &Filter, column: Which) -> Self {
        let answer = answer(state, filter);
        if let Some(slots) = answer.possible().listed().filter(|slots| slots.len() <= FEW) {
            let candidates = slots.iter().map(Slot).filter_map(|slot| {
                let payload = state.payload.row(slot)?;
                let row = state.column(column).row(slot);
                let sure = answer.sure.contains(slot);
                Some(Candidate { id: payload.key().id, payload, row, sure })
            });
            return Captured::Few(candidates.collect());
        }
        let payloads = if answer.maybe.is_none() { Vec::new() } else { state.payload.view() };
        Captured::Many { answer, existing: Arc::clone(state.ids.existing()), payloads }
    }

    pub(super) fn count(self, filter: &Filter) -> u64 {
        match self {
            Captured::Few(candidates) => {
                candidates.iter().filter(|candidate| candidate.matches(filter)).count() as u64
            }
            Captured::Many { answer, existing, payloads } => {
                finish(answer, &payloads, filter).count_of(&existing)
            }
        }
    }
}

impl Candidate {
    pub(super) fn matches(&self, filter: &Filter) -> bool {
        self.sure || matches(filter, self.id, &self.payload)
    }
}

/// Reads the payloads of all that may match.
pub(super) fn finish(answer: Answer, payloads: &[Part], filter: &Filter) -> Slots {
    let Answer { sure, maybe } = answer;
    if maybe.is_none() {
        return sure;
    }
    let mut matched = RoaringBitmap::new();
    for part in payloads {
        for row in &*part.live {
            let slot = part.segment.slot(row);
            if maybe.contains(slot) {
                let RowKey { id, .. } = part.segment.key(row);
                if matches(filter, id, &part.segment.row(row)) {
                    matched.insert(slot.0);
                }
            }
        }
    }
    sure.or(&Slots::these(matched))
}

/// The truth about one point. A payload that is no JSON object matches nothing: it could come
/// only from a file whose checksum was verified.
pub(super) fn matches(filter: &Filter, id: PointId, payload: &Row) -> bool {
    let map = payload.payload().and_then(|payload| payload.to_map().ok());
    map.is_some_and(|payload| {
        let payload = &payload;
        filter.matches(&Subject { id, payload, has_vector: &|_| false, text: &|_| None })
    })
}

/// Whether the point is still what it was when `captured` was the newest seq, and its slot.
pub(super) fn unchanged(state: &State, id: PointId, captured: Seq) -> Option<Slot> {
    state.ids.get(id).filter(|slot| state.version(*slot) <= captured)
}
