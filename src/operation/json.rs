//! The JSON message: `{"collection": …, "<operation>": {…}}` or
//! `{"collection": …, "operations": [{"<operation>": {…}}, …]}`, and the record form.

use std::fmt;

use serde::de::{DeserializeOwned, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::record::RecordBody;
use super::selector::{ClearPayloadBody, DeleteBody};
use super::{
    DeletePayloadBody, DeleteVectorsBody, Message, Operation, OverwritePayloadBody, Reason,
    Refusal, SetPayloadBody, UpdateVectorsBody, UpsertBody,
};

/// How deep a message may nest. serde_json itself stops at 128; readers of the payload
/// (pandas, other JSON parsers) often stop earlier.
pub const NESTING_MAX: usize = 64;

const OPERATIONS: &str = "`upsert`, `delete`, `update_vectors`, `delete_vectors`, `set_payload`, \
                          `overwrite_payload`, `delete_payload`, `clear_payload`";

/// What a decoder needs to know beside the bytes.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Bytes of one message's value.
    pub message_bytes_max: usize,
}

impl Limits {
    /// Refuses a value of more bytes than a message may have.
    pub fn check(&self, bytes: usize) -> Result<(), Refusal> {
        let max = self.message_bytes_max;
        if bytes <= max {
            return Ok(());
        }
        let detail = format!("the message has {bytes} bytes, more than the limit of {max}");
        Err(Refusal::new(Reason::TooLarge, detail))
    }
}

/// Decodes one message: operations, or a record, which shows in its `collection_name`.
/// `collection` is the one to use where the message names none.
pub fn decode_message(
    value: &[u8],
    collection: Option<&str>,
    limits: &Limits,
) -> Result<Message, Refusal> {
    let body = read_message(value, limits)?;
    if body.record.is_named() {
        body.into_record(collection)
    } else {
        body.into_message(collection)
    }
}

/// Decodes one record, whether it names its collection or not.
pub fn decode_record(
    value: &[u8],
    collection: Option<&str>,
    limits: &Limits,
) -> Result<Message, Refusal> {
    read_message(value, limits)?.into_record(collection)
}

fn read_message(value: &[u8], limits: &Limits) -> Result<MessageBody, Refusal> {
    limits.check(value.len())?;
    let text = std::str::from_utf8(value).map_err(|error| {
        let detail = format!("not UTF-8: a bad byte at {}", error.valid_up_to());
        Refusal::new(Reason::NotUtf8, detail)
    })?;
    check_nesting(value)?;
    read(text)
}

/// Decodes what [`to_json`](super::to_json) wrote of a message that had passed the limits once.
/// In that form it can be longer, and by its own brackets nest deeper, than they allow.
pub fn decode_written(text: &str) -> Result<Message, Refusal> {
    read(text)?.into_message(None)
}

fn read(text: &str) -> Result<MessageBody, Refusal> {
    serde_json::from_str(text).map_err(|error| {
        let InvalidJson { reason, detail } = located::<MessageBody>(text.as_bytes(), &error);
        Refusal::new(reason, detail)
    })
}

/// Why [`parse`] could not.
#[derive(Debug)]
pub struct InvalidJson {
    pub reason: Reason,
    /// Begins with the place in the text, where it is a place below the top.
    pub detail: String,
}

/// Parses JSON into a body.
pub fn parse<T: DeserializeOwned>(text: &[u8]) -> Result<T, InvalidJson> {
    serde_json::from_slice(text).map_err(|error| located::<T>(text, &error))
}

/// Parses a text that failed once more, with its path noted. Not the first time: noting costs
/// more than parsing where a text is mostly numbers.
fn located<T: DeserializeOwned>(text: &[u8], error: &serde_json::Error) -> InvalidJson {
    let reason = match error.classify() {
        serde_json::error::Category::Data => Reason::InvalidMessage,
        _ => Reason::NotJson,
    };
    let mut noted = serde_json::Deserializer::from_slice(text);
    let detail = match serde_path_to_error::deserialize::<_, T>(&mut noted) {
        Err(with_path) if with_path.path().iter().next().is_some() => {
            format!("{}: {}", with_path.path(), with_path.inner())
        }
        _ => error.to_string(),
    };
    InvalidJson { reason, detail }
}

