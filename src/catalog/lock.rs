//! One process per data directory.

use std::fs::{File, TryLockError};
use std::path::Path;
use std::time::{Duration, Instant};

use super::CatalogError;
use crate::disk::Disk;

/// A lock outlives its process's end, and a fork its parent's, for a moment: a restart must not
/// fail for that.
const PATIENCE: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(10);

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
        let deadline = Instant::now() + PATIENCE;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(DirectoryLock { _directory: file }),
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                    std::thread::sleep(PAUSE);
                }
                Err(TryLockError::WouldBlock) => {
                    return Err(CatalogError::InUse { directory: directory.to_owned() });
                }
                Err(TryLockError::Error(source)) => {
                    return Err(CatalogError::Io { path: directory.to_owned(), source });
                }
            }
        }
    }
}
