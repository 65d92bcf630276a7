//! What a publisher may send again: the last messages with a message id, per source.
//!
//! Derived from the log: what was logged as a message is in it, a duplicate is not. Nothing that
//! a record does depends on it. It is read once, at a start, by the room that appends, which
//! alone recognises duplicates; so a window may be made larger or smaller between two runs.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_128;

use crate::operation::Body;
use crate::position::{Fingerprint, Position};

/// What two messages have in common that are one message, sent twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    /// xxh3, 128 bits, of the message id.
    pub message_id: u128,
    /// And of the body.
    pub body: u128,
}

impl Identity {
    /// `None` if the publisher gave no message id.
    pub fn of(print: &Fingerprint) -> Option<Identity> {
        let message_id = xxh3_128(print.message_id.as_ref()?.as_bytes());
        Some(Identity { message_id, body: print.body })
    }
}

/// How many messages are remembered, by source. A source that is not in it has no window.
pub type WindowSizes = BTreeMap<String, usize>;

#[derive(Clone, Debug, Default)]
pub struct Windows {
    sizes: WindowSizes,
    recent: BTreeMap<String, VecDeque<Identity>>,
}

/// What the manifest says of the file that holds them all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WindowsFile {
    /// The checkpoint that wrote it, and its name.
    pub number: u64,
    pub length_bytes: u64,
    pub crc32c: u32,
}

impl WindowsFile {
    pub fn name(&self) -> String {
        WindowsFile::name_of(self.number)
    }

    pub(super) fn name_of(number: u64) -> String {
        format!("{number}.bin")
    }
}

impl Windows {
    pub fn new(sizes: WindowSizes) -> Windows {
        Windows { sizes, recent: BTreeMap::new() }
    }

    /// Takes note of one record.
    pub fn take(&mut self, position: &Position, body: &Body) {
        if self.sizes.is_empty() || !matches!(body, Body::Message(_) | Body::Rejected(_)) {
            return;
        }
        if let Some(identity) = position.fingerprint().and_then(Identity::of) {
            self.push(position.stream.source(), identity);
        }
    }

    fn push(&mut self, source: &str, identity: Identity) {
        let Some(size) = self.sizes.get(source) else { return };
        if !self.recent.contains_key(source) {
            self.recent.insert(source.to_owned(), VecDeque::new());
        }
        let Some(recent) = self.recent.get_mut(source) else { return };
        recent.push_back(identity);
        while recent.len() > *size {
            recent.pop_front();
        }
    }

    /// Oldest first.
    pub fn of(&self, source: &str) -> Vec<Identity> {
        self.recent.get(source).into_iter().flatten().copied().collect()
    }

    pub fn is_empty(&self) -> bool {
        self.recent.is_empty()
    }

    /// `pointd-w`, how many sources; for each the length of its name, its name, how many
    /// messages, and 32 bytes a message: id, body. Numbers are little-endian, counts of 64 bits.
    pub fn encode(&self) -> Vec<u8> {
        let mut content = MAGIC.to_vec();
        content.extend((self.recent.len() as u64).to_le_bytes());
        for (source, recent) in &self.recent {
            content.extend((source.len() as u64).to_le_bytes());
            content.extend(source.as_bytes());
            content.extend((recent.len() as u64).to_le_bytes());
            for identity in recent {
                content.extend(identity.message_id.to_le_bytes());
                content.extend(identity.body.to_le_bytes());
            }
        }
        content
    }

    /// Keeps what fits into the windows that there are now. `None` if it is not whole.
    pub fn decode(content: &[u8], sizes: WindowSizes) -> Option<Windows> {
        let mut windows = Windows::new(sizes);
        let mut rest = content.strip_prefix(MAGIC)?;
        for _ in 0..u64::from_le_bytes(take(&mut rest)?) {
            let length = usize::try_from(u64::from_le_bytes(take(&mut rest)?)).ok()?;
            let (name, after) = rest.split_at_checked(length)?;
            rest = after;
            let name = std::str::from_utf8(name).ok()?;
            for _ in 0..u64::from_le_bytes(take(&mut rest)?) {
                let message_id = u128::from_le_bytes(take(&mut rest)?);
                let body = u128::from_le_bytes(take(&mut rest)?);
                windows.push(name, Identity { message_id, body });
            }
        }
        rest.is_empty().then_some(windows)
    }
}

const MAGIC: &[u8] = b"pointd-w";

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (first, after) = rest.split_first_chunk::<N>()?;
    *rest = after;
    Some(*first)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn windows_read_back_as_they_were_written(
            taken in proptest::collection::vec(("[a-c]", any::<u128>(), any::<u128>()), 0..40),
            size in 1usize..9,
        ) {
            let sizes: WindowSizes = ["a", "b"].map(|it| (it.to_owned(), size)).into();
            let mut windows = Windows::new(sizes.clone());
            for (source, message_id, body) in &taken {
                windows.push(source, Identity { message_id: *message_id, body: *body });
            }
            let content = windows.encode();
            let read = Windows::decode(&content, sizes.clone()).unwrap();
            prop_assert_eq!(&read.recent, &windows.recent);
            prop_assert!(read.recent.values().all(|recent| recent.len() <= size));
            prop_assert!(Windows::decode(&content[..content.len() - 1], sizes).is_none());
            // Another configuration keeps what it asks for.
            let less = Windows::decode(&content, [("a".to_owned(), 1)].into()).unwrap();
            prop_assert_eq!(less.of("a").last().copied(), windows.of("a").last().copied());
            prop_assert!(less.of("a").len() <= 1 && less.of("b").is_empty());
        }
    }
}
