//! Reading a segment file in place.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, UInt32Type, UInt64Type};
use arrow_array::{Array, FixedSizeBinaryArray, LargeBinaryArray, RecordBatch, UInt64Array};
use arrow_buffer::{Buffer, NullBuffer, ScalarBuffer};
use arrow_ipc::convert::try_fb_to_schema;
use arrow_ipc::reader::{FileDecoder, read_footer_length};
use arrow_ipc::root_as_footer;
use bytes::Bytes;
use uuid::Uuid;

use super::schema::{FORMAT_KEY, mismatch};
use super::{ColumnType, FORMAT, RowKey, RowsError, Written, map};
use crate::point::{Payload, PointId, Slot};
use crate::position::Seq;

/// A mapped segment file. Its memory is the page cache's.
pub struct SegmentFile {
    path: PathBuf,
    written: Written,
    slots: ScalarBuffer<u32>,
    seqs: ScalarBuffer<u64>,
    numbers: UInt64Array,
    uuids: FixedSizeBinaryArray,
    nulls: Option<NullBuffer>,
    cells: Cells,
}

enum Cells {
    Vectors { size: usize, values: ScalarBuffer<f32> },
    Payloads { texts: LargeBinaryArray, map: Bytes },
}

impl SegmentFile {
    /// Maps a file. Reads every byte first, and compares length and checksum with what was
    /// written: nothing behind this looks at damaged bytes.
    pub fn open(path: &Path, column: ColumnType, written: Written) -> Result<Self, RowsError> {
        let damaged = |what| RowsError::Damaged { file: path.to_owned(), what };
        let map = match map::map(path) {
            Ok(map) => map,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(damaged("it is missing".to_owned()));
            }
            Err(source) => return Err(RowsError::Io { file: path.to_owned(), source }),
        };
        if map.len() as u64 != written.length_bytes {
            let (found, expected) = (map.len(), written.length_bytes);
            return Err(damaged(format!("it has {found} bytes, it should have {expected}")));
        }
        let found = crc32c::crc32c(&map);
        if found != written.crc32c {
            let expected = written.crc32c;
            let what = format!("its checksum is {found:08x}, it should be {expected:08x}");
            return Err(damaged(what));
        }
        Self::read(path, map, column, written)
    }

    fn read(
        path: &Path,
        map: Bytes,
        column: ColumnType,
        written: Written,
    ) -> Result<Self, RowsError> {
        let damaged = |what: String| RowsError::Damaged { file: path.to_owned(), what };
        let batch = match read_batch(&map, column).map_err(damaged)? {
            Found::Batch(batch) => batch,
            Found::Newer(found) => {
                return Err(RowsError::Newer { file: path.to_owned(), found });
            }
        };
        if batch.num_rows() as u64 != u64::from(written.rows) {
            let (found, expected) = (batch.num_rows(), written.rows);
            return Err(damaged(format!("it has {found} rows, it should have {expected}")));
        }
        Self::of(path, map, column, written, &batch)
            .ok_or_else(|| damaged("its columns are not this column's".to_owned()))
    }

    fn of(
        path: &Path,
        map: Bytes,
        column: ColumnType,
        written: Written,
        batch: &RecordBatch,
    ) -> Option<Self> {
        let [slots, seqs, numbers, uuids, cell] = batch.columns() else { return None };
        let cells = match column {
            ColumnType::Vector { size, .. } => {
                let values = cell.as_fixed_size_list_opt()?.values();
                let values = values.as_primitive_opt::<Float32Type>()?.values().clone();
                (values.len() == size * batch.num_rows()).then_some(())?;
                Cells::Vectors { size, values }
            }
            ColumnType::Payload => {
                let texts = cell.as_binary_opt::<i64>()?.clone();
                // They are handed out as slices of the mapping, which a copy would not be.
                let (whole, part) = (map.as_ptr_range(), texts.value_data().as_ptr_range());
                let inside = whole.start <= part.start && part.end <= whole.end;
                (inside || texts.value_data().is_empty()).then_some(())?;
                Cells::Payloads { texts, map }
            }
        };
        Some(SegmentFile {
            path: path.to_owned(),
            written,
            slots: slots.as_primitive_opt::<UInt32Type>()?.values().clone(),
            seqs: seqs.as_primitive_opt::<UInt64Type>()?.values().clone(),
            numbers: numbers.as_primitive_opt::<UInt64Type>()?.clone(),
            uuids: uuids.as_fixed_size_binary_opt()?.clone(),
            nulls: cell.nulls().cloned(),
            cells,
        })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What the manifest says of it.
    pub fn written(&self) -> Written {
        self.written
    }

    pub fn rows(&self) -> u32 {
        self.written.rows
    }

    pub fn slot(&self, row: u32) -> Slot {
        Slot(self.slots[row as usize])
    }

    pub fn seq(&self, row: u32) -> Seq {
        Seq(self.seqs[row as usize])
    }

    pub fn key(&self, row: u32) -> RowKey {
        let at = row as usize;
        let id = if self.numbers.is_valid(at) {
            PointId::Number(self.numbers.value(at))
        } else {
            // The array's cells are 16 bytes wide.
            PointId::Uuid(Uuid::from_slice(self.uuids.value(at)).unwrap_or_default())
        };
        RowKey { slot: self.slot(row), seq: self.seq(row), id }
    }

    pub fn is_null(&self, row: u32) -> bool {
        self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row as usize))
    }

    pub fn vector(&self, row: u32) -> Option<&[f32]> {
        match &self.cells {
            Cells::Vectors { size, values } if !self.is_null(row) => {
                let start = row as usize * size;
                Some(&values[start..start + size])
            }
            _ => None,
        }
    }

    /// All rows' vectors, one after another, in place; those without one have zeros. Empty for
    /// a column of payloads.
    pub fn values(&self) -> &[f32] {
        match &self.cells {
            Cells::Vectors { values, .. } => values,
            Cells::Payloads { .. } => &[],
        }
    }

    /// 0 for a column of payloads.
    pub fn dimensions(&self) -> usize {
        match &self.cells {
            Cells::Vectors { size, .. } => *size,
            Cells::Payloads { .. } => 0,
        }
    }

    pub fn payload(&self, row: u32) -> Option<Payload> {
        match &self.cells {
            Cells::Payloads { texts, map } if !self.is_null(row) => {
                let text = texts.value(row as usize);
                let text = if text.is_empty() { Bytes::new() } else { map.slice_ref(text) };
                Some(Payload::from_stored(text))
            }
            _ => None,
        }
    }
}

