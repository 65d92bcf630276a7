//! From memory to files: seal, flush, install.
//!
//! A checkpoint seals on the applier's thread between two messages, so all heads end at the
//! same seq. The rest happens on the maintenance thread, between two merges.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::state::{State, Which};
use super::{Collection, CollectionFiles, IndexEntry, OpenError, SegmentEntry};
use crate::rows::name::{FileName, PAYLOAD_DIRECTORY, vector_directory};
use crate::rows::{Pick, Segment, SegmentFile, Written, write_segment};

/// Rows of all columns up to one seq that are not in installed files yet: what this seal froze,
/// and what earlier ones did if their checkpoint failed.
pub struct Sealed {
    heads: Vec<Frozen>,
    indexes: Vec<IndexEntry>,
}

struct Frozen {
    which: Which,
    number: u32,
    segment: Segment,
    flushed: Arc<std::sync::OnceLock<Written>>,
}

/// The files of a seal, all on the disk.
pub struct Flushed {
    files: Vec<(Which, u32, Written)>,
    indexes: Vec<IndexEntry>,
}

impl Collection {
    /// Freezes the heads as of now, and begins new ones. Readers go on seeing the rows. Moves
    /// a few references per column; copies nothing.
    pub fn seal(&self) -> Sealed {
        let mut state = self.write();
        let state = &mut *state;
        state.sealing = true;
        for which in self.columns() {
            let next = state.next_segment;
            if state.column_mut(which).seal(next) {
                state.next_segment += 1;
            }
        }
        let mut heads = Vec::new();
        for (which, column) in state.columns() {
            for (number, standing) in &column.segments {
                if let Segment::Memory(_) = standing.segment {
                    heads.push(Frozen {
                        which,
                        number: *number,
                        segment: standing.segment.clone(),
                        flushed: Arc::clone(&standing.flushed),
                    });
                }
            }
        }
        self.gauges.rows(state);
        Sealed { heads, indexes: state.fields.entries() }
    }

    /// Writes one file per sealed head and syncs files and directories. After an error the rows
    /// are still in memory, and the next seal includes them.
    pub fn flush(&self, sealed: Sealed) -> io::Result<Flushed> {
        let mut files = Vec::new();
        for head in sealed.heads {
            // One that is written already may be named by a manifest: it is left alone.
            let written = match head.flushed.get() {
                Some(written) => *written,
                None => {
                    let written = self.write_head(&head)?;
                    let _ = head.flushed.set(written);
                    written
                }
            };
            files.push((head.which, head.number, written));
        }
        self.sync_directories(files.iter().map(|(which, ..)| *which))?;
        Ok(Flushed { files, indexes: sealed.indexes })
    }

    fn write_head(&self, head: &Frozen) -> io::Result<Written> {
        let picks: Vec<Pick> = (0..head.segment.rows()).map(|row| Pick { input: 0, row }).collect();
        let written =
            self.write_file(head.which, head.number, &[&head.segment], &picks, &|| false)?;
        written.ok_or_else(|| io::Error::other("a flush is never cancelled"))
    }

    pub(super) fn write_file(
        &self,
        which: Which,
        number: u32,
        inputs: &[&Segment],
        picks: &[Pick],
        cancelled: &dyn Fn() -> bool,
    ) -> io::Result<Option<Written>> {
        self.disk.create_dir_all(&self.column_directory(which))?;
        let path = self.segment_path(which, number);
        let column = self.column_type(which);
        let labels = self.labels(which);
        write_segment(&self.disk, &path, column, labels, inputs, picks, cancelled)
    }

    /// Makes new names durable, from the columns' directories up to the collection's own.
    pub(super) fn sync_directories(&self, which: impl Iterator<Item = Which>) -> io::Result<()> {
        let mut directories: Vec<PathBuf> =
            which.map(|which| self.column_directory(which)).collect();
        directories.dedup();
        if directories.is_empty() {
            return Ok(());
        }
        for directory in directories {
            self.disk.sync_dir(&directory, "a segment's name, before a manifest names it")?;
        }
        let own = "the name of a column's directory, before a manifest names a file in it";
        self.disk.sync_dir(&self.directory, own)?;
        if let Some(parent) = self.directory.parent() {
            let own = "the name of a collection's directory, before a manifest names a file in it";
            self.disk.sync_dir(parent, own)?;
        }
        Ok(())
    }

    /// What the manifest shall say: what is installed, and what was flushed.
    pub fn files_with(&self, flushed: &Flushed) -> CollectionFiles {
        let state = self.read();
        let mut payload = BTreeMap::new();
        let mut vectors = vec![BTreeMap::new(); self.vectors.len()];
        let installed = installed(&state);
        for (which, number, written) in installed.into_iter().chain(flushed.files.iter().copied()) {
            let entries = match which {
                Which::Payload => &mut payload,
                Which::Vector(place) => &mut vectors[place],
            };
            let Written { rows, length_bytes, crc32c } = written;
            entries.insert(number, SegmentEntry { number, rows, length_bytes, crc32c });
        }
        let names = self.vectors.iter().map(|vector| vector.name.clone());
        let entries = vectors.into_iter().map(|entries| entries.into_values().collect());
        CollectionFiles {
            payload: payload.into_values().collect(),
            vectors: names.zip(entries).collect(),
            next_segment: state.next_segment,
            indexes: flushed.indexes.clone(),
        }
    }

    /// After the manifest is durable: memory gives way to mapped files. Rows keep their places,
    /// so readers notice nothing.
    pub fn install(&self, flushed: Flushed) -> Result<(), OpenError> {
        let mut opened = Vec::new();
        for (which, number, written) in flushed.files {
            let path = self.segment_path(which, number);
            let file = SegmentFile::open(&path, self.column_type(which), written)?;
            opened.push((which, number, Segment::File(Arc::new(file))));
        }
        let mut state = self.write();
        for (which, number, segment) in opened {
            if let Some(standing) = state.column_mut(which).segments.get_mut(&number) {
                standing.segment = segment;
            }
        }
        state.sealing = false;
        self.gauges.applied(state.ids.len(), state.memory_bytes());
        self.gauges.rows(&state);
        Ok(())
    }

    pub(super) fn column_directory(&self, which: Which) -> PathBuf {
        match which {
            Which::Payload => self.directory.join(PAYLOAD_DIRECTORY),
            Which::Vector(place) => self.directory.join(vector_directory(place)),
        }
    }

    pub(super) fn segment_path(&self, which: Which, number: u32) -> PathBuf {
        self.column_directory(which).join(FileName::Segment(number).to_string())
    }
}

/// Segments that are read from files.
fn installed(state: &State) -> Vec<(Which, u32, Written)> {
    let mut files = Vec::new();
    for (which, column) in state.columns() {
        for (number, standing) in &column.segments {
            if let Segment::File(file) = &standing.segment {
                files.push((which, *number, file.written()));
            }
        }
    }
    files
}
