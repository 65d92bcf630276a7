use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{UInt32Type, UInt64Type};
use arrow_array::{Array, RecordBatch};
use bytes::Bytes;
use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::disk::Disk;

const VECTOR: ColumnType = ColumnType::Vector { size: 3, distance: Distance::Dot };
const LABELS: Labels<'_> = Labels { collection: "shop", vector: "text" };

/// A row's key, its vector, and its payload.
type Content = (RowKey, Option<Vec<f32>>, Option<Payload>);

fn any_key() -> impl Strategy<Value = RowKey> {
    let id = prop_oneof![
        any::<u64>().prop_map(PointId::Number),
        any::<u128>().prop_map(|id| PointId::Uuid(Uuid::from_u128(id))),
    ];
    (any::<u32>(), any::<u64>(), id).prop_map(|(slot, seq, id)| RowKey {
        slot: Slot(slot),
        seq: Seq(seq),
        id,
    })
}

fn any_payload() -> impl Strategy<Value = Payload> {
    "[a-zå]{0,40}".prop_map(|text| {
        let map = serde_json::json!({ "text": text });
        Payload::from_map(map.as_object().unwrap())
    })
}

fn any_content() -> impl Strategy<Value = Content> {
    let vector = proptest::option::of(prop::collection::vec(-9.0f32..9.0, 3));
    (any_key(), vector, proptest::option::of(any_payload()))
}

fn segment(column: ColumnType, rows: &[Content]) -> Segment {
    let mut chunks = Chunks::new(column);
    for (row, (key, vector, payload)) in rows.iter().enumerate() {
        let cell = match column {
            ColumnType::Vector { .. } => vector.as_deref().map(Cell::Vector),
            ColumnType::Payload => payload.as_ref().map(Cell::Payload),
        };
        assert_eq!(chunks.push(*key, cell.unwrap_or(Cell::Null)), row as u32);
    }
    Segment::Memory(Arc::new(chunks))
}

fn all(segment: &Segment) -> Vec<Pick> {
    (0..segment.rows()).map(|row| Pick { input: 0, row }).collect()
}

fn write(path: &Path, column: ColumnType, segment: &Segment) -> Written {
    let (disk, picks) = (Disk::new(), all(segment));
    write_segment(&disk, path, column, LABELS, &[segment], &picks, &|| false).unwrap().unwrap()
}

fn check(column: ColumnType, segment: &Segment, rows: &[Content]) {
    assert_eq!(segment.rows() as usize, rows.len());
    for (row, (key, vector, payload)) in (0..).zip(rows) {
        let is_vector = matches!(column, ColumnType::Vector { .. });
        let (vector, payload) = if is_vector { (vector, &None) } else { (&None, payload) };
        assert_eq!(segment.key(row), *key);
        assert_eq!(segment.slot(row), key.slot);
        assert_eq!(segment.vector(row), vector.as_deref());
        assert_eq!(segment.payload(row), *payload);
        assert_eq!(segment.is_null(row), vector.is_none() && payload.is_none());
        let held = segment.row(row);
        assert_eq!(
            (held.key(), held.vector(), held.payload()),
            (*key, vector.as_deref(), payload.clone())
        );
    }
}

