//! Sealing the state between two records, and making it durable as one manifest.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError};

use super::manifest::{CollectionEntry, DeadLetterFile, Manifest};
use super::streams::Streams;
use super::windows::{Windows, WindowsFile};
use super::{Catalog, CheckpointError, Counters, DeadLetter, Held, MANIFEST};
use super::{dead_letters_directory, windows_directory};
use crate::collection::{Collection, Flushed, Sealed};
use crate::position::Seq;
use crate::wal::LogId;

const WINDOWS: &str = "the windows' content, before the manifest names it";
const WINDOWS_NAME: &str = "the windows file's name, before the manifest names it";
const CONTENT: &str = "the manifest's content, before it gets its name";
const NAME: &str = "the manifest's name, before anything it replaces is removed";

/// The state as of one seq, on its way to the disk.
pub struct SealedCatalog {
    pub(super) seq: Seq,
    pub(super) counters: Counters,
    pub(super) configured: BTreeSet<String>,
    pub(super) streams: Streams,
    windows: Windows,
    collections: Vec<(String, Held, Sealed)>,
    dead_letters: Vec<Arc<DeadLetter>>,
}

impl SealedCatalog {
    pub fn seq(&self) -> Seq {
        self.seq
    }
}

impl Catalog {
    /// Freezes the state as of now. On the thread that applies, between two records; cheap.
    pub fn seal(&self) -> SealedCatalog {
        let state = self.state();
        let collections = state.collections.iter().map(|(name, held)| {
            let sealed = held.collection.seal();
            (name.clone(), held.clone(), sealed)
        });
        SealedCatalog {
            seq: state.applied,
            counters: state.counters,
            configured: state.configured.clone(),
            streams: state.streams.clone(),
            windows: state.windows.clone(),
            collections: collections.collect(),
            dead_letters: state.dead_letters.all(),
        }
    }

    /// Makes what was sealed durable, and the newest manifest; returns its seq, at and below
    /// which log files may go. On the maintenance thread. What the manifest no longer names
    /// stays until [`Catalog::sweep`].
    pub fn checkpoint(&self, sealed: SealedCatalog, log_id: LogId) -> Result<Seq, CheckpointError> {
        let mut checkpoints = self.checkpoints();
        if checkpoints.stopped {
            return Err(CheckpointError::Stopped);
        }
        checkpoints.number += 1;
        let written = self.write(sealed, log_id, checkpoints.number);
        checkpoints.stopped = written.as_ref().is_err_and(CheckpointError::is_final);
        if matches!(written, Err(CheckpointError::NotWritten { .. })) {
            self.discard(checkpoints.number);
        }
        written
    }

    fn write(
        &self,
        sealed: SealedCatalog,
        log_id: LogId,
        number: u64,
    ) -> Result<Seq, CheckpointError> {
        let mut manifest = Manifest::of(&sealed, log_id, number);
        manifest.dead_letters = self.write_dead_letters(&sealed.dead_letters, number)?;
        manifest.windows = self.write_windows(&sealed.windows, number)?;
        let mut flushed = Vec::new();
        for (name, held, sealed) in sealed.collections {
            let (entry, written) = self.flush(&held, sealed)?;
            manifest.collections.insert(name.clone(), entry);
            flushed.push((name, held.collection, written));
        }
        let seq = manifest.seq;
        self.publish(manifest)?;
        install(flushed)?;
        Ok(seq)
    }

    /// Removes what a failed attempt left, as far as it can be: on a full disk each would leave
    /// more. Heads that were written whole stay, and the next attempt names them.
    fn discard(&self, number: u64) {
        let left = [
            dead_letters_directory(&self.directory).join(DeadLetterFile::name_of(number)),
            windows_directory(&self.directory).join(WindowsFile::name_of(number)),
            self.directory.join(MANIFEST).with_extension("tmp"),
        ];
        for path in left.iter().filter(|path| path.exists()) {
            if let Err(error) = self.disk.remove(path) {
                tracing::warn!(path = %path.display(), %error, "left by a failed checkpoint");
            }
        }
    }

    fn flush(
        &self,
        held: &Held,
        sealed: Sealed,
    ) -> Result<(CollectionEntry, Flushed), CheckpointError> {
        let directory = super::collection_directory(&self.directory, held.created);
        let collection = &held.collection;
        let flushed = collection.flush(sealed).map_err(CheckpointError::not_written(directory))?;
        let entry = CollectionEntry {
            created: held.created,
            schema: collection.schema().clone(),
            files: collection.files_with(&flushed),
        };
        Ok((entry, flushed))
    }

    /// Always whole: 32 bytes a message, and most of them are new.
    fn write_windows(
        &self,
        windows: &Windows,
        number: u64,
    ) -> Result<Option<WindowsFile>, CheckpointError> {
        if windows.is_empty() {
            return Ok(None);
        }
        let content = windows.encode();
        let (length_bytes, crc32c) = (content.len() as u64, crc32c::crc32c(&content));
        let file = WindowsFile { number, length_bytes, crc32c };
        let directory = windows_directory(&self.directory);
        let path = directory.join(file.name());
        let write = || {
            let file = self.disk.create(&path)?;
            file.write_at(&content, 0)?;
            file.sync(WINDOWS)?;
            self.disk.sync_dir(&directory, WINDOWS_NAME)
        };
        write().map_err(CheckpointError::not_written(&path))?;
        Ok(Some(file))
    }

    /// A reader after any crash sees the old manifest or the new one. Up to the rename nothing
    /// has happened; from there on until the directory is synced, either may be the one.
    fn publish(&self, manifest: Manifest) -> Result<(), CheckpointError> {
        let path = self.directory.join(MANIFEST);
        let temporary = path.with_extension("tmp");
        let write = || {
            let content = manifest.encode()?;
            if temporary.exists() {
                self.disk.remove(&temporary)?;
            }
            let file = self.disk.create(&temporary)?;
            file.write_at(&content, 0)?;
            file.sync(CONTENT)
        };
        write().map_err(CheckpointError::not_written(&temporary))?;
        self.disk
            .rename(&temporary, &path)
            .and_then(|()| self.disk.sync_dir(&self.directory, NAME))
            .map_err(|source| CheckpointError::Unknown { path, source })?;
        *self.manifest.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(manifest));
        Ok(())
    }
}

/// The manifest is durable: memory gives way to files.
fn install(flushed: Vec<(String, Arc<Collection>, Flushed)>) -> Result<(), CheckpointError> {
    for (name, collection, flushed) in flushed {
        collection.install(flushed).map_err(|source| CheckpointError::Install { name, source })?;
    }
    Ok(())
}
