//! An operation in the log.

use bytes::Bytes;
use prost::Oneof;

use super::values::{IdsRecord, PointRecord, from_json, to_json};
use super::{Empty, InvalidBody};
use crate::operation::{Operation, Selector};
use crate::point::{InvalidPath, Path, Payload};

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct OperationRecord {
    #[prost(oneof = "Kind", tags = "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13")]
    kind: Option<Kind>,
}

#[derive(Clone, PartialEq, Oneof)]
enum Kind {
    #[prost(message, tag = "1")]
    CreateCollection(CreateRecord),
    #[prost(message, tag = "2")]
    DeleteCollection(Empty),
    #[prost(message, tag = "3")]
    Upsert(PointsRecord),
    #[prost(message, tag = "4")]
    DeletePoints(IdsRecord),
    /// Not another field of 4: a version that does not know it must stop, not delete nothing.
    #[prost(message, tag = "5")]
    DeleteMatching(FilterRecord),
    #[prost(message, tag = "6")]
    CreateIndex(IndexRecord),
    #[prost(string, tag = "7")]
    DeleteIndex(String),
    #[prost(message, tag = "8")]
    UpdateVectors(PointsRecord),
    #[prost(message, tag = "9")]
    DeleteVectors(SelectedRecord),
    #[prost(message, tag = "10")]
    SetPayload(SelectedRecord),
    #[prost(message, tag = "11")]
    OverwritePayload(SelectedRecord),
    #[prost(message, tag = "12")]
    DeletePayload(SelectedRecord),
    #[prost(message, tag = "13")]
    ClearPayload(SelectedRecord),
}

#[derive(Clone, PartialEq, prost::Message)]
struct CreateRecord {
    /// The schema as JSON, the form the manifest keeps it in.
    #[prost(bytes = "bytes", tag = "1")]
    schema: Bytes,
    #[prost(bool, tag = "2")]
    from_config: bool,
}

#[derive(Clone, PartialEq, prost::Message)]
struct IndexRecord {
    #[prost(string, tag = "1")]
    field: String,
    /// As JSON, the form the manifest keeps it in.
    #[prost(bytes = "bytes", tag = "2")]
    schema: Bytes,
    #[prost(bool, tag = "3")]
    from_config: bool,
}

#[derive(Clone, PartialEq, prost::Message)]
struct PointsRecord {
    #[prost(message, repeated, tag = "1")]
    points: Vec<PointRecord>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct FilterRecord {
    /// The filter as JSON, in the form of requests.
    #[prost(bytes = "bytes", tag = "1")]
    filter: Bytes,
}

/// A change of selected points. What is left out is absent in each kind that has no use for it.
#[derive(Clone, PartialEq, prost::Message)]
struct SelectedRecord {
    #[prost(oneof = "SelectorKind", tags = "1, 2")]
    selector: Option<SelectorKind>,
    /// Names of vectors, or keys of a payload.
    #[prost(string, repeated, tag = "3")]
    names: Vec<String>,
    /// JSON text of an object.
    #[prost(bytes = "bytes", tag = "4")]
    payload: Bytes,
    #[prost(string, optional, tag = "5")]
    key: Option<String>,
}

#[derive(Clone, PartialEq, Oneof)]
enum SelectorKind {
    #[prost(message, tag = "1")]
    Ids(IdsRecord),
    #[prost(message, tag = "2")]
    Filter(FilterRecord),
}

impl OperationRecord {
    pub(super) fn of(operation: &Operation) -> Self {
        let kind = match operation {
            Operation::CreateCollection { schema, from_config } => {
                Kind::CreateCollection(CreateRecord {
                    schema: to_json(schema),
                    from_config: *from_config,
                })
            }
            Operation::DeleteCollection => Kind::DeleteCollection(Empty {}),
            Operation::CreateIndex { field, schema, from_config } => {
                Kind::CreateIndex(IndexRecord {
                    field: field.to_string(),
                    schema: to_json(schema),
                    from_config: *from_config,
                })
            }
            Operation::DeleteIndex { field } => Kind::DeleteIndex(field.to_string()),
            Operation::Upsert(points) => {
                Kind::Upsert(PointsRecord { points: points.iter().map(PointRecord::of).collect() })
            }
            Operation::UpdateVectors(points) => Kind::UpdateVectors(PointsRecord {
                points: points.iter().map(PointRecord::of_vectors).collect(),
            }),
            Operation::DeletePoints(Selector::Ids(ids)) => Kind::DeletePoints(IdsRecord::of(ids)),
            Operation::DeletePoints(Selector::Filter(filter)) => {
                Kind::DeleteMatching(FilterRecord { filter: to_json(filter) })
            }
            Operation::DeleteVectors { points, names } => {
                Kind::DeleteVectors(SelectedRecord { names: names.clone(), ..selected(points) })
            }
            Operation::SetPayload { points, payload, key } => Kind::SetPayload(SelectedRecord {
                payload: payload.bytes(),
                key: key.as_ref().map(Path::to_string),
                ..selected(points)
            }),
            Operation::OverwritePayload { points, payload } => {
                Kind::OverwritePayload(SelectedRecord {
                    payload: payload.bytes(),
                    ..selected(points)
                })
            }
            Operation::DeletePayload { points, keys } => Kind::DeletePayload(SelectedRecord {
                names: keys.iter().map(Path::to_string).collect(),
                ..selected(points)
            }),
            Operation::ClearPayload(points) => Kind::ClearPayload(selected(points)),
        };
        OperationRecord { kind: Some(kind) }
    }

