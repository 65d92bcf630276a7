//! Messages that could not be applied, and what became of them.
//!
//! A letter stands under the seq of its message for as long as it is kept. It leaves when it is
//! dropped, or when a redrive of it is applied; a redrive that is refused again changes its reason
//! and nothing else.

mod file;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::operation::{Original, Refusal};
use crate::position::{Position, Seq, UnixMillis};

pub use file::{decode, encode};

/// What stands for the source of a letter that came over HTTP.
pub const HTTP: &str = "http";

/// A message that could not be applied, as it was delivered, and why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "file::Line", into = "file::Line")]
pub struct DeadLetter {
    pub seq: Seq,
    pub time: UnixMillis,
    /// Absent if it came over HTTP.
    pub position: Option<Position>,
    /// Of the last attempt.
    pub refusal: Refusal,
    pub original: Original,
    /// Absent if it could not be decoded.
    pub collection: Option<String>,
    /// The value is not what was delivered, but the message written as JSON again, without key
    /// and headers: until its turn nothing spoke against it, and its bytes were not kept.
    pub rewritten: bool,
    /// Attempts that were refused again.
    pub redrives: u32,
    /// The seq of the last of them.
    pub redriven_at: Option<Seq>,
}

/// How many letters are kept, by source and by reason.
pub type LettersKept = BTreeMap<(String, &'static str), u64>;

impl DeadLetter {
    /// The source it came from; [`HTTP`] if from none.
    pub fn source(&self) -> &str {
        self.position.as_ref().map_or(HTTP, |position| position.stream.source())
    }

    /// What it takes in memory, about.
    pub fn bytes(&self) -> u64 {
        let headers = self.original.headers.iter();
        let each = size_of::<(String, Bytes)>();
        let headers: usize = headers.map(|(name, value)| name.len() + value.len() + each).sum();
        let length = |bytes: &Option<Bytes>| bytes.as_ref().map_or(0, Bytes::len);
        let (key, value) = (length(&self.original.key), length(&self.original.value));
        let fixed = size_of::<DeadLetter>() + self.refusal.detail.len();
        let collection = self.collection.as_ref().map_or(0, String::len);
        (fixed + key + value + headers + collection) as u64
    }
}

/// All that are kept. By seq, so that what is not in a file yet is a range.
#[derive(Clone, Debug, Default)]
pub struct DeadLetters {
    letters: BTreeMap<Seq, Arc<DeadLetter>>,
    bytes: u64,
    kept: LettersKept,
    changes: u64,
}

impl DeadLetters {
    pub fn push(&mut self, letter: Arc<DeadLetter>) {
        self.changes += 1;
        self.bytes += letter.bytes();
        *self.kept.entry(place(&letter)).or_default() += 1;
        self.letters.insert(letter.seq, letter);
    }

    /// False if it was gone already.
    pub fn remove(&mut self, seq: Seq) -> bool {
        let Some(letter) = self.letters.remove(&seq) else { return false };
        self.changes += 1;
        self.bytes -= letter.bytes();
        let place = place(&letter);
        if let Some(count) = self.kept.get_mut(&place) {
            *count -= 1;
            if *count == 0 {
                self.kept.remove(&place);
            }
        }
        true
    }

    /// The record `at` tried it again, in vain. Position and original stay those of the first time.
    pub fn refused_again(
        &mut self,
        seq: Seq,
        at: Seq,
        refusal: &Refusal,
        collection: Option<&String>,
    ) {
        let Some(letter) = self.letters.get(&seq) else { return };
        let mut letter = DeadLetter::clone(letter);
        self.remove(seq);
        letter.refusal = refusal.clone();
        letter.redrives = letter.redrives.saturating_add(1);
        letter.redriven_at = Some(at);
        letter.collection = collection.cloned().or(letter.collection);
        self.push(Arc::new(letter));
    }

    pub fn get(&self, seq: Seq) -> Option<&Arc<DeadLetter>> {
        self.letters.get(&seq)
    }

    pub fn len(&self) -> usize {
        self.letters.len()
    }

    /// What they take in memory, about.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    pub fn kept(&self) -> &LettersKept {
        &self.kept
    }

    /// Rises whenever a letter comes, changes or goes.
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// Oldest first.
    pub fn all(&self) -> Vec<Arc<DeadLetter>> {
        self.letters.values().cloned().collect()
    }

    /// Those behind `seq`, oldest first.
    pub fn after(&self, seq: Seq) -> impl Iterator<Item = &Arc<DeadLetter>> {
        self.letters.range(seq.next()..).map(|(_, letter)| letter)
    }
}

fn place(letter: &DeadLetter) -> (String, &'static str) {
    (letter.source().to_owned(), letter.refusal.reason.label())
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::operation::Reason;
    use crate::position::{Mark, Offset, Stream};

    fn letter(seq: u64, source: u8, reason: Reason, length: usize) -> DeadLetter {
        let stream = Stream::Partition {
            source: source.to_string(),
            cluster: String::new(),
            topic: String::new(),
            topic_id: None,
            partition: 0,
        };
        DeadLetter {
            seq: Seq(seq),
            time: UnixMillis(seq),
            position: (source > 0).then(|| Position::new(Arc::new(stream), Mark::Next(Offset(1)))),
            refusal: Refusal::new(reason, "x".repeat(length)),
            original: Original::of(vec![7; length]),
            collection: None,
            rewritten: source == 0,
            redrives: 0,
            redriven_at: None,
        }
    }

    proptest! {
        /// Whatever happened to them, the sums are those of what is kept.
        #[test]
        fn the_sums_are_of_what_is_kept(steps in vec((0..4_u8, 0..9_u64, 0..3_u8, 0..9_usize), 0..60)) {
            let (mut letters, mut next) = (DeadLetters::default(), 0);
            for (step, back, source, length) in steps {
                let reason = Reason::ALL[length];
                let seq = Seq(u64::saturating_sub(next, back));
                match step {
                    0 | 1 => {
                        next += 1;
                        letters.push(Arc::new(letter(next, source, reason, length)));
                    }
                    2 => {
                        let there = letters.get(seq).is_some();
                        prop_assert_eq!(letters.remove(seq), there);
                    }
                    _ => {
                        let before = letters.get(seq).cloned();
                        letters.refused_again(seq, Seq(99), &Refusal::new(reason, "again"), None);
                        let after = letters.get(seq).cloned();
                        prop_assert_eq!(before.is_some(), after.is_some());
                        if let (Some(before), Some(after)) = (before, after) {
                            prop_assert_eq!(before.redrives + 1, after.redrives);
                            prop_assert_eq!(&before.original, &after.original);
                            prop_assert_eq!((&after.position, after.time), (&before.position, before.time));
                        }
                    }
                }
                let all = letters.all();
                prop_assert_eq!(letters.bytes(), all.iter().map(|it| it.bytes()).sum::<u64>());
                let mut kept = LettersKept::new();
                for letter in &all {
                    *kept.entry(place(letter)).or_default() += 1;
                }
                prop_assert_eq!(letters.kept(), &kept);
                prop_assert_eq!(letters.after(Seq(3)).count(), all.iter().filter(|it| it.seq.0 > 3).count());
            }
        }
    }
}
