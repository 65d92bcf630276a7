//! From a delivery's bytes to a message, in every form that messages come in.
//!
//! ```text
//!  value ─▶ content-encoding: gzip, zstd ─▶ content-type or configuration ─▶ JSON      ─▶ Message
//!                                                                          ▶ record
//!                                                                          ▶ protobuf
//!  no value ─▶ the id in the key ─▶ delete
//! ```
//!
//! Promise: the operations are the same whatever form said them, and what a form says and pointd
//! has not is refused by name. Unpacking never makes more than `message_bytes_max`. No promise
//! about what a refused delivery keeps: its bytes are the caller's, packed as they came.

mod encoding;
mod key;
mod protobuf;
#[cfg(test)]
mod tests;
mod topics;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::operation::{
    Limits, Message, Operation, Reason, Refusal, Selector, decode_message, decode_record,
};

pub use protobuf::TYPES;
pub use topics::{InvalidTopics, TopicCollections};

/// The header that says how a value is packed, as HTTP's does.
pub const CONTENT_ENCODING: &str = "content-encoding";
/// The header that says what a value is.
pub const CONTENT_TYPE: &str = "content-type";
/// The header that names the message of a protobuf value.
pub const TYPE: &str = "type";
/// The header that names the collection of a message that names none itself.
pub const COLLECTION: &str = "collection";

/// What the values of a source are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// What each one's `content-type` says: JSON if it has none.
    #[default]
    Auto,
    /// JSON, whatever is said of it.
    Json,
    /// One of Qdrant's messages, named by the header `type`.
    Protobuf,
    /// The record form of Qdrant's sink for Kafka Connect.
    Record,
}

/// How one source's messages are read.
#[derive(Clone, Debug)]
pub struct Decoding {
    pub format: Format,
    /// For messages for which neither they, a header nor their topic name a collection.
    pub collection: Option<String>,
    pub topics: TopicCollections,
    pub limits: Limits,
}

/// What a delivery says for itself.
#[derive(Clone, Copy, Debug)]
pub struct Incoming<'a> {
    /// The topic it came from; a queue is of none.
    pub topic: Option<&'a str>,
    pub key: Option<&'a [u8]>,
    /// `None` is a tombstone.
    pub value: Option<&'a [u8]>,
    /// In order. Of two with one name the first counts; case does not.
    pub headers: &'a [(String, Bytes)],
}

/// Decodes one delivery.
pub fn decode(incoming: &Incoming<'_>, decoding: &Decoding) -> Result<Message, Refusal> {
    let collection = fallback_collection(incoming, decoding)?;
    let Some(value) = incoming.value else {
        let id = key::point_id(incoming.key)?;
        let delete = Operation::DeletePoints(Selector::Ids(vec![id]));
        return Message::new(collection, vec![delete]);
    };
    decoding.limits.check(value.len())?;
    let encoding = header_text(incoming, CONTENT_ENCODING)?.unwrap_or_default();
    let value = encoding::unpack(value, encoding, &decoding.limits)?;
    match format_of(incoming, decoding.format)? {
        Format::Auto | Format::Json => decode_message(&value, collection, &decoding.limits),
        Format::Record => decode_record(&value, collection, &decoding.limits),
        Format::Protobuf => {
            let name = header_text(incoming, TYPE)?;
            protobuf::decode(&value, name, collection, &decoding.limits)
        }
    }
}

/// The collection of a message that names none.
fn fallback_collection<'a>(
    incoming: &Incoming<'a>,
    decoding: &'a Decoding,
) -> Result<Option<&'a str>, Refusal> {
    if let Some(named) = header_text(incoming, COLLECTION)? {
        return Ok(Some(named));
    }
    let of_topic = incoming.topic.and_then(|topic| decoding.topics.of(topic));
    Ok(of_topic.or(decoding.collection.as_deref()))
}

/// What the value is: never [`Format::Auto`] where a content type says more.
fn format_of(incoming: &Incoming<'_>, configured: Format) -> Result<Format, Refusal> {
    if configured != Format::Auto {
        return Ok(configured);
    }
    let Some(given) = header_text(incoming, CONTENT_TYPE)? else { return Ok(Format::Json) };
    // Parameters such as a charset come after a semicolon.
    let name = given.split(';').next().unwrap_or_default().trim();
    let is = |known: &str| name.eq_ignore_ascii_case(known);
    if is("application/json") {
        return Ok(Format::Json);
    }
    let protobuf =
        ["application/protobuf", "application/x-protobuf", "application/vnd.google.protobuf"];
    if protobuf.into_iter().any(is) {
        return Ok(Format::Protobuf);
    }
    let detail = format!(
        "content-type `{}` is not read: give `application/json` or `application/protobuf`, or \
         configure the source's `format`",
        shortened(given)
    );
    Err(Refusal::new(Reason::UnknownFormat, detail))
}

/// The text of a header; `None` if it is not there or empty.
fn header_text<'a>(incoming: &Incoming<'a>, name: &str) -> Result<Option<&'a str>, Refusal> {
    let found = incoming.headers.iter().find(|(given, _)| given.eq_ignore_ascii_case(name));
    let Some((_, value)) = found else { return Ok(None) };
    let text = std::str::from_utf8(value).map_err(|_| {
        let detail = format!("the header `{name}` is not UTF-8: write it as text");
        Refusal::new(Reason::NotUtf8, detail)
    })?;
    Ok(Some(text).filter(|text| !text.is_empty()))
}

/// Enough of what was given to know it by.
fn shortened(text: &str) -> String {
    text.chars().take(80).collect()
}
