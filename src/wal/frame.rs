//! The encoding of a frame: what one fsync covers.
//!
//! ```text
//!  0  magic             4  "ptdF"
//!  4  version           2
//!  6  kind              2  1 records, 2 closing
//!  8  log id           16
//! 24  frame number      8
//! 32  first seq         8
//! 40  previous checksum 4  of the frame before it
//! 44  count             4  of records
//! 48  length            4  of what lies between header and checksum
//! 52  header crc32c     4  of bytes 0..52
//! 56  records
//!  …  crc32c            4  of everything before it
//! ```
//! A record is seq 8, time 8, position length 4, body length 4, position, body. A closing
//! frame holds the successor's file number 8 and first seq 8; it has the number its
//! successor's first frame has, and is no link of the chain. Integers are little-endian.
//! Magic, version and header crc stay where they are in every version.

use bytes::Bytes;
use uuid::Uuid;

use super::chain::Link;
use super::name::FileName;
use super::{Draft, LogId};
use crate::position::{Seq, UnixMillis};

pub const HEADER_BYTES: usize = 56;
pub const CHECKSUM_BYTES: usize = 4;
pub const VERSION: u16 = 1;
pub const MAGIC: &[u8; 4] = b"ptdF";
const RECORD_HEADER_BYTES: usize = 24;
const CLOSING_LENGTH: usize = 16;
/// Kept free at the end of every file.
pub const CLOSING_BYTES: usize = HEADER_BYTES + CLOSING_LENGTH + CHECKSUM_BYTES;

/// Why bytes are not what they should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("no magic number stands where one should")]
    Magic,
    #[error("the header's checksum is wrong")]
    HeaderChecksum,
    #[error("the frame's checksum is wrong")]
    Checksum,
    #[error("version {found} was written by a newer pointd; this one reads up to {known}")]
    Version { found: u32, known: u32 },
    #[error("the file ends inside the header or frame")]
    Short,
    #[error("belongs to another log, {0}")]
    OtherLog(LogId),
    #[error("is frame {found}, where frame {expected} should be")]
    Number { found: u64, expected: u64 },
    #[error("does not follow the frame before it: their checksums do not link")]
    Chain,
    #[error("{0}")]
    Malformed(&'static str),
    #[error("the file ends here, before the frame its successor goes on from")]
    Ended,
    #[error("the file ends here, without a frame that names its successor")]
    Unclosed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Records,
    Closing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    pub kind: Kind,
    /// Where the chain stands before this frame.
    pub link: Link,
    pub count: u32,
    pub length: u32,
}

impl Header {
    /// Of the frame from its first byte to its last.
    pub fn frame_bytes(&self) -> u64 {
        (HEADER_BYTES + CHECKSUM_BYTES) as u64 + u64::from(self.length)
    }

    fn encode(&self) -> [u8; HEADER_BYTES] {
        let kind: u16 = match self.kind {
            Kind::Records => 1,
            Kind::Closing => 2,
        };
        let mut bytes = [0; HEADER_BYTES];
        bytes[0..4].copy_from_slice(MAGIC);
        bytes[4..6].copy_from_slice(&VERSION.to_le_bytes());
        bytes[6..8].copy_from_slice(&kind.to_le_bytes());
        bytes[8..24].copy_from_slice(self.link.log_id.0.as_bytes());
        bytes[24..32].copy_from_slice(&self.link.frame.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.link.seq.0.to_le_bytes());
        bytes[40..44].copy_from_slice(&self.link.previous.to_le_bytes());
        bytes[44..48].copy_from_slice(&self.count.to_le_bytes());
        bytes[48..52].copy_from_slice(&self.length.to_le_bytes());
        let checksum = crc32c::crc32c(&bytes[..52]);
        bytes[52..56].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// The length it gives can be trusted: it is covered by the header's own checksum.
    pub fn decode(bytes: &[u8]) -> Result<Header, Fault> {
        let Some(bytes) = bytes.first_chunk::<HEADER_BYTES>() else { return Err(Fault::Short) };
        if &bytes[0..4] != MAGIC {
            return Err(Fault::Magic);
        }
        if crc32c::crc32c(&bytes[..52]) != read_u32(bytes, 52) {
            return Err(Fault::HeaderChecksum);
        }
        let version = u16::from_le_bytes([bytes[4], bytes[5]]);
        if version != VERSION {
            return Err(Fault::Version { found: version.into(), known: VERSION.into() });
        }
        let kind = match u16::from_le_bytes([bytes[6], bytes[7]]) {
            1 => Kind::Records,
            2 => Kind::Closing,
            _ => return Err(Fault::Malformed("a frame of an unknown kind")),
        };
        let mut log_id = [0; 16];
        log_id.copy_from_slice(&bytes[8..24]);
        let link = Link {
            log_id: LogId(Uuid::from_bytes(log_id)),
            frame: read_u64(bytes, 24),
            seq: Seq(read_u64(bytes, 32)),
            previous: read_u32(bytes, 40),
        };
        Ok(Header { kind, link, count: read_u32(bytes, 44), length: read_u32(bytes, 48) })
    }
}

/// A record as it lies in a frame: its position not decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawRecord {
    pub seq: Seq,
    pub time: UnixMillis,
    pub position: Option<Bytes>,
    pub body: Bytes,
}

/// A frame whose checksum is right.
#[derive(Clone, Debug)]
pub struct Frame {
    pub header: Header,
    pub checksum: u32,
    /// All of it, header and checksum included.
    pub bytes: Bytes,
}

