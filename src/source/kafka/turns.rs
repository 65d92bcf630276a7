//! Rounds and looks share one thread and leave each other time.

use std::time::Instant;

use crossbeam_channel::{Receiver, RecvTimeoutError};

use super::probe::Question;

/// Looks until the next round is due; false when nobody asks any more. Rounds and looks may both
/// take long: one question at least comes between two rounds, and no more than one when the next
/// round is due.
pub fn between_rounds(
    questions: &Receiver<Question>,
    next: Instant,
    mut look: impl FnMut(Question),
) -> bool {
    loop {
        match questions.recv_deadline(next) {
            Ok(question) => look(question),
            Err(RecvTimeoutError::Timeout) => return true,
            Err(RecvTimeoutError::Disconnected) => return false,
        }
        if Instant::now() >= next {
            return true;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crossbeam_channel::{Sender, unbounded};

    use super::*;
    use crate::position::Offset;

    fn asked(count: u64) -> (Sender<Question>, Receiver<Question>) {
        let (ask, questions) = unbounded();
        for next in 0..count {
            let (topic, next) = ("t".to_owned(), Offset(next));
            let (suspect, ends_only) = (false, false);
            ask.send(Question { topic, partition: 0, next, epoch: None, suspect, ends_only })
                .unwrap();
        }
        (ask, questions)
    }

    #[test]
    fn one_look_at_least_comes_between_two_rounds() {
        let (_ask, questions) = asked(3);
        let (due, mut looked) = (Instant::now(), Vec::new());
        assert!(between_rounds(&questions, due, |question| looked.push(question.next.0)));
        assert_eq!((looked, questions.len()), (vec![0], 2));
    }

    #[test]
    fn looks_that_take_long_leave_the_rest_for_after_the_next_round() {
        let (_ask, questions) = asked(3);
        let due = Instant::now() + Duration::from_millis(20);
        let slow = |_| while Instant::now() < due {};
        assert!(between_rounds(&questions, due, slow));
        assert_eq!(questions.len(), 2);
    }

    #[test]
    fn in_time_every_question_is_answered_and_nobody_left_to_ask_ends_it() {
        let (ask, questions) = asked(3);
        drop(ask);
        let (due, mut count) = (Instant::now() + Duration::from_secs(600), 0);
        assert!(!between_rounds(&questions, due, |_| count += 1));
        assert_eq!(count, 3);
        let (_ask, questions) = asked(0);
        let due = Instant::now() + Duration::from_millis(20);
        assert!(between_rounds(&questions, due, |_| ()));
        assert!(Instant::now() >= due, "the next round was not due");
    }
}