fn open(path: &Path, column: ColumnType, written: Written) -> Result<Segment, RowsError> {
    Ok(Segment::File(Arc::new(SegmentFile::open(path, column, written)?)))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn rows_read_back_as_they_were_written(rows in prop::collection::vec(any_content(), 0..1100)) {
        let directory = tempfile::tempdir().unwrap();
        for (column, name) in [(VECTOR, "v"), (ColumnType::Payload, "p")] {
            let memory = segment(column, &rows);
            check(column, &memory, &rows);
            let path = directory.path().join(name);
            let written = write(&path, column, &memory);
            prop_assert_eq!(written.rows as usize, rows.len());
            prop_assert_eq!(written.length_bytes, fs::metadata(&path).unwrap().len());
            prop_assert_eq!(written.crc32c, crc32c::crc32c(&fs::read(&path).unwrap()));
            check(column, &open(&path, column, written).unwrap(), &rows);
        }
    }

    #[test]
    fn a_view_of_growing_rows_stays_as_it_was(
        before in prop::collection::vec(any_content(), 0..40),
        after in prop::collection::vec(any_content(), 0..40),
    ) {
        let Segment::Memory(chunks) = segment(VECTOR, &before) else { unreachable!() };
        let mut growing = (*chunks).clone();
        for (key, vector, _) in &after {
            growing.push(*key, vector.as_deref().map_or(Cell::Null, Cell::Vector));
        }
        check(VECTOR, &Segment::Memory(chunks), &before);
        let whole: Vec<Content> = before.into_iter().chain(after).collect();
        check(VECTOR, &Segment::Memory(Arc::new(growing)), &whole);
    }
}

fn some_rows() -> Vec<Content> {
    let row = |number: u64| {
        let id = match number % 3 {
            0 => PointId::Uuid(Uuid::from_u128(u128::from(number) << 64 | 7)),
            _ => PointId::Number(number << 40),
        };
        let key = RowKey { slot: Slot(number as u32 * 2), seq: Seq(100 + number), id };
        let vector = (number % 4 != 3).then(|| vec![number as f32, -0.5, 1e-3]);
        let json = serde_json::json!({"name": format!("row {number}"), "list": [number, null]});
        let payload = (number % 5 != 4).then(|| Payload::from_map(json.as_object().unwrap()));
        (key, vector, payload)
    };
    (0..21).map(row).collect()
}

#[test]
fn arrows_own_reader_reads_the_files() {
    let directory = tempfile::tempdir().unwrap();
    let rows = some_rows();
    for column in [VECTOR, ColumnType::Payload] {
        let path = directory.path().join(format!("{column:?}"));
        write(&path, column, &segment(column, &rows));
        let file = fs::File::open(&path).unwrap();
        let reader = arrow_ipc::reader::FileReader::try_new(file, None).unwrap();
        let batches: Vec<RecordBatch> = reader.map(Result::unwrap).collect();
        let [batch] = &batches[..] else { panic!("one batch") };
        let slots = batch.column_by_name("slot").unwrap().as_primitive::<UInt32Type>();
        let expected = rows.iter().map(|(key, ..)| key.slot.0);
        assert!(slots.values().iter().copied().eq(expected));
        let numbers = batch.column_by_name("id_number").unwrap().as_primitive::<UInt64Type>();
        assert_eq!((numbers.is_null(0), numbers.value(1)), (true, 1 << 40));
        let metadata = batch.schema().metadata().clone();
        assert_eq!(metadata["pointd.collection"], "shop");
        assert_eq!(metadata["pointd.format"], "1");
        let stream = fs::read(&path).unwrap();
        let stream = arrow_ipc::reader::StreamReader::try_new(&stream[8..], None).unwrap();
        assert_eq!(stream.map(Result::unwrap).collect::<Vec<_>>(), batches);
    }
}

#[test]
fn every_buffer_begins_where_arrow_wants_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("v");
    let written = write(&path, VECTOR, &segment(VECTOR, &some_rows()));
    let file = SegmentFile::open(&path, VECTOR, written).unwrap();
    assert_eq!(file.values().as_ptr() as usize % 64, 0);
    assert_eq!((file.values().len(), file.dimensions()), (21 * 3, 3));
}

