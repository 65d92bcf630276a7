//! Which deliveries are already in the log.
//!
//! What has an offset is recognised by that, always. A queue has no offsets: what it delivers
//! again after a lost connection begins with what was logged and not acked, which is the ordered
//! end of what the log has of it from before that connection. So the last records of a queue are
//! remembered in order; of a connection's first run of redeliveries, as many are duplicates as
//! its longest beginning that repeats that end exactly. Everything else is new. What cannot be told
//! apart without a message id: a message that is published again, like the last ones of the log,
//! and delivered but not logged when the connection was lost.
//!
//! A run may be cut where no more could be taken at once: then its beginning is looked for in all
//! that is remembered, and what comes again later goes on from there.
//!
//! The run need not come first: a broker that has not noticed yet that the old connection is
//! gone gives the new one other messages before. So the end is kept as it stood when the first
//! delivery of a connection came, until its run has been compared, however many come in between.
//!
//! Apart from that, a source may ask that a message its publisher sent again is recognised, by
//! message id and body together, within a window of its last messages. What is recognised so is
//! not in that end, neither here nor in the catalog: a run may have it anywhere.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::again::LogEnd;
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
    recent: VecDeque<Fingerprint>,
    /// The connection that the last delivery came on; 0 is before this process.
    connection: u64,
    /// What was recent when that connection began; `None` once its run was compared.
    before: Option<LogEnd>,
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

    /// From now on recognises what the publishers of `source` send again within `size` messages.
    pub fn watch(&mut self, source: &str, size: usize, recent: Vec<Identity>) {
        self.windows.insert(source.to_owned(), Window::new(size, recent));
    }

    /// Whether a message that is new to its stream was sent before under its id.
    fn was_sent(&mut self, position: &Position) -> bool {
        let source = position.stream.source();
        let Some(window) = self.windows.get_mut(source) else { return false };
        let identity = position.fingerprint().and_then(Identity::of);
        identity.is_some_and(|identity| window.repeats(source, identity))
    }

    fn appended(&mut self, position: &Position) {
        match &position.mark {
            Mark::Next(next) => {
                self.offsets.insert(position.stream.clone(), *next);
            }
            Mark::Fingerprint(print) => {
                let tail = self.queues.entry(position.stream.clone()).or_default();
                tail.remember(print.clone());
            }
        }
    }

    fn is_passed(&self, position: &Position) -> bool {
        match &position.mark {
            Mark::Next(next) => {
                self.offsets.get(&position.stream).is_some_and(|appended| next <= appended)
            }
            Mark::Fingerprint(_) => false,
        }
    }

    /// Judges a delivery and, if it is new, remembers it as appended. A queue's came on
    /// `connection`.
    pub fn judge(&mut self, position: &Position, connection: u64) -> Verdict {
        if self.is_passed(position) {
            return Verdict::Duplicate;
        }
        let is_of_queue = matches!(position.mark, Mark::Fingerprint(_));
        if is_of_queue {
            self.queues.entry(position.stream.clone()).or_default().begin(connection);
        }
        let was_sent = self.was_sent(position);
        if !(was_sent && is_of_queue) {
            self.appended(position);
        }
        if was_sent { Verdict::Duplicate } else { Verdict::New }
    }

    /// How many deliveries at the beginning of a run of redeliveries are in the log already. Each
    /// comes with the number of its source's connection; only a connection's first run counts. Of
    /// one that was `cut` the rest is to follow.
    pub fn repeated<'a>(
        &mut self,
        run: impl Iterator<Item = (&'a Position, u64)>,
        cut: bool,
    ) -> usize {
        let mut run = run.peekable();
        let Some((first, connection)) = run.peek() else { return 0 };
        let tail = self.queues.entry(first.stream.clone()).or_default();
        tail.begin(*connection);
        let Some(mut before) = tail.before.take() else { return 0 };
        let window = self.windows.get(first.stream.source());
        let prints = run.map_while(|(position, _)| position.fingerprint());
        let compared = before.compare(&prints.collect::<Vec<_>>(), cut, window);
        tail.before = compared.goes_on.then_some(before);
        compared.repeated
    }

    /// Judges a bare position (see `source::What::Moved`).
    pub fn judge_move(&mut self, position: &Position) -> Verdict {
        if self.is_passed(position) {
            return Verdict::Passed;
        }
        self.appended(position);
        Verdict::New
    }

    /// Judges where a stream begins: only a stream that has no position yet can begin, unless
    /// someone decided that it begins again.
    pub fn judge_start(&mut self, position: &Position, decided: bool) -> Verdict {
        if !decided && self.offsets.contains_key(&position.stream) {
            return Verdict::Passed;
        }
        self.appended(position);
        Verdict::New
    }
}

