//! Reading one log file, frame by frame, trusting nothing.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::chain::Link;
use super::frame::{Fault, Frame, HEADER_BYTES, Header, Kind, MAGIC};
use super::header::{self, FileHeader};

/// What stands where the next frame should.
pub enum Found {
    /// A frame that continues the chain.
    Frame(Frame),
    /// A frame that ends the file.
    Closing(Frame),
    /// Nothing but the zeros the file was preallocated with, or its end.
    End,
    Bad(Fault),
}

/// A cursor in a log file. Its header has been verified.
pub struct Reader {
    file: File,
    path: PathBuf,
    length: u64,
    header: FileHeader,
    /// Where the next frame begins.
    offset: u64,
    next: Link,
}

impl Reader {
    /// `Ok(Err(_))` if the file can be read but its header is not right.
    pub fn open(path: &Path) -> io::Result<Result<Reader, Fault>> {
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        let mut bytes = [0; header::BYTES];
        if length < header::BYTES as u64 {
            return Ok(Err(Fault::Short));
        }
        file.read_exact_at(&mut bytes, 0)?;
        Ok(FileHeader::decode(&bytes).map(|header| Reader {
            file,
            path: path.to_owned(),
            length,
            header,
            offset: header::BYTES as u64,
            next: header.start,
        }))
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn length(&self) -> u64 {
        self.length
    }

    pub fn header(&self) -> &FileHeader {
        &self.header
    }

    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Where the chain stands at [`Reader::offset`].
    pub fn next(&self) -> Link {
        self.next
    }

    /// Reads on; moves only past a [`Found::Frame`].
    pub fn read(&mut self) -> io::Result<Found> {
        let found = match self.frame_at(self.offset)? {
            Ok(frame) => self.judge(frame),
            Err(Fault::Version { found, known }) => Found::Bad(Fault::Version { found, known }),
            Err(_) if self.tail()?.iter().all(|byte| *byte == 0) => Found::End,
            Err(fault) => Found::Bad(fault),
        };
        if let Found::Frame(frame) = &found {
            self.skip(frame);
        }
        Ok(found)
    }

    fn judge(&self, frame: Frame) -> Found {
        let (link, expected) = (frame.header.link, self.next);
        if link.log_id != expected.log_id {
            return Found::Bad(Fault::OtherLog(link.log_id));
        }
        if link.frame != expected.frame {
            return Found::Bad(Fault::Number { found: link.frame, expected: expected.frame });
        }
        if link.previous != expected.previous {
            return Found::Bad(Fault::Chain);
        }
        if link.seq != expected.seq {
            return Found::Bad(Fault::Malformed("a frame that does not begin at the next seq"));
        }
        match frame.header.kind {
            Kind::Records => Found::Frame(frame),
            Kind::Closing => Found::Closing(frame),
        }
    }

    fn skip(&mut self, frame: &Frame) {
        self.offset += frame.bytes.len() as u64;
        self.next = frame.header.link.after(frame.header.count, frame.checksum);
    }

    /// Goes to a frame found by [`Reader::frame_after`], whatever the chain says.
    pub fn jump(&mut self, offset: u64, header: &Header) {
        self.offset = offset;
        self.next = header.link;
    }

    fn frame_at(&self, offset: u64) -> io::Result<Result<Frame, Fault>> {
        let header = match Header::decode(&self.bytes_at(offset, HEADER_BYTES as u64)?) {
            Ok(header) => header,
            Err(fault) => return Ok(Err(fault)),
        };
        Ok(Frame::decode(self.bytes_at(offset, header.frame_bytes())?.into()))
    }

    /// Everything from the next frame's place to the end of the file.
    pub fn tail(&self) -> io::Result<Bytes> {
        Ok(self.bytes_at(self.offset, u64::MAX)?.into())
    }

    /// Fewer than asked for where the file ends. It may have been cut since it was opened: a
    /// running daemon closes files that an inspection reads.
    fn bytes_at(&self, offset: u64, length: u64) -> io::Result<Vec<u8>> {
        let length = length.min(self.length.saturating_sub(offset));
        let mut bytes = vec![0; length as usize];
        let mut filled = 0;
        while filled < bytes.len() {
            match self.file.read_at(&mut bytes[filled..], offset + filled as u64) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        bytes.truncate(filled);
        Ok(bytes)
    }

    /// The first frame that proves the bytes before it to be damaged and not an interrupted
    /// write: any whole frame at the next frame's place, or one further on that this log would
    /// have written later. One frame is in flight at a time, so a crash cannot leave a whole
    /// frame behind a broken one. (A body may well contain a copy of an older frame.)
    pub fn frame_after(&self, tail: &Bytes) -> Option<(u64, Header)> {
        let proves = |at: usize| {
            let frame = Frame::decode(tail.slice(at..)).ok()?;
            let link = frame.header.link;
            let later = link.log_id == self.next.log_id && link.frame >= self.next.frame;
            (at == 0 || later).then_some((self.offset + at as u64, frame.header))
        };
        memchr::memmem::find_iter(tail, MAGIC).find_map(proves)
    }
}

/// Without the zeros at its end.
pub fn trim_zeros(tail: &Bytes) -> Bytes {
    let end = tail.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    tail.slice(..end)
}