impl Frame {
    /// `bytes` begins with a frame; what follows it is left alone.
    pub fn decode(mut bytes: Bytes) -> Result<Frame, Fault> {
        let header = Header::decode(&bytes)?;
        let end = usize::try_from(header.frame_bytes()).map_err(|_| Fault::Short)?;
        if bytes.len() < end {
            return Err(Fault::Short);
        }
        bytes.truncate(end);
        let checksum = read_u32(&bytes, end - CHECKSUM_BYTES);
        if crc32c::crc32c(&bytes[..end - CHECKSUM_BYTES]) != checksum {
            return Err(Fault::Checksum);
        }
        let frame = Frame { header, checksum, bytes };
        frame.check_records()?;
        Ok(frame)
    }

    /// The seq of the last record; the one before `first` if there is none.
    pub fn last_seq(&self) -> Seq {
        let after = self.header.link.seq.0.saturating_add(self.header.count.into());
        Seq(after.saturating_sub(1))
    }

    /// Of a closing frame.
    pub fn successor(&self) -> Option<FileName> {
        let body = self.body();
        if self.header.kind != Kind::Closing || body.len() != CLOSING_LENGTH {
            return None;
        }
        Some(FileName { number: read_u64(&body, 0), first_seq: Seq(read_u64(&body, 8)) })
    }

    pub fn records(&self) -> Records {
        let left = if self.header.kind == Kind::Records { self.body() } else { Bytes::new() };
        Records { left }
    }

    fn body(&self) -> Bytes {
        self.bytes.slice(HEADER_BYTES..self.bytes.len() - CHECKSUM_BYTES)
    }

    /// A right checksum over records that contradict their header: a bug, or a forgery.
    fn check_records(&self) -> Result<(), Fault> {
        if self.header.kind == Kind::Closing {
            return match self.successor() {
                Some(_) => Ok(()),
                None => Err(Fault::Malformed("a closing frame of the wrong length")),
            };
        }
        let mut next = self.header.link.seq;
        for record in self.records() {
            if record?.seq != next {
                return Err(Fault::Malformed("a frame whose records are not numbered in order"));
            }
            next = Seq(next.0.saturating_add(1));
        }
        match next.0.checked_sub(self.header.link.seq.0) {
            Some(count) if count == u64::from(self.header.count) && count > 0 => Ok(()),
            _ => Err(Fault::Malformed("a frame with another number of records than it says")),
        }
    }
}

/// The records of a frame, in order.
pub struct Records {
    left: Bytes,
}

impl Records {
    fn take(&mut self, length: u32) -> Option<Bytes> {
        let length = length as usize;
        (length <= self.left.len()).then(|| self.left.split_to(length))
    }

    fn read(&mut self) -> Option<RawRecord> {
        let header = self.take(RECORD_HEADER_BYTES as u32)?;
        let position = self.take(read_u32(&header, 16))?;
        let body = self.take(read_u32(&header, 20))?;
        Some(RawRecord {
            seq: Seq(read_u64(&header, 0)),
            time: UnixMillis(read_u64(&header, 8)),
            position: (!position.is_empty()).then_some(position),
            body,
        })
    }
}

impl Iterator for Records {
    type Item = Result<RawRecord, Fault>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.left.is_empty() {
            return None;
        }
        let record = self.read();
        if record.is_none() {
            self.left.clear();
        }
        Some(record.ok_or(Fault::Malformed("a record that ends beyond its frame")))
    }
}

pub fn record_bytes(draft: &Draft) -> usize {
    RECORD_HEADER_BYTES + draft.position.as_ref().map_or(0, Bytes::len) + draft.body.len()
}

/// The size of the frame that these records make.
pub fn frame_bytes(drafts: &[Draft]) -> usize {
    drafts.iter().map(record_bytes).sum::<usize>() + HEADER_BYTES + CHECKSUM_BYTES
}

/// Writes the frame into `out`, replacing what was there, and says where the chain then
/// stands. The caller has checked that its size and count fit in 32 bits.
pub fn encode(link: Link, drafts: &[Draft], out: &mut Vec<u8>) -> Link {
    out.clear();
    let bytes = frame_bytes(drafts);
    out.reserve(bytes);
    let count = drafts.len() as u32;
    let length = (bytes - HEADER_BYTES - CHECKSUM_BYTES) as u32;
    out.extend_from_slice(&Header { kind: Kind::Records, link, count, length }.encode());
    for (seq, draft) in (link.seq.0..).zip(drafts) {
        let position = draft.position.as_deref().unwrap_or_default();
        out.extend_from_slice(&seq.to_le_bytes());
        out.extend_from_slice(&draft.time.0.to_le_bytes());
        out.extend_from_slice(&(position.len() as u32).to_le_bytes());
        out.extend_from_slice(&(draft.body.len() as u32).to_le_bytes());
        out.extend_from_slice(position);
        out.extend_from_slice(&draft.body);
    }
    let checksum = crc32c::crc32c(out);
    out.extend_from_slice(&checksum.to_le_bytes());
    link.after(count, checksum)
}

/// The frame that ends a file at `link` and names the file where the chain goes on.
pub fn encode_closing(link: Link, successor: FileName) -> Vec<u8> {
    let header = Header { kind: Kind::Closing, link, count: 0, length: CLOSING_LENGTH as u32 };
    let mut out = header.encode().to_vec();
    out.extend_from_slice(&successor.number.to_le_bytes());
    out.extend_from_slice(&successor.first_seq.0.to_le_bytes());
    let checksum = crc32c::crc32c(&out);
    out.extend_from_slice(&checksum.to_le_bytes());
    out
}

/// The caller's `bytes` reach beyond `at + 4`.
pub fn read_u32(bytes: &[u8], at: usize) -> u32 {
    let mut value = [0; 4];
    value.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(value)
}

/// The caller's `bytes` reach beyond `at + 8`.
pub fn read_u64(bytes: &[u8], at: usize) -> u64 {
    let mut value = [0; 8];
    value.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(value)
}
