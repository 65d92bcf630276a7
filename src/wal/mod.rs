//! The log: every message that was acknowledged to its broker, in order, until a checkpoint
//! holds it.
//!
//! Promise: when [`Wal::append`] returns, its records survive a power cut; [`Wal::open`] gives
//! back every one of them after the manifest's seq, in order, or refuses and names the file
//! that is damaged or missing. Nothing whose checksum fails is ever given out.
//! No promise: that an appended record can be searched (it has not been applied), that a record
//! whose `append` failed is absent after the next open, or that two processes may open one
//! directory: whoever opens it holds the data directory's lock.
//!
//! What is in a record's body is the business of the rooms above: it is bytes here.
//!
//! On disk: files of frames. A *frame* is a batch of records under one checksum and one fsync;
//! it carries the checksum of the frame before it, so the frames of a log are one chain. One
//! frame is in flight at a time, so a crash can leave at most the last one broken. A file ends
//! by a *closing frame* that names its successor. [`Wal::open`] never appends to a file it
//! found: it begins a new one with a copy of the last frame, because what the page cache shows
//! after a crash may not be on the disk.

mod append;
mod chain;
mod create;
mod error;
mod file;
mod frame;
mod header;
pub mod inspect;
mod name;
mod open;
mod read;
mod recover;
#[cfg(test)]
mod tests;
mod trim;
mod walk;

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use uuid::Uuid;

pub use error::{AppendError, OpenError};
pub use frame::Fault;
pub use trim::Trimmer;

use crate::disk::Disk;
use crate::position::{Position, Seq, UnixMillis};

/// Which log this is. Made when the log is made; the manifest keeps it, so that the log of
/// another data directory is never replayed into this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LogId(pub Uuid);

impl fmt::Display for LogId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// What a log file is preallocated to. One record larger than this gets a file of its own
    /// that is large enough.
    pub file_bytes: u64,
    /// The largest frame `append` takes. Frames already in the log are read whatever their size.
    pub frame_bytes_max: usize,
}

impl Default for Options {
    fn default() -> Self {
        Options { file_bytes: 64 << 20, frame_bytes_max: 256 << 20 }
    }
}

/// What goes in. It gets its seq from [`Wal::append`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    pub time: UnixMillis,
    /// An encoded [`Position`]; `None` for what no broker delivered.
    pub position: Option<Bytes>,
    pub body: Bytes,
}

impl Draft {
    /// What this record adds to a frame, so that a caller can stay below
    /// [`Options::frame_bytes_max`].
    pub fn frame_bytes(&self) -> usize {
        frame::record_bytes(self)
    }
}

/// What comes out. `body` is a slice of its whole frame: keeping it keeps the frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub seq: Seq,
    pub time: UnixMillis,
    pub position: Option<Position>,
    pub body: Bytes,
}

/// What the manifest says of the log. A data directory without a manifest has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Anchor {
    pub log_id: LogId,
    /// Everything up to here is in the checkpoint.
    pub applied: Seq,
}

/// What [`Wal::open`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovery {
    /// How many records were replayed.
    pub records: u64,
    /// The last seq in the log, or of the manifest if the log holds nothing after it.
    pub last: Seq,
    /// Broken bytes after the last frame: a write the crash interrupted. They were never
    /// acknowledged; a copy is kept.
    pub torn: Option<Torn>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Torn {
    pub file: PathBuf,
    pub offset: u64,
    pub bytes: u64,
    pub kept_at: PathBuf,
}

/// One frame that is on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    pub first: Seq,
    pub last: Seq,
    /// Size of the frame.
    pub bytes: u64,
    /// How long the disk took to say it has the frame.
    pub fsync: Duration,
}

/// The end of the log. Owned by the one thread that appends.
pub struct Wal {
    disk: Disk,
    directory: PathBuf,
    options: Options,
    file: file::LogFile,
    /// Where the chain goes on.
    next: chain::Link,
    buffer: Vec<u8>,
    fuse: append::Fuse,
    trimmer: Trimmer,
}

impl Wal {
    /// Replays every record after `anchor.applied`, in order, into `replay`; then is ready to
    /// append. What `replay` was given is durable only once this has returned, so it must not
    /// be acknowledged to anyone before.
    ///
    /// Without an anchor a new log is made; the caller then writes a manifest with
    /// [`Wal::log_id`] before it appends anything.
    pub fn open<E: std::error::Error + Send + Sync + 'static>(
        disk: &Disk,
        directory: &Path,
        options: Options,
        anchor: Option<Anchor>,
        replay: &mut dyn FnMut(Record) -> Result<(), E>,
    ) -> Result<(Wal, Recovery), OpenError> {
        open::open(disk, directory, options, anchor, &mut |record| {
            replay(record).map_err(|error| Box::new(error) as _)
        })
    }

    /// Writes one frame and returns when its bytes are on the disk. Not: that the records can
    /// be searched. After [`AppendError::Failed`] the log takes nothing more.
    pub fn append(&mut self, drafts: &[Draft]) -> Result<Appended, AppendError> {
        append::append(self, drafts)
    }

    /// Whether a frame of these takes a new log file, and with it room on the disk.
    pub fn needs_file(&self, drafts: &[Draft]) -> bool {
        !self.file.has_room(frame::frame_bytes(drafts))
    }

    pub fn log_id(&self) -> LogId {
        self.next.log_id
    }

    /// The seq the next record will get.
    pub fn next_seq(&self) -> Seq {
        self.next.seq
    }

    /// For another thread: removes log files below a manifest's seq, and tells how many bytes
    /// the log has on disk.
    pub fn trimmer(&self) -> Trimmer {
        self.trimmer.clone()
    }
}
