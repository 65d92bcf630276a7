//! The files that keep dead letters: one JSON object a line.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::DeadLetter;
use crate::operation::{Original, Reason, Refusal};
use crate::position::{Position, Seq, UnixMillis};

/// The stored form. Field names are part of the format.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Line {
    seq: Seq,
    time_unix_ms: UnixMillis,
    reason: Reason,
    detail: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    collection: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    position: Option<Position>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<Raw>,
    value: Raw,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    headers: Vec<(String, Raw)>,
    #[serde(default, skip_serializing_if = "is_default")]
    rewritten: bool,
    #[serde(default, skip_serializing_if = "is_default")]
    redrives: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    redriven_at: Option<Seq>,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Bytes as a broker gave them: readable where they are text.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Raw {
    Text(String),
    Hex(Hex),
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
struct Hex(Bytes);

impl From<Bytes> for Raw {
    fn from(bytes: Bytes) -> Raw {
        match std::str::from_utf8(&bytes) {
            Ok(text) => Raw::Text(text.to_owned()),
            Err(_) => Raw::Hex(Hex(bytes)),
        }
    }
}

impl From<Raw> for Bytes {
    fn from(raw: Raw) -> Bytes {
        match raw {
            Raw::Text(text) => text.into(),
            Raw::Hex(Hex(bytes)) => bytes,
        }
    }
}

impl From<Hex> for String {
    fn from(hex: Hex) -> String {
        hex.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl TryFrom<String> for Hex {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Hex, Self::Error> {
        const WRONG: &str = "not pairs of hexadecimal digits";
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        if !rest.is_empty() {
            return Err(WRONG);
        }
        let byte = |pair: &[u8; 2]| {
            let pair = std::str::from_utf8(pair).map_err(|_| WRONG)?;
            u8::from_str_radix(pair, 16).map_err(|_| WRONG)
        };
        pairs.iter().map(byte).collect::<Result<Bytes, _>>().map(Hex)
    }
}

impl From<DeadLetter> for Line {
    fn from(letter: DeadLetter) -> Line {
        let headers = letter.original.headers.into_iter();
        Line {
            seq: letter.seq,
            time_unix_ms: letter.time,
            reason: letter.refusal.reason,
            detail: letter.refusal.detail,
            collection: letter.collection,
            position: letter.position,
            key: letter.original.key.map(Raw::from),
            value: letter.original.value.into(),
            headers: headers.map(|(name, value)| (name, value.into())).collect(),
            rewritten: letter.rewritten,
            redrives: letter.redrives,
            redriven_at: letter.redriven_at,
        }
    }
}

impl From<Line> for DeadLetter {
    fn from(line: Line) -> DeadLetter {
        let headers = line.headers.into_iter().map(|(name, value)| (name, value.into()));
        DeadLetter {
            seq: line.seq,
            time: line.time_unix_ms,
            // Files of the first two versions do not say so of what came over HTTP.
            rewritten: line.rewritten || line.position.is_none(),
            redrives: line.redrives,
            redriven_at: line.redriven_at,
            position: line.position,
            refusal: Refusal { reason: line.reason, detail: line.detail },
            original: Original {
                key: line.key.map(Bytes::from),
                value: line.value.into(),
                headers: headers.collect(),
            },
            collection: line.collection,
        }
    }
}

/// The content of a dead-letter file.
pub fn encode<'a>(
    letters: impl Iterator<Item = &'a DeadLetter>,
) -> Result<Vec<u8>, serde_json::Error> {
    let mut content = Vec::new();
    for letter in letters {
        serde_json::to_writer(&mut content, letter)?;
        content.push(b'\n');
    }
    Ok(content)
}

pub fn decode(content: &[u8]) -> Result<Vec<DeadLetter>, serde_json::Error> {
    serde_json::Deserializer::from_slice(content).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use std::sync::Arc;

    use super::*;
    use crate::position::{Fingerprint, Mark, Stream};

    fn any_bytes() -> impl Strategy<Value = Bytes> {
        prop_oneof![".*".prop_map(Bytes::from), vec(any::<u8>(), 0..9).prop_map(Bytes::from)]
    }

    fn any_position() -> impl Strategy<Value = Position> {
        let names = (".*", ".*", ".*", any::<u128>(), any::<Option<String>>());
        names.prop_map(|(source, cluster, queue, body, message_id)| {
            let stream = Arc::new(Stream::Queue { source, cluster, queue });
            Position::new(stream, Mark::Fingerprint(Fingerprint { body, message_id }))
        })
    }

    fn any_letter() -> impl Strategy<Value = DeadLetter> {
        let reason = (0..Reason::ALL.len()).prop_map(|at| Reason::ALL[at]);
        let refusal = (reason, ".*").prop_map(|(reason, detail)| Refusal { reason, detail });
        let key = proptest::option::of(any_bytes());
        let original = (key, any_bytes(), vec((".*", any_bytes()), 0..3))
            .prop_map(|(key, value, headers)| Original { key, value, headers });
        let position = proptest::option::of(any_position());
        let place = (any::<u64>(), any::<u64>(), position, any::<Option<String>>());
        let history = (any::<bool>(), any::<u32>(), any::<Option<u64>>());
        (place, refusal, original, history).prop_map(
            |((seq, time, position, collection), refusal, original, history)| DeadLetter {
                seq: Seq(seq),
                time: UnixMillis(time),
                refusal,
                original,
                collection,
                rewritten: history.0 || position.is_none(),
                redrives: history.1,
                redriven_at: history.2.map(Seq),
                position,
            },
        )
    }

    proptest! {
        #[test]
        fn a_file_reads_back_as_it_was_written(letters in vec(any_letter(), 0..4)) {
            let content = encode(letters.iter()).unwrap();
            prop_assert_eq!(content.iter().filter(|byte| **byte == b'\n').count(), letters.len());
            prop_assert_eq!(decode(&content).unwrap(), letters);
        }
    }
}