impl QueueTail {
    /// Keeps what is recent, if this is the first that is heard of the connection.
    fn begin(&mut self, connection: u64) {
        if connection > self.connection {
            self.connection = connection;
            self.before = Some(LogEnd::new(self.recent.clone()));
        }
    }

    fn remember(&mut self, print: Fingerprint) {
        self.recent.push_back(print);
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
        let repeated = known.repeated(run.iter().map(|position| (position, connection)), false);
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
        // More than is remembered.
        for body in 4..SUFFIX_MAX as u128 + 10 {
            assert_eq!(known.judge(&queue(body), 1), Verdict::New);
        }
        assert_eq!(known.queues.values().next().unwrap().recent.len(), SUFFIX_MAX);
        // The broker noticed only now that the process before was gone.
        assert_eq!(repeated(&mut known, 1, &[2, 3]), 2);
        // The next connection gets the last again, and what this one had as duplicates is acked.
        let last = SUFFIX_MAX as u128 + 9;
        assert_eq!(repeated(&mut known, 2, &[last, last + 1]), 1);
    }

    #[test]
    fn what_the_window_recognises_stands_in_no_runs_way() {
        let sent = |body, id: &str| {
            let position = queue(body);
            let print = Fingerprint { body, message_id: Some(id.into()) };
            Position::new(position.stream, Mark::Fingerprint(print))
        };
        // The log has 1, then 2, which was sent twice, then 3 without an id. The catalog leaves
        // out what was a duplicate, and so does what was there before a restart.
        let mut known = Duplicates::default();
        known.watch("orders", 10, Vec::new());
        let logged = [queue(1), sent(2, "b"), sent(2, "b"), queue(3)];
        let verdicts = logged.each_ref().map(|position| known.judge(position, 1));
        let (new, again) = (Verdict::New, Verdict::Duplicate);
        assert_eq!(verdicts, [new, new, again, new]);
        let run = |from: usize| logged[from..].iter().map(|position| (position, 2));
        assert_eq!(known.repeated(run(1), false), 3);
        let mut restarted = Duplicates::new([queue(1), sent(2, "b"), queue(3)]);
        restarted.watch(
            "orders",
            10,
            Identity::of(logged[1].fingerprint().unwrap()).into_iter().collect(),
        );
        assert_eq!(restarted.repeated(run(2), false), 2);
    }

    proptest::proptest! {
        /// A broker that gives everything unacked again in order, and may give the last
        /// connection other messages before: without any window each is new exactly once.
        #[test]
        fn each_message_of_a_queue_is_new_once_over_lost_connections(
            lost in proptest::collection::vec((0..60_usize, 0..60_usize, 0..60_usize), 1..20),
            early in 0..9_usize,
        ) {
            let mut known = Duplicates::default();
            let (mut acked, mut delivered, mut new) = (0_usize, 0_usize, Vec::new());
            let mut take = |known: &mut Duplicates, connection, run: &[usize], repeated: usize| {
                for body in &run[repeated..] {
                    if known.judge(&queue(*body as u128), connection) == Verdict::New {
                        new.push(*body);
                    }
                }
            };
            let again = |known: &mut Duplicates, connection, run: &[usize]| {
                let run: Vec<Position> = run.iter().map(|body| queue(*body as u128)).collect();
                known.repeated(run.iter().map(|position| (position, connection)), false)
            };
            let mut connection = 0;
            for (fresh, logged, ack) in lost {
                connection += 1;
                // The run is one batch: it is logged as a whole or not at all.
                let run: Vec<usize> = (acked..delivered).collect();
                let logged = if logged < run.len() { 0 } else { logged.min(run.len() + fresh) };
                delivered += fresh;
                if logged > 0 {
                    let repeated = again(&mut known, connection, &run);
                    let taken: Vec<usize> = (acked..acked + logged).collect();
                    take(&mut known, connection, &taken, repeated);
                    acked += ack.min(logged);
                }
            }
            connection += 1;
            let others: Vec<usize> = (delivered..delivered + early).collect();
            take(&mut known, connection, &others, 0);
            let run: Vec<usize> = (acked..delivered).collect();
            let repeated = again(&mut known, connection, &run);
            take(&mut known, connection, &run, repeated);
            new.sort_unstable();
            proptest::prop_assert_eq!(new, (0..delivered + early).collect::<Vec<_>>());
        }
    }
}
