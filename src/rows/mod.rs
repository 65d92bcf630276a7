//! Rows of one column: growing in memory, or immutable in a mapped Arrow IPC file.
//!
//! A row says which point it belongs to (slot and id), when it was written (seq), and what the
//! column holds for that point from then on; a null cell says that it holds nothing any more.
//! Rows are numbered from 0 within their segment and never change.
//!
//! Promised: [`write_segment`] returns when the file's content is on the disk.
//! [`SegmentFile::open`] refuses a file with a damaged byte, or of a newer format, and reads
//! back the same rows, vectors and payloads in place, without a copy. pandas, Polars and DuckDB
//! read the files too.
//!
//! Not promised: that a new file's name is durable; its directory has to be synced. And bytes
//! that go bad on the disk while a file is open are not noticed.

mod chunks;
mod file;
mod map;
pub mod name;
mod schema;
#[cfg(test)]
mod tests;
mod write;

use std::path::PathBuf;
use std::sync::Arc;

use crate::point::{Distance, Payload, PointId, Slot};
use crate::position::Seq;

pub use chunks::{Chunk, Chunks};
pub use file::SegmentFile;
pub use schema::{FORMAT, Labels};
pub use write::{Pick, Written, write_segment};

/// What the rows of a column hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnType {
    Payload,
    Vector { size: usize, distance: Distance },
}

/// Whose row it is, and since when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowKey {
    pub slot: Slot,
    pub seq: Seq,
    pub id: PointId,
}

/// What a row says its point has in this column.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cell<'a> {
    /// Nothing any more.
    Null,
    Vector(&'a [f32]),
    Payload(&'a Payload),
}

/// One row, held so that it can be read after its segment was dropped or its head grew.
#[derive(Clone)]
pub enum Row {
    Memory(Arc<Chunk>, u32),
    File(Arc<SegmentFile>, u32),
}

impl Row {
    pub fn key(&self) -> RowKey {
        match self {
            Row::Memory(chunk, row) => chunk.key(*row),
            Row::File(file, row) => file.key(*row),
        }
    }

    /// `None` for a null cell, and in a column of payloads.
    pub fn vector(&self) -> Option<&[f32]> {
        match self {
            Row::Memory(chunk, row) => chunk.vector(*row),
            Row::File(file, row) => file.vector(*row),
        }
    }

    /// `None` for a null cell, and in a column of vectors.
    pub fn payload(&self) -> Option<Payload> {
        match self {
            Row::Memory(chunk, row) => chunk.payload(*row),
            Row::File(file, row) => file.payload(*row),
        }
    }
}

/// Rows that change no more.
#[derive(Clone)]
pub enum Segment {
    /// A head that was sealed and is not in a file yet.
    Memory(Arc<Chunks>),
    File(Arc<SegmentFile>),
}

impl Segment {
    pub fn rows(&self) -> u32 {
        match self {
            Segment::Memory(chunks) => chunks.rows(),
            Segment::File(file) => file.rows(),
        }
    }

    pub fn slot(&self, row: u32) -> Slot {
        match self {
            Segment::Memory(chunks) => chunks.key(row).slot,
            Segment::File(file) => file.slot(row),
        }
    }

    pub fn key(&self, row: u32) -> RowKey {
        match self {
            Segment::Memory(chunks) => chunks.key(row),
            Segment::File(file) => file.key(row),
        }
    }

    pub fn is_null(&self, row: u32) -> bool {
        match self {
            Segment::Memory(chunks) => chunks.is_null(row),
            Segment::File(file) => file.is_null(row),
        }
    }

    pub fn vector(&self, row: u32) -> Option<&[f32]> {
        match self {
            Segment::Memory(chunks) => chunks.vector(row),
            Segment::File(file) => file.vector(row),
        }
    }

    pub fn payload(&self, row: u32) -> Option<Payload> {
        match self {
            Segment::Memory(chunks) => chunks.payload(row),
            Segment::File(file) => file.payload(row),
        }
    }

    pub fn row(&self, row: u32) -> Row {
        match self {
            Segment::Memory(chunks) => chunks.row(row),
            Segment::File(file) => Row::File(Arc::clone(file), row),
        }
    }
}

/// Why a segment file cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum RowsError {
    #[error("{}: {source}", file.display())]
    Io { file: PathBuf, source: std::io::Error },
    /// Restore the file.
    #[error("{}: {what}", file.display())]
    Damaged { file: PathBuf, what: String },
    /// Upgrade the program.
    #[error("{}: its format is {found}, this program reads up to {FORMAT}", file.display())]
    Newer { file: PathBuf, found: u32 },
}
