//! How much of a run of redeliveries the log has already.

use std::collections::{HashMap, VecDeque};

use super::window::Window;
use crate::catalog::Identity;
use crate::position::Fingerprint;

/// So much of a run that was cut must be found in one place of the log. A shorter piece may be the
/// same few messages, published again and never logged.
const PIECE_MIN: usize = 16;

/// The records that the log has of a queue's end, to be compared with what comes again.
pub(super) struct LogEnd {
    records: VecDeque<Fingerprint>,
    /// Where each message with an id is for the first time.
    first: HashMap<Identity, usize>,
    /// Where the rest of a run goes on of which a piece was found.
    rest: Option<usize>,
}

/// What a run, or a piece of one, has in common with the log.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Compared {
    /// So many of it, from its beginning, are in the log.
    pub repeated: usize,
    /// Whether more of it is to be compared when it comes.
    pub goes_on: bool,
}

/// How a run repeats records.
struct Found {
    /// So many of the run it takes.
    taken: usize,
    /// So many records it repeats.
    matched: usize,
    /// Behind the last of them.
    at: usize,
}

impl LogEnd {
    pub fn new(records: VecDeque<Fingerprint>) -> LogEnd {
        let mut first = HashMap::new();
        for (at, print) in records.iter().enumerate() {
            if let Some(identity) = Identity::of(print) {
                first.entry(identity).or_insert(at);
            }
        }
        LogEnd { records, first, rest: None }
    }

    /// A run repeats the end of the records, from some place on. One that was `cut` repeats a piece
    /// of them, and what comes next goes on behind it.
    pub fn compare(
        &mut self,
        run: &[&Fingerprint],
        cut: bool,
        window: Option<&Window>,
    ) -> Compared {
        let none = Compared { repeated: 0, goes_on: false };
        let end = self.records.len();
        // Once for all places: a long run is laid at thousands of them.
        let known: Vec<usize> = run.iter().map(|print| self.known_from(print, window)).collect();
        if let Some(rest) = self.rest {
            let Some(Found { taken, at, .. }) = self.follow(rest, run, &known) else { return none };
            self.rest = Some(at);
            return Compared { repeated: taken, goes_on: at < end };
        }
        let found: Vec<Found> =
            (0..end).filter_map(|start| self.follow(start, run, &known)).collect();
        let whole = found.iter().find(|found| found.at == end);
        // Of a run that was cut the longer piece tells more than the few records at the end.
        let least = whole.map_or(0, |whole| whole.matched + 1).max(PIECE_MIN);
        if cut && let Some(at) = one_place(&found, least) {
            self.rest = Some(at);
            return Compared { repeated: run.len(), goes_on: at < end };
        }
        Compared { repeated: whole.map_or(0, |whole| whole.taken), goes_on: false }
    }

    /// How `run` repeats the records from `start` on; `None` if it does not.
    ///
    /// In between may come what is no record, because it was recognised by its message id when it
    /// came first: an earlier record has it, or the window. `known` is from where on, for each of `run`.
    fn follow(&self, start: usize, run: &[&Fingerprint], known: &[usize]) -> Option<Found> {
        let mut at = start;
        for (taken, (print, known_from)) in run.iter().zip(known).enumerate() {
            match self.records.get(at) {
                None => return Some(Found { taken, matched: at - start, at }),
                Some(expected) if expected == *print => at += 1,
                Some(_) if *known_from <= at => {}
                Some(_) => return None,
            }
        }
        Some(Found { taken: run.len(), matched: at - start, at })
    }

    /// From which record on `print` was known when it came; never, if it has no message id.
    fn known_from(&self, print: &Fingerprint, window: Option<&Window>) -> usize {
        let Some(identity) = Identity::of(print) else { return usize::MAX };
        if window.is_some_and(|window| window.knows(identity)) {
            return 0;
        }
        self.first.get(&identity).map_or(usize::MAX, |first| first + 1)
    }
}