#[test]
fn any_damaged_byte_is_refused_by_the_files_name() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("7.arrow");
    let written = write(&path, VECTOR, &segment(VECTOR, &some_rows()));
    let whole = fs::read(&path).unwrap();
    let refused = |bytes: &[u8]| {
        fs::remove_file(&path).unwrap();
        fs::write(&path, bytes).unwrap();
        match open(&path, VECTOR, written) {
            Err(RowsError::Damaged { file, .. }) => assert_eq!(file, path),
            Err(error) => panic!("{error}"),
            Ok(_) => panic!("damage was not noticed"),
        }
    };
    for at in (0..whole.len()).step_by(7) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x20;
        refused(&bytes);
    }
    for length in [0, 1, 9, 10, whole.len() / 2, whole.len() - 1] {
        refused(&whole[..length]);
    }
    refused(&[&whole[..], b"x"].concat());
    fs::remove_file(&path).unwrap();
    assert!(matches!(open(&path, VECTOR, written), Err(RowsError::Damaged { .. })));
}

#[test]
fn files_of_another_column_and_of_a_newer_format_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("7.arrow");
    let memory = segment(VECTOR, &some_rows());
    let written = write(&path, VECTOR, &memory);
    let others = [
        ColumnType::Payload,
        ColumnType::Vector { size: 4, distance: Distance::Dot },
        ColumnType::Vector { size: 3, distance: Distance::Euclid },
    ];
    for other in others {
        assert!(matches!(open(&path, other, written), Err(RowsError::Damaged { .. })), "{other:?}");
    }

    let metadata = HashMap::from([("pointd.format".to_owned(), (FORMAT + 1).to_string())]);
    let field = arrow_schema::Field::new("anything", arrow_schema::DataType::Utf8, false);
    let newer = arrow_schema::Schema::new_with_metadata(vec![field], metadata);
    let mut bytes = Vec::new();
    arrow_ipc::writer::FileWriter::try_new(&mut bytes, &newer).unwrap().finish().unwrap();
    let path = directory.path().join("8.arrow");
    fs::write(&path, &bytes).unwrap();
    let written =
        Written { rows: 0, length_bytes: bytes.len() as u64, crc32c: crc32c::crc32c(&bytes) };
    let newer = open(&path, VECTOR, written).err().unwrap();
    assert!(matches!(newer, RowsError::Newer { found: 2, .. }), "{newer}");
}

#[test]
fn a_cancelled_write_leaves_no_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("7.arrow");
    let memory = segment(VECTOR, &some_rows());
    let (disk, picks) = (Disk::new(), all(&memory));
    let write = write_segment(&disk, &path, VECTOR, LABELS, &[&memory], &picks, &|| true);
    assert!(write.unwrap().is_none());
    assert!(!path.exists());
}

#[test]
fn a_payload_in_memory_does_not_hold_on_to_what_it_was_cut_from() {
    let frame = Bytes::from(br#"xxxxxxxx{"a":1}xxxxxxxx"#.to_vec());
    let payload = Payload::from_stored(frame.slice(8..15));
    let mut chunks = Chunks::new(ColumnType::Payload);
    let key = RowKey { slot: Slot(0), seq: Seq(1), id: PointId::Number(1) };
    chunks.push(key, Cell::Payload(&payload));
    let kept = chunks.payload(0).unwrap();
    assert_eq!(kept, payload);
    assert!(!frame.as_ptr_range().contains(&kept.as_bytes().as_ptr()));
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/segments-v1").join(name)
}

/// As their manifest would name them.
const FIXTURES: [(&str, ColumnType, Written); 2] = [
    ("vector.arrow", VECTOR, Written { rows: 21, length_bytes: 3186, crc32c: 3868471223 }),
    (
        "payload.arrow",
        ColumnType::Payload,
        Written { rows: 21, length_bytes: 3322, crc32c: 2534848386 },
    ),
];

#[test]
fn files_of_format_1_are_read() {
    for (name, column, written) in FIXTURES {
        check(column, &open(&fixture(name), column, written).unwrap(), &some_rows());
    }
}

/// Run by hand, once per format, into a directory of its own.
#[test]
#[ignore = "writes the fixtures of a new format"]
fn write_fixtures() {
    for (name, column, _) in FIXTURES {
        fs::create_dir_all(fixture(name).parent().unwrap()).unwrap();
        println!("{:?}", write(&fixture(name), column, &segment(column, &some_rows())));
    }
}
