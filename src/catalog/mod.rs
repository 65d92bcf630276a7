//! Everything that a log record changes: the collections, the positions of the streams, the
//! dead letters, the counters; and the checkpoint that makes all of it durable as of one seq.
//!
//! One writer (the applier) calls [`Catalog::apply`] with one record after the other, and
//! [`Catalog::seal`] between two of them. One other thread writes what was sealed with
//! [`Catalog::checkpoint`]. Any number of threads read.
//!
//! Promise: what a record does depends on the record and on the records before it, on nothing
//! else, so replaying the log after the manifest's seq ends in the same state. After a crash
//! [`Catalog::open`] gives the state of one manifest, whole, or names the file that is damaged
//! or missing. No promise: that an applied record is on the disk in any other form than its
//! log record, until the next checkpoint.
//!
//! ```text
//! MANIFEST             the newest checkpoint: all that is not in the log
//! wal/                 see `wal`
//! collections/17/      the collection that record 17 created; see `collection`
//! dead-letters/3.jsonl the dead letters that checkpoint 3 was the first to hold
//! windows/4.bin        what publishers may send again, as of checkpoint 4
//! ```
//! Whatever in `collections/`, `dead-letters/` and `windows/` the manifest does not name is a leftover of
//! a crash, and is removed.

mod apply;
mod checkpoint;
mod dead_letters;
mod decisions;
mod error;
mod frame;
mod handover;
mod letter_files;
mod lock;
mod manifest;
mod open;
mod read;
mod streams;
mod sweep;
mod windows;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crossbeam_channel::{Receiver, Sender};
use serde::{Deserialize, Serialize};

use crate::collection::{Collection, CollectionOptions};
use crate::disk::Disk;
use crate::metrics::Metrics;
use crate::operation::{Body, Refusal};
use crate::position::{Position, Seq, UnixMillis};

pub use checkpoint::SealedCatalog;
pub use dead_letters::{DeadLetter, HTTP, LettersKept};
pub use error::{CatalogError, CheckpointError};
pub use frame::{Durable, Frame};
pub use handover::{Answer, CheckpointRequests, CheckpointWork, handover};
pub use lock::DirectoryLock;
pub use streams::{QUEUE_SUFFIX_MAX, StreamProgress};
pub use windows::{Identity, WindowSizes};

/// The name of the manifest in the data directory.
pub const MANIFEST: &str = "MANIFEST";

/// The directory of the log in the data directory.
pub const WAL: &str = "wal";

#[derive(Clone, Debug)]
pub struct CatalogOptions {
    pub collection: CollectionOptions,
    /// Intake stops when so many dead letters are kept. Default 100 000.
    pub dead_letters_max: usize,
    /// Intake stops when the dead letters are this large together: they are kept in memory
    /// too. Default 64 MiB.
    pub dead_letter_bytes_max: u64,
    /// Messages remembered to recognise what a publisher sends again. Default: none.
    pub windows: WindowSizes,
}

impl Default for CatalogOptions {
    fn default() -> Self {
        CatalogOptions {
            collection: CollectionOptions::default(),
            dead_letters_max: 100_000,
            dead_letter_bytes_max: 64 << 20,
            windows: WindowSizes::new(),
        }
    }
}

/// One log record, decoded.
#[derive(Clone, Debug)]
pub struct Applied {
    pub seq: Seq,
    pub time: UnixMillis,
    pub position: Option<Position>,
    pub body: Body,
}

/// What a record did.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    Applied,
    /// It is a dead letter now, unless its writer waits for this answer.
    Refused(Refusal),
    /// A duplicate, or only a position; or a decision about dead letters that are gone.
    Nothing,
}

/// Records since the data directory was made, by what they did. Their sum is the applied seq.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counters {
    /// Messages applied.
    pub operations: u64,
    pub duplicates: u64,
    /// Messages that became dead letters, here or while they were decoded.
    pub dead_letters: u64,
    /// Messages refused whose writer was told, so that no dead letter was kept.
    pub refused: u64,
    pub moved: u64,
    pub starts: u64,
    /// Attempts at dead letters, whatever came of them.
    #[serde(default)]
    pub redrives: u64,
    /// Records that gave dead letters up, of one or of many.
    #[serde(default)]
    pub drops: u64,
}

/// All collections, positions and dead letters of one data directory.
pub struct Catalog {
    disk: Disk,
    directory: PathBuf,
    options: CatalogOptions,
    metrics: Metrics,
    state: RwLock<State>,
    /// The newest manifest that is durable.
    manifest: RwLock<Option<Arc<manifest::Manifest>>>,
    /// Told when an index was asked for.
    indexes: (Sender<()>, Receiver<()>),
    /// Held for the length of a checkpoint. Never taken while `state` is held.
    checkpoints: Mutex<Checkpoints>,
    /// Held for as long as the files may be touched.
    _lock: DirectoryLock,
}

/// What the records up to `applied` make.
#[derive(Default)]
struct State {
    applied: Seq,
    collections: BTreeMap<String, Held>,
    /// Collections the configuration has created. It creates each once, even if the
    /// collection is deleted later.
    configured: BTreeSet<String>,
    streams: streams::Streams,
    windows: windows::Windows,
    dead_letters: dead_letters::DeadLetters,
    counters: Counters,
}

/// A collection, and the seq that created it: the name of its directory.
#[derive(Clone)]
struct Held {
    created: Seq,
    collection: Arc<Collection>,
}

struct Checkpoints {
    /// Of the last one. A failed one's number is not used again.
    number: u64,
    /// After a checkpoint that failed half way.
    stopped: bool,
}

impl Catalog {
    /// The highest seq that readers see.
    pub fn applied(&self) -> Seq {
        self.state().applied
    }

    pub fn directory(&self) -> &Path {
        &self.directory
    }

    // A panic while the state is held ends the process (see `apply`); until it has ended,
    // readers are better served than not.
    fn state(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn state_mut(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn manifest(&self) -> Option<Arc<manifest::Manifest>> {
        self.manifest.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn checkpoints(&self) -> MutexGuard<'_, Checkpoints> {
        self.checkpoints.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where the collection created by `created` has its files.
fn collection_directory(directory: &Path, created: Seq) -> PathBuf {
    collections_directory(directory).join(created.to_string())
}

fn collections_directory(directory: &Path) -> PathBuf {
    directory.join("collections")
}

fn dead_letters_directory(directory: &Path) -> PathBuf {
    directory.join("dead-letters")
}

fn windows_directory(directory: &Path) -> PathBuf {
    directory.join("windows")
}
