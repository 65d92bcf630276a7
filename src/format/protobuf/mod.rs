//! Qdrant's protobuf messages, as its clients send them over gRPC: one message is one value.
//!
//! Promise: a field that pointd does not know is refused where passing over it would change which
//! points are meant or what they become. `wait`, `ordering` and `timeout` are passed over: they are
//! about an answer that a broker does not give.

mod filter;
mod known;
mod operations;
mod points;

use qdrant_client::qdrant as proto;

use super::shortened;
use crate::operation::{Limits, Message, Operation, Reason, Refusal};
use known::Shape;

/// The names that the header `type` may have, with or without `qdrant.` before them.
pub const TYPES: [&str; 9] = [
    "UpsertPoints",
    "DeletePoints",
    "UpdatePointVectors",
    "DeletePointVectors",
    "SetPayloadPoints",
    "OverwritePayloadPoints",
    "DeletePayloadPoints",
    "ClearPayloadPoints",
    "UpdateBatchPoints",
];

/// What a point, an operation or a condition takes in memory when it is read, about, however few
/// bytes it has.
const INNER_BYTES: usize = 512;
/// How many times `message_bytes_max` a message may take in memory, beside [`GROWTH_FREE`] bytes.
const GROWTH_MAX: usize = 8;
const GROWTH_FREE: usize = 1 << 20;

/// Decodes the message that `name` says it is.
pub fn decode(
    value: &[u8],
    name: Option<&str>,
    collection: Option<&str>,
    limits: &Limits,
) -> Result<Message, Refusal> {
    let name = message_name(name)?;
    if value.is_empty() {
        let detail = format!("the value is empty, and a {name} says at least which points");
        return Err(Refusal::new(Reason::NotProtobuf, detail));
    }
    let (named, operations) = read(value, name, limits).map_err(|Refusal { reason, detail }| {
        Refusal { reason, detail: format!("{name}: {detail}") }
    })?;
    let named = Some(named.as_str()).filter(|named| !named.is_empty());
    Message::new(named.or(collection), operations)
}

/// One of [`TYPES`].
fn message_name(given: Option<&str>) -> Result<&'static str, Refusal> {
    let Some(given) = given else {
        let detail = format!("a protobuf message needs the header `type`: {}", one_of());
        return Err(Refusal::new(Reason::UnknownFormat, detail));
    };
    let bare = given.strip_prefix("type.googleapis.com/").unwrap_or(given);
    let bare = bare.strip_prefix("qdrant.").unwrap_or(bare);
    TYPES.into_iter().find(|name| *name == bare).ok_or_else(|| {
        let detail = format!("type `{}` is not read: {}", shortened(given), one_of());
        Refusal::new(Reason::UnknownFormat, detail)
    })
}

fn one_of() -> String {
    format!("give one of `{}`", TYPES.join("`, `"))
}

/// The collection it names (empty: none) and its operations.
fn read(value: &[u8], name: &str, limits: &Limits) -> Result<(String, Vec<Operation>), Refusal> {
    macro_rules! one {
        ($shape:expr, $message:ty) => {{
            let message: $message = parse(value, $shape, limits)?;
            let collection = message.collection_name.clone();
            Ok((collection, vec![Operation::try_from(message)?]))
        }};
    }
    match name {
        "UpsertPoints" => one!(&known::UPSERT_POINTS, proto::UpsertPoints),
        "DeletePoints" => one!(&known::DELETE_POINTS, proto::DeletePoints),
        "UpdatePointVectors" => one!(&known::UPDATE_POINT_VECTORS, proto::UpdatePointVectors),
        "DeletePointVectors" => one!(&known::DELETE_POINT_VECTORS, proto::DeletePointVectors),
        "SetPayloadPoints" => one!(&known::SET_PAYLOAD_POINTS, proto::SetPayloadPoints),
        "OverwritePayloadPoints" => {
            let message: proto::SetPayloadPoints =
                parse(value, &known::SET_PAYLOAD_POINTS, limits)?;
            let collection = message.collection_name.clone();
            Ok((collection, vec![operations::overwrite_payload(message)?]))
        }
        "DeletePayloadPoints" => one!(&known::DELETE_PAYLOAD_POINTS, proto::DeletePayloadPoints),
        "ClearPayloadPoints" => one!(&known::CLEAR_PAYLOAD_POINTS, proto::ClearPayloadPoints),
        _ => {
            let message: proto::UpdateBatchPoints =
                parse(value, &known::UPDATE_BATCH_POINTS, limits)?;
            let each = message.operations.into_iter().enumerate();
            let operations = each.map(|(at, one)| operations::in_batch(at, one));
            Ok((message.collection_name, operations.collect::<Result<_, _>>()?))
        }
    }
}

fn parse<M: prost::Message + Default>(
    value: &[u8],
    shape: &'static Shape,
    limits: &Limits,
) -> Result<M, Refusal> {
    let max = limits.message_bytes_max.saturating_mul(GROWTH_MAX).saturating_add(GROWTH_FREE);
    let grown = value.len().saturating_add(known::inner(value, shape).saturating_mul(INNER_BYTES));
    if grown > max {
        let detail = format!(
            "so many small points or conditions take about {grown} bytes in memory, more than the \
             {max} that a message may: send fewer at once"
        );
        return Err(Refusal::new(Reason::TooLarge, detail));
    }
    let message = M::decode(value).map_err(|error| {
        let text = error.to_string();
        let reason = match text.contains("recursion limit") {
            true => Reason::TooDeep,
            false => Reason::NotProtobuf,
        };
        Refusal::new(reason, format!("cannot be read as this message: {text}"))
    })?;
    known::check(value, shape)?;
    Ok(message)
}

fn invalid(detail: impl Into<String>) -> Refusal {
    Refusal::new(Reason::InvalidMessage, detail)
}
