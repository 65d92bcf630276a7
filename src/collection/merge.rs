//! Merges: several segments of one column become one, without their dead rows.
//!
//! The output holds the live rows, and the null rows that are still needed: a null row may go
//! only if no other file has an older row of its slot, which would otherwise come back to life
//! when the files are opened again. A row that is dead by now may be dropped even if what
//! replaced it is still in memory, because the output is named only by a manifest that has
//! the replacement too: merges, seals and manifests take turns on the maintenance thread.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use roaring::RoaringBitmap;

use super::column::{Column, Place, Standing};
use super::state::{State, Which};
use super::{Collection, CollectionOptions};
use crate::point::Slot;
use crate::rows::{Pick, Segment, SegmentFile};

/// So many segments of about the same size are merged; more make searches slower, fewer write
/// the same row more often.
const SIMILAR_MIN: usize = 4;
const INPUTS_MAX: usize = 16;
/// Rows moved in one hold of the lock.
const HOLD_ROWS: usize = 4096;
/// Between two looks of a running merge at the room of the disk.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// What a merge works on, as of one moment.
struct Inputs {
    which: Which,
    segments: Vec<(u32, Segment, Arc<RoaringBitmap>)>,
    /// The column's other files.
    others: Vec<Segment>,
}

impl Collection {
    /// Does at most one merge, if the disk has room for it beside the reserve; true if it did. The inputs' files stay until
    /// [`Collection::remove_obsolete`]. On the thread that flushes and installs.
    pub fn merge(&self, cancel: &AtomicBool) -> io::Result<bool> {
        let Some(inputs) = choose(&self.read(), &self.options) else { return Ok(false) };
        if !self.has_room(output_bytes(&inputs)) {
            return Ok(false);
        }
        let (looked, full) = (Cell::new(Instant::now()), Cell::new(false));
        let cancelled = || {
            if looked.get().elapsed() >= LOOK_EVERY {
                looked.set(Instant::now());
                if !self.has_room(0) {
                    tracing::info!("a merge was given up: the disk is full but for the reserve");
                    full.set(true);
                }
            }
            full.get() || cancel.load(Ordering::Relaxed)
        };
        let tombstones = self.tombstones(&inputs);
        if self.read().sealing {
            return Ok(false);
        }
        let needed = needed(&inputs, &tombstones);
        let (kept, dropped): (Vec<_>, Vec<_>) =
            tombstones.into_iter().partition(|(_, slot)| needed.contains(slot.0));
        let kept_nulls = kept.len() as u32;
        let mut picks: Vec<Pick> = kept.into_iter().map(|(pick, _)| pick).collect();
        for ((_, _, live), input) in inputs.segments.iter().zip(0..) {
            picks.extend(live.iter().map(|row| Pick { input, row }));
        }
        picks.sort_unstable_by_key(|pick| (pick.input, pick.row));
        let number = self.write().take_number();
        if !picks.is_empty() {
            let segments: Vec<&Segment> =
                inputs.segments.iter().map(|(_, segment, _)| segment).collect();
            let written = self.write_file(inputs.which, number, &segments, &picks, &cancelled)?;
            let Some(written) = written else { return Ok(false) };
            self.sync_directories(std::iter::once(inputs.which))?;
            let path = self.segment_path(inputs.which, number);
            let file = SegmentFile::open(&path, self.column_type(inputs.which), written)
                .map_err(io::Error::other)?;
            let segment = Segment::File(Arc::new(file));
            let standing = Standing { needed: kept_nulls, ..Standing::new(segment) };
            self.write().column_mut(inputs.which).segments.insert(number, standing);
        }
        self.repoint(&inputs, number, &picks, &dropped);
        self.gauges.merges.inc();
        Ok(true)
    }

    /// The inputs' null rows that are their slot's newest.
    fn tombstones(&self, inputs: &Inputs) -> Vec<(Pick, Slot)> {
        let mut found = Vec::new();
        for ((number, segment, _), input) in inputs.segments.iter().zip(0..) {
            let nulls: Vec<u32> = (0..segment.rows()).filter(|row| segment.is_null(*row)).collect();
            for rows in nulls.chunks(HOLD_ROWS) {
                let state = self.read();
                let column = state.column(inputs.which);
                for row in rows.iter().copied() {
                    let slot = segment.slot(row);
                    if column.place(slot) == Place::new(*number, row, true) {
                        found.push((Pick { input, row }, slot));
                    }
                }
            }
        }
        found
    }

