//! What can go wrong, one variant per remedy.

use std::io;
use std::path::PathBuf;

use crate::collection::OpenError;

/// Why the data directory was not opened.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    #[error(
        "{} is in use by another process: stop it first, or give another data directory",
        directory.display()
    )]
    InUse { directory: PathBuf },

    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },

    #[error(
        "{}: {what}. Restore the file from a copy, or restore the whole data directory",
        file.display()
    )]
    Damaged { file: PathBuf, what: String },

    #[error(
        "{} has format version {found}, this program knows versions up to {known}: start the \
         version that wrote it, or a newer one",
        file.display()
    )]
    Newer { file: PathBuf, found: u32, known: u32 },

    #[error(
        "{} is there, but the data directory has no manifest ({} is missing): restore the \
         manifest, or begin with an empty data directory",
        found.display(), manifest.display()
    )]
    ManifestMissing { manifest: PathBuf, found: PathBuf },

    #[error("collection `{name}`: {source}")]
    Collection { name: String, source: OpenError },
}

impl CatalogError {
    pub(super) fn io(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> CatalogError {
        let path = path.into();
        move |source| CatalogError::Io { path, source }
    }
}

/// Why a checkpoint was not made.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The old manifest stands, nothing is lost, and the log keeps what was not written. The
    /// next checkpoint writes it to new files.
    #[error("{}: {source}. The log keeps everything; make room, the next attempt follows", path.display())]
    NotWritten { path: PathBuf, source: io::Error },

    /// A crash may leave the old manifest or the new one. The next start reads whichever it
    /// is; going on could remove files that the other one needs.
    #[error(
        "{}: {source}. Whether the new manifest is on the disk is unknown: restart, which reads \
         the one that is",
        path.display()
    )]
    Unknown { path: PathBuf, source: io::Error },

    /// The manifest is durable and whole, but a file it names cannot be read.
    #[error("collection `{name}`, after its checkpoint: {source}")]
    Install { name: String, source: OpenError },

    /// After [`CheckpointError::Unknown`] or [`CheckpointError::Install`].
    #[error("no checkpoint can be made after an earlier one failed half way: restart")]
    Stopped,
}

impl CheckpointError {
    pub(super) fn not_written(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| CheckpointError::NotWritten { path, source }
    }

    /// Whether the disk was full.
    pub fn is_no_room(&self) -> bool {
        use io::ErrorKind::{QuotaExceeded, StorageFull};
        match self {
            CheckpointError::NotWritten { source, .. } => {
                matches!(source.kind(), StorageFull | QuotaExceeded)
            }
            _ => false,
        }
    }

    /// Whether another attempt may be made by this process.
    pub fn is_final(&self) -> bool {
        !matches!(self, CheckpointError::NotWritten { .. })
    }
}
