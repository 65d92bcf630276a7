//! Writing a segment file: one uncompressed record batch whose buffers begin at multiples of
//! 64 bytes.
//!
//! arrow-ipc's own writer wants the whole batch in memory at once. A merge's output may be
//! larger than that, so only the metadata comes from arrow-ipc, and the buffers are streamed.

use std::io;
use std::path::Path;

use arrow_ipc::convert::IpcSchemaEncoder;
use arrow_ipc::{
    Block, Buffer, FieldNode, FooterBuilder, MessageBuilder, MessageHeader, MetadataVersion,
    RecordBatchBuilder,
};
use arrow_schema::Schema;
use flatbuffers::FlatBufferBuilder;

use super::schema::{Labels, arrow_schema};
use super::{ColumnType, Segment};
use crate::disk::{Disk, DiskFile};
use crate::point::{Payload, PointId};

const MAGIC: &[u8; 6] = b"ARROW1";
const ALIGNMENT: u64 = 64;
/// How much is gathered before it is written.
const WRITE_BYTES: usize = 1 << 20;
/// Rows between two looks at whether to stop.
const STEP_ROWS: usize = 1024;

/// One row of one of the inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pick {
    /// The number of the input in the list of inputs.
    pub input: u32,
    pub row: u32,
}

/// A file that was written, as the manifest will name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    pub rows: u32,
    pub length_bytes: u64,
    pub crc32c: u32,
}

/// Writes the picked rows of the inputs, in the order given, to a new file and syncs it. `None`
/// once `cancelled` says so. Whatever comes of it, a file that is not whole is removed again
/// if it can be.
pub fn write_segment(
    disk: &Disk,
    path: &Path,
    column: ColumnType,
    labels: Labels<'_>,
    inputs: &[&Segment],
    picks: &[Pick],
    cancelled: &dyn Fn() -> bool,
) -> io::Result<Option<Written>> {
    if path.exists() {
        // Of an attempt that failed: the manifest names only files that were finished.
        disk.remove(path)?;
    }
    let file = disk.create(path)?;
    let rows = Rows { column, inputs, picks, cancelled };
    let schema = arrow_schema(column, Some(labels));
    let written = rows.write(&schema, Output::new(file));
    if !matches!(written, Ok(Some(_))) {
        // The error that counts is the first one; what stays is removed when the collection
        // is opened again.
        let _ = disk.remove(path);
    }
    written
}

struct Rows<'a> {
    column: ColumnType,
    inputs: &'a [&'a Segment],
    picks: &'a [Pick],
    cancelled: &'a dyn Fn() -> bool,
}

/// The lengths of the buffers and the numbers of rows and nulls, in the order of the schema.
#[derive(Default)]
struct Layout {
    nodes: Vec<FieldNode>,
    buffers: Vec<Buffer>,
    body_bytes: u64,
}

impl Layout {
    fn node(&mut self, rows: u64, nulls: u64) {
        self.nodes.push(FieldNode::new(rows as i64, nulls as i64));
    }

    fn buffer(&mut self, length: u64) {
        self.buffers.push(Buffer::new(self.body_bytes as i64, length as i64));
        self.body_bytes += length.next_multiple_of(ALIGNMENT);
    }
}

