//! A dead letter as answers show it, and bytes as requests and answers write them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::catalog::DeadLetter;
use crate::operation::{Original, Reason};
use crate::position::{Mark, Offset, Position, Seq, UnixMillis};

#[derive(Serialize)]
pub(super) struct Letter {
    seq: Seq,
    time_unix_ms: UnixMillis,
    reason: Reason,
    detail: String,
    collection: Option<String>,
    /// `None`: it came by HTTP.
    position: Option<Origin>,
    #[serde(skip_serializing_if = "Option::is_none")]
    original: Option<OriginalView>,
    /// The value is the message written again; its own bytes were not kept.
    rewritten: bool,
    /// Attempts that were refused again.
    redrives: u32,
    /// The `operation_id` of the last of them.
    redriven_at: Option<Seq>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Origin {
    Partition { source: String, topic: String, partition: i32, offset: Option<u64> },
    Queue { source: String, queue: String, fingerprint: Option<String>, message_id: Option<String> },
}

#[derive(Serialize)]
struct OriginalView {
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<Content>,
    value: Content,
    headers: Vec<Header>,
}

#[derive(Serialize)]
struct Header {
    name: String,
    #[serde(flatten)]
    value: Content,
}

/// Bytes as they were: text where they are text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Content {
    Text(String),
    Base64(String),
}

impl Letter {
    pub(super) fn of(letter: &DeadLetter) -> Letter {
        let original = Some(OriginalView::of(&letter.original));
        Letter { original, ..Letter::without_original(letter) }
    }

    /// For lists: what was delivered may be long.
    pub(super) fn without_original(letter: &DeadLetter) -> Letter {
        Letter {
            seq: letter.seq,
            time_unix_ms: letter.time,
            reason: letter.refusal.reason,
            detail: letter.refusal.detail.clone(),
            collection: letter.collection.clone(),
            position: letter.position.as_ref().map(Origin::of),
            original: None,
            rewritten: letter.rewritten,
            redrives: letter.redrives,
            redriven_at: letter.redriven_at,
        }
    }
}

impl Origin {
    fn of(position: &Position) -> Origin {
        let stream = &position.stream;
        let (source, name) = (stream.source().to_owned(), stream.name().to_owned());
        let (offset, print) = match &position.mark {
            // The mark is the offset after the message.
            Mark::Next(Offset(next)) => (next.checked_sub(1), None),
            Mark::Fingerprint(print) => (None, Some(print)),
        };
        match stream.partition() {
            Some(partition) => Origin::Partition { source, topic: name, partition, offset },
            None => Origin::Queue {
                source,
                queue: name,
                fingerprint: print.map(|print| format!("{:032x}", print.body)),
                message_id: print.and_then(|print| print.message_id.clone()),
            },
        }
    }
}

impl OriginalView {
    fn of(original: &Original) -> OriginalView {
        let header = |(name, value): &(String, bytes::Bytes)| Header {
            name: name.clone(),
            value: Content::of(value),
        };
        OriginalView {
            key: original.key.as_deref().map(Content::of),
            value: Content::of(&original.value),
            headers: original.headers.iter().map(header).collect(),
        }
    }
}

impl Content {
    fn of(bytes: &[u8]) -> Content {
        match std::str::from_utf8(bytes) {
            Ok(text) => Content::Text(text.to_owned()),
            Err(_) => Content::Base64(STANDARD.encode(bytes)),
        }
    }

    /// The bytes; or what is wrong with them.
    pub(super) fn bytes(&self) -> Result<Bytes, String> {
        match self {
            Content::Text(text) => Ok(Bytes::copy_from_slice(text.as_bytes())),
            Content::Base64(text) => {
                let decoded = STANDARD.decode(text).map(Bytes::from);
                decoded.map_err(|error| format!("not base64: {error}"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_shown_as_text_where_they_are_text() {
        assert_eq!(Content::of("é{}".as_bytes()), Content::Text("é{}".into()));
        assert_eq!(Content::of(&[0xff, 0x00, 0x10]), Content::Base64("/wAQ".into()));
        for bytes in ["é{}".as_bytes(), &[0xff, 0x00, 0x10], b""] {
            assert_eq!(Content::of(bytes).bytes().unwrap(), bytes);
        }
        assert!(Content::Base64("/wA".into()).bytes().is_err());
    }
}