    pub(super) fn read(self) -> Result<Operation, InvalidBody> {
        let kind = self.kind.ok_or(InvalidBody::Unknown("an unknown operation"))?;
        Ok(match kind {
            Kind::CreateCollection(record) => Operation::CreateCollection {
                schema: from_json(&record.schema, "a schema it cannot read")?,
                from_config: record.from_config,
            },
            Kind::DeleteCollection(_) => Operation::DeleteCollection,
            Kind::CreateIndex(record) => Operation::CreateIndex {
                field: path(&record.field)?,
                schema: from_json(&record.schema, "a field's schema it cannot read")?,
                from_config: record.from_config,
            },
            Kind::DeleteIndex(field) => Operation::DeleteIndex { field: path(&field)? },
            Kind::Upsert(record) => Operation::Upsert(each(record.points, PointRecord::read)?),
            Kind::UpdateVectors(record) => {
                Operation::UpdateVectors(each(record.points, PointRecord::read_vectors)?)
            }
            Kind::DeletePoints(record) => Operation::DeletePoints(Selector::Ids(record.read()?)),
            Kind::DeleteMatching(record) => Operation::DeletePoints(record.read()?),
            Kind::DeleteVectors(record) => {
                Operation::DeleteVectors { points: selector(record.selector)?, names: record.names }
            }
            Kind::SetPayload(record) => Operation::SetPayload {
                points: selector(record.selector)?,
                payload: Payload::from_stored(record.payload),
                key: record.key.as_deref().map(path).transpose()?,
            },
            Kind::OverwritePayload(record) => Operation::OverwritePayload {
                points: selector(record.selector)?,
                payload: Payload::from_stored(record.payload),
            },
            Kind::DeletePayload(record) => Operation::DeletePayload {
                points: selector(record.selector)?,
                keys: each(record.names, |key| path(&key))?,
            },
            Kind::ClearPayload(record) => Operation::ClearPayload(selector(record.selector)?),
        })
    }
}

impl FilterRecord {
    fn read(self) -> Result<Selector, InvalidBody> {
        from_json(&self.filter, "a filter it cannot read").map(Selector::Filter)
    }
}

/// A record that says only which points.
fn selected(points: &Selector) -> SelectedRecord {
    let selector = match points {
        Selector::Ids(ids) => SelectorKind::Ids(IdsRecord::of(ids)),
        Selector::Filter(filter) => SelectorKind::Filter(FilterRecord { filter: to_json(filter) }),
    };
    SelectedRecord { selector: Some(selector), ..SelectedRecord::default() }
}

fn selector(kind: Option<SelectorKind>) -> Result<Selector, InvalidBody> {
    match kind {
        Some(SelectorKind::Ids(record)) => record.read().map(Selector::Ids),
        Some(SelectorKind::Filter(record)) => record.read(),
        None => Err(InvalidBody::Unknown("an unknown selector of points")),
    }
}

fn path(text: &str) -> Result<Path, InvalidBody> {
    text.parse().map_err(|_: InvalidPath| InvalidBody::Unknown("a key it cannot read"))
}

fn each<R, T>(
    records: Vec<R>,
    read: impl Fn(R) -> Result<T, InvalidBody>,
) -> Result<Vec<T>, InvalidBody> {
    records.into_iter().map(read).collect()
}
