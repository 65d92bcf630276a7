//! The batch being filled. Everything of it goes into one buffer, so that a small message
//! costs a copy and no allocation.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use rdkafka::Message;
use rdkafka::message::BorrowedMessage;
use rdkafka::types::RDKafkaErrorCode;

use super::native;
use crate::position::{Fingerprint, Mark, Offset, Position, Stream, UnixMillis};
use crate::source::identity::fingerprint;
use crate::source::{Batch, Delivery, Item, What};

/// A partition's place in the source's table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Index(pub usize);

/// How a stream begins, or goes on behind a gap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    Moved { why: Option<String> },
    Start { forget_others: bool, why: Option<String> },
}

/// The header that a message's identity comes from; case does not count.
const MESSAGE_ID: &str = "message-id";

#[derive(Default)]
pub struct Pending {
    buffer: Vec<u8>,
    entries: Vec<Entered>,
    /// Whether messages are recognised by their `message-id`.
    identify: bool,
    /// What the last batch needed: the next one starts with that much room.
    usual_bytes: usize,
}

struct Entered {
    index: Index,
    next: Offset,
    epoch: Option<i32>,
    what: Told,
}

enum Told {
    Message {
        time: UnixMillis,
        key: Option<Range<usize>>,
        value: Option<Range<usize>>,
        headers: Vec<(String, Range<usize>)>,
    },
    Entry(Entry),
}

/// A batch, and what it will have made durable: per partition the offset after its last item.
pub struct Sealed {
    pub batch: Batch,
    pub nexts: Vec<(Index, Offset)>,
}

impl Pending {
    pub fn new(identify: bool) -> Pending {
        Pending { identify, ..Pending::default() }
    }

    /// Forgets what was not given out.
    pub fn clear(&mut self) {
        self.buffer.clear();
        self.entries.clear();
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub fn is_full(&self, messages_max: usize, bytes_max: usize) -> bool {
        self.entries.len() >= messages_max || self.buffer.len() >= bytes_max
    }

    /// An error: its headers cannot be read, and nothing was taken. They say what the message is.
    pub fn message(
        &mut self,
        index: Index,
        next: Offset,
        epoch: Option<i32>,
        time: UnixMillis,
        message: &BorrowedMessage<'_>,
    ) -> Result<(), RDKafkaErrorCode> {
        if self.buffer.capacity() == 0 {
            self.buffer.reserve(self.usual_bytes.max(4096));
        }
        let mut headers = Vec::new();
        native::each_header(message, |name, value| {
            headers.push((name.to_owned(), self.copy(value.unwrap_or_default())));
        })?;
        let key = message.key().map(|key| self.copy(key));
        let value = message.payload().map(|value| self.copy(value));
        let what = Told::Message { time, key, value, headers };
        self.entries.push(Entered { index, next, epoch, what });
        Ok(())
    }

    /// `epoch` as in [`Position`].
    pub fn enter(&mut self, index: Index, next: Offset, epoch: Option<i32>, entry: Entry) {
        self.entries.push(Entered { index, next, epoch, what: Told::Entry(entry) });
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
            let mut position =
                Position::new(Arc::clone(stream(entry.index)), Mark::Next(entry.next));
            position.leader_epoch = entry.epoch;
            let what = match entry.what {
                Told::Entry(Entry::Moved { why }) => What::Moved { why },
                Told::Entry(Entry::Start { forget_others, why }) => {
                    What::Start { forget_others, why }
                }
                Told::Message { time, key, value, headers } => What::Message(Delivery {
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
            if let (true, What::Message(delivery)) = (self.identify, &what) {
                position.identity = identity(delivery);
            }
            items.push(Item { position, what });
        }
        Sealed { batch: Batch { number, items }, nexts }
    }
}

/// What the message is recognised by when its publisher sends it again.
fn identity(delivery: &Delivery) -> Option<Fingerprint> {
    let (_, id) =
        delivery.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(MESSAGE_ID))?;
    let message_id = Some(String::from_utf8_lossy(id).into_owned());
    Some(fingerprint(delivery, message_id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_id_is_found_however_its_header_is_written() {
        let with = |name: &str| Delivery {
            time: UnixMillis(1),
            key: None,
            value: Some(Bytes::from_static(b"{}")),
            headers: vec![(name.to_owned(), Bytes::from_static(b"7"))],
            redelivered: None,
        };
        for name in ["message-id", "Message-ID"] {
            let found = identity(&with(name)).and_then(|print| print.message_id);
            assert_eq!(found.as_deref(), Some("7"), "{name}");
        }
        assert_eq!(identity(&with("message_id")), None);
    }
}
