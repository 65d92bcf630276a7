//! The payload indexes of a collection, and how far each has got.
//!
//! An index is filled slot by slot, beside everything else: the slots below its mark are in it
//! and are kept up to date by every message, those above may match anything until their payload
//! is read. So an answer is right at every moment, and only faster the further the mark.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use roaring::RoaringBitmap;
use serde::{Deserialize, Serialize};

use super::Collection;
use super::slots::{Answer, Slots};
use super::state::State;
use crate::filter::{FieldCondition, Predicate, TextOptions};
use crate::index::{Entries, FieldIndex};
use crate::point::{FieldSchema, FieldType, Path, Payload, Slot};

/// Slots put into an index between two looks at the clock and the lock.
const FILL_SLOTS: u32 = 1024;

/// The mark of an index that every slot is in, also those that are still to come.
const COMPLETE: u32 = u32::MAX;

/// How text is cut, by the field that has a text index.
pub(super) type Texts = BTreeMap<Path, TextOptions>;

/// An index as the manifest names it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IndexEntry {
    pub field: Path,
    pub schema: FieldSchema,
}

/// An index as a description of the collection shows it.
#[derive(Clone, Debug, PartialEq)]
pub struct IndexInfo {
    pub field: Path,
    pub schema: FieldSchema,
    /// Points with a value in it.
    pub points: u64,
    pub complete: bool,
    /// Of memory.
    pub bytes: u64,
}

#[derive(Default)]
pub(super) struct Fields {
    fields: Vec<Field>,
    /// The top-level keys that the indexes read.
    roots: BTreeSet<String>,
    texts: Arc<Texts>,
    /// Counts the changes of `fields`.
    generation: u64,
}

struct Field {
    index: FieldIndex,
    /// Every slot below is in the index.
    mark: u32,
    /// Made because filters wanted it. Shown nowhere, and gone at the next start.
    automatic: bool,
}

/// What a point's new payload changes, per index.
pub(super) struct Change {
    entries: Vec<(Entries, Entries)>,
    generation: u64,
}

impl Fields {
    pub(super) fn of(entries: &[IndexEntry]) -> Result<Fields, String> {
        let mut fields = Fields::default();
        for IndexEntry { field, schema } in entries {
            fields.create(field, schema)?;
        }
        Ok(fields)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    pub(super) fn create(&mut self, field: &Path, schema: &FieldSchema) -> Result<(), String> {
        let made = Field { index: FieldIndex::new(field, schema)?, mark: 0, automatic: false };
        match self.asked_for_mut(field) {
            Some(known) if known.index.schema() == schema => return Ok(()),
            Some(known) => *known = made,
            None => self.fields.push(made),
        }
        self.changed();
        Ok(())
    }

    pub(super) fn create_automatic(
        &mut self,
        field: &Path,
        schema: &FieldSchema,
    ) -> Result<(), String> {
        let index = FieldIndex::new(field, schema)?;
        self.fields.push(Field { index, mark: 0, automatic: true });
        self.changed();
        Ok(())
    }

    pub(super) fn automatic_count(&self) -> usize {
        self.fields.iter().filter(|field| field.automatic).count()
    }

    pub(super) fn delete(&mut self, field: &Path) {
        self.fields.retain(|known| known.automatic || known.index.field() != field);
        self.changed();
    }

    fn asked_for(&self) -> impl Iterator<Item = &Field> {
        self.fields.iter().filter(|field| !field.automatic)
    }

    fn asked_for_mut(&mut self, field: &Path) -> Option<&mut Field> {
        self.fields.iter_mut().find(|known| !known.automatic && known.index.field() == field)
    }

    fn changed(&mut self) {
        let indexes = || self.fields.iter().map(|field| &field.index);
        self.roots = indexes().map(|index| index.field().root().to_owned()).collect();
        let text =
            |index: &FieldIndex| Some((index.field().clone(), index.text_options()?.clone()));
        self.texts = Arc::new(indexes().filter_map(text).collect());
        self.generation += 1;
    }

    pub(super) fn texts(&self) -> &Arc<Texts> {
        &self.texts
    }

    pub(super) fn index(&self, field: &Path) -> Option<&FieldIndex> {
        self.asked_for().map(|known| &known.index).find(|index| index.field() == field)
    }

    /// Whether every point is in the index of this field.
    pub(super) fn is_complete(&self, field: &Path) -> bool {
        self.asked_for().any(|known| known.index.field() == field && known.mark == COMPLETE)
    }

    /// Whether an index that was asked for lacks points.
    pub(super) fn has_gaps(&self) -> bool {
        self.asked_for().any(|field| field.mark != COMPLETE)
    }

    /// Whether there is one of this key and kind, asked for or not.
    pub(super) fn has(&self, field: &Path, data_type: FieldType) -> bool {
        let is_it =
            |index: &FieldIndex| index.field() == field && index.schema().data_type == data_type;
        self.fields.iter().any(|known| is_it(&known.index))
    }

    pub(super) fn entries(&self) -> Vec<IndexEntry> {
        let entry = |Field { index, .. }: &Field| IndexEntry {
            field: index.field().clone(),
            schema: index.schema().clone(),
        };
        self.asked_for().map(entry).collect()
    }

    pub(super) fn info(&self) -> Vec<IndexInfo> {
        let info = |Field { index, mark, .. }: &Field| IndexInfo {
            field: index.field().clone(),
            schema: index.schema().clone(),
            points: index.points(),
            complete: *mark == COMPLETE,
            bytes: index.bytes(),
        };
        self.asked_for().map(info).collect()
    }

    pub(super) fn change(&self, before: Option<&Payload>, after: Option<&Payload>) -> Change {
        let read = |payload: Option<&Payload>| {
            let map = payload.map(|payload| payload.to_map_of(&self.roots));
            map.and_then(Result::ok).unwrap_or_default()
        };
        let (before, after) = (read(before), read(after));
        let entries = |Field { index, .. }: &Field| (index.extract(&before), index.extract(&after));
        let entries = self.fields.iter().map(entries).collect();
        Change { entries, generation: self.generation }
    }

    /// Whether these changes are of the indexes that there are.
    pub(super) fn understand(&self, changes: &[Change]) -> bool {
        match changes.first() {
            Some(change) => change.generation == self.generation,
            None => self.fields.is_empty(),
        }
    }

    pub(super) fn apply(&mut self, slot: Slot, change: &Change) {
        for (field, (before, after)) in self.fields.iter_mut().zip(&change.entries) {
            if slot.0 < field.mark && before != after {
                field.index.remove(slot.0, before);
                field.index.insert(slot.0, after);
            }
        }
    }

    /// What the indexes know of a condition; `None` if nothing.
    pub(super) fn answer(
        &self,
        condition: &FieldCondition,
        existing: &RoaringBitmap,
    ) -> Option<Answer> {
        let answers = condition.predicates.iter().map(|predicate| {
            let mut own = self.fields.iter().filter(|known| *known.index.field() == condition.key);
            own.find_map(|field| field.answer(predicate, existing))
        });
        answers.reduce(|one, other| Some(one?.or(other?))).flatten()
    }

    /// Memory that all of them take, automatic ones included.
    pub(super) fn bytes(&self) -> u64 {
        self.fields.iter().map(|field| field.index.bytes()).sum()
    }
}

impl Field {
    fn answer(&self, predicate: &Predicate, existing: &RoaringBitmap) -> Option<Answer> {
        let found = self.index.answer(predicate)?;
        let mut maybe = found.maybe;
        if self.mark != COMPLETE {
            let mut missing = existing.clone();
            missing.remove_range(..self.mark);
            maybe |= missing;
        }
        Some(Answer { sure: Slots::these(found.sure), maybe: Slots::these(maybe) })
    }
}

impl Collection {
    /// The payload indexes that were asked for.
    pub fn indexes(&self) -> Vec<IndexInfo> {
        self.read().fields.info()
    }

