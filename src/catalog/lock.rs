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
    /// Makes the directory if it is absent; its name is not durable yet.
    pub fn take(disk: &Disk, directory: &Path) -> Result<DirectoryLock, CatalogError> {
        disk.create_dir_all(directory).map_err(CatalogError::io(directory))?;
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
