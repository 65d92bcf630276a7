//! What operations are made of, in the log: ids, vectors, points, and values kept as JSON.

use bytes::Bytes;
use prost::Oneof;
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::InvalidBody;
use crate::operation::{PointVectors, UpsertPoint};
use crate::point::{NamedVector, Payload, PointId};

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct IdsRecord {
    #[prost(message, repeated, tag = "1")]
    ids: Vec<IdRecord>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct IdRecord {
    #[prost(oneof = "IdKind", tags = "1, 2")]
    kind: Option<IdKind>,
}

#[derive(Clone, PartialEq, Oneof)]
enum IdKind {
    #[prost(fixed64, tag = "1")]
    Number(u64),
    /// 16 bytes.
    #[prost(bytes, tag = "2")]
    Uuid(Bytes),
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct PointRecord {
    #[prost(message, optional, tag = "1")]
    id: Option<IdRecord>,
    #[prost(message, repeated, tag = "2")]
    vectors: Vec<VectorRecord>,
    /// JSON text of an object. Empty where only vectors are updated.
    #[prost(bytes = "bytes", tag = "3")]
    payload: Bytes,
}

#[derive(Clone, PartialEq, prost::Message)]
struct VectorRecord {
    #[prost(string, tag = "1")]
    name: String,
    /// Little-endian f32.
    #[prost(bytes = "bytes", tag = "2")]
    values: Bytes,
}

impl IdsRecord {
    pub(super) fn of(ids: &[PointId]) -> Self {
        IdsRecord { ids: ids.iter().map(id_record).collect() }
    }

    pub(super) fn read(self) -> Result<Vec<PointId>, InvalidBody> {
        self.ids.into_iter().map(id).collect()
    }
}

impl PointRecord {
    pub(super) fn of(point: &UpsertPoint) -> Self {
        PointRecord {
            id: Some(id_record(&point.id)),
            vectors: vector_records(&point.vectors),
            payload: point.payload.bytes(),
        }
    }

    pub(super) fn of_vectors(point: &PointVectors) -> Self {
        PointRecord {
            id: Some(id_record(&point.id)),
            vectors: vector_records(&point.vectors),
            payload: Bytes::new(),
        }
    }

    pub(super) fn read(self) -> Result<UpsertPoint, InvalidBody> {
        let payload = Payload::from_stored(self.payload.clone());
        let PointVectors { id, vectors } = self.read_vectors()?;
        Ok(UpsertPoint { id, vectors, payload })
    }

    pub(super) fn read_vectors(self) -> Result<PointVectors, InvalidBody> {
        let vectors = self.vectors.into_iter().map(|vector| {
            let values = from_little_endian(&vector.values)?;
            Ok(NamedVector { name: vector.name, values })
        });
        let vectors = vectors.collect::<Result<_, InvalidBody>>()?;
        Ok(PointVectors { id: id(self.id.unwrap_or_default())?, vectors })
    }
}

/// Text that [`from_json`] reads back: for values whose own form in JSON is stable.
pub(super) fn to_json<T: Serialize>(value: &T) -> Bytes {
    // Maps of text, numbers and lists of such always serialise; a filter was printed once
    // before it became part of an operation.
    serde_json::to_vec(value).unwrap_or_default().into()
}

pub(super) fn from_json<T: DeserializeOwned>(
    text: &[u8],
    what: &'static str,
) -> Result<T, InvalidBody> {
    serde_json::from_slice(text).map_err(|_| InvalidBody::Unknown(what))
}

fn id_record(id: &PointId) -> IdRecord {
    let kind = match id {
        PointId::Number(number) => IdKind::Number(*number),
        PointId::Uuid(uuid) => IdKind::Uuid(Bytes::copy_from_slice(uuid.as_bytes())),
    };
    IdRecord { kind: Some(kind) }
}

fn id(record: IdRecord) -> Result<PointId, InvalidBody> {
    match record.kind {
        Some(IdKind::Number(number)) => Ok(PointId::Number(number)),
        Some(IdKind::Uuid(bytes)) => Uuid::from_slice(&bytes)
            .map(PointId::Uuid)
            .map_err(|_| InvalidBody::Unknown("a UUID that is not 16 bytes")),
        None => Err(InvalidBody::Unknown("an unknown form of id")),
    }
}

fn vector_records(vectors: &[NamedVector]) -> Vec<VectorRecord> {
    let record = |vector: &NamedVector| VectorRecord {
        name: vector.name.clone(),
        values: Bytes::from(little_endian(&vector.values)),
    };
    vectors.iter().map(record).collect()
}

fn little_endian(values: &[f32]) -> Vec<u8> {
    if cfg!(target_endian = "little") {
        return bytemuck::cast_slice(values).to_vec();
    }
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn from_little_endian(bytes: &[u8]) -> Result<Vec<f32>, InvalidBody> {
    let (chunks, rest) = bytes.as_chunks::<4>();
    match rest {
        [] => Ok(chunks.iter().map(|chunk| f32::from_le_bytes(*chunk)).collect()),
        _ => Err(InvalidBody::Unknown("a vector that is not whole f32 values")),
    }
}
