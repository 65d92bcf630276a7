//! A delivery of RabbitMQ as an item.

use std::sync::Arc;

use bytes::Bytes;
use lapin::BasicProperties;
use lapin::types::AMQPValue;

use crate::position::{Mark, Offset, Position, Stream, UnixMillis};
use crate::source::identity::fingerprint;
use crate::source::{Delivery, Item, Redelivery, What};

/// The broker's own header on what a stream delivers.
const STREAM_OFFSET: &str = "x-stream-offset";

/// The delivery's own offset; `None` if it does not come from a stream.
pub fn stream_offset(delivery: &lapin::message::Delivery) -> Option<Offset> {
    let headers = delivery.properties.headers().as_ref()?;
    match headers.inner().get(STREAM_OFFSET)? {
        AMQPValue::LongLongInt(offset) => u64::try_from(*offset).ok().map(Offset),
        _ => None,
    }
}

/// From here on a timestamp counts milliseconds: as seconds it is of the year 5138 at least, as
/// milliseconds of 1973.
const MILLIS_MIN: u64 = 100_000_000_000;

/// Whether it has the broker's header, or one like it.
pub fn has_offset(delivery: &lapin::message::Delivery) -> bool {
    let headers = delivery.properties.headers().as_ref();
    headers.is_some_and(|headers| headers.inner().contains_key(STREAM_OFFSET))
}

/// Of a stream. Recognised by its offset when it comes again; its fingerprint is beside it for
/// a publisher that sends it again.
pub fn item_of_stream(
    stream: &Arc<Stream>,
    offset: Offset,
    delivery: lapin::message::Delivery,
) -> Item {
    let message_id = message_id(&delivery);
    let delivery = message(None, delivery);
    let position = Position {
        identity: message_id.map(|id| fingerprint(&delivery, Some(id))),
        ..Position::new(Arc::clone(stream), Mark::Next(Offset(offset.0 + 1)))
    };
    Item { position, what: What::Message(delivery) }
}

pub fn item(stream: &Arc<Stream>, came: Redelivery, delivery: lapin::message::Delivery) -> Item {
    let message_id = message_id(&delivery);
    let delivery = message(Some(came), delivery);
    let mark = Mark::Fingerprint(fingerprint(&delivery, message_id));
    let position = Position::new(Arc::clone(stream), mark);
    Item { position, what: What::Message(delivery) }
}

fn message_id(delivery: &lapin::message::Delivery) -> Option<String> {
    delivery.properties.message_id().as_ref().map(|id| id.to_string())
}

fn message(redelivered: Option<Redelivery>, delivery: lapin::message::Delivery) -> Delivery {
    let (properties, now) = (&delivery.properties, UnixMillis::now());
    Delivery {
        time: properties.timestamp().map_or(now, |timestamp| sent_at(timestamp, now)),
        key: None,
        headers: headers(properties),
        redelivered,
        value: Some(Bytes::from(delivery.data)),
    }
}

/// AMQP counts whole seconds; some publishers give milliseconds. Not later than now: one that has
/// been applied would count as newer than all that wait.
fn sent_at(timestamp: u64, now: UnixMillis) -> UnixMillis {
    let millis = if timestamp < MILLIS_MIN { 1000 * timestamp } else { timestamp };
    UnixMillis(millis).min(now)
}

/// Properties first, then headers that are text or numbers. Tables and lists (such as
/// `x-death`) are the broker's own notes and are left out.
fn headers(properties: &BasicProperties) -> Vec<(String, Bytes)> {
    let named = [
        ("content-type", properties.content_type()),
        ("content-encoding", properties.content_encoding()),
        ("type", properties.kind()),
        ("message-id", properties.message_id()),
    ];
    let named = named.into_iter().filter_map(|(name, value)| {
        value.as_ref().map(|value| (name.to_owned(), Bytes::from(value.to_string())))
    });
    let table = properties.headers().iter().flat_map(|table| table.inner());
    let table = table.filter_map(|(name, value)| Some((name.to_string(), text(value)?)));
    named.chain(table).collect()
}

fn text(value: &AMQPValue) -> Option<Bytes> {
    let text = match value {
        AMQPValue::LongString(text) => return Some(Bytes::copy_from_slice(text.as_bytes())),
        AMQPValue::ByteArray(bytes) => return Some(Bytes::copy_from_slice(bytes.as_slice())),
        AMQPValue::ShortString(text) => text.to_string(),
        AMQPValue::Boolean(value) => value.to_string(),
        AMQPValue::ShortShortInt(value) => value.to_string(),
        AMQPValue::ShortShortUInt(value) => value.to_string(),
        AMQPValue::ShortInt(value) => value.to_string(),
        AMQPValue::ShortUInt(value) => value.to_string(),
        AMQPValue::LongInt(value) => value.to_string(),
        AMQPValue::LongUInt(value) => value.to_string(),
        AMQPValue::LongLongInt(value) => value.to_string(),
        AMQPValue::Timestamp(value) => value.to_string(),
        AMQPValue::Float(value) => value.to_string(),
        AMQPValue::Double(value) => value.to_string(),
        AMQPValue::DecimalValue(_)
        | AMQPValue::FieldArray(_)
        | AMQPValue::FieldTable(_)
        | AMQPValue::Void => return None,
    };
    Some(text.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timestamp_is_of_seconds_or_of_milliseconds_and_never_ahead() {
        let now = UnixMillis(1_700_000_000_500);
        let sent = |timestamp| sent_at(timestamp, now).0;
        assert_eq!(sent(0), 0);
        assert_eq!(sent(1_600_000_000), 1_600_000_000_000);
        assert_eq!(sent(1_600_000_000_123), 1_600_000_000_123);
        // A clock that is ahead, microseconds, and nonsense.
        for ahead in [1_700_000_001, 1_700_000_000_501, 1_600_000_000_000_000, u64::MAX] {
            assert_eq!(sent(ahead), now.0, "{ahead}");
        }
    }
}
