//! Pairs of a key and a slot, in order, in memory.
//!
//! Insertion and removal cost a binary search and the move of one block's part; a range becomes
//! a bitmap at about a nanosecond a pair. A pair takes 12 bytes in a full block, and blocks are
//! at least half full but for those that removals left.

use std::ops::Range;

use roaring::RoaringBitmap;

use super::gather::Gather;

/// Pairs in a block. Larger blocks make moves longer, smaller ones the directory.
pub(super) const BLOCK: usize = 1024;

#[derive(Default)]
pub(super) struct Sorted {
    blocks: Vec<Block>,
    /// Each block's last pair, side by side: the search looks at no block but the one it finds.
    lasts: Vec<(u64, u32)>,
    /// One past the highest slot ever inserted.
    slots_end: u64,
}

/// Keys and slots apart, because a range wants only slots and a search mostly keys.
#[derive(Default)]
struct Block {
    keys: Vec<u64>,
    slots: Vec<u32>,
}

/// A place between two pairs, before the one it names: one place has one name. It means something
/// until the next change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    block: usize,
    at: usize,
}

impl Block {
    fn pair(&self, at: usize) -> (u64, u32) {
        (self.keys[at], self.slots[at])
    }

    /// The first pair that is not below `pair`.
    fn lower_bound(&self, pair: (u64, u32)) -> usize {
        let mut at = self.keys.partition_point(|key| *key < pair.0);
        if self.keys.get(at) == Some(&pair.0) {
            let end = at + self.keys[at..].partition_point(|key| *key == pair.0);
            at += self.slots[at..end].partition_point(|slot| *slot < pair.1);
        }
        at
    }

    fn split_off(&mut self, at: usize) -> Block {
        Block { keys: self.keys.split_off(at), slots: self.slots.split_off(at) }
    }
}

impl Sorted {
    /// One past the highest slot ever inserted.
    pub(super) fn slots_end(&self) -> u64 {
        self.slots_end
    }

    pub(super) fn bytes(&self) -> u64 {
        let pair = size_of::<u64>() + size_of::<u32>();
        let room: usize = self.blocks.iter().map(|block| block.keys.capacity() * pair).sum();
        (room + self.blocks.len() * (size_of::<Block>() + 16)) as u64
    }

    /// Does nothing if the pair is there.
    pub(super) fn insert(&mut self, key: u64, slot: u32) {
        let pair = (key, slot);
        self.slots_end = self.slots_end.max(u64::from(slot) + 1);
        let mut block = self.lasts.partition_point(|last| *last < pair);
        if block == self.blocks.len() {
            // Beyond all. Growing values fill block after block.
            if self.blocks.last().is_none_or(|last| last.keys.len() == BLOCK) {
                self.blocks.push(Block::default());
                self.lasts.push(pair);
            }
            block = self.blocks.len() - 1;
            self.lasts[block] = pair;
        }
        let mut at = self.blocks[block].lower_bound(pair);
        if at < self.blocks[block].keys.len() && self.blocks[block].pair(at) == pair {
            return;
        }
        if self.blocks[block].keys.len() == BLOCK {
            self.split(block);
            if at > BLOCK / 2 {
                (block, at) = (block + 1, at - BLOCK / 2);
            }
        }
        self.blocks[block].keys.insert(at, key);
        self.blocks[block].slots.insert(at, slot);
        self.note_last(block);
    }

    /// Does nothing if the pair is not there.
    pub(super) fn remove(&mut self, key: u64, slot: u32) {
        let pair = (key, slot);
        let block = self.lasts.partition_point(|last| *last < pair);
        let Some(found) = self.blocks.get_mut(block) else { return };
        let at = found.lower_bound(pair);
        if at >= found.keys.len() || found.pair(at) != pair {
            return;
        }
        found.keys.remove(at);
        found.slots.remove(at);
        if found.keys.is_empty() {
            self.blocks.remove(block);
            self.lasts.remove(block);
            return;
        }
        self.note_last(block);
        if self.blocks[block].keys.len() < BLOCK / 4 {
            self.merge(block);
        }
    }

