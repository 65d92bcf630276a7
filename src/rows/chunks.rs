//! Rows in memory.

use std::sync::Arc;

use super::{Cell, ColumnType, Row, RowKey};
use crate::point::Payload;

/// A chunk's size: small enough that a writer may copy one because a reader holds it.
const CHUNK_BYTES: usize = 256 * 1024;
const CHUNK_ROWS: usize = 512;

/// Growing rows. A clone is a view of the rows there are now; it costs one reference per chunk,
/// and makes the next push copy the last chunk.
#[derive(Clone)]
pub struct Chunks {
    column: ColumnType,
    rows_per_chunk: u32,
    chunks: Vec<Arc<Chunk>>,
    rows: u32,
    bytes: u64,
}

pub struct Chunk {
    keys: Vec<RowKey>,
    cells: Cells,
}

enum Cells {
    Payloads(Vec<Option<Payload>>),
    /// A row without a vector has zeros.
    Vectors {
        size: usize,
        present: Vec<bool>,
        values: Vec<f32>,
    },
}

impl Chunks {
    pub fn new(column: ColumnType) -> Self {
        let row_bytes = match column {
            ColumnType::Payload => size_of::<Option<Payload>>(),
            ColumnType::Vector { size, .. } => size * size_of::<f32>(),
        } + size_of::<RowKey>();
        let rows_per_chunk = (CHUNK_BYTES / row_bytes).clamp(1, CHUNK_ROWS) as u32;
        Chunks { column, rows_per_chunk, chunks: Vec::new(), rows: 0, bytes: 0 }
    }

    /// Appends a row and answers its number. A cell of another type than the column's counts
    /// as null.
    pub fn push(&mut self, key: RowKey, cell: Cell<'_>) -> u32 {
        if self.rows.is_multiple_of(self.rows_per_chunk) {
            self.chunks.push(Arc::new(Chunk::new(self.column)));
        }
        if let Some(last) = self.chunks.last_mut() {
            self.bytes += Arc::make_mut(last).push(key, cell) as u64;
        }
        self.rows += 1;
        self.rows - 1
    }

    pub fn column(&self) -> ColumnType {
        self.column
    }

    pub fn rows(&self) -> u32 {
        self.rows
    }

    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Memory of the rows.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The chunk a row is in, and its number there.
    fn find(&self, row: u32) -> (&Arc<Chunk>, u32) {
        (&self.chunks[(row / self.rows_per_chunk) as usize], row % self.rows_per_chunk)
    }

    pub fn key(&self, row: u32) -> RowKey {
        let (chunk, row) = self.find(row);
        chunk.key(row)
    }

    pub fn is_null(&self, row: u32) -> bool {
        let (chunk, row) = self.find(row);
        chunk.is_null(row)
    }

    pub fn vector(&self, row: u32) -> Option<&[f32]> {
        let (chunk, row) = self.find(row);
        chunk.vector(row)
    }

    pub fn payload(&self, row: u32) -> Option<Payload> {
        let (chunk, row) = self.find(row);
        chunk.payload(row)
    }

    pub fn row(&self, row: u32) -> Row {
        let (chunk, row) = self.find(row);
        Row::Memory(Arc::clone(chunk), row)
    }

    /// Each chunk's first row number and the values of all its rows, one after another. Empty
    /// for a column of payloads.
    pub fn matrices(&self) -> impl Iterator<Item = (u32, &[f32])> {
        let numbered = self.chunks.iter().zip((0..).step_by(self.rows_per_chunk as usize));
        numbered.filter_map(|(chunk, first)| match &chunk.cells {
            Cells::Vectors { values, .. } => Some((first, &values[..])),
            Cells::Payloads(_) => None,
        })
    }
}

impl Chunk {
    fn new(column: ColumnType) -> Self {
        let cells = match column {
            ColumnType::Payload => Cells::Payloads(Vec::new()),
            ColumnType::Vector { size, .. } => {
                Cells::Vectors { size, present: Vec::new(), values: Vec::new() }
            }
        };
        Chunk { keys: Vec::new(), cells }
    }

    /// Answers how much memory the row takes.
    fn push(&mut self, key: RowKey, cell: Cell<'_>) -> usize {
        self.keys.push(key);
        size_of::<RowKey>() + self.cells.push(cell)
    }

    pub fn key(&self, row: u32) -> RowKey {
        self.keys[row as usize]
    }

    pub fn is_null(&self, row: u32) -> bool {
        match &self.cells {
            Cells::Payloads(payloads) => payloads[row as usize].is_none(),
            Cells::Vectors { present, .. } => !present[row as usize],
        }
    }

    pub fn vector(&self, row: u32) -> Option<&[f32]> {
        match &self.cells {
            Cells::Vectors { size, present, values } if present[row as usize] => {
                let start = row as usize * size;
                Some(&values[start..start + size])
            }
            _ => None,
        }
    }

    pub fn payload(&self, row: u32) -> Option<Payload> {
        match &self.cells {
            Cells::Payloads(payloads) => payloads[row as usize].clone(),
            Cells::Vectors { .. } => None,
        }
    }
}

impl Cells {
    fn push(&mut self, cell: Cell<'_>) -> usize {
        match self {
            Cells::Payloads(payloads) => {
                let payload = match cell {
                    Cell::Payload(payload) if payload.is_empty() => Some(Payload::empty()),
                    // A copy, because a payload from the log is a slice of its whole frame and
                    // would keep that in memory for as long as the row.
                    Cell::Payload(payload) => Some(Payload::from_stored(
                        bytes::Bytes::copy_from_slice(payload.as_bytes()),
                    )),
                    _ => None,
                };
                let text = payload.as_ref().map_or(0, |payload| payload.as_bytes().len());
                payloads.push(payload);
                size_of::<Option<Payload>>() + text
            }
            Cells::Vectors { size, present, values } => {
                match cell {
                    Cell::Vector(vector) if vector.len() == *size => {
                        present.push(true);
                        values.extend_from_slice(vector);
                    }
                    _ => {
                        present.push(false);
                        values.resize(values.len() + *size, 0.0);
                    }
                }
                1 + *size * size_of::<f32>()
            }
        }
    }
}

/// By hand, to leave room: a copy is made only to push to it, and a derived one would grow, and
/// so be copied, twice.
impl Clone for Chunk {
    fn clone(&self) -> Self {
        let cells = match &self.cells {
            Cells::Payloads(payloads) => Cells::Payloads(with_room(payloads)),
            Cells::Vectors { size, present, values } => Cells::Vectors {
                size: *size,
                present: with_room(present),
                values: with_room(values),
            },
        };
        Chunk { keys: with_room(&self.keys), cells }
    }
}

fn with_room<T: Clone>(full: &[T]) -> Vec<T> {
    let mut copy = Vec::with_capacity(full.len() * 2);
    copy.extend_from_slice(full);
    copy
}
