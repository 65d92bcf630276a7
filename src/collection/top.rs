//! The best so many of many scored points.

use std::cmp::Ordering;
use std::collections::{BTreeSet, BinaryHeap};

use crate::point::PointId;

/// A score with its point; the worse one is the greater, and of equal scores the one with the
/// greater id, so that an answer does not depend on the order in which points were scored.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scored {
    pub(super) id: PointId,
    pub(super) score: f32,
    larger_is_better: bool,
}

impl Ord for Scored {
    fn cmp(&self, other: &Self) -> Ordering {
        worse(self.larger_is_better, self.score, other.score).then(self.id.cmp(&other.id))
    }
}

impl PartialOrd for Scored {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Scored {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Scored {}

/// `Greater` if `a` is the worse score.
fn worse(larger_is_better: bool, a: f32, b: f32) -> Ordering {
    if larger_is_better { b.total_cmp(&a) } else { a.total_cmp(&b) }
}

pub(super) struct Top<'a> {
    larger_is_better: bool,
    threshold: Option<f32>,
    room: usize,
    /// Left out, because they are what was searched for.
    except: &'a BTreeSet<PointId>,
    /// The worst on top.
    kept: BinaryHeap<Scored>,
}

impl<'a> Top<'a> {
    pub(super) fn new(
        larger_is_better: bool,
        room: usize,
        threshold: Option<f32>,
        except: &'a BTreeSet<PointId>,
    ) -> Self {
        Top { larger_is_better, threshold, room, except, kept: BinaryHeap::new() }
    }

    /// The id is asked for only if the score is good enough.
    pub(super) fn offer(&mut self, score: f32, id: impl FnOnce() -> PointId) {
        if self.room == 0 || self.threshold.is_some_and(|least| !self.is_worse(least, score)) {
            return;
        }
        let full = self.kept.len() >= self.room;
        if full && self.kept.peek().is_some_and(|worst| self.is_worse(score, worst.score)) {
            return;
        }
        let scored = Scored { id: id(), score, larger_is_better: self.larger_is_better };
        if self.except.contains(&scored.id) {
            return;
        }
        if !full {
            self.kept.push(scored);
        } else if let Some(mut worst) = self.kept.peek_mut()
            && scored < *worst
        {
            *worst = scored;
        }
    }

    fn is_worse(&self, score: f32, than: f32) -> bool {
        worse(self.larger_is_better, score, than) == Ordering::Greater
    }

    /// Best first.
    pub(super) fn into_sorted(self) -> Vec<Scored> {
        self.kept.into_sorted_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn best(largest: bool, room: usize, threshold: Option<f32>, scores: &[f32]) -> Vec<u64> {
        let except = BTreeSet::from([PointId::Number(99)]);
        let mut top = Top::new(largest, room, threshold, &except);
        for (id, score) in scores.iter().enumerate() {
            top.offer(*score, || PointId::Number(id as u64));
        }
        top.offer(scores[0], || PointId::Number(99));
        let number = |scored: Scored| match scored.id {
            PointId::Number(number) => number,
            PointId::Uuid(_) => unreachable!(),
        };
        top.into_sorted().into_iter().map(number).collect()
    }

    #[test]
    fn the_best_come_first_and_ties_by_id() {
        let scores = [1.0, 3.0, 2.0, 3.0, 0.5];
        assert_eq!(best(true, 3, None, &scores), [1, 3, 2]);
        assert_eq!(best(false, 3, None, &scores), [4, 0, 2]);
        assert_eq!(best(true, 1, None, &[2.0, 2.0, 2.0]), [0]);
        assert_eq!(best(true, 0, None, &scores), [0u64; 0]);
    }

    #[test]
    fn only_scores_better_than_the_threshold_are_answered() {
        let scores = [1.0, 3.0, 2.0];
        assert_eq!(best(true, 9, Some(2.0), &scores), [1]);
        assert_eq!(best(false, 9, Some(2.0), &scores), [0]);
    }
}
