//! A file that holds nothing but room: given up when the disk is full, so that a checkpoint can
//! be written and log files can go.
//!
//! Promise: while it is there, that many bytes can be had at once. No promise: that it is there.
//! It is made when there is room for it beyond the reserve, and nothing relies on it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use super::{Disk, free_bytes};

/// Its name in the data directory.
const NAME: &str = "ballast";

pub struct Ballast {
    disk: Disk,
    directory: PathBuf,
    bytes: u64,
    reserve_bytes: u64,
    /// Held while it is made or given up.
    changing: Mutex<()>,
    /// Its room is a checkpoint's, which has not ended yet.
    lent: AtomicBool,
}

impl Ballast {
    /// Of `bytes`; made when the volume has so many free beyond `reserve_bytes`.
    pub fn new(disk: &Disk, directory: &Path, bytes: u64, reserve_bytes: u64) -> Ballast {
        let (disk, directory) = (disk.clone(), directory.to_owned());
        Ballast {
            disk,
            directory,
            bytes,
            reserve_bytes,
            changing: Mutex::default(),
            lent: AtomicBool::new(false),
        }
    }

    /// Removes the file: from now on its room is the next checkpoint's. True if it was there.
    pub fn give_up(&self) -> bool {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let path = self.directory.join(NAME);
        if !path.exists() {
            return false;
        }
        match self.disk.remove(&path) {
            Ok(()) => {
                self.lent.store(true, Ordering::Release);
                tracing::error!(
                    bytes = self.bytes,
                    "the ballast was given up: a checkpoint may use its room. Make room on the \
                     disk before that is used up, too"
                );
                true
            }
            Err(error) => {
                tracing::error!(path = %path.display(), %error, "the ballast could not be removed");
                false
            }
        }
    }

    /// Whether a checkpoint is to have the room that was given up: whoever else wants it waits.
    pub fn is_lent(&self) -> bool {
        self.lent.load(Ordering::Acquire)
    }

    /// That checkpoint has ended.
    pub fn settle(&self) {
        self.lent.store(false, Ordering::Release);
    }

    /// Makes the file if it is not there whole and there is room for it.
    pub fn restore(&self) {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let path = self.directory.join(NAME);
        if let Err(error) = self.make(&path) {
            tracing::warn!(path = %path.display(), %error, "the ballast could not be made");
            // Half of it would only be in the way.
            let _ = self.disk.remove(&path);
        }
    }

    fn make(&self, path: &Path) -> io::Result<()> {
        let length = path.metadata().map_or(0, |metadata| metadata.len());
        let missing = self.bytes.saturating_sub(length);
        let wanted = self.reserve_bytes.saturating_add(missing);
        if missing == 0 || free_bytes(&self.directory)? <= wanted {
            return Ok(());
        }
        let file = match path.exists() {
            true => self.disk.open(path)?,
            false => self.disk.create(path)?,
        };
        file.allocate(self.bytes)?;
        tracing::info!(bytes = self.bytes, "the ballast is in place");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_there_until_it_is_given_up_and_comes_back_whole() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(NAME);
        let ballast = Ballast::new(&Disk::new(), directory.path(), 1 << 20, 0);
        assert!(!ballast.give_up());
        ballast.restore();
        assert_eq!(path.metadata().unwrap().len(), 1 << 20);
        assert!(ballast.give_up() && !path.exists() && ballast.is_lent());
        assert!(!ballast.give_up() && ballast.is_lent());
        ballast.settle();
        assert!(!ballast.is_lent());
        // A power cut left half of it.
        std::fs::write(&path, [0; 7]).unwrap();
        ballast.restore();
        assert_eq!(path.metadata().unwrap().len(), 1 << 20);
    }

    #[test]
    fn it_is_not_made_of_the_reserve() {
        let directory = tempfile::tempdir().unwrap();
        Ballast::new(&Disk::new(), directory.path(), 1 << 20, u64::MAX).restore();
        assert!(!directory.path().join(NAME).exists());
    }
}
