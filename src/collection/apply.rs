//! One message: staged without the lock, published inside it.

use super::fields::Change;
use super::stage::has_room;
use super::staged::{Staged, Touched};
use super::state::State;
use super::{Collection, SLOTS_MAX};
use crate::operation::{Operation, Reason, Refusal};
use crate::point::{FieldSchema, Path};
use crate::position::Seq;
use crate::rows::{Cell, RowKey};

impl Collection {
    /// Could this message be applied now? As far as can be told without carrying out filters.
    /// Changes nothing.
    pub fn check(&self, operations: &[Operation]) -> Result<(), Refusal> {
        let staged = self.stage_roughly(operations)?;
        has_room(&self.read(), &staged, SLOTS_MAX)
    }

    /// Applies one message, whole or not at all. `CreateCollection` and `DeleteCollection` are
    /// the catalog's, indexes have their own verbs; all are passed over. One caller at a time.
    pub fn apply(&self, seq: Seq, operations: &[Operation]) -> Result<(), Refusal> {
        let staged = self.stage(operations)?;
        let changes = self.field_changes(&staged);
        let mut state = self.write();
        has_room(&state, &staged, SLOTS_MAX)?;
        publish(&mut state, &staged, changes, seq);
        let (points, head_bytes) = (state.ids.len(), state.memory_bytes());
        drop(state);
        self.gauges.applied(points, head_bytes);
        Ok(())
    }

    /// Begins an index; [`Collection::fill_index`] fills it. Replaces the one the field has,
    /// unless that is the same. Filters are right at every moment.
    pub fn create_index(
        &self,
        seq: Seq,
        field: &Path,
        schema: &FieldSchema,
    ) -> Result<(), Refusal> {
        let mut state = self.write();
        state.fields.create(field, schema).map_err(invalid_index)?;
        state.seq = seq;
        Ok(())
    }

    /// Would [`Collection::create_index`] be refused?
    pub fn check_index(&self, field: &Path, schema: &FieldSchema) -> Result<(), Refusal> {
        crate::index::FieldIndex::new(field, schema).map(|_| ()).map_err(invalid_index)
    }

    pub fn delete_index(&self, seq: Seq, field: &Path) {
        let mut state = self.write();
        state.fields.delete(field);
        state.seq = seq;
        self.gauges.rows(&state);
    }

    /// What the message changes in the indexes, in the order of its points.
    fn field_changes(&self, staged: &Staged<'_>) -> Vec<Change> {
        let state = self.read();
        if state.fields.is_empty() {
            return Vec::new();
        }
        staged.points.values().map(|point| field_change(&state, point)).collect()
    }
}

fn field_change(state: &State, point: &Touched<'_>) -> Change {
    let before = point.slot.and_then(|slot| state.payload.row(slot)?.payload());
    let after = match (&point.payload, point.exists) {
        (_, false) => None,
        (None, true) => before.clone(),
        (Some(payload), true) => Some(payload.clone()),
    };
    state.fields.change(before.as_ref(), after.as_ref())
}

fn invalid_index(detail: String) -> Refusal {
    Refusal::new(Reason::InvalidSchema, detail)
}

fn publish(state: &mut State, staged: &Staged<'_>, mut changes: Vec<Change>, seq: Seq) {
    if !state.fields.understand(&changes) {
        // An index came meanwhile.
        changes = staged.points.values().map(|point| field_change(state, point)).collect();
    }
    let mut changes = changes.into_iter();
    for (id, point) in &staged.points {
        let change = changes.next();
        let slot = match (point.exists, point.slot) {
            (true, _) => {
                let slot = state.ids.get_or_insert(*id);
                put(state, RowKey { slot, seq, id: *id }, point, staged);
                slot
            }
            (false, Some(slot)) => {
                remove(state, RowKey { slot, seq, id: *id });
                slot
            }
            (false, None) => continue,
        };
        if let Some(change) = change {
            state.fields.apply(slot, &change);
        }
    }
    state.seq = seq;
}

fn put(state: &mut State, key: RowKey, point: &Touched<'_>, staged: &Staged<'_>) {
    for (place, vector) in &point.vectors {
        match staged.values(vector) {
            Some(values) => state.vectors[*place].push(key, Cell::Vector(values)),
            None => state.vectors[*place].end(key),
        }
    }
    if point.whole {
        for (place, column) in state.vectors.iter_mut().enumerate() {
            if !point.vectors.iter().any(|(known, _)| *known == place) {
                column.end(key);
            }
        }
    }
    if let Some(payload) = &point.payload {
        state.payload.push(key, Cell::Payload(payload));
    }
}

fn remove(state: &mut State, key: RowKey) {
    for column in &mut state.vectors {
        column.end(key);
    }
    state.payload.end(key);
    state.ids.remove(key.id);
}
