//! Every write that must survive a power cut goes through here.
//!
//! [`Disk`] is a thin layer over the file system in which each step that durability rests on
//! (write, sync of a file, rename, sync of a directory, remove) is one named call. In
//! production that is all it is. Under test a [`Witness`] sees every step, so that a test can
//! rebuild what a power cut at any moment would have left: what was synced, and nothing else.

pub mod ballast;
pub mod powercut;

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What a [`Witness`] is shown, before the step is carried out.
#[derive(Clone, Copy, Debug)]
pub enum Step<'a> {
    /// An empty file came into being under this name.
    Create {
        path: &'a Path,
    },
    CreateDir {
        path: &'a Path,
    },
    Write {
        path: &'a Path,
        offset: u64,
        bytes: &'a [u8],
    },
    /// The file was given this length; bytes beyond its old end read as zero.
    Resize {
        path: &'a Path,
        length: u64,
    },
    /// The file's content is on the disk. `why` names what relies on it.
    Sync {
        path: &'a Path,
        why: &'static str,
    },
    Rename {
        from: &'a Path,
        to: &'a Path,
    },
    Remove {
        path: &'a Path,
    },
    /// The names in the directory are on the disk. `why` names what relies on it.
    SyncDir {
        path: &'a Path,
        why: &'static str,
    },
}

/// Watches a [`Disk`] under test. An error is returned to whoever asked for the step, which is
/// then not carried out: a full disk, a failed fsync, a power cut.
pub trait Witness: Send + Sync {
    fn saw(&self, step: Step<'_>) -> io::Result<()>;
}

#[derive(Clone, Default)]
pub struct Disk {
    witness: Option<Arc<dyn Witness>>,
}

/// A file open for writing. Reading goes through [`DiskFile::file`].
pub struct DiskFile {
    file: File,
    path: PathBuf,
    disk: Disk,
}

impl Disk {
    pub fn new() -> Self {
        Disk::default()
    }

    pub fn watched(witness: Arc<dyn Witness>) -> Self {
        Disk { witness: Some(witness) }
    }

    fn saw(&self, step: Step<'_>) -> io::Result<()> {
        match &self.witness {
            Some(witness) => witness.saw(step),
            None => Ok(()),
        }
    }

    /// Creates a file that must not exist yet. Its name is durable after [`Disk::sync_dir`].
    pub fn create(&self, path: &Path) -> io::Result<DiskFile> {
        self.saw(Step::Create { path })?;
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(path)?;
        Ok(DiskFile { file, path: path.to_owned(), disk: self.clone() })
    }

    /// Opens an existing file for writing.
    pub fn open(&self, path: &Path) -> io::Result<DiskFile> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        Ok(DiskFile { file, path: path.to_owned(), disk: self.clone() })
    }

    /// Creates a directory and, where absent, its parents.
    pub fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        if path.is_dir() {
            return Ok(());
        }
        if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            self.create_dir_all(parent)?;
        }
        self.saw(Step::CreateDir { path })?;
        std::fs::create_dir(path)
    }

    /// Atomic; durable after [`Disk::sync_dir`] of the directory.
    pub fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.saw(Step::Rename { from, to })?;
        std::fs::rename(from, to)
    }

    pub fn remove(&self, path: &Path) -> io::Result<()> {
        self.saw(Step::Remove { path })?;
        std::fs::remove_file(path)
    }

    /// Removes an empty directory. No step of its own: nothing relies on a directory being
    /// gone, and one that a power cut brings back is a leftover like a file is.
    pub fn remove_dir(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_dir(path)
    }

    pub fn sync_dir(&self, path: &Path, why: &'static str) -> io::Result<()> {
        self.saw(Step::SyncDir { path, why })?;
        File::open(path)?.sync_all()
    }
}

impl DiskFile {
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// For reading only: writes past this layer are invisible to a [`Witness`].
    pub fn file(&self) -> &File {
        &self.file
    }

    pub fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.disk.saw(Step::Write { path: &self.path, offset, bytes })?;
        self.file.write_all_at(bytes, offset)
    }

    /// Reserves the file's blocks up to `length`, so that a later write below it cannot find
    /// the disk full. Fails at once if they are not to be had.
    pub fn allocate(&self, length: u64) -> io::Result<()> {
        self.disk.saw(Step::Resize { path: &self.path, length })?;
        rustix::fs::fallocate(&self.file, rustix::fs::FallocateFlags::empty(), 0, length)?;
        Ok(())
    }

    pub fn truncate(&self, length: u64) -> io::Result<()> {
        self.disk.saw(Step::Resize { path: &self.path, length })?;
        self.file.set_len(length)
    }

    /// Returns when the content is on the disk (`fdatasync`).
    pub fn sync(&self, why: &'static str) -> io::Result<()> {
        self.disk.saw(Step::Sync { path: &self.path, why })?;
        self.file.sync_data()
    }
}

/// Free space of the volume that `path` is on, as far as this process may use it.
pub fn free_bytes(path: &Path) -> io::Result<u64> {
    let volume = rustix::fs::statvfs(path)?;
    Ok(volume.f_bavail.saturating_mul(volume.f_frsize))
}

/// Writes a whole file and gives it its name only once its content is durable; when this
/// returns, the name is durable too. A reader after any crash sees the old file or the new one.
pub fn publish(disk: &Disk, path: &Path, bytes: &[u8], why: &'static str) -> io::Result<()> {
    let temporary = path.with_extension("tmp");
    if temporary.exists() {
        disk.remove(&temporary)?;
    }
    let write = || {
        let file = disk.create(&temporary)?;
        file.write_at(bytes, 0)?;
        file.sync(why)
    };
    if let Err(error) = write() {
        // On a full disk half a file is in the way.
        let _ = disk.remove(&temporary);
        return Err(error);
    }
    disk.rename(&temporary, path)?;
    let directory = path.parent().unwrap_or(Path::new("."));
    disk.sync_dir(directory, why)
}
