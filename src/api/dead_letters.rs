//! `GET /dead-letters`: what could not be applied, and why.

use std::sync::Arc;

use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::answer::Answer;
use super::body::query;
use super::error::{ApiError, Place};
use super::reading::Reading;
use super::{Context, Shared};
use crate::catalog::DeadLetter;
use crate::operation::{Original, Reason};
use crate::position::{Mark, Offset, Position, Seq, UnixMillis};

const LIMIT_DEFAULT: usize = 10;

/// Query parameters. Pages go by seq: letters that leave meanwhile move nothing.
#[derive(Deserialize)]
pub(super) struct PageParams {
    limit: Option<usize>,
    /// The first seq to answer.
    #[serde(default)]
    offset: u64,
}

#[derive(Serialize)]
struct Page {
    dead_letters: Vec<Letter>,
    /// All that are kept.
    total: usize,
    next_page_offset: Option<Seq>,
}

#[derive(Serialize)]
struct Letter {
    seq: Seq,
    time_unix_ms: UnixMillis,
    reason: Reason,
    detail: String,
    collection: Option<String>,
    /// `None`: it came by HTTP.
    position: Option<Origin>,
    original: OriginalView,
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
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Content {
    Text(String),
    Base64(String),
}

pub(super) async fn list(
    State(shared): Context,
    page: PageParams,
    reading: Reading,
) -> Result<Answer, ApiError> {
    let limit = page.limit.unwrap_or(LIMIT_DEFAULT);
    let max = shared.settings.limit_max;
    if limit == 0 || limit > max {
        let what = format!("value {limit} invalid, must be 1 to {max}");
        return Err(ApiError::Validation { place: Place::Query, field: "limit", what });
    }
    // Not all of the doors: a list that outlasts shutdown would keep the log's queue open.
    let catalog = Arc::clone(&shared.doors.catalog);
    let bytes_max = shared.settings.answer_bytes_max;
    let work = move || {
        let letters = catalog.dead_letters();
        let total = letters.len();
        let mut rest = letters.iter().filter(|letter| letter.seq.0 >= page.offset);
        let page = Page {
            dead_letters: rest.by_ref().take(limit).map(|letter| Letter::of(letter)).collect(),
            total,
            next_page_offset: rest.next().map(|letter| letter.seq),
        };
        Answer::of(&page, bytes_max)
    };
    shared.read(reading, work).await
}

impl FromRequestParts<Arc<Shared>> for PageParams {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, shared: &Arc<Shared>) -> Result<Self, ApiError> {
        query(parts, shared).await
    }
}

impl Letter {
    fn of(letter: &DeadLetter) -> Letter {
        Letter {
            seq: letter.seq,
            time_unix_ms: letter.time,
            reason: letter.refusal.reason,
            detail: letter.refusal.detail.clone(),
            collection: letter.collection.clone(),
            position: letter.position.as_ref().map(Origin::of),
            original: OriginalView::of(&letter.original),
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_shown_as_text_where_they_are_text() {
        assert_eq!(Content::of("é{}".as_bytes()), Content::Text("é{}".into()));
        assert_eq!(Content::of(&[0xff, 0x00, 0x10]), Content::Base64("/wAQ".into()));
    }
}