    fn note_last(&mut self, block: usize) {
        let found = &self.blocks[block];
        self.lasts[block] = found.pair(found.keys.len() - 1);
    }

    fn split(&mut self, block: usize) {
        let upper = self.blocks[block].split_off(BLOCK / 2);
        self.blocks.insert(block + 1, upper);
        self.lasts.insert(block + 1, self.lasts[block]);
        self.note_last(block);
    }

    /// Joins a block with a neighbour, if one block then has room for as much again.
    fn merge(&mut self, block: usize) {
        let len = |at: usize| self.blocks.get(at).map(|block| block.keys.len());
        let fits = |lower: &usize| {
            let both = len(*lower).zip(len(*lower + 1));
            both.is_some_and(|(lower, upper)| lower + upper <= BLOCK / 2)
        };
        let lower = [Some(block), block.checked_sub(1)].into_iter().flatten().find(fits);
        let Some(lower) = lower else { return };
        let mut taken = self.blocks.remove(lower + 1);
        self.lasts.remove(lower + 1);
        self.blocks[lower].keys.append(&mut taken.keys);
        self.blocks[lower].slots.append(&mut taken.slots);
        self.note_last(lower);
    }

    pub(super) fn end(&self) -> Place {
        Place { block: self.blocks.len(), at: 0 }
    }

    /// The place before the first key for which `before` does not hold. `before` must hold for
    /// no key above one for which it does not.
    pub(super) fn seek(&self, before: impl Fn(u64) -> bool) -> Place {
        let block = self.lasts.partition_point(|last| before(last.0));
        let at = self
            .blocks
            .get(block)
            .map_or(0, |block| block.keys.partition_point(|key| before(*key)));
        Place { block, at }
    }

    pub(super) fn equal(&self, key: u64) -> Range<Place> {
        self.seek(|found| found < key)..self.seek(|found| found <= key)
    }

    /// No fewer than there are pairs in the range, and 0 only if there is none.
    pub(super) fn count_at_most(&self, range: Range<Place>) -> u64 {
        let Range { start, end } = range;
        ((end.block * BLOCK + end.at) - (start.block * BLOCK + start.at)) as u64
    }

    /// The keys and slots between two places, a block at a time.
    pub(super) fn slices(&self, range: Range<Place>) -> impl Iterator<Item = (&[u64], &[u32])> {
        let Range { start, end } = range;
        let last = end.block.min(self.blocks.len().saturating_sub(1));
        (start.block..=last).filter_map(move |at| {
            let block = self.blocks.get(at)?;
            let from = if at == start.block { start.at } else { 0 };
            let to = if at == end.block { end.at } else { block.keys.len() };
            (from < to).then(|| (&block.keys[from..to], &block.slots[from..to]))
        })
    }

    pub(super) fn slots(&self, range: Range<Place>) -> RoaringBitmap {
        let mut gather = Gather::new(self.slots_end);
        self.slices(range).for_each(|(_, slots)| gather.extend(slots));
        gather.finish()
    }

    /// From a place upwards.
    pub(super) fn ascending(&self, from: Place) -> impl Iterator<Item = (u64, u32)> {
        self.slices(from..self.end())
            .flat_map(|(keys, slots)| keys.iter().copied().zip(slots.iter().copied()))
    }

    /// From a place downwards: equal keys come from their highest slot.
    pub(super) fn descending(&self, from: Place) -> impl Iterator<Item = (u64, u32)> {
        let first = (from.block < self.blocks.len()).then_some((from.block, from.at));
        let rest = (0..from.block).rev().map(|at| (at, self.blocks[at].keys.len()));
        first.into_iter().chain(rest).flat_map(|(at, end)| {
            let block = &self.blocks[at];
            let keys = block.keys[..end].iter().rev().copied();
            keys.zip(block.slots[..end].iter().rev().copied())
        })
    }
}
