//! Which deliveries are already in the log.
//!
//! What has an offset is recognised by that, always. A queue has no offsets: what it delivers
//! again after a lost connection begins with what was logged and not acked, which is the ordered
//! end of what the log has of it from before that connection. So the last records of a queue are
//! remembered in order; of a connection's first run of redeliveries, as many are duplicates as
//! its longest beginning that repeats that end exactly. Everything else is new: where the two
//! cannot be told apart, nothing is lost.
//!
//! The run need not come first: a broker that has not noticed yet that the old connection is
//! gone gives the new one other messages before. Those are of the new connection, which cannot
//! have lost them, so they are left out of the comparison.
//!
//! Apart from that, a source may ask that a message its publisher sent again is recognised, by
//! message id and body together, within a window of its last messages.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::window::Window;
use crate::catalog::Identity;
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
    /// By source.
    windows: HashMap<String, Window>,
}

#[derive(Default)]
struct QueueTail {
    /// With the connection that each came on; 0 is before this process.
    recent: VecDeque<(Fingerprint, u64)>,
    /// The connection whose run was compared: each has one.
    connection: u64,
}

impl Duplicates {
    /// From the positions that the log stands at after recovery, queues' in their order.
    pub fn new(positions: impl IntoIterator<Item = Position>) -> Self {
        let mut known = Duplicates::default();
        for position in positions {
            known.appended(&position, 0);
        }
        known
    }

    /// From now on recognises what the publishers of `source` send again within `size` messages.
    pub fn watch(&mut self, source: &str, size: usize, recent: Vec<Identity>) {
        self.windows.insert(source.to_owned(), Window::new(size, recent));
    }

    /// Whether a message that is new to its stream was sent before under its id.
    pub fn was_sent(&mut self, position: &Position) -> bool {
        let source = position.stream.source();
        let Some(window) = self.windows.get_mut(source) else { return false };
        let identity = position.fingerprint().and_then(Identity::of);
        identity.is_some_and(|identity| window.repeats(source, identity))
    }

    fn appended(&mut self, position: &Position, connection: u64) {
        match &position.mark {
            Mark::Next(next) => {
                self.offsets.insert(position.stream.clone(), *next);
            }
            Mark::Fingerprint(print) => {
                let tail = self.queues.entry(position.stream.clone()).or_default();
                tail.remember(print.clone(), connection);
            }
        }
    }

    /// Judges a delivery and, if it is new, remembers it as appended. A queue's came on
    /// `connection`.
    pub fn judge(&mut self, position: &Position, connection: u64) -> Verdict {
        if let Mark::Next(next) = &position.mark
            && self.offsets.get(&position.stream).is_some_and(|appended| next <= appended)
        {
            return Verdict::Duplicate;
        }
        self.appended(position, connection);
        Verdict::New
    }

    /// How many deliveries at the beginning of a run of redeliveries are in the log already. Each
    /// comes with the number of its source's connection; only a connection's first run counts.
    pub fn repeated<'a>(&mut self, run: impl Iterator<Item = (&'a Position, u64)>) -> usize {
        let run: Vec<(&Position, u64)> = run.collect();
        let Some((first, connection)) = run.first() else { return 0 };
        let tail = self.queues.entry(first.stream.clone()).or_default();
        if std::mem::replace(&mut tail.connection, *connection) == *connection {
            return 0;
        }
        // What came on this connection cannot come on it again.
        let before = tail.recent.iter().take_while(|(_, came_on)| came_on < connection).count();
        let repeats = |count: &usize| {
            let end = tail.recent.range(before - count..before);
            end.zip(&run).all(|((known, _), (position, _))| match &position.mark {
                Mark::Fingerprint(print) => print == known,
                Mark::Next(_) => false,
            })
        };
        (1..=run.len().min(before)).rev().find(repeats).unwrap_or(0)
    }

    /// Judges a bare position (see `source::What::Moved`).
    pub fn judge_move(&mut self, position: &Position) -> Verdict {
        match self.judge(position, 0) {
            Verdict::Duplicate => Verdict::Passed,
            verdict => verdict,
        }
    }

    /// Judges where a stream begins: only a stream that has no position yet can begin, unless
    /// someone decided that it begins again.
    pub fn judge_start(&mut self, position: &Position, decided: bool) -> Verdict {
        if !decided && self.offsets.contains_key(&position.stream) {
            return Verdict::Passed;
        }
        self.appended(position, 0);
        Verdict::New
    }
}