    pub fn has_index(&self, field: &Path) -> bool {
        self.read().fields.index(field).is_some()
    }

    /// Puts some more points into an index that is not complete; false if all are. Payloads are
    /// read without the lock. Any thread, several at once too.
    pub fn fill_index(&self) -> bool {
        self.grant_wish();
        let Some(work) = Fill::next(&self.read()) else { return false };
        let Fill { extractor, generation, place, from, rows } = work;
        let found: Vec<Option<(crate::position::Seq, Entries)>> = rows
            .into_iter()
            .map(|row| row.map(|row| (row.key().seq, extract(&extractor, row.payload()))))
            .collect();
        let mut state = self.write();
        let state = &mut *state;
        if state.fields.generation != generation {
            return true;
        }
        let (payloads, used) = (&state.payload, state.ids.slots_used());
        let field = &mut state.fields.fields[place];
        // Another thread was faster.
        if field.mark != from {
            return true;
        }
        let mut slot = from;
        for found in found {
            match (found, payloads.seq(Slot(slot))) {
                (Some((seq, entries)), Some(now)) if seq == now => {
                    field.index.insert(slot, &entries);
                }
                (_, None) => {}
                // A message came meanwhile, which saw that the slot was not in the index yet.
                (_, Some(_)) => {
                    let payload = payloads.row(Slot(slot)).and_then(|row| row.payload());
                    field.index.insert(slot, &extract(&extractor, payload));
                }
            }
            slot += 1;
        }
        field.mark = if slot >= used { COMPLETE } else { slot };
        if field.mark == COMPLETE {
            self.gauges.rows(state);
        }
        true
    }
}

/// The next slots to be put into an index.
struct Fill {
    /// An empty index of the same kind: reads payloads without the lock.
    extractor: FieldIndex,
    generation: u64,
    place: usize,
    from: u32,
    rows: Vec<Option<crate::rows::Row>>,
}

impl Fill {
    fn next(state: &State) -> Option<Fill> {
        let fields = &state.fields;
        let place = fields.fields.iter().position(|field| field.mark != COMPLETE)?;
        let Field { index, mark, .. } = &fields.fields[place];
        let to = state.ids.slots_used().min(mark.saturating_add(FILL_SLOTS));
        Some(Fill {
            extractor: FieldIndex::new(index.field(), index.schema()).ok()?,
            generation: fields.generation,
            place,
            from: *mark,
            rows: (*mark..to).map(|slot| state.payload.row(Slot(slot))).collect(),
        })
    }
}

/// What a payload holds for an index; nothing if there is no payload.
fn extract(extractor: &FieldIndex, payload: Option<Payload>) -> Entries {
    let roots = BTreeSet::from([extractor.field().root().to_owned()]);
    let map = payload.and_then(|payload| payload.to_map_of(&roots).ok());
    extractor.extract(&map.unwrap_or_default())
}
