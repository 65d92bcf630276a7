//! The first half of opening: verify every frame after the manifest's seq, replay it, and tell
//! what the end of the log looks like. Changes nothing.

use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::chain::Link;
use super::error::OpenError;
use super::frame::{CLOSING_BYTES, Fault, Frame};
use super::header::FileHeader;
use super::name::FileName;
use super::open::Replay;
use super::read::{Found, Reader, trim_zeros};
use super::{Anchor, Record};
use crate::position::{Position, Seq};

/// What the walk found.
pub struct Walked {
    /// How many files, from the oldest, lie wholly behind the manifest. They were not read.
    pub behind: usize,
    /// The last file but one, if the closing frame at its end may not be on the disk.
    pub unclosed: Option<Unclosed>,
    pub newest: Newest,
}

/// A file whose successor exists, and holds nothing that was acknowledged through it.
pub struct Unclosed {
    pub name: FileName,
    pub offset: u64,
    pub link: Link,
    /// Broken bytes where the closing frame should be; empty if there are none.
    pub broken: Bytes,
}

pub struct Newest {
    pub name: FileName,
    /// The last frame, and where it begins.
    pub last: Option<(u64, Frame)>,
    /// Where the frames end.
    pub offset: u64,
    pub next: Link,
    /// Broken bytes after the last frame; empty if there are none.
    pub broken: Bytes,
}

pub struct Walk<'a, 'r> {
    directory: &'a Path,
    anchor: Anchor,
    replay: &'a mut Replay<'r>,
    records: u64,
}

fn damaged(reader: &Reader, fault: Fault) -> OpenError {
    OpenError::fault(reader.path(), reader.offset(), fault)
}

/// Whether the next frame is the one that the file was made with.
fn carried_is_next(reader: &Reader) -> bool {
    reader.header().carried && reader.next() == reader.header().start
}

impl<'a, 'r> Walk<'a, 'r> {
    pub fn new(directory: &'a Path, anchor: Anchor, replay: &'a mut Replay<'r>) -> Self {
        Walk { directory, anchor, replay, records: 0 }
    }

    /// How many records were replayed.
    pub fn records(&self) -> u64 {
        self.records
    }

    pub fn all(&mut self, files: &[FileName]) -> Result<Walked, OpenError> {
        let behind = self.behind(files)?;
        let mut reader = self.open(files[behind])?;
        let mut unclosed = None;
        for name in &files[behind + 1..] {
            let next = self.open(*name)?;
            if name.number != reader.header().number + 1 {
                let number = reader.header().number + 1;
                return Err(OpenError::MissingFile { file: next.path().to_owned(), number });
            }
            let relied_on = Some(name) != files.last() || self.relied_on(next.path())?;
            self.until(&mut reader, next.header())?;
            unclosed = self.closing(&mut reader, *name, relied_on)?;
            reader = next;
        }
        let newest = self.newest(reader)?;
        Ok(Walked { behind, unclosed, newest })
    }

    /// How many files hold nothing after the manifest's seq.
    fn behind(&self, files: &[FileName]) -> Result<usize, OpenError> {
        let directory = self.directory.to_owned();
        let Anchor { log_id, applied } = self.anchor;
        let Some(oldest) = files.first() else {
            return Err(OpenError::MissingLog { directory, log_id });
        };
        let first = oldest.first_seq;
        files.iter().rposition(|name| name.begins_by(applied)).ok_or(OpenError::MissingStart {
            directory,
            first,
            applied,
        })
    }

    fn open(&self, name: FileName) -> Result<Reader, OpenError> {
        let path = name.path(self.directory);
        let reader = Reader::open(&path).map_err(OpenError::io(&path))?;
        let reader = reader.map_err(|fault| OpenError::fault(&path, 0, fault))?;
        let (header, expected) = (reader.header(), self.anchor.log_id);
        if header.start.log_id != expected {
            let found = header.start.log_id;
            return Err(OpenError::OtherLog { file: path, found, expected });
        }
        if header.name() != name {
            return Err(OpenError::misnamed(path, header.name()));
        }
        Ok(reader)
    }

    /// Whether anything was written to the newest file since it was made. Only then is its
    /// predecessor's closing frame known to be on the disk.
    fn relied_on(&self, path: &Path) -> Result<bool, OpenError> {
        let io = |error| OpenError::io(path)(error);
        let mut reader = match Reader::open(path).map_err(io)? {
            Ok(reader) => reader,
            Err(fault) => return Err(OpenError::fault(path, 0, fault)),
        };
        if reader.header().carried && !matches!(reader.read().map_err(io)?, Found::Frame(_)) {
            return Err(damaged(&reader, Fault::Malformed("the frame carried over is broken")));
        }
        Ok(!trim_zeros(&reader.tail().map_err(io)?).is_empty())
    }

