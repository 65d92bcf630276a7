//! Numbers as an integer index sees them: looked up as i64, compared as f64.

use std::collections::BTreeSet;

use roaring::RoaringBitmap;

use super::entries;
use super::key;
use super::kind::slots_within;
use super::sorted::Sorted;
use crate::filter::Range;

#[derive(Default)]
pub(super) struct Integers {
    /// Numbers that are an i64.
    pub(super) whole: Sorted,
    /// All other numbers, as floats: a range holds them too.
    pub(super) further: Sorted,
    /// Slots with more than one whole number.
    pub(super) several: RoaringBitmap,
}

impl Integers {
    pub(super) fn insert(&mut self, slot: u32, entries: &entries::Integers) {
        entries.whole.iter().for_each(|key| self.whole.insert(*key, slot));
        entries.further.iter().for_each(|key| self.further.insert(*key, slot));
        if entries.whole.len() > 1 {
            self.several.insert(slot);
        }
    }

    pub(super) fn remove(&mut self, slot: u32, entries: &entries::Integers) {
        entries.whole.iter().for_each(|key| self.whole.remove(*key, slot));
        entries.further.iter().for_each(|key| self.further.remove(*key, slot));
        self.several.remove(slot);
    }

    pub(super) fn bytes(&self) -> u64 {
        self.whole.bytes() + self.further.bytes() + self.several.serialized_size() as u64
    }

    /// As f64, to which large integers are rounded: that never turns an order around.
    pub(super) fn range(&self, range: &Range<f64>) -> RoaringBitmap {
        let whole = slots_within(&self.whole, range, |key| key::to_i64(key) as f64);
        whole | slots_within(&self.further, range, key::to_f64)
    }

    pub(super) fn one(&self, value: i64) -> RoaringBitmap {
        self.whole.slots(self.whole.equal(key::of_i64(value)))
    }

    pub(super) fn any(&self, list: &BTreeSet<i64>) -> RoaringBitmap {
        let mut found = RoaringBitmap::new();
        list.iter().for_each(|value| found |= self.one(*value));
        found
    }
}

/// The whole number that a float's key is of, if it is an i64: 5.0 is ordered as 5, as in
/// Qdrant's integer index.
pub(super) fn whole_of(key: u64) -> Option<i64> {
    let value = key::to_f64(key);
    // The upper bound is 2^63, one more than the largest i64.
    let in_range = (i64::MIN as f64..-(i64::MIN as f64)).contains(&value);
    (in_range && value.fract() == 0.0).then_some(value as i64)
}
