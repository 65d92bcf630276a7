//! Which leader wrote what stands before a position: what the broker is asked with whether its
//! log was cut there.
//!
//! Promise: an epoch is told only for a position whose last offset a message had, with that
//! message's epoch. Behind markers and gaps none is: another leader may have written what stands
//! there, and the broker would call that a cut.

use std::collections::VecDeque;

use crate::position::Offset;

/// Leaders change seldom. Of more changes than that the oldest are forgotten.
const RUNS_MAX: usize = 16;

/// Of one partition.
#[derive(Debug, Default)]
pub struct Epochs {
    /// From which position on, up to the next one's, which epoch holds.
    runs: VecDeque<(Offset, Option<i32>)>,
    /// Of the last message that told one.
    told: Option<i32>,
}

impl Epochs {
    /// As the log has it.
    pub fn resumed(next: Offset, epoch: Option<i32>) -> Epochs {
        Epochs { runs: VecDeque::from([(next, epoch)]), told: epoch }
    }

    /// A message was taken; `next` is the offset after it.
    pub fn took(&mut self, next: Offset, epoch: Option<i32>) {
        self.enter(next, epoch);
        self.told = epoch.or(self.told);
    }

    /// There was no message from the last one up to `next`.
    pub fn passed(&mut self, next: Offset) {
        self.enter(next, None);
    }

    fn enter(&mut self, next: Offset, epoch: Option<i32>) {
        if self.runs.back().is_some_and(|(_, last)| *last == epoch) {
            return;
        }
        if self.runs.len() >= RUNS_MAX {
            self.runs.pop_front();
        }
        self.runs.push_back((next, epoch));
    }

    /// Whether a message of this epoch is older than one that was taken before it.
    pub fn is_older(&self, epoch: i32) -> bool {
        self.told.is_some_and(|told| epoch < told)
    }

    /// Of the message before `next`.
    pub fn at(&self, next: Offset) -> Option<i32> {
        self.runs.iter().rev().find(|(from, _)| *from <= next)?.1
    }

    /// What stands from `next` on is taken once more.
    pub fn back_to(&mut self, next: Offset) {
        self.runs.retain(|(from, _)| *from <= next);
        self.told = self.runs.iter().rev().find_map(|(_, epoch)| *epoch);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_holds_from_its_first_message_to_the_next_leaders() {
        let mut epochs = Epochs::resumed(Offset(10), Some(3));
        epochs.took(Offset(11), Some(3));
        epochs.took(Offset(12), Some(5));
        epochs.took(Offset(13), Some(5));
        let at = |epochs: &Epochs, next| epochs.at(Offset(next));
        for (next, epoch) in [(9, None), (10, Some(3)), (11, Some(3)), (12, Some(5))] {
            assert_eq!(at(&epochs, next), epoch, "{next}");
        }
        assert!(epochs.is_older(4) && !epochs.is_older(5));

        // Markers, of whatever leader: nobody told.
        epochs.passed(Offset(20));
        epochs.passed(Offset(25));
        assert_eq!((at(&epochs, 19), at(&epochs, 20), at(&epochs, 25)), (Some(5), None, None));
        assert!(epochs.is_older(4), "an older leader is one all the same");
        epochs.took(Offset(26), Some(6));
        assert_eq!(at(&epochs, 26), Some(6));

        epochs.back_to(Offset(22));
        assert_eq!(at(&epochs, 22), None);
        assert!(!epochs.is_older(5) && epochs.is_older(4));
        epochs.back_to(Offset(11));
        assert_eq!(at(&epochs, 11), Some(3));
        assert!(!epochs.is_older(3));
    }

    #[test]
    fn of_many_leaders_the_last_are_kept() {
        let mut epochs = Epochs::default();
        for leader in 0..RUNS_MAX as u64 * 3 {
            epochs.took(Offset(leader + 1), Some(leader as i32));
        }
        assert_eq!(epochs.runs.len(), RUNS_MAX);
        assert_eq!(epochs.at(Offset(5)), None);
        assert_eq!(epochs.at(Offset(48)), Some(47));
    }
}
