//! What a message asks for, and two of its encodings: JSON on the way in, and the log's own.
//!
//! A [`Body`] is what one log record says, with everything resolved: replay needs no
//! configuration, clock or limit to know what it means. Whether an operation can be applied
//! (does the collection exist, does the vector name) depends on the state at its seq and is
//! decided by the applier, never here.

mod changes;
mod codec;
mod encode_json;
mod json;
mod record;
mod selector;
#[cfg(test)]
pub(crate) mod tests;
mod upsert;
mod vectors;

use bytes::Bytes;

use crate::filter::Filter;
use crate::point::{FieldSchema, NamedVector, Path, Payload, PointId, Schema};
use crate::position::Seq;

pub use changes::{
    DeletePayloadBody, DeleteVectorsBody, OverwritePayloadBody, SetPayloadBody, UpdateVectorsBody,
};
pub use codec::{InvalidBody, decode, encode};
pub use encode_json::to_json;
pub use json::{
    InvalidJson, Limits, NESTING_MAX, OperationsBody, check_nesting, decode_message, decode_record,
    decode_written, parse,
};
pub use selector::{ClearPayloadBody, DeleteBody, unsupported};
pub use upsert::UpsertBody;
pub use vectors::named_vector;

/// What one log record says.
#[derive(Clone, Debug, PartialEq)]
pub enum Body {
    Message(Message),
    /// Cannot be decoded: a dead letter.
    Rejected(Rejection),
    /// Already in the log at an earlier seq.
    Duplicate,
    /// Only the position moved. `why` is there where someone decided it: what lies between was
    /// given up.
    Moved {
        why: Option<String>,
    },
    /// Where consumption of a stream begins, or with a `why` begins again. See
    /// `source::What::Start`.
    Start {
        forget_others: bool,
        why: Option<String>,
    },
    /// An operator's decision: these dead letters are given up. Of one that is gone already,
    /// nothing is left to do.
    DropLetters(Vec<Seq>),
    /// An operator's decision: a dead letter is tried again.
    Redrive(Redrive),
}

/// One more attempt at a dead letter. If the letter is gone when its turn comes (another attempt
/// was applied, or it was dropped), the attempt does nothing.
#[derive(Clone, Debug, PartialEq)]
pub struct Redrive {
    pub letter: Seq,
    /// As decoded now; or why it still cannot be.
    pub attempt: Result<Message, Refusal>,
}

impl Body {
    /// Nothing was between.
    pub fn moved() -> Body {
        Body::Moved { why: None }
    }

    /// A stream that had no position yet.
    pub fn start(forget_others: bool) -> Body {
        Body::Start { forget_others, why: None }
    }
}

/// One or more operations on one collection, applied as a whole or not at all.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    pub collection: String,
    pub operations: Vec<Operation>,
    /// What was delivered, kept where the message might not be applied at its turn, so that its
    /// dead letter can show the original bytes.
    pub original: Option<Original>,
    /// Its writer waits for the outcome. Should it be refused, the writer is told, and no dead
    /// letter is kept. Part of the record, so that replay decides the same.
    pub waits: bool,
}

impl Message {
    /// A message as it arrives: from a broker, nobody waits for it.
    pub fn new(collection: Option<&str>, operations: Vec<Operation>) -> Result<Self, Refusal> {
        let Some(collection) = collection else {
            let detail = "no collection: name one in the message, in its header `collection`, or \
                          in the configuration of its source";
            return Err(Refusal::new(Reason::NoCollection, detail));
        };
        let collection = collection.to_owned();
        Ok(Message { collection, operations, original: None, waits: false })
    }
}

#[derive(Clone, Debug, PartialEq)]
pub enum Operation {
    /// Refused if the collection exists. With `from_config`, done at most once in the life of
    /// a data directory, and silently nothing after that.
    CreateCollection {
        schema: Schema,
        from_config: bool,
    },
    /// Refused if the collection does not exist.
    DeleteCollection,
    /// Replaces the index of this field, if it has another one. With `from_config`, silently
    /// nothing if it has any.
    CreateIndex {
        field: Path,
        schema: FieldSchema,
        from_config: bool,
    },
    /// Silently nothing if the field has no index.
    DeleteIndex {
        field: Path,
    },
    /// Replaces each point whole.
    Upsert(Vec<UpsertPoint>),
    /// Ids without a point are passed over.
    DeletePoints(Selector),
    /// Other vectors of the points stay. Refused if one of the points does not exist, as is
    /// everything below that names points by their ids.
    UpdateVectors(Vec<PointVectors>),
    /// Points are never deleted by it.
    DeleteVectors {
        points: Selector,
        names: Vec<String>,
    },
    /// Merges `payload` into each point's: at its top, or into what `key` leads to.
    SetPayload {
        points: Selector,
        payload: Payload,
        key: Option<Path>,
    },
    OverwritePayload {
        points: Selector,
        payload: Payload,
    },
    DeletePayload {
        points: Selector,
        keys: Vec<Path>,
    },
    ClearPayload(Selector),
}

impl Operation {
    /// How many points and vectors it holds; 1 if none.
    pub fn pieces(&self) -> usize {
        match self {
            Operation::Upsert(points) => points.iter().map(|point| 1 + point.vectors.len()).sum(),
            Operation::UpdateVectors(points) => {
                points.iter().map(|point| 1 + point.vectors.len()).sum()
            }
            _ => 1,
        }
    }
}