impl Rows<'_> {
    fn write(&self, schema: &Schema, mut out: Output) -> io::Result<Option<Written>> {
        let rows = u32::try_from(self.picks.len())
            .map_err(|_| io::Error::other("a segment has at most 2^32 - 1 rows"))?;
        let layout = self.layout();
        out.put(MAGIC)?;
        out.pad_to(8)?;
        out.message(&schema_message(schema), 8)?;
        let block_at = out.offset;
        let metadata_bytes = out.message(&batch_message(&layout, rows), ALIGNMENT)?;
        if !self.body(&mut out)? {
            return Ok(None);
        }
        let block = Block::new(block_at as i64, metadata_bytes as i32, layout.body_bytes as i64);
        // The end-of-stream marker, for readers that take the file for a stream.
        out.put(&[0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0])?;
        let footer = footer(schema, block);
        out.put(&footer)?;
        out.put(&(footer.len() as i32).to_le_bytes())?;
        out.put(MAGIC)?;
        let (length_bytes, crc32c) = out.finish()?;
        Ok(Some(Written { rows, length_bytes, crc32c }))
    }

    fn segment(&self, pick: Pick) -> &Segment {
        self.inputs[pick.input as usize]
    }

    fn id(&self, pick: Pick) -> PointId {
        self.segment(pick).key(pick.row).id
    }

    fn layout(&self) -> Layout {
        let rows = self.picks.len() as u64;
        let bitmap = rows.div_ceil(8);
        let is_uuid = |pick: &&Pick| matches!(self.id(**pick), PointId::Uuid(_));
        let uuids = self.picks.iter().filter(is_uuid).count() as u64;
        let is_null = |pick: &&Pick| self.segment(**pick).is_null(pick.row);
        let nulls = self.picks.iter().filter(is_null).count() as u64;
        let mut layout = Layout::default();
        // Each column: its validity bitmap (none where no cell can be null), then its values.
        for (nulls, validity, values) in [
            (0, 0, 4 * rows),
            (0, 0, 8 * rows),
            (uuids, bitmap, 8 * rows),
            (rows - uuids, bitmap, 16 * rows),
        ] {
            layout.node(rows, nulls);
            layout.buffer(validity);
            layout.buffer(values);
        }
        layout.node(rows, nulls);
        layout.buffer(bitmap);
        match self.column {
            ColumnType::Vector { size, .. } => {
                layout.node(rows * size as u64, 0);
                layout.buffer(0);
                layout.buffer(rows * size as u64 * 4);
            }
            ColumnType::Payload => {
                let bytes = |pick: &Pick| payload_bytes(self.payload(*pick).as_ref()).len() as u64;
                layout.buffer(8 * (rows + 1));
                layout.buffer(self.picks.iter().map(bytes).sum());
            }
        }
        layout
    }

    fn payload(&self, pick: Pick) -> Option<Payload> {
        self.segment(pick).payload(pick.row)
    }

    /// Every buffer that [`Rows::layout`] announced. False if cancelled.
    fn body(&self, out: &mut Output) -> io::Result<bool> {
        let key = |pick: Pick| self.segment(pick).key(pick.row);
        let number = |pick| match self.id(pick) {
            PointId::Number(number) => Some(number),
            PointId::Uuid(_) => None,
        };
        let uuid = |pick| match self.id(pick) {
            PointId::Number(_) => None,
            PointId::Uuid(uuid) => Some(*uuid.as_bytes()),
        };
        Ok(self.each(out, |out, pick| out.put(&key(pick).slot.0.to_le_bytes()))?
            && self.each(out, |out, pick| out.put(&key(pick).seq.0.to_le_bytes()))?
            && self.validity(out, |pick| number(pick).is_some())?
            && self.each(out, |out, pick| out.put(&number(pick).unwrap_or(0).to_le_bytes()))?
            && self.validity(out, |pick| uuid(pick).is_some())?
            && self.each(out, |out, pick| out.put(&uuid(pick).unwrap_or_default()))?
            && self.validity(out, |pick| !self.segment(pick).is_null(pick.row))?
            && self.cells(out)?)
    }

    fn cells(&self, out: &mut Output) -> io::Result<bool> {
        match self.column {
            ColumnType::Vector { size, .. } => {
                let zeros = vec![0f32; size];
                self.each(out, |out, pick| {
                    let vector = self.segment(pick).vector(pick.row).unwrap_or(&zeros);
                    out.put(bytemuck::cast_slice(vector))
                })
            }
            ColumnType::Payload => {
                let mut end = 0u64;
                out.put(&end.to_le_bytes())?;
                let offsets = self.each(out, |out, pick| {
                    end += payload_bytes(self.payload(pick).as_ref()).len() as u64;
                    out.put(&end.to_le_bytes())
                })?;
                Ok(offsets
                    && self.each(out, |out, pick| {
                        out.put(payload_bytes(self.payload(pick).as_ref()))
                    })?)
            }
        }
    }

    /// One buffer, a row at a time.
    fn each(
        &self,
        out: &mut Output,
        mut put: impl FnMut(&mut Output, Pick) -> io::Result<()>,
    ) -> io::Result<bool> {
        for picks in self.picks.chunks(STEP_ROWS) {
            if (self.cancelled)() {
                return Ok(false);
            }
            for pick in picks {
                put(out, *pick)?;
            }
        }
        out.pad_to(ALIGNMENT)?;
        Ok(true)
    }

    /// A bitmap with a 1 for each row that is there.
    fn validity(&self, out: &mut Output, there: impl Fn(Pick) -> bool) -> io::Result<bool> {
        for eight in self.picks.chunks(8) {
            let bits = eight.iter().enumerate();
            out.put(&[bits.fold(0u8, |byte, (bit, pick)| byte | u8::from(there(*pick)) << bit)])?;
        }
        out.pad_to(ALIGNMENT)?;
        Ok(!(self.cancelled)())
    }
}

