//! Point ids: unsigned 64-bit integers and UUIDs.

use std::fmt;
use std::str::FromStr;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

/// A point's id. Numbers sort before UUIDs, as scroll answers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PointId {
    Number(u64),
    Uuid(Uuid),
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "`{given}` is not a point id: give an unsigned 64-bit integer, or a UUID (simple, hyphenated or urn form)"
)]
pub struct InvalidPointId {
    pub given: String,
}

impl fmt::Display for PointId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PointId::Number(number) => number.fmt(f),
            PointId::Uuid(uuid) => uuid.hyphenated().fmt(f),
        }
    }
}

/// Parses a decimal number or any UUID form that [`uuid_from_str`] takes: the form ids
/// have in a path.
impl FromStr for PointId {
    type Err = InvalidPointId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if !text.is_empty()
            && text.bytes().all(|byte| byte.is_ascii_digit())
            && let Ok(number) = text.parse()
        {
            return Ok(PointId::Number(number));
        }
        uuid_from_str(text)
    }
}

/// The three forms of the contract, in either case. `Uuid::parse_str` also takes braces,
/// which Qdrant's clients never send; refusing them keeps one id from having a form that
/// only one side understands.
fn uuid_from_str(text: &str) -> Result<PointId, InvalidPointId> {
    let invalid = || InvalidPointId { given: text.chars().take(80).collect() };
    if text.starts_with('{') {
        return Err(invalid());
    }
    Uuid::parse_str(text).map(PointId::Uuid).map_err(|_| invalid())
}

impl Serialize for PointId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            PointId::Number(number) => serializer.serialize_u64(*number),
            PointId::Uuid(uuid) => serializer.collect_str(&uuid.hyphenated()),
        }
    }
}

impl<'de> Deserialize<'de> for PointId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PointIdVisitor)
    }
}

struct PointIdVisitor;

impl Visitor<'_> for PointIdVisitor {
    type Value = PointId;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a point id: an unsigned 64-bit integer or a UUID string")
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<PointId, E> {
        Ok(PointId::Number(number))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<PointId, E> {
        uuid_from_str(text).map_err(E::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_a_uuid_is_one_id() {
        let hyphenated = "f9168c5e-ceb2-4faa-b6bf-329bf39fa1e4";
        for spelling in [
            "F9168C5ECEB24faaB6BF329BF39FA1E4",
            "f9168c5e-ceb2-4faa-b6bf-329bf39fa1e4",
            "urn:uuid:F9168C5E-CEB2-4faa-B6BF-329BF39FA1E4",
        ] {
            let id: PointId = serde_json::from_value(spelling.into()).unwrap();
            assert_eq!(id.to_string(), hyphenated);
            assert_eq!(spelling.parse::<PointId>().unwrap(), id);
        }
    }

    #[test]
    fn numbers_keep_all_64_bits() {
        let id: PointId = serde_json::from_str("18446744073709551615").unwrap();
        assert_eq!(id, PointId::Number(u64::MAX));
        assert_eq!(serde_json::to_string(&id).unwrap(), "18446744073709551615");
    }

    #[test]
    fn everything_else_is_refused() {
        for bad in [
            "-1",
            "1.5",
            "18446744073709551616",
            "true",
            "null",
            "\"1\"",
            "\"{f9168c5e-ceb2-4faa-b6bf-329bf39fa1e4}\"",
            "\"nope\"",
        ] {
            assert!(serde_json::from_str::<PointId>(bad).is_err(), "{bad} was taken");
        }
    }
}