/// Which points an operation changes.
#[derive(Clone, Debug, PartialEq)]
pub enum Selector {
    Ids(Vec<PointId>),
    /// Those that match at the operation's turn.
    Filter(Filter),
}

/// Vectors for a point that exists: at least one, none of them checked against a schema.
#[derive(Clone, Debug, PartialEq)]
pub struct PointVectors {
    pub id: PointId,
    pub vectors: Vec<NamedVector>,
}

/// A whole point as given: vectors not yet normalised, none of them checked against a schema.
#[derive(Clone, Debug, PartialEq)]
pub struct UpsertPoint {
    pub id: PointId,
    pub vectors: Vec<NamedVector>,
    pub payload: Payload,
}

/// A delivery as the broker gave it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Original {
    pub key: Option<Bytes>,
    /// `None` is a tombstone; that is not an empty value.
    pub value: Option<Bytes>,
    pub headers: Vec<(String, Bytes)>,
}

impl Original {
    /// A value alone.
    pub fn of(value: impl Into<Bytes>) -> Self {
        Original { value: Some(value.into()), ..Original::default() }
    }
}

/// A message that cannot be applied, and why.
#[derive(Clone, Debug, PartialEq)]
pub struct Rejection {
    pub refusal: Refusal,
    pub original: Original,
    /// The original is the message written as JSON again. Never in a record: only an operator
    /// rejects what was decoded.
    pub rewritten: bool,
}

/// A detail is kept with its dead letter, in memory and in the log.
const DETAIL_BYTES_MAX: usize = 2048;

/// Why a message is not applied: a reason to count by, and a sentence for whoever mends it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Refusal {
    pub reason: Reason,
    pub detail: String,
}

impl Refusal {
    /// A detail that quotes too much of the message is cut.
    pub fn new(reason: Reason, detail: impl Into<String>) -> Self {
        let mut detail = detail.into();
        if detail.len() > DETAIL_BYTES_MAX {
            detail.truncate(detail.floor_char_boundary(DETAIL_BYTES_MAX));
            detail.push('…');
            detail.shrink_to_fit();
        }
        Refusal { reason, detail }
    }

    /// What is said of a source that may not pass the message that was refused.
    pub fn halts_its_source(&self) -> String {
        let Refusal { reason, detail } = self;
        let label = reason.label();
        format!("a message was refused ({label}: {detail}): redrive or drop it, see /dead-letters")
    }
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $variant:ident = $tag:literal, $label:literal;)*) => {
        /// Labels and tags are part of the log's format and of the metrics: neither is ever
        /// used twice.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Reason { $($(#[$doc])* $variant),* }

        impl Reason {
            pub const ALL: &[Reason] = &[$(Reason::$variant),*];

            /// The metric label.
            pub fn label(self) -> &'static str {
                match self { $(Reason::$variant => $label),* }
            }

            fn tag(self) -> u32 {
                match self { $(Reason::$variant => $tag),* }
            }

            fn from_tag(tag: u32) -> Option<Reason> {
                match tag { $($tag => Some(Reason::$variant),)* _ => None }
            }
        }
    };
}

reasons! {
    NotUtf8 = 1, "not_utf8";
    NotJson = 2, "not_json";
    /// JSON, but not of a message's shape.
    InvalidMessage = 3, "invalid_message";
    MissingId = 4, "missing_id";
    UnknownOperation = 5, "unknown_operation";
    /// Empty, or with a value that is not a finite f32.
    InvalidVector = 6, "invalid_vector";
    TooDeep = 7, "too_deep";
    TooLarge = 8, "too_large";
    /// Neither the message nor its source names a collection.
    NoCollection = 9, "no_collection";
    UnknownCollection = 10, "unknown_collection";
    CollectionExists = 11, "collection_exists";
    UnknownVector = 12, "unknown_vector";
    WrongDimension = 13, "wrong_dimension";
    /// Cosine similarity of a zero vector is not defined.
    ZeroVector = 14, "zero_vector";
    InvalidSchema = 15, "invalid_schema";
    /// `serve --reject-seq`.
    RejectedByOperator = 16, "rejected_by_operator";
    /// No value, and no key that names a point to delete (tombstones).
    MissingValue = 17, "missing_value";
    /// The collection is full: no slot is left.
    CollectionFull = 18, "collection_full";
    /// The decoder panicked on it.
    DecoderFault = 19, "decoder_fault";
    /// Vectors for a point that does not exist.
    UnknownPoint = 20, "unknown_point";
    /// Not the protobuf message that its `type` says.
    NotProtobuf = 21, "not_protobuf";
    /// Packed in a way that is not known, or not as its `content-encoding` says.
    InvalidEncoding = 22, "invalid_encoding";
    /// Its `content-type` or `type` is none that is read.
    UnknownFormat = 23, "unknown_format";
}

impl serde::Serialize for Reason {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.label())
    }
}

impl<'de> serde::Deserialize<'de> for Reason {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let label = String::deserialize(deserializer)?;
        Reason::ALL.iter().copied().find(|reason| reason.label() == label).ok_or_else(|| {
            serde::de::Error::custom(format!("`{label}` is not a reason this version knows"))
        })
    }
}
