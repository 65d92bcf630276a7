//! Where a source begins that is new.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::position::UnixMillis;

/// Where a new source starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Start {
    #[default]
    Earliest,
    Latest,
    /// The first message with this time or a later one.
    At(UnixMillis),
}

impl Serialize for Start {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Start::Earliest => serializer.serialize_str("earliest"),
            Start::Latest => serializer.serialize_str("latest"),
            Start::At(time) => serializer.serialize_u64(time.0),
        }
    }
}

impl<'de> Deserialize<'de> for Start {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl de::Visitor<'_> for Visitor {
            type Value = Start;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(
                    "\"earliest\", \"latest\", a time such as \"2026-01-31T12:00:00Z\", or \
                     milliseconds since 1970",
                )
            }

            fn visit_u64<E: de::Error>(self, millis: u64) -> Result<Start, E> {
                Ok(Start::At(UnixMillis(millis)))
            }

            fn visit_i64<E: de::Error>(self, millis: i64) -> Result<Start, E> {
                let wrong = |_| E::invalid_value(de::Unexpected::Signed(millis), &self);
                u64::try_from(millis).map(|millis| Start::At(UnixMillis(millis))).map_err(wrong)
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Start, E> {
                match text {
                    "earliest" => return Ok(Start::Earliest),
                    "latest" => return Ok(Start::Latest),
                    _ => {}
                }
                // Environment variables bring numbers as text.
                if let Ok(millis) = text.parse() {
                    return Ok(Start::At(UnixMillis(millis)));
                }
                let wrong = || E::invalid_value(de::Unexpected::Str(text), &self);
                UnixMillis::parse(text).map(Start::At).ok_or_else(wrong)
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_is_a_word_a_time_or_milliseconds() {
        let start = |value: serde_json::Value| serde_json::from_value::<Start>(value);
        assert_eq!(start("earliest".into()).unwrap(), Start::Earliest);
        assert_eq!(start("latest".into()).unwrap(), Start::Latest);
        let at = Start::At(UnixMillis(1_769_860_800_000));
        assert_eq!(start("2026-01-31T12:00:00Z".into()).unwrap(), at);
        assert_eq!(start(1_769_860_800_000_u64.into()).unwrap(), at);
        assert_eq!(start("1769860800000".into()).unwrap(), at);
        assert!(start("yesterday".into()).unwrap_err().to_string().contains("earliest"));
        assert!(start((-5).into()).is_err());
    }
}