/// Refuses what nests deeper than [`NESTING_MAX`]. Nearly every message has fewer opening
/// brackets than that in all, which is counted at memory speed.
pub fn check_nesting(value: &[u8]) -> Result<(), Refusal> {
    if memchr::memchr2_iter(b'{', b'[', value).take(NESTING_MAX + 1).count() <= NESTING_MAX {
        return Ok(());
    }
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for (at, byte) in value.iter().enumerate() {
        if in_string {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_string = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => in_string = true,
            b'{' | b'[' => {
                depth += 1;
                if depth > NESTING_MAX {
                    let detail = format!("nests deeper than {NESTING_MAX} levels at byte {at}");
                    return Err(Refusal::new(Reason::TooDeep, detail));
                }
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    Ok(())
}

/// A message as written. Names it does not know are kept rather than refused at once, so that
/// the refusal can say which they are.
#[derive(Default)]
struct MessageBody {
    collection: Option<String>,
    /// Given by its own name beside `collection`.
    single: Vec<OperationBody>,
    /// Given as `operations`.
    listed: Option<Vec<OperationBody>>,
    record: RecordBody,
    unknown: Vec<String>,
}

#[derive(Debug)]
enum OperationBody {
    Upsert(UpsertBody),
    Delete(DeleteBody),
    UpdateVectors(UpdateVectorsBody),
    DeleteVectors(DeleteVectorsBody),
    SetPayload(SetPayloadBody),
    OverwritePayload(OverwritePayloadBody),
    DeletePayload(DeletePayloadBody),
    ClearPayload(ClearPayloadBody),
    Unknown(String),
}

impl OperationBody {
    /// Reads the value of `name`, if that is an operation.
    fn read<'de, A: MapAccess<'de>>(name: &str, map: &mut A) -> Result<Self, A::Error> {
        Ok(match name {
            "upsert" => OperationBody::Upsert(map.next_value()?),
            "delete" => OperationBody::Delete(map.next_value()?),
            "update_vectors" => OperationBody::UpdateVectors(map.next_value()?),
            "delete_vectors" => OperationBody::DeleteVectors(map.next_value()?),
            "set_payload" => OperationBody::SetPayload(map.next_value()?),
            "overwrite_payload" => OperationBody::OverwritePayload(map.next_value()?),
            "delete_payload" => OperationBody::DeletePayload(map.next_value()?),
            "clear_payload" => OperationBody::ClearPayload(map.next_value()?),
            _ => {
                map.next_value::<IgnoredAny>()?;
                OperationBody::Unknown(name.to_owned())
            }
        })
    }

    /// `list` is where it stands, if that is a list: a refusal begins with the operation's place.
    fn into_operation(self, list: Option<usize>) -> Result<Operation, Refusal> {
        let (name, operation) = match self {
            OperationBody::Upsert(body) => ("upsert", body.try_into()),
            OperationBody::Delete(body) => ("delete", body.try_into()),
            OperationBody::UpdateVectors(body) => ("update_vectors", body.try_into()),
            OperationBody::DeleteVectors(body) => ("delete_vectors", body.try_into()),
            OperationBody::SetPayload(body) => ("set_payload", body.try_into()),
            OperationBody::OverwritePayload(body) => ("overwrite_payload", body.try_into()),
            OperationBody::DeletePayload(body) => ("delete_payload", body.try_into()),
            OperationBody::ClearPayload(body) => ("clear_payload", body.try_into()),
            OperationBody::Unknown(name) => ("", Err(unknown_operation(&name))),
        };
        operation.map_err(|Refusal { reason, detail }| {
            let place = match (list, name) {
                (Some(at), "") => format!("operations[{at}]"),
                (Some(at), name) => format!("operations[{at}].{name}"),
                (None, name) => name.to_owned(),
            };
            Refusal { reason, detail: format!("{place}: {detail}") }
        })
    }
}

fn into_operations(listed: Vec<OperationBody>) -> Result<Vec<Operation>, Refusal> {
    let each = listed.into_iter().enumerate();
    each.map(|(at, body)| body.into_operation(Some(at))).collect()
}

/// `{"operations": [{"<operation>": {…}}, …]}`: several operations on the collection that a
/// request names otherwise.
#[derive(Debug, Deserialize)]
pub struct OperationsBody {
    operations: Vec<OperationBody>,
}

impl TryFrom<OperationsBody> for Vec<Operation> {
    type Error = Refusal;

    fn try_from(body: OperationsBody) -> Result<Self, Refusal> {
        into_operations(body.operations)
    }
}

fn unknown_operation(name: &str) -> Refusal {
    let shown: String = name.chars().take(80).collect();
    let detail = format!("`{shown}` is not an operation: known are {OPERATIONS}");
    Refusal::new(Reason::UnknownOperation, detail)
}

impl<'de> Deserialize<'de> for MessageBody {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Body;
        impl<'de> Visitor<'de> for Body {
            type Value = MessageBody;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a message: an object with `collection` and an operation")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<MessageBody, A::Error> {
                let mut body = MessageBody::default();
                while let Some(name) = map.next_key::<std::borrow::Cow<'de, str>>()? {
                    match &*name {
                        "collection" if body.collection.is_some() => {
                            return Err(serde::de::Error::duplicate_field("collection"));
                        }
                        "collection" => body.collection = Some(map.next_value()?),
                        "operations" if body.listed.is_some() => {
                            return Err(serde::de::Error::duplicate_field("operations"));
                        }
                        "operations" => body.listed = Some(map.next_value()?),
                        name if body.record.read(name, &mut map)? => {}
                        name => match OperationBody::read(name, &mut map)? {
                            OperationBody::Unknown(name) => body.unknown.push(name),
                            operation => body.single.push(operation),
                        },
                    }
                }
                Ok(body)
            }
        }
        deserializer.deserialize_map(Body)
    }
}

