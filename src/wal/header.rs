//! The first 64 bytes of a log file. They are durable before the file gets its name, so a
//! header that does not check out is damage, never a torn write.
//!
//! ```text
//!  0  magic             8  "pointdwl"
//!  8  version           4
//! 12  carried           4  1 if the first frame is a copy of the predecessor's last
//! 16  log id           16
//! 32  file number       8
//! 40  first seq         8  of the first record this file holds or will hold
//! 48  first frame       8  its number
//! 56  previous checksum 4  of the frame before it
//! 60  crc32c            4  of bytes 0..60
//! ```
//! Integers are little-endian. Magic, version and crc stay where they are in every version.

use uuid::Uuid;

use super::LogId;
use super::chain::Link;
use super::frame::{Fault, read_u32, read_u64};
use super::name::FileName;
use crate::position::Seq;

pub const BYTES: usize = 64;
pub const VERSION: u32 = 1;
const MAGIC: &[u8; 8] = b"pointdwl";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileHeader {
    pub number: u64,
    /// The first frame is a copy of the predecessor's last one, and as durable as this header.
    pub carried: bool,
    /// Where the chain stands at the file's first frame.
    pub start: Link,
}

impl FileHeader {
    pub fn name(&self) -> FileName {
        FileName { first_seq: self.start.seq, number: self.number }
    }

    pub fn encode(&self) -> [u8; BYTES] {
        let mut bytes = [0; BYTES];
        bytes[0..8].copy_from_slice(MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[12..16].copy_from_slice(&u32::from(self.carried).to_le_bytes());
        bytes[16..32].copy_from_slice(self.start.log_id.0.as_bytes());
        bytes[32..40].copy_from_slice(&self.number.to_le_bytes());
        bytes[40..48].copy_from_slice(&self.start.seq.0.to_le_bytes());
        bytes[48..56].copy_from_slice(&self.start.frame.to_le_bytes());
        bytes[56..60].copy_from_slice(&self.start.previous.to_le_bytes());
        let checksum = crc32c::crc32c(&bytes[..60]);
        bytes[60..64].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    pub fn decode(bytes: &[u8; BYTES]) -> Result<FileHeader, Fault> {
        if &bytes[0..8] != MAGIC {
            return Err(Fault::Magic);
        }
        if crc32c::crc32c(&bytes[..60]) != read_u32(bytes, 60) {
            return Err(Fault::HeaderChecksum);
        }
        let version = read_u32(bytes, 8);
        if version != VERSION {
            return Err(Fault::Version { found: version, known: VERSION });
        }
        let carried = match read_u32(bytes, 12) {
            0 => false,
            1 => true,
            _ => return Err(Fault::Malformed("the header's `carried` is neither 0 nor 1")),
        };
        let mut log_id = [0; 16];
        log_id.copy_from_slice(&bytes[16..32]);
        Ok(FileHeader {
            number: read_u64(bytes, 32),
            carried,
            start: Link {
                log_id: LogId(Uuid::from_bytes(log_id)),
                seq: Seq(read_u64(bytes, 40)),
                frame: read_u64(bytes, 48),
                previous: read_u32(bytes, 56),
            },
        })
    }
}
