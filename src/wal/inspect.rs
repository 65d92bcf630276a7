//! A look at a log that changes nothing and trusts nothing: for `pointd wal inspect`.
//!
//! Promise: it goes through every file it can read, past whatever is broken, and it may run
//! beside a daemon. No promise: that what it saw last is still so. Beside a daemon the last
//! frame can look broken while it is being written, and files can go as they are read.

use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::LogId;
use super::frame::{Fault, Frame};
use super::name::{FileName, list};
use super::read::{Found, Reader};
use crate::position::{InvalidPosition, Position, Seq, UnixMillis};

/// What a walk tells, in the order of the log: each file's [`Fact::File`], what is in it, and
/// how it ends.
#[derive(Debug)]
pub enum Fact {
    /// Files are numbered without holes, and here is one.
    Missing {
        number: u64,
    },
    File {
        path: PathBuf,
        bytes: u64,
        header: Result<HeaderFacts, Fault>,
    },
    Frame(FrameFacts),
    /// What stands at `offset` is no frame that belongs there. If a whole frame of this log
    /// follows, the bytes before it are damaged, and the walk goes on from it; if none does,
    /// they are a write that was interrupted, or is going on.
    Bad {
        offset: u64,
        fault: Fault,
        next_frame: Option<u64>,
    },
    /// The last fact of a file that ends well.
    End {
        offset: u64,
        successor: Option<String>,
    },
    /// Ends like a log file, but does not have a log file's name.
    Misnamed {
        path: PathBuf,
    },
    /// The file was removed before it could be read.
    Gone {
        path: PathBuf,
    },
}

#[derive(Debug)]
pub struct HeaderFacts {
    pub log_id: LogId,
    pub number: u64,
    pub first_seq: Seq,
    pub first_frame: u64,
    /// The first frame is a copy of the predecessor's last.
    pub carried: bool,
}

/// A frame whose checksum is right.
#[derive(Debug)]
pub struct FrameFacts {
    pub offset: u64,
    pub bytes: u64,
    pub number: u64,
    pub first: Seq,
    pub last: Seq,
    pub checksum: u32,
    pub records: Vec<RecordFacts>,
}

#[derive(Debug)]
pub struct RecordFacts {
    pub seq: Seq,
    pub time: UnixMillis,
    pub position: Option<Result<Position, InvalidPosition>>,
    pub body: Bytes,
}

/// Shows everything in the directory to `see`, until that fails.
pub fn walk(directory: &Path, see: &mut dyn FnMut(Fact) -> io::Result<()>) -> io::Result<()> {
    // A missing directory lists nothing; who asks for one has mistyped.
    std::fs::read_dir(directory)?;
    let listing = list(directory)?;
    for path in listing.misnamed {
        see(Fact::Misnamed { path })?;
    }
    // The number of the next file, where the one before does not name it.
    let mut expected = None;
    for name in listing.files {
        if let Some(number) = expected.filter(|number| *number < name.number) {
            see(Fact::Missing { number })?;
        }
        let successor = file(directory, name, see)?;
        expected = if successor.is_none() { name.number.checked_add(1) } else { None };
        // A trim removes the oldest first: were the successor trimmed, this file would be gone.
        let missing =
            |named: &FileName| !named.path(directory).exists() && name.path(directory).exists();
        if let Some(FileName { number, .. }) = successor.filter(missing) {
            see(Fact::Missing { number })?;
        }
    }
    Ok(())
}

/// Gives the file that this one names as its successor.
fn file(
    directory: &Path,
    name: FileName,
    see: &mut dyn FnMut(Fact) -> io::Result<()>,
) -> io::Result<Option<FileName>> {
    let path = name.path(directory);
    let opened = match Reader::open(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            see(Fact::Gone { path })?;
            return Ok(None);
        }
        opened => opened?,
    };
    let mut reader = match opened {
        Ok(reader) => reader,
        Err(fault) => {
            let bytes = path.metadata().map_or(0, |metadata| metadata.len());
            see(Fact::File { path, bytes, header: Err(fault) })?;
            return Ok(None);
        }
    };
    see(Fact::File { path, bytes: reader.length(), header: Ok(header_facts(&reader)) })?;
    let mut read_again = None;
    loop {
        let offset = reader.offset();
        match reader.read()? {
            Found::Frame(frame) => see(Fact::Frame(frame_facts(offset, &frame)))?,
            Found::Closing(frame) => {
                let successor = frame.successor();
                let named = successor.map(|name| name.to_string());
                see(Fact::End { offset, successor: named })?;
                return Ok(successor);
            }
            Found::End => {
                see(Fact::End { offset, successor: None })?;
                return Ok(None);
            }
            Found::Bad(fault) => {
                let next = reader.frame_after(&reader.tail()?);
                if next.is_some() && read_again.replace(offset) != Some(offset) {
                    // Beside a daemon, this frame may have been finished and the next one
                    // written between the two looks.
                    continue;
                }
                let next_frame = next.map(|(offset, _)| offset);
                see(Fact::Bad { offset, fault, next_frame })?;
                match next {
                    Some((offset, header)) => reader.jump(offset, &header),
                    None => return Ok(None),
                }
            }
        }
    }
}

fn header_facts(reader: &Reader) -> HeaderFacts {
    let header = reader.header();
    HeaderFacts {
        log_id: header.start.log_id,
        number: header.number,
        first_seq: header.start.seq,
        first_frame: header.start.frame,
        carried: header.carried,
    }
}

fn frame_facts(offset: u64, frame: &Frame) -> FrameFacts {
    let records = frame.records().flatten().map(|raw| RecordFacts {
        seq: raw.seq,
        time: raw.time,
        position: raw.position.as_deref().map(Position::decode),
        body: raw.body,
    });
    FrameFacts {
        offset,
        bytes: frame.bytes.len() as u64,
        number: frame.header.link.frame,
        first: frame.header.link.seq,
        last: frame.last_seq(),
        checksum: frame.checksum,
        records: records.collect(),
    }
}
