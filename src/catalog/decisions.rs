//! What an operator decided about dead letters: records as any other, so that a replay decides
//! the same.

use super::{Catalog, Outcome, State};
use crate::operation::{Body, Redrive};
use crate::position::Seq;

impl Catalog {
    /// Tries a letter again. What is gone is not applied: else two attempts at one letter would
    /// apply it twice.
    pub(super) fn redrive(&self, seq: Seq, redrive: &Redrive) -> Outcome {
        if self.state().dead_letters.get(redrive.letter).is_none() {
            return Outcome::Nothing;
        }
        let tried = redrive.attempt.as_ref().map_err(Clone::clone);
        match tried.and_then(|message| self.change(seq, message)) {
            Ok(()) => Outcome::Applied,
            Err(refusal) => Outcome::Refused(refusal),
        }
    }

    pub(super) fn drops(&self, letters: &[Seq]) -> Outcome {
        let state = self.state();
        let there = letters.iter().any(|seq| state.dead_letters.get(*seq).is_some());
        if there { Outcome::Applied } else { Outcome::Nothing }
    }
}

impl State {
    /// Takes note of what became of the letters that a record names.
    pub(super) fn decide(&mut self, seq: Seq, body: &Body, outcome: &Outcome) {
        match (body, outcome) {
            (Body::DropLetters(letters), _) => {
                for letter in letters {
                    self.dead_letters.remove(*letter);
                }
            }
            (Body::Redrive(redrive), Outcome::Applied) => {
                self.dead_letters.remove(redrive.letter);
            }
            (Body::Redrive(Redrive { letter, attempt }), Outcome::Refused(refusal)) => {
                let collection = attempt.as_ref().ok().map(|message| &message.collection);
                self.dead_letters.refused_again(*letter, seq, refusal, collection);
            }
            _ => {}
        }
    }
}
