//! Retrieve and count, and how an answer's points are put together.

use std::collections::BTreeSet;

use super::state::{State, Which};
use super::{Collection, PayloadSelect, PointView, ReadError, Select, VectorSelect};
use crate::filter::Filter;
use crate::point::{Payload, PointId, Slot, exclude, include};
use crate::position::Seq;
use crate::rows::Row;

/// Which columns an answer needs.
pub(super) struct Wanted<'a> {
    payload: &'a PayloadSelect,
    /// Places in the schema; `None` if no vectors were asked for.
    vectors: Option<Vec<usize>>,
}

/// A point as it was at one moment, still to be read. Rows do not change, so this can happen
/// without the lock, and a page fault holds up nobody.
pub(super) struct Picked {
    id: PointId,
    version: Seq,
    /// `None` if not asked for.
    payload: Option<Row>,
    vectors: Option<Vec<(usize, Row)>>,
}

impl Collection {
    /// Points in the order asked for, each once; those that do not exist are left out.
    pub fn retrieve(&self, ids: &[PointId], select: &Select) -> Result<Vec<PointView>, ReadError> {
        let wanted = self.wanted(select)?;
        let state = self.read();
        let pick = |id: &PointId| Some(wanted.pick(&state, *id, state.ids.get(*id)?));
        let mut seen = BTreeSet::new();
        let once = ids.iter().filter(|id| seen.insert(**id));
        let picked: Vec<Picked> = once.filter_map(pick).collect();
        drop(state);
        Ok(picked.into_iter().map(|picked| self.view(picked, &wanted)).collect())
    }

    pub fn count(&self, filter: &Filter) -> u64 {
        let captured = self.capture(&self.read(), filter, Which::Payload);
        captured.count(&captured.facts.evaluator(filter, &self.vectors))
    }

    pub(super) fn wanted<'a>(&self, select: &'a Select) -> Result<Wanted<'a>, ReadError> {
        let vectors = match &select.vectors {
            VectorSelect::None => None,
            VectorSelect::All => Some((0..self.vectors.len()).collect()),
            VectorSelect::Named(names) => {
                let places = names.iter().map(|name| self.known_place(name));
                Some(places.collect::<Result<_, _>>()?)
            }
        };
        Ok(Wanted { payload: &select.payload, vectors })
    }

    pub(super) fn view(&self, picked: Picked, wanted: &Wanted<'_>) -> PointView {
        let payload = picked.payload.and_then(|row| row.payload());
        let vectors = picked.vectors.map(|rows| {
            let named = |(place, row): (usize, Row)| {
                Some((self.vectors[place].name.clone(), row.vector()?.to_vec()))
            };
            rows.into_iter().filter_map(named).collect()
        });
        PointView {
            id: picked.id,
            version: picked.version,
            payload: payload.map(|payload| selected(payload, wanted.payload)),
            vectors,
        }
    }
}

impl Wanted<'_> {
    pub(super) fn pick(&self, state: &State, id: PointId, slot: Slot) -> Picked {
        let payload = match self.payload {
            PayloadSelect::None => None,
            _ => state.payload.row(slot),
        };
        let row = |place: &usize| Some((*place, state.vectors[*place].row(slot)?));
        let vectors = self.vectors.as_ref().map(|places| places.iter().filter_map(row).collect());
        Picked { id, version: state.version(slot), payload, vectors }
    }
}

/// The payload's chosen keys.
fn selected(payload: Payload, select: &PayloadSelect) -> Payload {
    let map = |payload: &Payload| payload.to_map().unwrap_or_default();
    let kept = match select {
        PayloadSelect::None | PayloadSelect::All => return payload,
        PayloadSelect::Include(keys) => include(&map(&payload), keys),
        PayloadSelect::Exclude(keys) => exclude(&map(&payload), keys),
    };
    Payload::from_map(&kept)
}
