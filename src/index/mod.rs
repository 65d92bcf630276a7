//! Payload indexes: which slots a condition on one key holds for, without reading a payload.
//!
//! An answer is two sets of slots, *sure* and *maybe*, and never contradicts the filter's own
//! evaluation over the payload: what is sure matches, and what is in neither does not. It
//! speaks of the slots that were inserted, and of no others. Nothing here is durable: an index
//! lives in memory and is built again from the payloads.

mod cells;
mod entries;
mod except;
mod gather;
mod geo;
mod integers;
mod key;
mod kind;
mod lookup;
mod ordered;
mod params;
mod postings;
mod region;
mod sorted;
#[cfg(test)]
mod tests;
mod text;

use roaring::RoaringBitmap;
use serde_json::{Map, Value};

use crate::filter::{Predicate, TextOptions};
use crate::point::{FieldSchema, Path};
use kind::Kind;

pub use entries::Entries;
pub use ordered::{Direction, OrderValue};

/// One payload index of one key.
pub struct FieldIndex {
    field: Path,
    schema: FieldSchema,
    kind: Kind,
    /// Slots with a value of the index's kind.
    known: RoaringBitmap,
    /// Slots with a value of another kind; `null` is not a value.
    other: RoaringBitmap,
}

/// Slots that match for sure, and others that may: the payload decides. Disjoint.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct IndexAnswer {
    pub sure: RoaringBitmap,
    pub maybe: RoaringBitmap,
}

impl FieldIndex {
    /// The error says what is wrong with the parameters, and what would be right.
    pub fn new(field: &Path, schema: &FieldSchema) -> Result<FieldIndex, String> {
        let options = params::check(schema)?;
        Ok(FieldIndex {
            field: field.clone(),
            schema: schema.clone(),
            kind: Kind::new(schema.data_type, options),
            known: RoaringBitmap::new(),
            other: RoaringBitmap::new(),
        })
    }

    pub fn field(&self) -> &Path {
        &self.field
    }

    pub fn schema(&self) -> &FieldSchema {
        &self.schema
    }

    /// How a text index cuts its text; `None` for every other kind.
    pub fn text_options(&self) -> Option<&TextOptions> {
        match &self.kind {
            Kind::Text(text) => Some(text.options()),
            _ => None,
        }
    }

    /// What the payload holds for this index. Reads only the index's settings, so it can be
    /// done before any lock is taken.
    pub fn extract(&self, payload: &Map<String, Value>) -> Entries {
        Entries::of(&self.kind, &self.field, payload)
    }

    /// The slot must not be in the index already.
    pub fn insert(&mut self, slot: u32, entries: &Entries) {
        if entries.has_own() {
            self.known.insert(slot);
        }
        if entries.has_other() {
            self.other.insert(slot);
        }
        self.kind.insert(slot, entries);
    }

    /// `entries` are those that the slot was inserted with.
    pub fn remove(&mut self, slot: u32, entries: &Entries) {
        self.known.remove(slot);
        self.other.remove(slot);
        self.kind.remove(slot, entries);
    }

    /// `None` if this kind of index says nothing about the predicate.
    pub fn answer(&self, predicate: &Predicate) -> Option<IndexAnswer> {
        self.kind.answer(predicate, &self.known, &self.other)
    }

    /// Values with their slots, in the order of the values, from `from` on (included). A slot
    /// comes once for each different value, also where an integer index reads 5.0 as 5. Slots of
    /// one value are in no promised order.
    /// Costs what is taken from it. `None` unless of integers, floats or dates.
    pub fn ordered(
        &self,
        from: Option<OrderValue>,
        direction: Direction,
    ) -> Option<Box<dyn Iterator<Item = (OrderValue, u32)> + '_>> {
        ordered::walk(&self.kind, from, direction)
    }

    /// Slots with at least one value of the index's kind.
    pub fn points(&self) -> u64 {
        self.known.len()
    }

    /// About how much memory it takes.
    pub fn bytes(&self) -> u64 {
        let bitmaps = self.known.serialized_size() + self.other.serialized_size();
        self.kind.bytes() + bitmaps as u64
    }
}

impl IndexAnswer {
    fn sure(sure: RoaringBitmap) -> Self {
        IndexAnswer { sure, maybe: RoaringBitmap::new() }
    }

    fn maybe(maybe: RoaringBitmap) -> Self {
        IndexAnswer { sure: RoaringBitmap::new(), maybe }
    }

    /// `slots` may match as well.
    fn or_maybe(mut self, slots: &RoaringBitmap) -> Self {
        self.maybe |= slots - &self.sure;
        self
    }

    /// `slots` match as well.
    fn or_sure(mut self, slots: &RoaringBitmap) -> Self {
        self.sure |= slots;
        self.maybe -= slots;
        self
    }
}