impl QueueTail {
    fn remember(&mut self, print: Fingerprint, connection: u64) {
        self.recent.push_back((print, connection));
        if self.recent.len() > SUFFIX_MAX {
            self.recent.pop_front();
        }
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
        Position::new(Arc::new(stream), Mark::Next(Offset(next)))
    }

    fn queue(body: u128) -> Position {
        let stream =
            Stream::Queue { source: "orders".into(), cluster: "c".into(), queue: "q".into() };
        let print = Fingerprint { body, message_id: None };
        Position::new(Arc::new(stream), Mark::Fingerprint(print))
    }

    fn repeated(known: &mut Duplicates, connection: u64, bodies: &[u128]) -> usize {
        let run: Vec<Position> = bodies.iter().copied().map(queue).collect();
        let repeated = known.repeated(run.iter().map(|position| (position, connection)));
        for position in &run[repeated..] {
            assert_eq!(known.judge(position, connection), Verdict::New);
        }
        repeated
    }

    #[test]
    fn an_offset_at_or_below_the_appended_one_is_a_duplicate() {
        let mut known = Duplicates::new([kafka(10)]);
        assert_eq!(known.judge(&kafka(9), 0), Verdict::Duplicate);
        assert_eq!(known.judge(&kafka(10), 0), Verdict::Duplicate);
        assert_eq!(known.judge(&kafka(11), 0), Verdict::New);
        assert_eq!(known.judge(&kafka(11), 0), Verdict::Duplicate);
        assert_eq!(known.judge_move(&kafka(11)), Verdict::Passed);
        assert_eq!(known.judge_move(&kafka(12)), Verdict::New);
        assert_eq!(known.judge_start(&kafka(3), false), Verdict::Passed);
        assert_eq!(known.judge_start(&kafka(3), true), Verdict::New);
        assert_eq!(known.judge(&kafka(4), 0), Verdict::New);
    }

    #[test]
    fn a_run_that_repeats_the_end_of_the_log_is_duplicates_up_to_there() {
        let mut known = Duplicates::new([1, 2, 3, 4].map(queue));
        // 3 and 4 were in the log but not acked; 5 was delivered and never logged.
        assert_eq!(repeated(&mut known, 1, &[3, 4, 5]), 2);
        // The next connection lost it all again.
        assert_eq!(repeated(&mut known, 2, &[3, 4, 5, 6]), 3);
        assert_eq!(repeated(&mut known, 3, &[7]), 0);
    }

    #[test]
    fn a_message_like_an_earlier_one_that_was_never_logged_is_new() {
        let mut known = Duplicates::new([1, 2].map(queue));
        // The same body as the first, published again, delivered and lost before it was logged.
        assert_eq!(repeated(&mut known, 1, &[1]), 0);
        // And with a run that goes on beyond the end.
        let mut known = Duplicates::new([1, 2, 1, 3].map(queue));
        assert_eq!(repeated(&mut known, 1, &[1, 3, 3]), 2);
    }

    #[test]
    fn only_the_first_run_of_a_connection_is_compared() {
        let mut known = Duplicates::new([1, 2].map(queue));
        assert_eq!(repeated(&mut known, 1, &[2]), 1);
        assert_eq!(repeated(&mut known, 1, &[2]), 0);
        assert_eq!(known.judge(&queue(2), 1), Verdict::New);
    }

    #[test]
    fn what_came_first_on_the_new_connection_does_not_hide_what_comes_again() {
        let mut known = Duplicates::new([1, 2, 3].map(queue));
        assert_eq!(known.judge(&queue(4), 1), Verdict::New);
        // The broker noticed only now that the process before was gone.
        assert_eq!(repeated(&mut known, 1, &[2, 3]), 2);
        // The next connection gets 4 again, and what the last one had as duplicates is acked.
        assert_eq!(repeated(&mut known, 2, &[4, 5]), 1);
    }
}
