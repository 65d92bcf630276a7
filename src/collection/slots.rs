//! Sets of slots as filters make them: what matches for sure, and what may.

use roaring::RoaringBitmap;

use crate::point::Slot;

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

    /// Those of the existing slots that are among these.
    pub(super) fn of(self, existing: &RoaringBitmap) -> RoaringBitmap {
        if self.all_but { existing - &self.bits } else { self.bits & existing }
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
    pub(super) fn sure(sure: Slots) -> Self {
        Answer { sure, maybe: Slots::none() }
    }

    /// Nothing is known.
    pub(super) fn unknown() -> Self {
        Answer { sure: Slots::none(), maybe: Slots::all() }
    }

    pub(super) fn possible(&self) -> Slots {
        self.sure.clone().or(&self.maybe)
    }

    pub(super) fn and(self, other: Answer) -> Self {
        let possible = self.possible().and(&other.possible());
        let sure = self.sure.and(&other.sure);
        Answer { maybe: possible.and(&sure.clone().not()), sure }
    }

    pub(super) fn or(self, other: Answer) -> Self {
        let possible = self.possible().or(&other.possible());
        let sure = self.sure.or(&other.sure);
        Answer { maybe: possible.and(&sure.clone().not()), sure }
    }

    pub(super) fn not(self) -> Self {
        Answer { sure: self.possible().not(), maybe: self.maybe }
    }
}

/// Where at least `count` of the answers hold.
pub(super) fn at_least(count: usize, answers: &[Answer]) -> Answer {
    let sure = at_least_slots(count, answers.iter().map(|answer| answer.sure.clone()));
    let possible = at_least_slots(count, answers.iter().map(Answer::possible));
    Answer { maybe: possible.and(&sure.clone().not()), sure }
}

/// In one pass: at each place, the slots that are in at least so many of the sets so far.
fn at_least_slots(count: usize, sets: impl Iterator<Item = Slots>) -> Slots {
    let mut reached = vec![Slots::all()];
    for set in sets {
        if reached.len() <= count {
            reached.push(Slots::none());
        }
        for place in (1..reached.len()).rev() {
            let one_more = reached[place - 1].clone().and(&set);
            reached[place] = std::mem::replace(&mut reached[place], Slots::none()).or(&one_more);
        }
    }
    if reached.len() > count { reached.swap_remove(count) } else { Slots::none() }
}