    /// Moves what still stands to the output, and takes the inputs away.
    fn repoint(&self, inputs: &Inputs, number: u32, picks: &[Pick], dropped: &[(Pick, Slot)]) {
        let from = |pick: Pick, slot: Slot, column: &mut Column, to: Option<u32>| {
            let (input, segment, _) = &inputs.segments[pick.input as usize];
            let null = segment.is_null(pick.row);
            let to = to.map_or(Place::NONE, |row| Place::new(number, row, null));
            column.repoint(slot, Place::new(*input, pick.row, null), to);
        };
        for (picks, first) in picks.chunks(HOLD_ROWS).zip((0..).step_by(HOLD_ROWS)) {
            let mut state = self.write();
            let column = state.column_mut(inputs.which);
            for (pick, row) in picks.iter().copied().zip(first..) {
                let slot = inputs.segments[pick.input as usize].1.slot(pick.row);
                from(pick, slot, column, Some(row));
            }
        }
        for rows in dropped.chunks(HOLD_ROWS) {
            let mut state = self.write();
            let column = state.column_mut(inputs.which);
            for (pick, slot) in rows.iter().copied() {
                from(pick, slot, column, None);
            }
        }
        let mut state = self.write();
        for (input, ..) in &inputs.segments {
            state.column_mut(inputs.which).segments.remove(input);
        }
        self.gauges.rows(&state);
    }
}

/// About as large as what is live of the inputs.
fn output_bytes(inputs: &Inputs) -> u64 {
    let each = inputs.segments.iter().map(|(_, segment, live)| match segment {
        Segment::File(file) => {
            let (rows, bytes) = (u64::from(file.rows()).max(1), file.written().length_bytes);
            (u128::from(bytes) * u128::from(live.len()) / u128::from(rows)) as u64
        }
        Segment::Memory(_) => 0,
    });
    each.sum()
}

/// The slots whose null rows have something to hide in another file.
fn needed(inputs: &Inputs, tombstones: &[(Pick, Slot)]) -> RoaringBitmap {
    let slots: RoaringBitmap = tombstones.iter().map(|(_, slot)| slot.0).collect();
    let mut needed = RoaringBitmap::new();
    for other in inputs.others.iter().filter(|_| !slots.is_empty()) {
        let rows = (0..other.rows()).map(|row| other.slot(row).0);
        needed.extend(rows.filter(|slot| slots.contains(*slot)));
    }
    needed
}

fn choose(state: &State, options: &CollectionOptions) -> Option<Inputs> {
    if state.sealing {
        return None;
    }
    state.columns().find_map(|(which, column)| {
        let numbers = choose_segments(column, options)?;
        let mut inputs = Inputs { which, segments: Vec::new(), others: Vec::new() };
        for (number, standing) in files(column) {
            let segment = standing.segment.clone();
            if numbers.contains(&number) {
                inputs.segments.push((number, segment, Arc::clone(&standing.live)));
            } else {
                inputs.others.push(segment);
            }
        }
        Some(inputs)
    })
}

fn files(column: &Column) -> impl Iterator<Item = (u32, &Standing)> {
    let all = column.segments.iter().map(|(number, standing)| (*number, standing));
    all.filter(|(_, standing)| matches!(standing.segment, Segment::File(_)))
}

/// One segment with too many rows that may go, or several of about the same size.
fn choose_segments(column: &Column, options: &CollectionOptions) -> Option<Vec<u32>> {
    let too_many = |rows: u64, standing: &Standing| {
        rows as f64 > options.dead_share_max * f64::from(standing.segment.rows())
    };
    // Dead rows first: they are what null rows are needed for.
    let dead = files(column).find(|(_, standing)| too_many(standing.dead(), standing));
    let doubtful = |standing: &Standing| standing.dead() + standing.doubtful();
    let doubtful = || files(column).find(|(_, standing)| too_many(doubtful(standing), standing));
    if let Some((number, _)) = dead.or_else(doubtful) {
        return Some(vec![number]);
    }
    let rows_max = u64::from(options.segment_rows_max);
    // By the power of four that their size has.
    let mut similar: BTreeMap<u32, Vec<(u64, u32)>> = BTreeMap::new();
    for (number, standing) in files(column) {
        let rows = standing.live.len() + u64::from(standing.tombstones);
        if rows <= rows_max / 2 {
            similar.entry(rows.max(1).ilog(4)).or_default().push((rows, number));
        }
    }
    let mut chosen = similar.into_values().find(|segments| segments.len() >= SIMILAR_MIN)?;
    chosen.sort_unstable();
    let mut sum = 0;
    let fits = |(rows, _): &(u64, u32)| {
        sum += rows;
        sum <= rows_max
    };
    Some(chosen.into_iter().take_while(fits).take(INPUTS_MAX).map(|(_, number)| number).collect())
}
