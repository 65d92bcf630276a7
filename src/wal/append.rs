//! Appending: the hot path.

use std::io;
use std::path::Path;

use super::create::{Failure, create};
use super::error::AppendError;
use super::file::close;
use super::frame;
use super::header::FileHeader;
use super::{Appended, Draft, Wal};
use crate::position::Seq;

/// Blows at the first failed write or fsync, and stays blown.
#[derive(Default)]
pub struct Fuse {
    cause: Option<String>,
}

impl Fuse {
    fn check(&self) -> Result<(), AppendError> {
        match &self.cause {
            None => Ok(()),
            Some(cause) => Err(AppendError::Poisoned { cause: cause.clone() }),
        }
    }

    fn blow(&mut self, path: &Path, source: io::Error) -> AppendError {
        self.cause = Some(format!("{}: {source}", path.display()));
        AppendError::Failed { path: path.to_owned(), source }
    }
}

pub fn append(wal: &mut Wal, drafts: &[Draft]) -> Result<Appended, AppendError> {
    wal.fuse.check()?;
    let bytes = check(drafts, wal.options.frame_bytes_max)?;
    if !wal.file.has_room(bytes) {
        rotate(wal, bytes)?;
    }
    let next = frame::encode(wal.next, drafts, &mut wal.buffer);
    let fsync = match wal.file.write(&wal.buffer) {
        Ok(fsync) => fsync,
        Err(error) => return Err(wal.fuse.blow(wal.file.file.path(), error)),
    };
    let first = wal.next.seq;
    wal.next = next;
    Ok(Appended { first, last: Seq(next.seq.0 - 1), bytes: bytes as u64, fsync })
}

/// The size of the frame, if it may be written.
fn check(drafts: &[Draft], bytes_max: usize) -> Result<usize, AppendError> {
    if drafts.is_empty() {
        return Err(AppendError::Empty);
    }
    let empty = |draft: &Draft| draft.position.as_ref().is_some_and(|bytes| bytes.is_empty());
    if let Some(index) = drafts.iter().position(empty) {
        return Err(AppendError::EmptyPosition { index });
    }
    // The format's lengths have 32 bits.
    let bytes_max = bytes_max.min(u32::MAX as usize);
    match frame::frame_bytes(drafts) {
        bytes if bytes > bytes_max => Err(AppendError::TooLarge { bytes, bytes_max }),
        bytes => Ok(bytes),
    }
}

/// Goes on in a new file. The new file is durable before the old one names it, and the old one
/// names it before anything in it is acknowledged.
fn rotate(wal: &mut Wal, frame_bytes: usize) -> Result<(), AppendError> {
    let header = FileHeader { number: wal.file.name.number + 1, carried: false, start: wal.next };
    let file_bytes = wal.options.file_bytes;
    let new = match create(&wal.disk, &wal.directory, header, &[], frame_bytes, file_bytes) {
        Ok(new) => new,
        Err(Failure::NoRoom(path, source)) => return Err(AppendError::NoRoom { path, source }),
        Err(Failure::Failed(path, source)) => return Err(wal.fuse.blow(&path, source)),
    };
    let closed = match close(&wal.file.file, wal.file.end, wal.next, new.name) {
        Ok(length) => length,
        Err(error) => return Err(wal.fuse.blow(wal.file.file.path(), error)),
    };
    wal.trimmer.shrink(wal.file.name, closed);
    wal.trimmer.add(new.name, new.length);
    wal.file = new;
    Ok(())
}
