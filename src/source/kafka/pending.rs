//! The batch being filled. Everything of it goes into one buffer, so that a small message
//! costs a copy and no allocation.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use rdkafka::Message;
use rdkafka::message::{BorrowedMessage, Headers};

use crate::position::{Mark, Offset, Position, Stream, UnixMillis};
use crate::source::{Batch, Delivery, Item, What};

/// A partition's place in the source's table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Index(pub usize);

#[derive(Default)]
pub struct Pending {
    buffer: Vec<u8>,
    entries: Vec<Entry>,
    /// What the last batch needed: the next one starts with that much room.
    usual_bytes: usize,
}

struct Entry {
    index: Index,
    next: Offset,
    what: Entered,
}

enum Entered {
    Message {
        time: UnixMillis,
        key: Option<Range<usize>>,
        value: Option<Range<usize>>,
        headers: Vec<(String, Range<usize>)>,
    },
    Moved,
    Start {
        forget_others: bool,
    },
}

/// A batch, and what it will have made durable: per partition the offset after its last item.
pub struct Sealed {
    pub batch: Batch,
    pub nexts: Vec<(Index, Offset)>,
}

impl Pending {
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub fn is_full(&self, messages_max: usize, bytes_max: usize) -> bool {
        self.entries.len() >= messages_max || self.buffer.len() >= bytes_max
    }

    pub fn message(
        &mut self,
        index: Index,
        next: Offset,
        time: UnixMillis,
        message: &BorrowedMessage<'_>,
    ) {
        if self.buffer.capacity() == 0 {
            self.buffer.reserve(self.usual_bytes.max(4096));
        }
        let key = message.key().map(|key| self.copy(key));
        let value = message.payload().map(|value| self.copy(value));
        let headers = message.headers().into_iter().flat_map(|headers| headers.iter());
        let headers = headers
            .map(|header| (header.key.to_owned(), self.copy(header.value.unwrap_or_default())))
            .collect();
        let what = Entered::Message { time, key, value, headers };
        self.entries.push(Entry { index, next, what });
    }

    pub fn moved(&mut self, index: Index, next: Offset) {
        self.entries.push(Entry { index, next, what: Entered::Moved });
    }

    pub fn start(&mut self, index: Index, next: Offset, forget_others: bool) {
        self.entries.push(Entry { index, next, what: Entered::Start { forget_others } });
    }

    fn copy(&mut self, bytes: &[u8]) -> Range<usize> {
        let start = self.buffer.len();
        self.buffer.extend_from_slice(bytes);
        start..self.buffer.len()
    }

    /// Makes a batch of what is here; `stream` names the stream of an index.
    pub fn seal<'s>(&mut self, number: u64, stream: impl Fn(Index) -> &'s Arc<Stream>) -> Sealed {
        let buffer = Bytes::from(std::mem::take(&mut self.buffer));
        self.usual_bytes = buffer.len();
        let entries = std::mem::take(&mut self.entries);
        // Kept for the next batch: most have the same length.
        self.entries.reserve(entries.len().min(4096));
        let mut items = Vec::with_capacity(entries.len());
        let mut nexts: Vec<(Index, Offset)> = Vec::new();
        for entry in entries {
            match nexts.iter_mut().rev().find(|(index, _)| *index == entry.index) {
                Some((_, next)) => *next = entry.next,
                None => nexts.push((entry.index, entry.next)),
            }
            let position = Position::new(Arc::clone(stream(entry.index)), Mark::Next(entry.next));
            let what = match entry.what {
                Entered::Moved => What::Moved,
                Entered::Start { forget_others } => What::Start { forget_others },
                Entered::Message { time, key, value, headers } => What::Message(Delivery {
                    time,
                    key: key.map(|range| buffer.slice(range)),
                    value: value.map(|range| buffer.slice(range)),
                    headers: headers
                        .into_iter()
                        .map(|(name, range)| (name, buffer.slice(range)))
                        .collect(),
                    redelivered: None,
                }),
            };
            items.push(Item { position, what });
        }
        Sealed { batch: Batch { number, items }, nexts }
    }
}
