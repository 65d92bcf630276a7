//! The columns and metadata of a segment file.

use std::collections::HashMap;

use arrow_schema::{DataType, Field, Schema};

use super::ColumnType;
use crate::point::Distance;

/// The newest format this program reads, and the one it writes.
pub const FORMAT: u32 = 1;

pub(super) const FORMAT_KEY: &str = "pointd.format";
const COLLECTION_KEY: &str = "pointd.collection";
const COLUMN_KEY: &str = "pointd.column";
const VECTOR_KEY: &str = "pointd.vector";
const DISTANCE_KEY: &str = "pointd.distance";
const SIZE_KEY: &str = "pointd.size";

/// For whoever finds the file: nothing reads them back.
#[derive(Clone, Copy, Debug)]
pub struct Labels<'a> {
    pub collection: &'a str,
    /// The vector's name; not written for payloads.
    pub vector: &'a str,
}

pub(super) fn arrow_schema(column: ColumnType, labels: Option<Labels<'_>>) -> Schema {
    let cell = match column {
        ColumnType::Payload => Field::new("payload", DataType::LargeBinary, true),
        ColumnType::Vector { size, .. } => {
            let element = Field::new("item", DataType::Float32, false);
            // A schema's vectors have at most 65 536 dimensions.
            let list = DataType::FixedSizeList(element.into(), size as i32);
            Field::new("vector", list, true)
        }
    };
    let fields = vec![
        Field::new("slot", DataType::UInt32, false),
        Field::new("seq", DataType::UInt64, false),
        Field::new("id_number", DataType::UInt64, true),
        Field::new("id_uuid", DataType::FixedSizeBinary(16), true),
        cell,
    ];
    let mut metadata = described(column);
    if let Some(labels) = labels {
        metadata.insert(COLLECTION_KEY.to_owned(), labels.collection.to_owned());
        if matches!(column, ColumnType::Vector { .. }) {
            metadata.insert(VECTOR_KEY.to_owned(), labels.vector.to_owned());
        }
    }
    Schema::new_with_metadata(fields, metadata)
}

/// What a file must say of itself to be read as this column's.
fn described(column: ColumnType) -> HashMap<String, String> {
    let mut metadata = HashMap::from([(FORMAT_KEY.to_owned(), FORMAT.to_string())]);
    let kind = match column {
        ColumnType::Payload => "payload",
        ColumnType::Vector { size, distance } => {
            metadata.insert(SIZE_KEY.to_owned(), size.to_string());
            metadata.insert(DISTANCE_KEY.to_owned(), distance_name(distance).to_owned());
            "vector"
        }
    };
    metadata.insert(COLUMN_KEY.to_owned(), kind.to_owned());
    metadata
}

fn distance_name(distance: Distance) -> &'static str {
    match distance {
        Distance::Cosine => "Cosine",
        Distance::Dot => "Dot",
        Distance::Euclid => "Euclid",
        Distance::Manhattan => "Manhattan",
    }
}

/// What the found schema has wrong, if anything. The labels may be any.
pub(super) fn mismatch(found: &Schema, column: ColumnType) -> Option<String> {
    let expected = arrow_schema(column, None);
    if found.fields() != expected.fields() {
        let names: Vec<String> = found
            .fields()
            .iter()
            .map(|field| format!("{}: {}", field.name(), field.data_type()))
            .collect();
        return Some(format!("its columns are not this column's: {}", names.join(", ")));
    }
    expected.metadata.into_iter().find_map(|(key, expected)| {
        let found = found.metadata.get(&key).map_or("nothing", |value| value);
        (found != expected).then(|| format!("its {key} is {found}, here it is {expected}"))
    })
}
