//! What the lock of a collection guards.

use super::column::Column;
use super::fields::Fields;
use super::ids::Ids;
use crate::point::Slot;
use crate::position::Seq;

pub(super) struct State {
    /// Of the last message applied.
    pub(super) seq: Seq,
    pub(super) ids: Ids,
    pub(super) payload: Column,
    /// In the order of the schema.
    pub(super) vectors: Vec<Column>,
    /// Payload indexes.
    pub(super) fields: Fields,
    /// No segment has this number or a higher one.
    pub(super) next_segment: u32,
    /// From a seal until its files are installed. A merge that looked at rows in this time could
    /// drop one whose replacement the coming manifest does not have.
    pub(super) sealing: bool,
}

/// A column by its place: the payload's, or a vector's in the order of the schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Which {
    Payload,
    Vector(usize),
}

impl State {
    /// The seq of the newest change of the slot's point.
    pub(super) fn version(&self, slot: Slot) -> Seq {
        let vectors = self.vectors.iter().filter_map(|column| column.seq(slot));
        vectors.chain(self.payload.seq(slot)).max().unwrap_or_default()
    }

    pub(super) fn column(&self, which: Which) -> &Column {
        match which {
            Which::Payload => &self.payload,
            Which::Vector(place) => &self.vectors[place],
        }
    }

    pub(super) fn column_mut(&mut self, which: Which) -> &mut Column {
        match which {
            Which::Payload => &mut self.payload,
            Which::Vector(place) => &mut self.vectors[place],
        }
    }

    pub(super) fn columns(&self) -> impl Iterator<Item = (Which, &Column)> {
        let vectors = self.vectors.iter().enumerate();
        std::iter::once((Which::Payload, &self.payload))
            .chain(vectors.map(|(place, column)| (Which::Vector(place), column)))
    }

    pub(super) fn take_number(&mut self) -> u32 {
        self.next_segment += 1;
        self.next_segment - 1
    }

    pub(super) fn memory_bytes(&self) -> u64 {
        self.columns().map(|(_, column)| column.memory_bytes()).sum()
    }
}