impl<'de> Deserialize<'de> for OperationBody {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Body;
        impl<'de> Visitor<'de> for Body {
            type Value = OperationBody;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object with one operation")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<OperationBody, A::Error> {
                let one = || serde::de::Error::custom("an entry of `operations` has one operation");
                let name: String = map.next_key()?.ok_or_else(one)?;
                let operation = OperationBody::read(&name, &mut map)?;
                match map.next_key::<IgnoredAny>()? {
                    None => Ok(operation),
                    Some(_) => Err(one()),
                }
            }
        }
        deserializer.deserialize_map(Body)
    }
}

impl MessageBody {
    fn into_message(self, default_collection: Option<&str>) -> Result<Message, Refusal> {
        let unknown = self.unknown.first().map(String::as_str);
        if let Some(name) = unknown.or(self.record.first_field()) {
            return Err(unknown_operation(name));
        }
        let mut single = self.single;
        let operations = match (self.listed, single.pop(), single.is_empty()) {
            (Some(listed), None, _) => into_operations(listed)?,
            (None, Some(one), true) => vec![one.into_operation(None)?],
            (None, None, _) => {
                let detail =
                    format!("no operation: give one of {OPERATIONS}, or a list in `operations`");
                return Err(Refusal::new(Reason::InvalidMessage, detail));
            }
            // The order of an object's keys is not an order of operations.
            _ => {
                let detail = "several operations: give them in order, in the list `operations`";
                return Err(Refusal::new(Reason::InvalidMessage, detail));
            }
        };
        Message::new(self.collection.as_deref().or(default_collection), operations)
    }

    fn into_record(self, default_collection: Option<&str>) -> Result<Message, Refusal> {
        let is_alone = self.single.is_empty() && self.listed.is_none() && self.unknown.is_empty();
        if !is_alone || self.collection.is_some() {
            let detail = "a record of a point has `collection_name`, `id`, `vector` and `payload`, \
                          and nothing else: operations are given beside `collection`";
            return Err(Refusal::new(Reason::InvalidMessage, detail));
        }
        let named = self.record.collection.clone().filter(|name| !name.is_empty());
        let operation = self.record.into_operation()?;
        Message::new(named.as_deref().or(default_collection), vec![operation])
    }
}