fn payload_bytes(payload: Option<&Payload>) -> &[u8] {
    payload.map_or(&[], Payload::as_bytes)
}

fn schema_message(schema: &Schema) -> Vec<u8> {
    let mut fbb = FlatBufferBuilder::new();
    let schema = IpcSchemaEncoder::new().schema_to_fb_offset(&mut fbb, schema);
    let mut message = MessageBuilder::new(&mut fbb);
    message.add_version(MetadataVersion::V5);
    message.add_header_type(MessageHeader::Schema);
    message.add_bodyLength(0);
    message.add_header(schema.as_union_value());
    let message = message.finish();
    fbb.finish(message, None);
    fbb.finished_data().to_vec()
}

fn batch_message(layout: &Layout, rows: u32) -> Vec<u8> {
    let mut fbb = FlatBufferBuilder::new();
    let buffers = fbb.create_vector(&layout.buffers);
    let nodes = fbb.create_vector(&layout.nodes);
    let mut batch = RecordBatchBuilder::new(&mut fbb);
    batch.add_length(i64::from(rows));
    batch.add_nodes(nodes);
    batch.add_buffers(buffers);
    let batch = batch.finish().as_union_value();
    let mut message = MessageBuilder::new(&mut fbb);
    message.add_version(MetadataVersion::V5);
    message.add_header_type(MessageHeader::RecordBatch);
    message.add_bodyLength(layout.body_bytes as i64);
    message.add_header(batch);
    let message = message.finish();
    fbb.finish(message, None);
    fbb.finished_data().to_vec()
}

fn footer(schema: &Schema, block: Block) -> Vec<u8> {
    let mut fbb = FlatBufferBuilder::new();
    let dictionaries = fbb.create_vector::<Block>(&[]);
    let batches = fbb.create_vector(&[block]);
    let schema = IpcSchemaEncoder::new().schema_to_fb_offset(&mut fbb, schema);
    let mut footer = FooterBuilder::new(&mut fbb);
    footer.add_version(MetadataVersion::V5);
    footer.add_schema(schema);
    footer.add_dictionaries(dictionaries);
    footer.add_recordBatches(batches);
    let footer = footer.finish();
    fbb.finish(footer, None);
    fbb.finished_data().to_vec()
}

/// Gathers writes and counts the checksum of everything that passes.
struct Output {
    file: DiskFile,
    waiting: Vec<u8>,
    /// Where the next byte goes, counting those that wait.
    offset: u64,
    crc32c: u32,
}

impl Output {
    fn new(file: DiskFile) -> Self {
        Output { file, waiting: Vec::with_capacity(WRITE_BYTES), offset: 0, crc32c: 0 }
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.waiting.extend_from_slice(bytes);
        self.offset += bytes.len() as u64;
        if self.waiting.len() >= WRITE_BYTES {
            self.write_waiting()?;
        }
        Ok(())
    }

    fn write_waiting(&mut self) -> io::Result<()> {
        self.file.write_at(&self.waiting, self.offset - self.waiting.len() as u64)?;
        self.crc32c = crc32c::crc32c_append(self.crc32c, &self.waiting);
        self.waiting.clear();
        Ok(())
    }

    fn pad_to(&mut self, alignment: u64) -> io::Result<()> {
        let padding = self.offset.next_multiple_of(alignment) - self.offset;
        self.put(&[0; ALIGNMENT as usize][..padding as usize])
    }

    /// Marker, length, metadata, and zeros up to where the body may begin. Answers their length.
    fn message(&mut self, metadata: &[u8], alignment: u64) -> io::Result<u64> {
        let begin = self.offset;
        let end = (begin + 8 + metadata.len() as u64).next_multiple_of(alignment);
        self.put(&[0xff; 4])?;
        self.put(&((end - begin - 8) as i32).to_le_bytes())?;
        self.put(metadata)?;
        self.pad_to(alignment)?;
        Ok(end - begin)
    }

    fn finish(mut self) -> io::Result<(u64, u32)> {
        self.write_waiting()?;
        self.file.sync("a segment file, before a manifest names it")?;
        Ok((self.offset, self.crc32c))
    }
}
