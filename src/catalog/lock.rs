//! One process per data directory.

use std::fs::{File, TryLockError};
use std::path::Path;

use super::CatalogError;
use crate::disk::Disk;

/// The right to touch a data directory. Released when dropped, or when the process ends.
///
/// The lock (`flock`) is on the directory itself: no lock file to remove by mistake. It binds
/// only programs that ask for it, and on NFS only those of the same machine.
#[derive(Debug)]
pub struct DirectoryLock {
    _directory: File,
}

impl DirectoryLock {
    /// Makes the directory if it is absent.
    pub fn take(disk: &Disk, directory: &Path) -> Result<DirectoryLock, CatalogError> {
        create_directory(disk, directory)?;
        let file = File::open(directory).map_err(CatalogError::io(directory))?;
        match file.try_lock() {
            Ok(()) => Ok(DirectoryLock { _directory: file }),
            Err(TryLockError::WouldBlock) => {
                Err(CatalogError::InUse { directory: directory.to_owned() })
            }
            Err(TryLockError::Error(source)) => {
                Err(CatalogError::Io { path: directory.to_owned(), source })
            }
        }
    }
}

fn create_directory(disk: &Disk, directory: &Path) -> Result<(), CatalogError> {
    if directory.is_dir() {
        return Ok(());
    }
    if let Some(parent) = directory.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        create_directory(disk, parent)?;
    }
    disk.create_dir_all(directory).map_err(CatalogError::io(directory))?;
    let parent = match directory.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    disk.sync_dir(parent, "the data directory's own name").map_err(CatalogError::io(parent))
}