enum Found {
    Batch(RecordBatch),
    /// A format of this number.
    Newer(u32),
}

fn read_batch(map: &Bytes, column: ColumnType) -> Result<Found, String> {
    let arrow = |error: arrow_schema::ArrowError| error.to_string();
    let tail = map.last_chunk::<10>().ok_or("it is too short to be an Arrow file")?;
    let footer_bytes = read_footer_length(*tail).map_err(arrow)?;
    let footer_at = (map.len() - 10).checked_sub(footer_bytes).ok_or("its footer is too long")?;
    let footer = root_as_footer(&map[footer_at..map.len() - 10])
        .map_err(|error| format!("its footer cannot be read: {error}"))?;
    let schema = footer.schema().ok_or("it has no schema")?;
    let schema = Arc::new(try_fb_to_schema(schema).map_err(arrow)?);
    let format = schema.metadata.get(FORMAT_KEY).and_then(|format| format.parse().ok());
    match format.ok_or("it does not say which format of pointd it has")? {
        newer if newer > FORMAT => return Ok(Found::Newer(newer)),
        _ => {}
    }
    if let Some(mismatch) = mismatch(&schema, column) {
        return Err(mismatch);
    }
    let blocks = footer.recordBatches().ok_or("it has no rows")?;
    if blocks.len() != 1 {
        return Err(format!("it has {} batches of rows, it should have one", blocks.len()));
    }
    let block = blocks.get(0);
    let (at, length) = (block.offset(), i64::from(block.metaDataLength()) + block.bodyLength());
    let range = usize::try_from(at).ok().zip(usize::try_from(length).ok());
    let (at, length) = range
        .filter(|(at, length)| at.checked_add(*length).is_some_and(|end| end <= footer_at))
        .filter(|(_, length)| *length >= block.metaDataLength() as usize && *length >= 8)
        .ok_or("its rows are not where its footer says")?;
    let buffer = Buffer::from(map.slice(at..at + length));
    FileDecoder::new(schema, footer.version())
        .with_require_alignment(true)
        .read_record_batch(block, &buffer)
        .map_err(arrow)?
        .map(Found::Batch)
        .ok_or_else(|| "it has no rows".to_owned())
}
