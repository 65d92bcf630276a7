//! Which files the log has, and the removal of those that a checkpoint has made needless.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::name::FileName;
use crate::disk::Disk;
use crate::position::Seq;

/// Removes log files behind a checkpoint. Cheap to clone; works from any thread.
#[derive(Clone)]
pub struct Trimmer {
    disk: Disk,
    directory: PathBuf,
    /// Oldest first.
    files: Arc<Mutex<Vec<Entry>>>,
}

struct Entry {
    name: FileName,
    bytes: u64,
}

impl Trimmer {
    pub(super) fn new(disk: Disk, directory: PathBuf) -> Trimmer {
        Trimmer { disk, directory, files: Arc::default() }
    }

    /// Removes every file whose records are all at or below `applied`, oldest first, and says
    /// how many. Only once the manifest with this seq is durable. The newest file stays. The
    /// removal need not be durable: what a power cut brings back is removed at the next open.
    pub fn trim(&self, applied: Seq) -> io::Result<u64> {
        let mut removed = 0;
        loop {
            let mut files = self.lock();
            // A file ends where the next begins.
            let needless = files.get(1).is_some_and(|next| next.name.begins_by(applied));
            let oldest = match files.first() {
                Some(oldest) if needless => oldest.name,
                _ => return Ok(removed),
            };
            self.disk.remove(&oldest.path(&self.directory))?;
            files.remove(0);
            removed += 1;
        }
    }

    /// What the log's files take on the disk.
    pub fn bytes(&self) -> u64 {
        self.lock().iter().map(|entry| entry.bytes).sum()
    }

    /// `name` is newer than every file known so far.
    pub(super) fn add(&self, name: FileName, bytes: u64) {
        self.lock().push(Entry { name, bytes });
    }

    /// The file was closed, and cut to this length.
    pub(super) fn shrink(&self, name: FileName, bytes: u64) {
        if let Some(entry) = self.lock().iter_mut().find(|entry| entry.name == name) {
            entry.bytes = bytes;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Entry>> {
        // The list is whole between any two statements that could panic.
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