/// Where the piece ends that repeats most records, `least` or more, if that is one place.
fn one_place(found: &[Found], least: usize) -> Option<usize> {
    let most = found.iter().map(|found| found.matched).max().filter(|most| *most >= least)?;
    let mut places = found.iter().filter(|found| found.matched == most).map(|found| found.at);
    let first = places.next()?;
    places.all(|place| place == first).then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A message whose id and body are `number`; one without an id below 0.
    fn message(number: i32) -> Fingerprint {
        let message_id = (number >= 0).then(|| number.to_string());
        Fingerprint { body: number as u128, message_id }
    }

    /// The records that `sent` leaves behind a window, and that window.
    fn logged(size: usize, sent: &[i32]) -> (LogEnd, Window) {
        let mut window = Window::new(size, []);
        let is_new = |number: &i32| {
            let identity = Identity::of(&message(*number));
            identity.is_none_or(|identity| !window.repeats("s", identity))
        };
        let known = sent.iter().copied().filter(is_new).map(message).collect();
        (LogEnd::new(known), window)
    }

    fn compare(end: &mut LogEnd, run: &[i32], cut: bool, window: &Window) -> (usize, bool) {
        let run: Vec<Fingerprint> = run.iter().copied().map(message).collect();
        let run: Vec<&Fingerprint> = run.iter().collect();
        let Compared { repeated, goes_on } = end.compare(&run, cut, Some(window));
        (repeated, goes_on)
    }

    #[test]
    fn what_the_window_recognised_and_then_forgot_stands_in_no_runs_way() {
        // When it all comes again, the window of three has forgotten 1.
        let sent = [1, 2, 1, 5, 3];
        for from in 0..4 {
            let (mut end, window) = logged(3, &sent);
            let whole = (sent.len() - from, false);
            assert_eq!(compare(&mut end, &sent[from..], false, &window), whole, "from {from}");
            // Nor if there is no window any more.
            let (mut end, _) = logged(3, &sent);
            assert_eq!(compare(&mut end, &sent[from..], false, &Window::new(0, [])), whole);
        }
        // A message without an id is never recognised.
        let (mut end, window) = logged(3, &[-1, -2, -3]);
        assert_eq!(compare(&mut end, &[-2, -1, -3], false, &window), (0, false));
    }

    #[test]
    fn a_run_that_is_cut_is_found_by_its_piece_and_followed_to_the_end() {
        let sent: Vec<i32> = (0..100).collect();
        let (mut end, window) = logged(0, &sent);
        assert_eq!(compare(&mut end, &sent[10..30], true, &window), (20, true));
        assert_eq!(compare(&mut end, &sent[30..31], false, &window), (1, true));
        let mut rest = sent[31..].to_vec();
        rest.extend([100, 101]);
        assert_eq!(compare(&mut end, &rest, false, &window), (69, false));
        // What does not go on there is new.
        let (mut end, window) = logged(0, &sent);
        assert_eq!(compare(&mut end, &sent[10..30], true, &window), (20, true));
        assert_eq!(compare(&mut end, &[31], false, &window), (0, false));
    }

    #[test]
    fn a_piece_that_may_be_other_messages_is_new() {
        let sent: Vec<i32> = (0..100).collect();
        let (mut end, window) = logged(0, &sent);
        assert_eq!(compare(&mut end, &sent[10..30], false, &window), (0, false), "not cut");
        let (mut end, window) = logged(0, &sent);
        let short = &sent[10..10 + PIECE_MIN - 1];
        assert_eq!(compare(&mut end, short, true, &window), (0, false));
        // It is there twice, and not at the end.
        let cycle: Vec<i32> = (1..=20).map(|number| -number).collect();
        let sent = [cycle.clone(), cycle.clone(), vec![-21]].concat();
        let (mut end, window) = logged(0, &sent);
        assert_eq!(compare(&mut end, &cycle, true, &window), (0, false));
    }

    proptest::proptest! {
        /// Ids come again within the window and behind it; what has no id is there once. The run
        /// comes whole, or in pieces.
        #[test]
        fn of_all_that_comes_again_nothing_is_taken_for_new(
            size in 1..6_usize,
            ids in proptest::collection::vec(proptest::option::of(0..8_i32), 1..200),
            from in 0..200_usize,
            pieces in proptest::collection::vec(3 * PIECE_MIN..80, 0..4),
        ) {
            let sent: Vec<i32> = ids.iter().zip(1..).map(|(id, at)| id.unwrap_or(-at)).collect();
            let (mut end, window) = logged(size, &sent);
            let known = |number: &i32| {
                Identity::of(&message(*number)).is_some_and(|identity| window.knows(identity))
            };
            let mut run = &sent[from % sent.len()..];
            // Of too few records that are there once a piece may be in two places.
            let is_told =
                |piece: &[i32]| piece.iter().filter(|number| **number < 0).count() >= PIECE_MIN;
            for piece in pieces {
                let Some((now, later)) = run.split_at_checked(piece) else { continue };
                if !is_told(now) {
                    return Ok(());
                }
                let (found, goes_on) = compare(&mut end, now, true, &window);
                proptest::prop_assert!(now[found..].iter().all(known), "{found} of {now:?}");
                run = later;
                if !goes_on {
                    proptest::prop_assert!(run.iter().all(known), "{run:?}");
                    return Ok(());
                }
            }
            let (found, _) = compare(&mut end, run, false, &window);
            proptest::prop_assert!(run[found..].iter().all(known), "{found} of {run:?}");
        }
    }
}
