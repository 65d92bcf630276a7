//! The encoding of a [`Body`] in the log. Protobuf, so that fields can be added; tag numbers
//! are never used twice. Vectors are little-endian f32 in one byte string: copied, not parsed.

mod operation;
mod values;

use bytes::Bytes;
use prost::{Message as _, Oneof};

use super::{Body, Message, Original, Reason, Redrive, Refusal, Rejection};
use crate::position::Seq;
use operation::OperationRecord;

#[derive(Debug, thiserror::Error)]
pub enum InvalidBody {
    #[error("not a record body: {0}")]
    Malformed(#[from] prost::DecodeError),
    #[error("a record body with {0}: written by a newer version?")]
    Unknown(&'static str),
}

#[derive(Clone, PartialEq, prost::Message)]
struct BodyRecord {
    #[prost(oneof = "BodyKind", tags = "1, 2, 3, 4, 5, 6, 7")]
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
    Moved(MovedRecord),
    #[prost(message, tag = "5")]
    Start(StartRecord),
    #[prost(message, tag = "6")]
    DropLetters(DropRecord),
    #[prost(message, tag = "7")]
    Redrive(RedriveRecord),
}

#[derive(Clone, PartialEq, prost::Message)]
struct Empty {}

#[derive(Clone, PartialEq, prost::Message)]
struct MovedRecord {
    #[prost(string, optional, tag = "1")]
    why: Option<String>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct StartRecord {
    #[prost(bool, tag = "1")]
    forget_others: bool,
    #[prost(string, optional, tag = "2")]
    why: Option<String>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct DropRecord {
    #[prost(uint64, repeated, tag = "1")]
    letters: Vec<u64>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct RedriveRecord {
    #[prost(uint64, tag = "1")]
    letter: u64,
    #[prost(oneof = "AttemptKind", tags = "2, 3")]
    attempt: Option<AttemptKind>,
}

#[derive(Clone, PartialEq, Oneof)]
enum AttemptKind {
    #[prost(message, tag = "2")]
    Message(MessageRecord),
    #[prost(message, tag = "3")]
    Refused(RefusalRecord),
}

#[derive(Clone, PartialEq, prost::Message)]
struct RefusalRecord {
    #[prost(uint32, tag = "1")]
    reason: u32,
    #[prost(string, tag = "2")]
    detail: String,
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
    #[prost(bytes = "bytes", optional, tag = "2")]
    value: Option<Bytes>,
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

pub fn encode(body: &Body) -> Bytes {
    let kind = match body {
        Body::Message(message) => BodyKind::Message(message_record(message)),
        Body::Rejected(rejection) => BodyKind::Rejected(RejectionRecord {
            reason: rejection.refusal.reason.tag(),
            detail: rejection.refusal.detail.clone(),
            original: Some(original_record(&rejection.original)),
        }),
        Body::Duplicate => BodyKind::Duplicate(Empty {}),
        Body::Moved { why } => BodyKind::Moved(MovedRecord { why: why.clone() }),
        Body::Start { forget_others, why } => {
            BodyKind::Start(StartRecord { forget_others: *forget_others, why: why.clone() })
        }
        Body::DropLetters(letters) => {
            BodyKind::DropLetters(DropRecord { letters: letters.iter().map(|seq| seq.0).collect() })
        }
        Body::Redrive(redrive) => BodyKind::Redrive(redrive_record(redrive)),
    };
    BodyRecord { kind: Some(kind) }.encode_to_vec().into()
}

/// Decodes what [`encode`] made. Payloads and originals are slices of `bytes`.
pub fn decode(bytes: Bytes) -> Result<Body, InvalidBody> {
    let kind = BodyRecord::decode(bytes)?.kind.ok_or(InvalidBody::Unknown("an unknown kind"))?;
    Ok(match kind {
        BodyKind::Message(record) => Body::Message(message(record)?),
        BodyKind::Rejected(record) => Body::Rejected(Rejection {
            refusal: refusal(record.reason, record.detail)?,
            original: original(record.original.unwrap_or_default()),
            rewritten: false,
        }),
        BodyKind::Duplicate(_) => Body::Duplicate,
        BodyKind::Moved(record) => Body::Moved { why: record.why },
        BodyKind::Start(record) => {
            Body::Start { forget_others: record.forget_others, why: record.why }
        }
        BodyKind::DropLetters(record) => {
            Body::DropLetters(record.letters.into_iter().map(Seq).collect())
        }
        BodyKind::Redrive(record) => Body::Redrive(redrive(record)?),
    })
}

fn redrive_record(redrive: &Redrive) -> RedriveRecord {
    let attempt = match &redrive.attempt {
        Ok(message) => AttemptKind::Message(message_record(message)),
        Err(Refusal { reason, detail }) => {
            let (reason, detail) = (reason.tag(), detail.clone());
            AttemptKind::Refused(RefusalRecord { reason, detail })
        }
    };
    RedriveRecord { letter: redrive.letter.0, attempt: Some(attempt) }
}

fn redrive(record: RedriveRecord) -> Result<Redrive, InvalidBody> {
    let attempt = match record.attempt.ok_or(InvalidBody::Unknown("an unknown attempt"))? {
        AttemptKind::Message(record) => Ok(message(record)?),
        AttemptKind::Refused(record) => Err(refusal(record.reason, record.detail)?),
    };
    Ok(Redrive { letter: Seq(record.letter), attempt })
}

fn refusal(reason: u32, detail: String) -> Result<Refusal, InvalidBody> {
    let reason = Reason::from_tag(reason).ok_or(InvalidBody::Unknown("an unknown reason"))?;
    Ok(Refusal { reason, detail })
}

fn message_record(message: &Message) -> MessageRecord {
    MessageRecord {
        collection: message.collection.clone(),
        operations: message.operations.iter().map(OperationRecord::of).collect(),
        original: message.original.as_ref().map(original_record),
        waits: message.waits,
    }
}

fn message(record: MessageRecord) -> Result<Message, InvalidBody> {
    let operations = record.operations.into_iter().map(OperationRecord::read);
    let operations = operations.collect::<Result<_, _>>()?;
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
