//! Making a log file.

use std::io;
use std::path::{Path, PathBuf};

use super::file::LogFile;
use super::frame::CLOSING_BYTES;
use super::header::{self, FileHeader};
use crate::disk::Disk;

const CONTENT: &str = "a log file's header and carried frame, before it gets its name";
pub const NAME: &str = "a log file's name, before anything in it is relied on";
const DIRECTORY: &str = "the log directory's own name";

/// Which step failed.
pub enum Failure {
    /// No blocks for it: nothing of the log has been touched, and it can be tried again.
    NoRoom(PathBuf, io::Error),
    Failed(PathBuf, io::Error),
}

/// Makes a file that begins with `carried` (a frame, or nothing) and has room for a frame of
/// `frame_bytes` after it. It has its blocks, its content and its name on the disk when this
/// returns.
pub fn create(
    disk: &Disk,
    directory: &Path,
    header: FileHeader,
    carried: &[u8],
    frame_bytes: usize,
    file_bytes: u64,
) -> Result<LogFile, Failure> {
    let name = header.name();
    let (temporary, path) = (name.temporary(directory), name.path(directory));
    let end = (header::BYTES + carried.len()) as u64;
    let length = file_bytes.max(end + (frame_bytes + CLOSING_BYTES) as u64);
    let no_room = |error| Failure::NoRoom(temporary.clone(), error);
    let failed = |error| Failure::Failed(temporary.clone(), error);

    if temporary.exists() {
        // Left by an attempt that found no room.
        disk.remove(&temporary).map_err(no_room)?;
    }
    let file = disk.create(&temporary).map_err(no_room)?;
    if let Err(error) = file.allocate(length) {
        // What it did get must not keep others from finding room. Should this fail too, the
        // next attempt or the next open removes it.
        let _ = disk.remove(&temporary);
        return Err(no_room(error));
    }
    let mut start = header.encode().to_vec();
    start.extend_from_slice(carried);
    file.write_at(&start, 0).map_err(failed)?;
    file.sync(CONTENT).map_err(failed)?;
    disk.rename(&temporary, &path).map_err(failed)?;
    disk.sync_dir(directory, NAME).map_err(failed)?;
    drop(file);
    // Opened again under the name it has now, which errors and a witness go by.
    let file = disk.open(&path).map_err(|error| Failure::Failed(path.clone(), error))?;
    Ok(LogFile { file, name, length, end })
}

/// Makes the log's directory and, where they are missing, its parents. Its name is durable when
/// this returns, also if a process that died had made it already.
pub fn create_directory(disk: &Disk, directory: &Path) -> io::Result<()> {
    let parent = match directory.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    if !parent.is_dir() {
        create_directory(disk, parent)?;
    }
    disk.create_dir_all(directory)?;
    disk.sync_dir(parent, DIRECTORY)
}
