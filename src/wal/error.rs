//! What can go wrong, one variant per remedy.

use std::io;
use std::path::PathBuf;

use super::frame::Fault;
use super::name::FileName;
use super::{LogId, Seq};
use crate::position::InvalidPosition;

/// Why the log was not opened. Nothing was changed, except by a failure of the disk itself.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("{path}: {source}", path = path.display())]
    Io { path: PathBuf, source: io::Error },

    #[error(
        "{file} is damaged at byte {offset}: {fault}. It was durable, so this is not an \
         interrupted write. Restore the file from a copy; without one, `pointd wal inspect` \
         shows what is readable, and a new data directory, filled again from the brokers, \
         replaces the rest",
        file = file.display()
    )]
    Damaged { file: PathBuf, offset: u64, fault: Fault },

    #[error(
        "{file}: {fault}. Start the version that wrote it",
        file = file.display()
    )]
    Newer { file: PathBuf, fault: Fault },

    #[error(
        "{file} does not have the name that its content asks for ({expected}): give it its name \
         back",
        file = file.display()
    )]
    Misnamed { file: PathBuf, expected: String },

    #[error(
        "the log in {directory} begins at seq {first}, but the manifest's checkpoint ends at seq \
         {applied}: the log files between them are missing. Restore them, or the manifest that \
         belongs to this log",
        directory = directory.display()
    )]
    MissingStart { directory: PathBuf, first: Seq, applied: Seq },

    #[error(
        "{directory} holds no log file, but the manifest says that log {log_id} is there: restore \
         the log files",
        directory = directory.display()
    )]
    MissingLog { directory: PathBuf, log_id: LogId },

    #[error(
        "log file number {number} is missing; {file} says that it was there. Restore it",
        file = file.display()
    )]
    MissingFile { file: PathBuf, number: u64 },

    #[error(
        "the log ends in {file} at seq {last}, but the manifest was written at seq {applied}: the \
         end of the log is lost. Restore it",
        file = file.display()
    )]
    EndsEarly { file: PathBuf, last: Seq, applied: Seq },

    #[error(
        "{file} holds records, but the data directory has no manifest: restore the manifest, or \
         begin with an empty data directory",
        file = file.display()
    )]
    ManifestMissing { file: PathBuf },

    #[error(
        "{file} belongs to log {found}, the manifest to log {expected}: this is the log of \
         another data directory",
        file = file.display()
    )]
    OtherLog { file: PathBuf, found: LogId, expected: LogId },

    #[error("{file}: the position of record {seq} cannot be read: {source}", file = file.display())]
    Position { file: PathBuf, seq: Seq, source: InvalidPosition },

    #[error("record {seq} could not be replayed: {source}")]
    Replay { seq: Seq, source: Box<dyn std::error::Error + Send + Sync> },
}

impl OpenError {
    pub(super) fn io(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> OpenError {
        let path = path.into();
        move |source| OpenError::Io { path, source }
    }

    pub(super) fn fault(file: impl Into<PathBuf>, offset: u64, fault: Fault) -> OpenError {
        let file = file.into();
        match fault {
            Fault::Version { .. } => OpenError::Newer { file, fault },
            fault => OpenError::Damaged { file, offset, fault },
        }
    }

    pub(super) fn misnamed(file: impl Into<PathBuf>, expected: FileName) -> OpenError {
        OpenError::Misnamed { file: file.into(), expected: expected.to_string() }
    }
}

/// Why records are not in the log.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// Whether the records are on the disk is unknown. What the kernel could not write it may
    /// have dropped, so trying again proves nothing: end the process.
    #[error("{path}: {source}; whether the records are on the disk is unknown", path = path.display())]
    Failed { path: PathBuf, source: io::Error },

    #[error("the log takes nothing more, because an earlier append failed ({cause}): restart")]
    Poisoned { cause: String },

    /// Nothing was written. The same append can succeed once there is room.
    #[error("no new log file can be made at {path}: {source}", path = path.display())]
    NoRoom { path: PathBuf, source: io::Error },

    /// Nothing was written.
    #[error("a frame of {bytes} bytes is larger than the {bytes_max} allowed")]
    TooLarge { bytes: usize, bytes_max: usize },

    /// Nothing was written.
    #[error("a frame without records")]
    Empty,

    /// Nothing was written.
    #[error("draft {index} has an empty position: no position is `None`")]
    EmptyPosition { index: usize },
}
