//! Which deliveries are already in the log.
//!
//! Kafka's are recognised by their offset, always. A queue has no offsets: what it delivers
//! again after a lost connection is the ordered tail of what it delivered before and was not
//! acked. So the last records of a queue are remembered in order, and a run of redeliveries
//! that repeats their end is recognised; the first that does not match ends the comparison.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::position::{Fingerprint, Mark, Offset, Position, Stream};

/// How many records of a queue are remembered. Unacked deliveries are at most the prefetch, so
/// a larger prefetch than this cannot be recognised whole.
pub const SUFFIX_MAX: usize = 4096;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    New,
    /// A message that the log already has.
    Duplicate,
    /// Nothing to record: a position that the log has already passed.
    Passed,
}

/// Where the log stands in every stream: after the last *appended* record, which runs ahead of
/// the applied one.
#[derive(Default)]
pub struct Duplicates {
    offsets: HashMap<Arc<Stream>, Offset>,
    queues: HashMap<Arc<Stream>, QueueTail>,
}

#[derive(Default)]
struct QueueTail {
    recent: VecDeque<Fingerprint>,
    /// The places in `recent` that the next redelivery may repeat: several where equal
    /// messages follow each other.
    expected: Vec<usize>,
    /// The connection the comparison was made on: a new one starts it again.
    connection: u64,
}

impl Duplicates {
    /// From the positions that the log stands at after recovery, queues' in their order.
    pub fn new(positions: impl IntoIterator<Item = Position>) -> Self {
        let mut known = Duplicates::default();
        for position in positions {
            known.appended(&position);
        }
        known
    }

    fn appended(&mut self, position: &Position) {
        match &position.mark {
            Mark::Next(next) => {
                self.offsets.insert(position.stream.clone(), *next);
            }
            Mark::Fingerprint(print) => {
                self.queues.entry(position.stream.clone()).or_default().remember(print.clone());
            }
        }
    }

    /// Judges a delivery and, if it is new, remembers it as appended. `connection` counts the
    /// source's connections; it means something only for a redelivery.
    pub fn judge(&mut self, position: &Position, redelivered: Option<u64>) -> Verdict {
        match &position.mark {
            Mark::Next(next) => {
                if self.offsets.get(&position.stream).is_some_and(|appended| next <= appended) {
                    return Verdict::Duplicate;
                }
                self.offsets.insert(position.stream.clone(), *next);
                Verdict::New
            }
            Mark::Fingerprint(print) => {
                let tail = self.queues.entry(position.stream.clone()).or_default();
                tail.judge(print, redelivered)
            }
        }
    }

    /// Judges a bare position (see `source::What::Moved`).
    pub fn judge_move(&mut self, position: &Position) -> Verdict {
        match self.judge(position, None) {
            Verdict::Duplicate => Verdict::Passed,
            verdict => verdict,
        }
    }

    /// Judges where a stream begins: only a stream that has no position yet can begin.
    pub fn judge_start(&mut self, position: &Position) -> Verdict {
        if self.offsets.contains_key(&position.stream) {
            return Verdict::Passed;
        }
        self.appended(position);
        Verdict::New
    }
}

impl QueueTail {
    fn remember(&mut self, print: Fingerprint) {
        self.recent.push_back(print);
        if self.recent.len() > SUFFIX_MAX {
            self.recent.pop_front();
        }
    }

    fn judge(&mut self, print: &Fingerprint, redelivered: Option<u64>) -> Verdict {
        if let Some(connection) = redelivered {
            if connection != self.connection {
                self.connection = connection;
                self.expected = (0..self.recent.len()).collect();
            }
            let recent = &self.recent;
            self.expected.retain(|place| recent.get(*place) == Some(print));
            if !self.expected.is_empty() {
                self.expected.iter_mut().for_each(|place| *place += 1);
                return Verdict::Duplicate;
            }
        }
        self.expected.clear();
        self.remember(print.clone());
        Verdict::New
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kafka(next: u64) -> Position {
        let stream = Stream::Partition {
            source: "orders".into(),
            cluster: "c".into(),
            topic: "t".into(),
            topic_id: None,
            partition: 0,
        };
        Position { stream: Arc::new(stream), mark: Mark::Next(Offset(next)) }
    }

    fn queue(body: u128) -> Position {
        let stream =
            Stream::Queue { source: "orders".into(), cluster: "c".into(), queue: "q".into() };
        let print = Fingerprint { body, message_id: None };
        Position { stream: Arc::new(stream), mark: Mark::Fingerprint(print) }
    }

    #[test]
    fn an_offset_at_or_below_the_appended_one_is_a_duplicate() {
        let mut known = Duplicates::new([kafka(10)]);
        assert_eq!(known.judge(&kafka(9), None), Verdict::Duplicate);
        assert_eq!(known.judge(&kafka(10), None), Verdict::Duplicate);
        assert_eq!(known.judge(&kafka(11), None), Verdict::New);
        assert_eq!(known.judge(&kafka(11), None), Verdict::Duplicate);
        assert_eq!(known.judge_move(&kafka(11)), Verdict::Passed);
        assert_eq!(known.judge_move(&kafka(12)), Verdict::New);
        assert_eq!(known.judge_start(&kafka(3)), Verdict::Passed);
    }

    #[test]
    fn redeliveries_that_repeat_the_end_of_the_log_are_duplicates() {
        let mut known = Duplicates::new([1, 2, 3, 4].map(queue));
        // 3 and 4 were in the log but not acked; 5 was delivered and never logged.
        assert_eq!(known.judge(&queue(3), Some(1)), Verdict::Duplicate);
        assert_eq!(known.judge(&queue(4), Some(1)), Verdict::Duplicate);
        assert_eq!(known.judge(&queue(5), Some(1)), Verdict::New);
        assert_eq!(known.judge(&queue(6), None), Verdict::New);
    }

    #[test]
    fn a_second_lost_connection_starts_the_comparison_again() {
        let mut known = Duplicates::new([1, 2, 3].map(queue));
        assert_eq!(known.judge(&queue(2), Some(1)), Verdict::Duplicate);
        assert_eq!(known.judge(&queue(2), Some(2)), Verdict::Duplicate);
        assert_eq!(known.judge(&queue(3), Some(2)), Verdict::Duplicate);
        assert_eq!(known.judge(&queue(4), Some(2)), Verdict::New);
    }

    #[test]
    fn equal_messages_in_the_tail_do_not_end_the_comparison() {
        let mut known = Duplicates::new([1, 2, 1, 3].map(queue));
        assert_eq!(known.judge(&queue(1), Some(1)), Verdict::Duplicate);
        assert_eq!(known.judge(&queue(3), Some(1)), Verdict::Duplicate);
        assert_eq!(known.judge(&queue(3), Some(1)), Verdict::New);
    }

    #[test]
    fn the_same_body_published_again_is_no_redelivery() {
        let mut known = Duplicates::new([1, 2].map(queue));
        assert_eq!(known.judge(&queue(2), None), Verdict::New);
        assert_eq!(known.judge(&queue(9), Some(1)), Verdict::New);
        assert_eq!(known.judge(&queue(2), Some(1)), Verdict::New);
    }
}
