//! The log file that frames are written to, and how it is ended.

use std::io;
use std::time::{Duration, Instant};

use super::chain::Link;
use super::frame;
use super::name::FileName;
use crate::disk::DiskFile;

/// What relies on a frame being on the disk.
const ACKNOWLEDGED: &str = "a frame of the log, before its records are acknowledged";
const CLOSED: &str = "the closing frame that names the next log file, before that one is relied on";

pub struct LogFile {
    pub file: DiskFile,
    pub name: FileName,
    /// What it is preallocated to.
    pub length: u64,
    /// Where the next frame goes.
    pub end: u64,
}

impl LogFile {
    /// Whether a frame of this size fits, with room left for the closing frame.
    pub fn has_room(&self, frame_bytes: usize) -> bool {
        self.end + frame_bytes as u64 + frame::CLOSING_BYTES as u64 <= self.length
    }

    /// Returns when the frame is on the disk, and how long that took after the write.
    pub fn write(&mut self, frame: &[u8]) -> io::Result<Duration> {
        self.file.write_at(frame, self.end)?;
        let written = Instant::now();
        self.file.sync(ACKNOWLEDGED)?;
        self.end += frame.len() as u64;
        Ok(written.elapsed())
    }
}

/// Ends a file at `end`, where the chain stands at `link`: what follows is cut off, and the
/// closing frame is on the disk when this returns. Without it the loss of the newest file
/// would look like a log that ends here. Gives the file's final length.
pub fn close(file: &DiskFile, end: u64, link: Link, successor: FileName) -> io::Result<u64> {
    let closing = frame::encode_closing(link, successor);
    file.truncate(end)?;
    file.write_at(&closing, end)?;
    file.sync(CLOSED)?;
    Ok(end + closing.len() as u64)
}
