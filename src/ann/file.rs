//! The file format of a graph: a header of ours, then FAISS's own bytes without the vectors.
//!
//! All numbers are little-endian. The checksum covers everything before and after itself.
//!
//! ```text
//!  0  magic "pointdgr"     8 bytes
//!  8  format               u32 = 1
//! 12  distance             u32   Cosine 1, Dot 2, Euclid 3, Manhattan 4
//! 16  dimensions           u32
//! 20  rows                 u32
//! 24  fingerprint of rows  u64
//! 32  length of the rest   u64
//! 40  crc32c               u32
//! 44  FAISS's graph
//! ```

use super::{AnnError, Distance};

const MAGIC: &[u8; 8] = b"pointdgr";
const FORMAT: u32 = 1;
const CRC: usize = 40;
const HEADER: usize = CRC + 4;

/// A number that changes whenever the rows do, such as a checksum of the segment's file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint(pub u64);

/// What a graph file must match to be of use.
pub(super) struct Shape {
    pub distance: Distance,
    pub dimensions: usize,
    pub rows: u32,
    pub fingerprint: Fingerprint,
}

fn distance_number(distance: Distance) -> u32 {
    match distance {
        Distance::Cosine => 1,
        Distance::Dot => 2,
        Distance::Euclid => 3,
        Distance::Manhattan => 4,
    }
}

pub(super) fn seal(
    shape: &Shape,
    graph: impl FnOnce(&mut Vec<u8>) -> Result<(), AnnError>,
) -> Result<Vec<u8>, AnnError> {
    let mut bytes = Vec::new();
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&FORMAT.to_le_bytes());
    bytes.extend_from_slice(&distance_number(shape.distance).to_le_bytes());
    bytes.extend_from_slice(&(shape.dimensions as u32).to_le_bytes());
    bytes.extend_from_slice(&shape.rows.to_le_bytes());
    bytes.extend_from_slice(&shape.fingerprint.0.to_le_bytes());
    bytes.resize(HEADER, 0);
    graph(&mut bytes)?;
    let length = (bytes.len() - HEADER) as u64;
    bytes[32..CRC].copy_from_slice(&length.to_le_bytes());
    let checksum = checksum(&bytes);
    bytes[CRC..HEADER].copy_from_slice(&checksum.to_le_bytes());
    Ok(bytes)
}

/// FAISS's part of a file that is whole and fits the rows.
pub(super) fn unseal<'a>(bytes: &'a [u8], shape: &Shape) -> Result<&'a [u8], AnnError> {
    if bytes.len() < HEADER {
        return Err(AnnError::Damaged("it is shorter than its header"));
    }
    if &bytes[..8] != MAGIC {
        return Err(AnnError::Damaged("it does not begin like a graph file"));
    }
    // Before the checksum: a newer format may keep its checksum elsewhere.
    let format = u32_at(bytes, 8);
    if format > FORMAT {
        return Err(AnnError::Newer { found: format, newest: FORMAT });
    }
    if u64_at(bytes, 32) != (bytes.len() - HEADER) as u64 {
        return Err(AnnError::Damaged("its length is wrong"));
    }
    if u32_at(bytes, CRC) != checksum(bytes) {
        return Err(AnnError::Damaged("its checksum is wrong"));
    }
    let expected = [
        ("fingerprint", shape.fingerprint.0, u64_at(bytes, 24)),
        ("distance", u64::from(distance_number(shape.distance)), u64::from(u32_at(bytes, 12))),
        ("number of dimensions", shape.dimensions as u64, u64::from(u32_at(bytes, 16))),
        ("number of rows", u64::from(shape.rows), u64::from(u32_at(bytes, 20))),
    ];
    for (what, expected, found) in expected {
        if expected != found {
            return Err(AnnError::OtherRows { what, expected, found });
        }
    }
    Ok(&bytes[HEADER..])
}

fn checksum(bytes: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&bytes[..CRC]), &bytes[HEADER..])
}

/// Both are called on offsets inside the header, whose length was checked.
fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut number = [0; 4];
    number.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(number)
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut number = [0; 8];
    number.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(number)
}
