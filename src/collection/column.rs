//! One column: its segments, its head, and where each slot's newest row is.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use roaring::RoaringBitmap;

use crate::ann::Graph;
use crate::point::Slot;
use crate::position::Seq;
use crate::rows::{Cell, Chunks, ColumnType, Row, RowKey, Segment, Written};

/// Where a slot's newest row is: a row number in a segment, or nowhere.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    segment: u32,
    /// The highest bit marks a null row, so that "has it a vector?" needs no look at the row.
    row: u32,
}

const NULL_BIT: u32 = 1 << 31;

impl Place {
    /// No segment gets this number.
    pub(super) const NONE: Place = Place { segment: u32::MAX, row: NULL_BIT };

    pub(super) fn new(segment: u32, row: u32, null: bool) -> Place {
        Place { segment, row: if null { row | NULL_BIT } else { row } }
    }

    pub(super) fn is_live(self) -> bool {
        self.row & NULL_BIT == 0
    }

    pub(super) fn row(self) -> u32 {
        self.row & !NULL_BIT
    }
}

/// Immutable rows, and which of them still stand.
pub(super) struct Standing {
    pub(super) segment: Segment,
    /// The rows that are their slot's newest, and not null. Copied when written to while a
    /// reader holds it.
    pub(super) live: Arc<RoaringBitmap>,
    /// Null rows that are their slot's newest.
    pub(super) tombstones: u32,
    /// How many of them a merge found to be needed. The others may be, or not.
    pub(super) needed: u32,
    pub(super) graph: Option<Arc<Graph>>,
    /// Set once the rows are in a file, though not read from there yet. A manifest may name
    /// the file from then on, so it is never written again.
    pub(super) flushed: Arc<OnceLock<Written>>,
}

impl Standing {
    pub(super) fn new(segment: Segment) -> Self {
        Standing {
            segment,
            live: Arc::default(),
            tombstones: 0,
            needed: 0,
            graph: None,
            flushed: Arc::default(),
        }
    }

    /// Rows that nothing needs any more.
    pub(super) fn dead(&self) -> u64 {
        u64::from(self.segment.rows()) - self.live.len() - u64::from(self.tombstones)
    }

    /// Null rows that a merge may find to be needed no more.
    pub(super) fn doubtful(&self) -> u64 {
        u64::from(self.tombstones.saturating_sub(self.needed))
    }
}

/// What a search reads: a segment, or the head as it was.
#[derive(Clone)]
pub(super) struct Part {
    pub(super) segment: Segment,
    pub(super) live: Arc<RoaringBitmap>,
    pub(super) graph: Option<Arc<Graph>>,
}

pub(super) struct Column {
    column: ColumnType,
    places: Vec<Place>,
    /// The slots that have something.
    present: Arc<RoaringBitmap>,
    /// By number.
    pub(super) segments: BTreeMap<u32, Standing>,
    head: Head,
}

struct Head {
    /// The number its segment will have.
    number: u32,
    rows: Chunks,
    live: Arc<RoaringBitmap>,
    tombstones: u32,
}

impl Column {
    pub(super) fn new(column: ColumnType, head_number: u32) -> Self {
        Column {
            column,
            places: Vec::new(),
            present: Arc::default(),
            segments: BTreeMap::new(),
            head: Head::new(column, head_number),
        }
    }

    /// From files: segments whose `live` and `tombstones` are counted here, from `places`.
    pub(super) fn of(
        column: ColumnType,
        head_number: u32,
        segments: BTreeMap<u32, Standing>,
        places: Vec<Place>,
    ) -> Self {
        let slots = (0..).zip(&places).filter(|(_, place)| place.is_live());
        let present = Arc::new(slots.map(|(slot, _)| slot).collect());
        let mut made = Column { segments, places, present, ..Column::new(column, head_number) };
        let mut live: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        for place in made.places.iter().filter(|place| **place != Place::NONE) {
            if place.is_live() {
                live.entry(place.segment).or_default().push(place.row());
            } else if let Some(standing) = made.segments.get_mut(&place.segment) {
                standing.tombstones += 1;
            }
        }
        for (number, mut rows) in live {
            rows.sort_unstable();
            if let Some(standing) = made.segments.get_mut(&number) {
                standing.live = Arc::new(rows.into_iter().collect());
            }
        }
        made
    }

    pub(super) fn place(&self, slot: Slot) -> Place {
        self.places.get(slot.0 as usize).copied().unwrap_or(Place::NONE)
    }

    /// Whether the slot has something in this column.
    pub(super) fn has(&self, slot: Slot) -> bool {
        self.place(slot).is_live()
    }

    /// The slots that have something in this column.
    pub(super) fn present(&self) -> &Arc<RoaringBitmap> {
        &self.present
    }

