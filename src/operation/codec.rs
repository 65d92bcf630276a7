//! The encoding of a [`Body`] in the log. Protobuf, so that fields can be added; tag numbers
//! are never used twice. Vectors are little-endian f32 in one byte string: copied, not parsed.

use bytes::Bytes;
use prost::{Message as _, Oneof};
use uuid::Uuid;

use super::{Body, Message, Operation, Original, Reason, Refusal, Rejection, UpsertPoint};
use crate::point::{NamedVector, Payload, PointId, Schema};

#[derive(Debug, thiserror::Error)]
pub enum InvalidBody {
    #[error("not a record body: {0}")]
    Malformed(#[from] prost::DecodeError),
    #[error("a record body with {0}: written by a newer version?")]
    Unknown(&'static str),
}

#[derive(Clone, PartialEq, prost::Message)]
struct BodyRecord {
    #[prost(oneof = "BodyKind", tags = "1, 2, 3, 4, 5")]
    kind: Option<BodyKind>,
}

#[derive(Clone, PartialEq, Oneof)]
enum BodyKind {
    #[prost(message, tag = "1")]
    Message(MessageRecord),
    #[prost(message, tag = "2")]
    Rejected(RejectionRecord),
    #[prost(message, tag = "3")]
    Duplicate(Empty),
    #[prost(message, tag = "4")]
    Moved(Empty),
    #[prost(message, tag = "5")]
    Start(StartRecord),
}

#[derive(Clone, PartialEq, prost::Message)]
struct Empty {}

#[derive(Clone, PartialEq, prost::Message)]
struct StartRecord {
    #[prost(bool, tag = "1")]
    forget_others: bool,
}

#[derive(Clone, PartialEq, prost::Message)]
struct MessageRecord {
    #[prost(string, tag = "1")]
    collection: String,
    #[prost(message, repeated, tag = "2")]
    operations: Vec<OperationRecord>,
    #[prost(message, optional, tag = "3")]
    original: Option<OriginalRecord>,
    #[prost(bool, tag = "4")]
    waits: bool,
}

#[derive(Clone, PartialEq, prost::Message)]
struct OriginalRecord {
    #[prost(bytes = "bytes", optional, tag = "1")]
    key: Option<Bytes>,
    #[prost(bytes = "bytes", tag = "2")]
    value: Bytes,
    #[prost(message, repeated, tag = "3")]
    headers: Vec<HeaderRecord>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct HeaderRecord {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(bytes = "bytes", tag = "2")]
    value: Bytes,
}

#[derive(Clone, PartialEq, prost::Message)]
struct RejectionRecord {
    #[prost(uint32, tag = "1")]
    reason: u32,
    #[prost(string, tag = "2")]
    detail: String,
    #[prost(message, optional, tag = "3")]
    original: Option<OriginalRecord>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct OperationRecord {
    #[prost(oneof = "OperationKind", tags = "1, 2, 3, 4")]
    kind: Option<OperationKind>,
}

#[derive(Clone, PartialEq, Oneof)]
enum OperationKind {
    #[prost(message, tag = "1")]
    CreateCollection(CreateRecord),
    #[prost(message, tag = "2")]
    DeleteCollection(Empty),
    #[prost(message, tag = "3")]
    Upsert(UpsertRecord),
    #[prost(message, tag = "4")]
    DeletePoints(IdsRecord),
}

#[derive(Clone, PartialEq, prost::Message)]
struct CreateRecord {
    /// The schema as JSON, the form the manifest keeps it in.
    #[prost(bytes = "vec", tag = "1")]
    schema: Vec<u8>,
    #[prost(bool, tag = "2")]
    from_config: bool,
}

#[derive(Clone, PartialEq, prost::Message)]
struct UpsertRecord {
    #[prost(message, repeated, tag = "1")]
    points: Vec<PointRecord>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct IdsRecord {
    #[prost(message, repeated, tag = "1")]
    ids: Vec<IdRecord>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct IdRecord {
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
struct PointRecord {
    #[prost(message, optional, tag = "1")]
    id: Option<IdRecord>,
    #[prost(message, repeated, tag = "2")]
    vectors: Vec<VectorRecord>,
    /// JSON text of an object.
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

pub fn encode(body: &Body) -> Bytes {
    let kind = match body {
        Body::Message(message) => BodyKind::Message(message_record(message)),
        Body::Rejected(rejection) => BodyKind::Rejected(RejectionRecord {
            reason: rejection.refusal.reason.tag(),
            detail: rejection.refusal.detail.clone(),
            original: Some(original_record(&rejection.original)),
        }),
        Body::Duplicate => BodyKind::Duplicate(Empty {}),
        Body::Moved => BodyKind::Moved(Empty {}),
        Body::Start { forget_others } => {
            BodyKind::Start(StartRecord { forget_others: *forget_others })
        }
    };
    BodyRecord { kind: Some(kind) }.encode_to_vec().into()
}

/// Decodes what [`encode`] made. Payloads and originals are slices of `bytes`.
pub fn decode(bytes: Bytes) -> Result<Body, InvalidBody> {
    let kind = BodyRecord::decode(bytes)?.kind.ok_or(InvalidBody::Unknown("an unknown kind"))?;
    Ok(match kind {
        BodyKind::Message(record) => Body::Message(message(record)?),
        BodyKind::Rejected(record) => {
            let reason =
                Reason::from_tag(record.reason).ok_or(InvalidBody::Unknown("an unknown reason"))?;
            Body::Rejected(Rejection {
                refusal: Refusal { reason, detail: record.detail },
                original: original(record.original.unwrap_or_default()),
            })
        }
        BodyKind::Duplicate(_) => Body::Duplicate,
        BodyKind::Moved(_) => Body::Moved,
        BodyKind::Start(record) => Body::Start { forget_others: record.forget_others },
    })
}

fn message_record(message: &Message) -> MessageRecord {
    MessageRecord {
        collection: message.collection.clone(),
        operations: message
            .operations
            .iter()
            .map(|operation| OperationRecord { kind: Some(operation_kind(operation)) })
            .collect(),
        original: message.original.as_ref().map(original_record),
        waits: message.waits,
    }
}

fn message(record: MessageRecord) -> Result<Message, InvalidBody> {
    let operations = record
        .operations
        .into_iter()
        .map(|operation| {
            operation
                .kind
                .ok_or(InvalidBody::Unknown("an unknown operation"))
                .and_then(self::operation)
        })
        .collect::<Result<_, _>>()?;
    let original = record.original.map(original);
    Ok(Message { collection: record.collection, operations, original, waits: record.waits })
}

fn original_record(original: &Original) -> OriginalRecord {
    OriginalRecord {
        key: original.key.clone(),
        value: original.value.clone(),
        headers: original
            .headers
            .iter()
            .map(|(name, value)| HeaderRecord { name: name.clone(), value: value.clone() })
            .collect(),
    }
}

fn original(record: OriginalRecord) -> Original {
    let headers = record.headers.into_iter().map(|header| (header.name, header.value)).collect();
    Original { key: record.key, value: record.value, headers }
}

fn operation_kind(operation: &Operation) -> OperationKind {
    match operation {
        Operation::CreateCollection { schema, from_config } => {
            OperationKind::CreateCollection(CreateRecord {
                // A map of names to numbers always serialises.
                schema: serde_json::to_vec(schema).unwrap_or_default(),
                from_config: *from_config,
            })
        }
        Operation::DeleteCollection => OperationKind::DeleteCollection(Empty {}),
        Operation::Upsert(points) => OperationKind::Upsert(UpsertRecord {
            points: points.iter().map(point_record).collect(),
        }),
        Operation::DeletePoints(ids) => {
            OperationKind::DeletePoints(IdsRecord { ids: ids.iter().map(id_record).collect() })
        }
    }
}

fn operation(kind: OperationKind) -> Result<Operation, InvalidBody> {
    Ok(match kind {
        OperationKind::CreateCollection(record) => Operation::CreateCollection {
            schema: serde_json::from_slice::<Schema>(&record.schema)
                .map_err(|_| InvalidBody::Unknown("a schema it cannot read"))?,
            from_config: record.from_config,
        },
        OperationKind::DeleteCollection(_) => Operation::DeleteCollection,
        OperationKind::Upsert(record) => {
            Operation::Upsert(record.points.into_iter().map(point).collect::<Result<_, _>>()?)
        }
        OperationKind::DeletePoints(record) => {
            Operation::DeletePoints(record.ids.into_iter().map(id).collect::<Result<_, _>>()?)
        }
    })
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

fn point_record(point: &UpsertPoint) -> PointRecord {
    PointRecord {
        id: Some(id_record(&point.id)),
        vectors: point
            .vectors
            .iter()
            .map(|vector| VectorRecord {
                name: vector.name.clone(),
                values: Bytes::from(little_endian(&vector.values)),
            })
            .collect(),
        payload: point.payload.bytes(),
    }
}

fn point(record: PointRecord) -> Result<UpsertPoint, InvalidBody> {
    let vectors = record
        .vectors
        .into_iter()
        .map(|vector| {
            let values = from_little_endian(&vector.values)?;
            Ok(NamedVector { name: vector.name, values })
        })
        .collect::<Result<_, InvalidBody>>()?;
    Ok(UpsertPoint {
        id: id(record.id.unwrap_or_default())?,
        vectors,
        payload: Payload::from_stored(record.payload),
    })
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