    /// Replays the frames of a file up to where its successor takes over.
    fn until(&mut self, reader: &mut Reader, next: &FileHeader) -> Result<(), OpenError> {
        while reader.next().frame < next.start.frame {
            match reader.read().map_err(OpenError::io(reader.path()))? {
                Found::Frame(frame) => self.deliver(reader.path(), &frame)?,
                Found::End | Found::Closing(_) => return Err(damaged(reader, Fault::Ended)),
                Found::Bad(fault) => return Err(damaged(reader, fault)),
            }
        }
        if reader.next() != next.start {
            return Err(OpenError::fault(next.name().path(self.directory), 0, Fault::Chain));
        }
        Ok(())
    }

    /// What stands in a file where `successor` takes over. If the successor is relied on, only
    /// a closing frame will do. If not, whatever looks like one may be in the page cache only.
    fn closing(
        &self,
        reader: &mut Reader,
        successor: FileName,
        relied_on: bool,
    ) -> Result<Option<Unclosed>, OpenError> {
        let (offset, link) = (reader.offset(), reader.next());
        let tail = reader.tail().map_err(OpenError::io(reader.path()))?;
        let found = reader.read().map_err(OpenError::io(reader.path()))?;
        let (fault, broken) = match found {
            Found::Closing(frame) if frame.successor() == Some(successor) => {
                match trim_zeros(&tail.slice(CLOSING_BYTES..)) {
                    rest if rest.is_empty() => (None, rest),
                    rest => (Some(Fault::Malformed("bytes follow the closing frame")), rest),
                }
            }
            Found::Closing(_) => {
                (Some(Fault::Malformed("the closing frame names another file")), trim_zeros(&tail))
            }
            // Recovery carried this frame over, and died before it could cut it here. Broken
            // bytes behind it were kept before anything was carried over.
            Found::Frame(_) => (Some(Fault::Unclosed), Bytes::new()),
            Found::End => (Some(Fault::Unclosed), Bytes::new()),
            Found::Bad(fault) => (Some(fault), trim_zeros(&tail)),
        };
        match fault {
            Some(fault) if relied_on => Err(OpenError::fault(reader.path(), offset, fault)),
            _ if relied_on => Ok(None),
            _ => Ok(Some(Unclosed { name: reader.header().name(), offset, link, broken })),
        }
    }

    fn newest(&mut self, mut reader: Reader) -> Result<Newest, OpenError> {
        let io = |error, path: PathBuf| OpenError::io(path)(error);
        let mut last = None;
        let broken = loop {
            let offset = reader.offset();
            match reader.read().map_err(|error| io(error, reader.path().to_owned()))? {
                Found::Frame(frame) => {
                    self.deliver(reader.path(), &frame)?;
                    last = Some((offset, frame));
                }
                Found::Closing(frame) => {
                    let number = frame.successor().map_or(0, |name| name.number);
                    return Err(OpenError::MissingFile { file: reader.path().into(), number });
                }
                // The carried frame was durable before the file had its name.
                Found::End if carried_is_next(&reader) => {
                    return Err(damaged(&reader, Fault::Ended));
                }
                Found::End => break Bytes::new(),
                Found::Bad(fault) => break self.torn(&reader, fault)?,
            }
        };
        let (offset, next, name) = (reader.offset(), reader.next(), reader.header().name());
        let end = Seq(next.seq.0.saturating_sub(1));
        if end < self.anchor.applied {
            let (file, applied) = (reader.path().to_owned(), self.anchor.applied);
            return Err(OpenError::EndsEarly { file, last: end, applied });
        }
        Ok(Newest { name, last, offset, next, broken })
    }

    /// The broken bytes at the end of the log, if a crash can have left them.
    fn torn(&self, reader: &Reader, fault: Fault) -> Result<Bytes, OpenError> {
        let tail = reader.tail().map_err(OpenError::io(reader.path()))?;
        let newer = matches!(fault, Fault::Version { .. });
        if newer || carried_is_next(reader) || reader.frame_after(&tail).is_some() {
            return Err(damaged(reader, fault));
        }
        Ok(trim_zeros(&tail))
    }

    fn deliver(&mut self, path: &Path, frame: &Frame) -> Result<(), OpenError> {
        if frame.last_seq() <= self.anchor.applied {
            return Ok(());
        }
        for raw in frame.records() {
            let raw = raw.map_err(|fault| OpenError::fault(path, 0, fault))?;
            if raw.seq <= self.anchor.applied {
                continue;
            }
            let seq = raw.seq;
            let position = raw.position.as_deref().map(Position::decode).transpose();
            let position = position.map_err(|source| {
                let file = path.to_owned();
                OpenError::Position { file, seq, source }
            })?;
            let record = Record { seq, time: raw.time, position, body: raw.body };
            (self.replay)(record).map_err(|source| OpenError::Replay { seq, source })?;
            self.records += 1;
        }
        Ok(())
    }
}
