//! Which points there are, and the slot of each.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use roaring::RoaringBitmap;
use uuid::Uuid;

use crate::point::{PointId, Slot};

/// Two ordered maps, because scroll answers in order of id. The id of a slot is not kept here:
/// the slot's row in the payload column has it.
#[derive(Default)]
pub(super) struct Ids {
    numbers: BTreeMap<u64, Slot>,
    uuids: BTreeMap<Uuid, Slot>,
    /// Slots below the highest ever used that have no point, the last freed on top.
    free: Vec<Slot>,
    slots_used: u32,
    existing: Arc<RoaringBitmap>,
}

impl Ids {
    /// From the points of files.
    pub(super) fn of(points: impl Iterator<Item = (PointId, Slot)>) -> Result<Ids, PointId> {
        let mut ids = Ids::default();
        for (id, slot) in points {
            let before = match id {
                PointId::Number(number) => ids.numbers.insert(number, slot),
                PointId::Uuid(uuid) => ids.uuids.insert(uuid, slot),
            };
            if before.is_some() {
                return Err(id);
            }
            ids.slots_used = ids.slots_used.max(slot.0 + 1);
            Arc::make_mut(&mut ids.existing).insert(slot.0);
        }
        let existing = Arc::clone(&ids.existing);
        ids.free =
            (0..ids.slots_used).rev().filter(|slot| !existing.contains(*slot)).map(Slot).collect();
        Ok(ids)
    }

    pub(super) fn len(&self) -> u64 {
        (self.numbers.len() + self.uuids.len()) as u64
    }

    pub(super) fn get(&self, id: PointId) -> Option<Slot> {
        match id {
            PointId::Number(number) => self.numbers.get(&number),
            PointId::Uuid(uuid) => self.uuids.get(&uuid),
        }
        .copied()
    }

    /// The point's slot, made if it has none. The caller has seen to it that one is left.
    pub(super) fn get_or_insert(&mut self, id: PointId) -> Slot {
        let (free, used) = (&mut self.free, &mut self.slots_used);
        let existing = &mut self.existing;
        let take = || {
            let slot = free.pop().unwrap_or_else(|| {
                *used += 1;
                Slot(*used - 1)
            });
            Arc::make_mut(existing).insert(slot.0);
            slot
        };
        match id {
            PointId::Number(number) => *self.numbers.entry(number).or_insert_with(take),
            PointId::Uuid(uuid) => *self.uuids.entry(uuid).or_insert_with(take),
        }
    }

    /// Frees the point's slot. It may be used again at once: whoever still knows it has a row
    /// with an id or a seq to compare.
    pub(super) fn remove(&mut self, id: PointId) {
        let slot = match id {
            PointId::Number(number) => self.numbers.remove(&number),
            PointId::Uuid(uuid) => self.uuids.remove(&uuid),
        };
        if let Some(slot) = slot {
            Arc::make_mut(&mut self.existing).remove(slot.0);
            self.free.push(slot);
        }
    }

    /// Every slot in use is below.
    pub(super) fn slots_used(&self) -> u32 {
        self.slots_used
    }

    /// The slots that have a point.
    pub(super) fn existing(&self) -> &Arc<RoaringBitmap> {
        &self.existing
    }

    /// Ids in order, numbers before UUIDs, from this one on.
    pub(super) fn from(&self, first: Option<PointId>) -> impl Iterator<Item = (PointId, Slot)> {
        let (number, uuid) = match first {
            None => (Some(Bound::Unbounded), Bound::Unbounded),
            Some(PointId::Number(number)) => (Some(Bound::Included(number)), Bound::Unbounded),
            Some(PointId::Uuid(uuid)) => (None, Bound::Included(uuid)),
        };
        let numbers = number.map(|number| self.numbers.range((number, Bound::Unbounded)));
        let numbers = numbers.into_iter().flatten();
        let uuids = self.uuids.range((uuid, Bound::Unbounded));
        numbers
            .map(|(number, slot)| (PointId::Number(*number), *slot))
            .chain(uuids.map(|(uuid, slot)| (PointId::Uuid(*uuid), *slot)))
    }
}