    /// The newest row of a slot that has something.
    pub(super) fn row(&self, slot: Slot) -> Option<Row> {
        let place = self.place(slot);
        if !place.is_live() {
            return None;
        }
        if place.segment == self.head.number {
            return Some(self.head.rows.row(place.row()));
        }
        Some(self.segments.get(&place.segment)?.segment.row(place.row()))
    }

    /// The seq of that row.
    pub(super) fn seq(&self, slot: Slot) -> Option<Seq> {
        let place = self.place(slot);
        if !place.is_live() {
            return None;
        }
        if place.segment == self.head.number {
            return Some(self.head.rows.key(place.row()).seq);
        }
        Some(self.segments.get(&place.segment)?.segment.key(place.row()).seq)
    }

    /// Writes the slot's newest row into the head.
    pub(super) fn push(&mut self, key: RowKey, cell: Cell<'_>) {
        let row = self.head.rows.push(key, cell);
        let null = cell == Cell::Null;
        if null {
            self.head.tombstones += 1;
        } else {
            Arc::make_mut(&mut self.head.live).insert(row);
        }
        self.point(key.slot, Place::new(self.head.number, row, null));
    }

    /// Ends what the slot has, if it has something.
    pub(super) fn end(&mut self, key: RowKey) {
        if self.has(key.slot) {
            self.push(key, Cell::Null);
        }
    }

    fn point(&mut self, slot: Slot, to: Place) {
        let at = slot.0 as usize;
        if at >= self.places.len() {
            self.places.resize(at + 1, Place::NONE);
        }
        if self.present.contains(slot.0) != to.is_live() {
            let present = Arc::make_mut(&mut self.present);
            if to.is_live() {
                present.insert(slot.0)
            } else {
                present.remove(slot.0)
            };
        }
        let from = std::mem::replace(&mut self.places[at], to);
        self.retire(from);
    }

    /// The row at `place` is no slot's newest any more.
    fn retire(&mut self, place: Place) {
        let (live, tombstones) = if place.segment == self.head.number {
            (&mut self.head.live, &mut self.head.tombstones)
        } else if let Some(standing) = self.segments.get_mut(&place.segment) {
            (&mut standing.live, &mut standing.tombstones)
        } else {
            return;
        };
        if place.is_live() {
            Arc::make_mut(live).remove(place.row());
        } else {
            *tombstones -= 1;
        }
    }

    /// Moves the slot's newest row from one place to another with the same content, or to
    /// none; nothing if the slot has a newer row by now. Answers whether it moved.
    pub(super) fn repoint(&mut self, slot: Slot, from: Place, to: Place) -> bool {
        if self.place(slot) != from {
            return false;
        }
        self.point(slot, to);
        if let Some(standing) = self.segments.get_mut(&to.segment) {
            if to.is_live() {
                Arc::make_mut(&mut standing.live).insert(to.row());
            } else {
                standing.tombstones += 1;
            }
        }
        true
    }

    /// All rows there are now, in parts.
    pub(super) fn view(&self) -> Vec<Part> {
        let segments = self.segments.values().map(|standing| Part {
            segment: standing.segment.clone(),
            live: Arc::clone(&standing.live),
            graph: standing.graph.clone(),
        });
        let head = (!self.head.rows.is_empty()).then(|| Part {
            segment: Segment::Memory(Arc::new(self.head.rows.clone())),
            live: Arc::clone(&self.head.live),
            graph: None,
        });
        segments.chain(head).filter(|part| !part.live.is_empty()).collect()
    }

    /// Turns the head into a segment of the same number, unless it is empty; the new head gets
    /// `next_number`. Answers whether it took the number.
    pub(super) fn seal(&mut self, next_number: u32) -> bool {
        if self.head.rows.is_empty() {
            return false;
        }
        let sealed = std::mem::replace(&mut self.head, Head::new(self.column, next_number));
        let standing = Standing {
            live: sealed.live,
            tombstones: sealed.tombstones,
            ..Standing::new(Segment::Memory(Arc::new(sealed.rows)))
        };
        self.segments.insert(sealed.number, standing);
        true
    }

    /// Memory of rows that are not read from files.
    pub(super) fn memory_bytes(&self) -> u64 {
        let sealed = self.segments.values().map(|standing| match &standing.segment {
            Segment::Memory(chunks) => chunks.bytes(),
            Segment::File(_) => 0,
        });
        self.head.rows.bytes() + sealed.sum::<u64>()
    }

    /// Live rows: under a graph, and all others.
    pub(super) fn graph_and_exact_rows(&self) -> (u64, u64) {
        let mut rows = (0, self.head.live.len());
        for standing in self.segments.values() {
            let live = standing.live.len();
            if standing.graph.is_some() { rows.0 += live } else { rows.1 += live }
        }
        rows
    }
}

impl Head {
    fn new(column: ColumnType, number: u32) -> Self {
        Head { number, rows: Chunks::new(column), live: Arc::default(), tombstones: 0 }
    }
}
