//! A point's payload: a JSON object, kept as its text.

use std::borrow::Cow;
use std::collections::BTreeSet;

use bytes::Bytes;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// A JSON object as compact UTF-8 text, validated when made. It stays text from the
/// message to the reader: the log, the segments and the answers all copy bytes, and only
/// a filter parses it.
#[derive(Clone, PartialEq, Eq)]
pub struct Payload(Bytes);

#[derive(Debug, thiserror::Error)]
pub enum InvalidPayload {
    #[error("a payload is a JSON object: {0}")]
    NotAnObject(#[from] serde_json::Error),
}

impl Payload {
    /// The payload of a point that was given none: `{}`.
    pub fn empty() -> Self {
        Payload(Bytes::from_static(b"{}"))
    }

    pub fn from_map(map: &Map<String, Value>) -> Self {
        // A map of JSON values always serialises; an allocation failure aborts.
        Payload(serde_json::to_vec(map).map_or_else(|_| Bytes::from_static(b"{}"), Bytes::from))
    }

    /// Takes bytes that a `Payload` once was, for instance from the log or a segment whose
    /// checksum was verified. Does not check them again.
    pub fn from_stored(bytes: Bytes) -> Self {
        Payload(bytes)
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub fn bytes(&self) -> Bytes {
        self.0.clone()
    }

    pub fn is_empty(&self) -> bool {
        &self.0[..] == b"{}"
    }

    /// Only the members with these keys.
    pub fn to_map_of(&self, keys: &BTreeSet<String>) -> Result<Map<String, Value>, InvalidPayload> {
        let mut text = serde_json::Deserializer::from_slice(&self.0);
        Ok(text.deserialize_map(Members(keys))?)
    }

    pub fn to_map(&self) -> Result<Map<String, Value>, InvalidPayload> {
        Ok(serde_json::from_slice(&self.0)?)
    }
}

/// Reads some members of an object, and passes over the others without building them.
struct Members<'a>(&'a BTreeSet<String>);

impl<'de> Visitor<'de> for Members<'_> {
    type Value = Map<String, Value>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = members.next_key::<Cow<'de, str>>()? {
            if self.0.contains(&*key) {
                map.insert(key.into_owned(), members.next_value()?);
            } else {
                members.next_value::<IgnoredAny>()?;
            }
        }
        Ok(map)
    }
}

impl std::fmt::Debug for Payload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

impl Serialize for Payload {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::Error;
        let text = std::str::from_utf8(&self.0).map_err(S::Error::custom)?;
        let raw: &RawValue = serde_json::from_str(text).map_err(S::Error::custom)?;
        raw.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Payload {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Through a map, so that numbers out of range are refused here and the text is compact.
        let map = Map::<String, Value>::deserialize(deserializer)?;
        Ok(Payload::from_map(&map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_not_changed_by_reading_them() {
        for text in
            [r#"{"a":-1.8910000000000053}"#, r#"{"a":18446744073709551615}"#, r#"{"a":5e-324}"#]
        {
            let payload: Payload = serde_json::from_str(text).unwrap();
            assert_eq!(payload.as_bytes(), text.as_bytes());
        }
    }

    #[test]
    fn what_is_not_an_object_of_numbers_in_range_is_refused() {
        for text in ["[]", "1", r#"{"a":1e999}"#, r#"{"a":}"#] {
            assert!(serde_json::from_str::<Payload>(text).is_err(), "{text} was taken");
        }
    }
}
