//! Which slots have a value: exact, and without order.

use std::borrow::Borrow;
use std::collections::BTreeMap;

use roaring::RoaringBitmap;

use super::postings::Postings;

/// A value as a key, and what it takes beside its own size.
pub(super) trait Key: Ord + Clone {
    fn heap_bytes(&self) -> u64 {
        0
    }
}

impl Key for bool {}
impl Key for u128 {}
impl Key for Box<str> {
    fn heap_bytes(&self) -> u64 {
        // An allocation is rounded up to 16, after 8 of the allocator's own.
        (self.len() as u64 + 8).next_multiple_of(16).max(32)
    }
}

pub(super) struct Lookup<K> {
    values: BTreeMap<K, Postings>,
    /// Slots with more than one value.
    several: RoaringBitmap,
    /// What the keys take beside their own size.
    key_bytes: u64,
    /// Pairs of a value and a slot.
    len: u64,
}

impl<K> Default for Lookup<K> {
    fn default() -> Self {
        Lookup { values: BTreeMap::new(), several: RoaringBitmap::new(), key_bytes: 0, len: 0 }
    }
}

impl<K: Key> Lookup<K> {
    /// `keys` are different from each other.
    pub(super) fn insert(&mut self, slot: u32, keys: &[K]) {
        for key in keys {
            match self.values.get_mut(key) {
                Some(postings) => postings.insert(slot),
                None => {
                    self.key_bytes += key.heap_bytes();
                    self.values.insert(key.clone(), Postings::One(slot));
                }
            }
        }
        self.len += keys.len() as u64;
        if keys.len() > 1 {
            self.several.insert(slot);
        }
    }

    pub(super) fn remove(&mut self, slot: u32, keys: &[K]) {
        for key in keys {
            let Some(postings) = self.values.get_mut(key) else { continue };
            if postings.remove(slot) {
                self.values.remove(key);
                self.key_bytes -= key.heap_bytes();
            }
        }
        self.len = self.len.saturating_sub(keys.len() as u64);
        self.several.remove(slot);
    }

    pub(super) fn get<Q>(&self, key: &Q) -> Option<&Postings>
    where
        K: Borrow<Q>,
        Q: Ord + ?Sized,
    {
        self.values.get(key)
    }

    pub(super) fn several(&self) -> &RoaringBitmap {
        &self.several
    }

    /// The slots with one of these values. `keys` may repeat.
    pub(super) fn any<'a, Q>(&self, keys: impl Iterator<Item = &'a Q>) -> RoaringBitmap
    where
        K: Borrow<Q>,
        Q: Ord + ?Sized + 'a,
    {
        let mut found = RoaringBitmap::new();
        keys.filter_map(|key| self.get(key)).for_each(|postings| postings.add_to(&mut found));
        found
    }

    /// An estimate: lists take four bytes a slot, bitmaps of many slots less than that.
    pub(super) fn bytes(&self) -> u64 {
        // A B-tree's nodes are about three quarters full.
        let node = (size_of::<K>() + size_of::<Postings>()) as u64 * 4 / 3;
        self.values.len() as u64 * node + self.key_bytes + self.len * 4
    }
}
