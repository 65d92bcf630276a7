//! How much of a run of redeliveries the log has already.

use std::collections::{HashMap, VecDeque};

use super::window::Window;
use crate::catalog::Identity;
use crate::position::Fingerprint;

/// How many deliveries at the beginning of `run` repeat the end of `known`, the records that the
/// log has of a queue; 0 if they do not.
///
/// In between may come what the queue's window recognised when it was first delivered, for that
/// has no record in `known`.
pub(super) fn repeated(
    known: &VecDeque<Fingerprint>,
    run: &[&Fingerprint],
    window: Option<&Window>,
) -> usize {
    let windows = window.map(|window| Windows::over(known, window));
    let repeats = |start: usize| {
        let mut at = start;
        for (taken, print) in run.iter().enumerate() {
            match known.get(at) {
                None => return Some(taken),
                Some(expected) if expected == *print => at += 1,
                Some(_) if windows.as_ref().is_some_and(|it| it.knew(at, print)) => {}
                Some(_) => return None,
            }
        }
        (at == known.len()).then_some(run.len())
    };
    (0..known.len()).find_map(repeats).unwrap_or(0)
}

/// What a window knew when the log ended at each of its records. The window of today has
/// forgotten some of that, and a run may be longer than the window.
struct Windows<'a> {
    today: &'a Window,
    /// Which of the records with a message id each identity is, in order.
    numbers: HashMap<Identity, Vec<usize>>,
    /// How many records with a message id come before each record.
    before: Vec<usize>,
}

impl<'a> Windows<'a> {
    fn over(known: &VecDeque<Fingerprint>, today: &'a Window) -> Windows<'a> {
        let mut numbers: HashMap<Identity, Vec<usize>> = HashMap::new();
        let mut count = 0;
        let mut before = Vec::with_capacity(known.len());
        for print in known {
            before.push(count);
            if let Some(identity) = Identity::of(print) {
                numbers.entry(identity).or_default().push(count);
                count += 1;
            }
        }
        Windows { today, numbers, before }
    }

    /// Whether the window knew `print` when the record `at` was the next.
    fn knew(&self, at: usize, print: &Fingerprint) -> bool {
        let Some(identity) = Identity::of(print) else { return false };
        // What is older than all of `known` only today's window can tell.
        self.today.knows(identity)
            || self.numbers.get(&identity).is_some_and(|numbers| {
                let before = self.before[at];
                let older = numbers.partition_point(|number| *number < before);
                older > 0 && before - numbers[older - 1] <= self.today.size()
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A message whose id and body are `number`; one without an id below 0.
    fn message(number: i32) -> Fingerprint {
        let message_id = (number >= 0).then(|| number.to_string());
        Fingerprint { body: number as u128, message_id }
    }

    /// Feeds `sent` through a window, as it comes to the log for the first time, and compares what
    /// comes again from `from` on. And the window as it is then.
    fn again(size: usize, sent: &[i32], from: usize) -> (usize, Window) {
        let mut window = Window::new(size, []);
        let is_new = |number: &i32| {
            let identity = Identity::of(&message(*number));
            identity.is_none_or(|identity| !window.repeats("s", identity))
        };
        let known = sent.iter().copied().filter(is_new).map(message).collect();
        let run: Vec<Fingerprint> = sent[from..].iter().copied().map(message).collect();
        (repeated(&known, &run.iter().collect::<Vec<_>>(), Some(&window)), window)
    }

    #[test]
    fn what_the_window_recognised_and_then_forgot_stands_in_no_runs_way() {
        // When it all comes again, the window of three has forgotten 1.
        let sent = [1, 2, 1, 5, 3];
        for from in 0..4 {
            assert_eq!(again(3, &sent, from).0, sent.len() - from, "from {from}");
        }
        // Records without an id take no place in the window.
        assert_eq!(again(1, &[1, -1, -2, 1, 2], 0).0, 5);
    }

    #[test]
    fn what_the_window_had_forgotten_by_then_was_recorded_again() {
        // The second 1 is a record: with it, and only with it, the run repeats the end.
        let sent = [1, 2, 3, 1, 4];
        assert_eq!(again(2, &sent, 3).0, 2);
        let known = [1, 2, 3, 4].map(message).into();
        let window = Window::new(2, []);
        let run = [1, 2, 3, 1, 4].map(message);
        assert_eq!(repeated(&known, &run.each_ref(), Some(&window)), 0);
    }

    proptest::proptest! {
        /// Ids come again within the window and behind it; what has no id is there once.
        #[test]
        fn of_all_that_comes_again_nothing_is_taken_for_new(
            size in 1..6_usize,
            ids in proptest::collection::vec(proptest::option::of(0..8_i32), 1..40),
            from in 0..40_usize,
        ) {
            let sent: Vec<i32> = ids.iter().zip(1..).map(|(id, at)| id.unwrap_or(-at)).collect();
            let from = from % sent.len();
            let run = &sent[from..];
            let (found, window) = again(size, &sent, from);
            let known = |number: &i32| {
                Identity::of(&message(*number)).is_some_and(|identity| window.knows(identity))
            };
            proptest::prop_assert!(run[found..].iter().all(known), "{found} of {run:?}");
        }
    }
}
