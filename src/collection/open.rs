//! From files to a collection.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::column::{Column, Place, Standing};
use super::fields::Fields;
use super::ids::Ids;
use super::state::{State, Which};
use super::{Collection, CollectionFiles, CollectionOptions, OpenError, SegmentEntry};
use crate::disk::Disk;
use crate::metrics::Metrics;
use crate::point::{PointId, Schema, Slot};
use crate::position::Seq;
use crate::rows::name::FileName;
use crate::rows::{Segment, SegmentFile, Written};

impl Collection {
    /// Opens the files that a manifest names: reads and verifies each whole before use. What
    /// else is in the directory was left by a crash and is removed. Graphs that cannot be used
    /// are removed too, and built again later.
    pub fn open(
        name: &str,
        directory: PathBuf,
        schema: Schema,
        files: &CollectionFiles,
        options: CollectionOptions,
        disk: Disk,
        metrics: Metrics,
    ) -> Result<Collection, OpenError> {
        let collection = Collection::create(name, directory, schema, options, disk, metrics);
        collection.check_names(files)?;
        let mut rows = BTreeMap::new();
        for which in collection.columns() {
            rows.insert(which, collection.open_column(which, files)?);
        }
        let directory = collection.directory.clone();
        let remove = collection.remove_obsolete(files);
        remove.map_err(|source| OpenError::Io { file: directory, source })?;
        collection.restore(rows, files)?;
        collection.open_graphs();
        Ok(collection)
    }

    /// The manifest and the schema must know the same vectors.
    fn check_names(&self, files: &CollectionFiles) -> Result<(), OpenError> {
        let unknown = files.vectors.keys().find(|name| self.place_of(name).is_none());
        match unknown {
            None => Ok(()),
            Some(name) => Err(OpenError::Damaged {
                file: self.directory.clone(),
                what: format!("there are files of a vector `{name}` that the schema has not"),
            }),
        }
    }

    pub(super) fn entries<'a>(
        &self,
        which: Which,
        files: &'a CollectionFiles,
    ) -> &'a [SegmentEntry] {
        match which {
            Which::Payload => &files.payload,
            Which::Vector(place) => {
                files.vectors.get(&self.vectors[place].name).map_or(&[], |entries| entries)
            }
        }
    }

    fn open_column(&self, which: Which, files: &CollectionFiles) -> Result<ColumnRows, OpenError> {
        let mut rows = ColumnRows::default();
        for entry in self.entries(which, files) {
            let path = self.segment_path(which, entry.number);
            let SegmentEntry { number, rows: count, length_bytes, crc32c } = *entry;
            let written = Written { rows: count, length_bytes, crc32c };
            let file = SegmentFile::open(&path, self.column_type(which), written)?;
            rows.add(&file, number);
            if number >= files.next_segment || rows.files.insert(number, Arc::new(file)).is_some() {
                let what = format!("the manifest gives its number, {number}, out again");
                return Err(OpenError::Damaged { file: path, what });
            }
        }
        Ok(rows)
    }

    fn restore(
        &self,
        mut rows: BTreeMap<Which, ColumnRows>,
        files: &CollectionFiles,
    ) -> Result<(), OpenError> {
        let mut state = self.write();
        let state = &mut *state;
        state.next_segment = state.next_segment.max(files.next_segment);
        for which in self.columns() {
            let Some(rows) = rows.remove(&which) else { continue };
            state.seq = state.seq.max(rows.seqs.iter().copied().max().unwrap_or_default());
            let column = rows.into_column(self.column_type(which), state.take_number());
            *state.column_mut(which) = column;
        }
        state.ids = Ids::of(points(&state.payload)).map_err(|id| {
            let what = format!("two slots have the point {id}");
            OpenError::Damaged { file: self.column_directory(Which::Payload), what }
        })?;
        for which in self.columns().filter(|which| *which != Which::Payload) {
            self.check_owners(state, which)?;
        }
        state.fields = Fields::of(&files.indexes).map_err(|what| {
            let what = format!("the manifest has an index that cannot be made: {what}");
            OpenError::Damaged { file: self.directory.clone(), what }
        })?;
        self.gauges.applied(state.ids.len(), state.memory_bytes());
        self.gauges.rows(state);
        Ok(())
    }

    /// Each live vector belongs to a point that is there: a file of another checkpoint among
    /// these would show here at the latest.
    fn check_owners(&self, state: &State, which: Which) -> Result<(), OpenError> {
        for (id, slot) in points(state.column(which)) {
            if state.ids.get(id) != Some(slot) {
                let what = format!("it has a vector of the point {id}, which does not exist");
                return Err(OpenError::Damaged { file: self.column_directory(which), what });
            }
        }
        Ok(())
    }

    /// Removes files of the collection's directory that these do not name, except graphs of
    /// named segments. Call it once a manifest with these files is durable.
    pub fn remove_obsolete(&self, files: &CollectionFiles) -> std::io::Result<()> {
        for which in self.columns() {
            let numbers: BTreeSet<u32> =
                self.entries(which, files).iter().map(|entry| entry.number).collect();
            for (path, name) in list(&self.column_directory(which))? {
                let keep = match FileName::parse(&name) {
                    Some(FileName::Segment(number) | FileName::Graph(number)) => {
                        numbers.contains(&number)
                    }
                    None => false,
                };
                if !keep {
                    self.disk.remove(&path)?;
                }
            }
        }
        Ok(())
    }
}

/// Files in a directory, if it exists.
fn list(directory: &Path) -> std::io::Result<Vec<(PathBuf, String)>> {
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut files = Vec::new();
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            files.push((entry.path(), entry.file_name().to_string_lossy().into_owned()));
        }
    }
    Ok(files)
}

/// Points with a live row in this column.
fn points(column: &Column) -> impl Iterator<Item = (PointId, Slot)> {
    column.segments.values().flat_map(|standing| {
        standing.live.iter().map(|row| {
            let key = standing.segment.key(row);
            (key.id, key.slot)
        })
    })
}

/// What a column's files say: of a slot's rows the newest seq wins, and of equal ones in a file
/// the later.
#[derive(Default)]
struct ColumnRows {
    files: BTreeMap<u32, Arc<SegmentFile>>,
    places: Vec<Place>,
    seqs: Vec<Seq>,
}

impl ColumnRows {
    fn add(&mut self, file: &SegmentFile, number: u32) {
        for row in 0..file.rows() {
            let (at, seq) = (file.slot(row).0 as usize, file.seq(row));
            if at >= self.places.len() {
                self.places.resize(at + 1, Place::NONE);
                self.seqs.resize(at + 1, Seq::default());
            }
            if seq >= self.seqs[at] {
                self.seqs[at] = seq;
                self.places[at] = Place::new(number, row, file.is_null(row));
            }
        }
    }

    fn into_column(self, column: crate::rows::ColumnType, head_number: u32) -> Column {
        let standing = |file| Standing::new(Segment::File(file));
        let segments = self.files.into_iter().map(|(number, file)| (number, standing(file)));
        Column::of(column, head_number, segments.collect(), self.places)
    }
}
