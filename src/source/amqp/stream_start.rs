//! Where a RabbitMQ stream begins that was never read.

use std::fmt;
use std::time::UNIX_EPOCH;

use lapin::types::AMQPValue;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::position::{Offset, UnixMillis};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StreamStart {
    /// The oldest message that the stream still has.
    #[default]
    First,
    /// The stream's last chunk: the broker keeps messages in chunks, as they came.
    Last,
    /// What comes after the decision.
    Next,
    At(Offset),
    /// The chunk that has this time. The broker counts whole seconds.
    Time(UnixMillis),
}

impl StreamStart {
    /// The value of `x-stream-offset`.
    pub(super) fn argument(self) -> AMQPValue {
        match self {
            StreamStart::First => AMQPValue::LongString("first".into()),
            StreamStart::Last => AMQPValue::LongString("last".into()),
            StreamStart::Next => AMQPValue::LongString("next".into()),
            StreamStart::At(offset) => {
                AMQPValue::LongLongInt(i64::try_from(offset.0).unwrap_or(i64::MAX))
            }
            StreamStart::Time(time) => AMQPValue::Timestamp(time.0 / 1000),
        }
    }
}

impl Serialize for StreamStart {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            StreamStart::First => serializer.serialize_str("first"),
            StreamStart::Last => serializer.serialize_str("last"),
            StreamStart::Next => serializer.serialize_str("next"),
            StreamStart::At(offset) => serializer.serialize_u64(offset.0),
            StreamStart::Time(time) => {
                let since = std::time::Duration::from_millis(time.0);
                let text = humantime_serde::re::humantime::format_rfc3339(UNIX_EPOCH + since);
                serializer.collect_str(&text)
            }
        }
    }
}

impl<'de> Deserialize<'de> for StreamStart {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl de::Visitor<'_> for Visitor {
            type Value = StreamStart;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(
                    "\"first\", \"last\", \"next\", a time such as \"2026-01-31T12:00:00Z\", or \
                     an offset",
                )
            }

            fn visit_u64<E: de::Error>(self, offset: u64) -> Result<StreamStart, E> {
                Ok(StreamStart::At(Offset(offset)))
            }

            fn visit_i64<E: de::Error>(self, offset: i64) -> Result<StreamStart, E> {
                let wrong = |_| E::invalid_value(de::Unexpected::Signed(offset), &self);
                u64::try_from(offset).map(|it| StreamStart::At(Offset(it))).map_err(wrong)
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<StreamStart, E> {
                match text {
                    "first" => return Ok(StreamStart::First),
                    "last" => return Ok(StreamStart::Last),
                    "next" => return Ok(StreamStart::Next),
                    _ => {}
                }
                // Environment variables bring numbers as text.
                if let Ok(offset) = text.parse() {
                    return Ok(StreamStart::At(Offset(offset)));
                }
                let wrong = || E::invalid_value(de::Unexpected::Str(text), &self);
                UnixMillis::parse(text).map(StreamStart::Time).ok_or_else(wrong)
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_reads_back_as_it_was_written() {
        let time = StreamStart::Time(UnixMillis(1_767_225_600_000));
        let each = [StreamStart::First, StreamStart::Last, StreamStart::Next, time];
        for start in each.into_iter().chain([StreamStart::At(Offset(7))]) {
            let text = serde_json::to_string(&start).unwrap();
            assert_eq!(serde_json::from_str::<StreamStart>(&text).unwrap(), start, "{text}");
        }
        assert!(serde_json::from_str::<StreamStart>("\"soon\"").is_err());
        assert!(serde_json::from_str::<StreamStart>("-1").is_err());
    }
}
