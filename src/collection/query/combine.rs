//! Scores of a vector that is compared with several.

use super::{Objective, Pair, Recommend};
use crate::ann::{self, AnnError};
use crate::collection::ReadError;
use crate::point::Distance;

/// Examples, ready to be compared with stored vectors, and what their similarities make.
pub(in crate::collection) struct Combined {
    distance: Distance,
    pub(super) examples: Vec<Vec<f32>>,
    formula: Formula,
}

/// What makes one score of similarities, which come in the order of the examples.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Formula {
    /// So many are positive, and come first.
    Best {
        positive: usize,
    },
    Sum {
        positive: usize,
    },
    /// The target, then pairs: positive, negative.
    Discover,
    /// Pairs.
    Context,
}

/// By how much the positive example of a pair has to be closer, for no loss.
const MARGIN: f64 = f32::EPSILON as f64;

impl Combined {
    /// An average and a single vector are no combination: they count as their examples' sum.
    pub(super) fn new(
        distance: Distance,
        objective: Objective<Vec<f32>>,
    ) -> Result<Self, ReadError> {
        let (examples, formula) = match objective {
            Objective::Best(like) => {
                let positive = like.positive.len();
                (all(like, "best_score")?, Formula::Best { positive })
            }
            Objective::Sum(like) | Objective::Average(like) => {
                let positive = like.positive.len();
                (all(like, "sum_scores")?, Formula::Sum { positive })
            }
            Objective::Nearest(vector) => (vec![vector], Formula::Sum { positive: 1 }),
            Objective::Discover { target, context } => {
                let pairs = context.into_iter().flat_map(both);
                (std::iter::once(target).chain(pairs).collect(), Formula::Discover)
            }
            Objective::Context(pairs) => {
                (pairs.into_iter().flat_map(both).collect(), Formula::Context)
            }
        };
        Ok(Combined { distance, examples, formula })
    }

    pub(in crate::collection) fn score(&self, vector: &[f32]) -> Result<f32, AnnError> {
        let similarity = |example: &Vec<f32>| {
            Ok(similarity(self.distance, ann::score(self.distance, example, vector)?))
        };
        let similarities = self.examples.iter().map(similarity).collect::<Result<Vec<_>, _>>()?;
        Ok(self.of(&similarities))
    }

    /// The score that these similarities make.
    pub(super) fn of(&self, similarities: &[f64]) -> f32 {
        self.formula.score(similarities) as f32
    }
}

fn all(like: Recommend<Vec<f32>>, strategy: &'static str) -> Result<Vec<Vec<f32>>, ReadError> {
    let Recommend { mut positive, negative } = like;
    positive.extend(negative);
    match positive.is_empty() {
        true => Err(ReadError::NoExample { strategy, wanted: "positive or negative" }),
        false => Ok(positive),
    }
}

fn both(pair: Pair<Vec<f32>>) -> [Vec<f32>; 2] {
    [pair.positive, pair.negative]
}

/// Larger is closer: a distance counts as negative, that of `Euclid` squared, as Qdrant has them
/// inside. In f64, where no square of an f32 is infinite.
pub(super) fn similarity(distance: Distance, score: f32) -> f64 {
    let score = f64::from(score);
    match distance {
        Distance::Cosine | Distance::Dot => score,
        Distance::Euclid => -(score * score),
        Distance::Manhattan => -score,
    }
}

impl Formula {
    fn score(self, similarities: &[f64]) -> f64 {
        match self {
            Formula::Best { positive } => {
                let (like, unlike) = similarities.split_at(positive.min(similarities.len()));
                let best = |part: &[f64]| part.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let (like, unlike) = (best(like), best(unlike));
                if like > unlike { between_0_and_1(like) } else { -between_0_and_1(unlike) }
            }
            Formula::Sum { positive } => {
                let (like, unlike) = similarities.split_at(positive.min(similarities.len()));
                let sum = |part: &[f64]| part.iter().fold(0.0, |sum, each| sum + each);
                sum(like) - sum(unlike)
            }
            Formula::Discover => {
                let [target, pairs @ ..] = similarities else { return 0.0 };
                sum_of_pairs(pairs, side) + between_0_and_1(*target)
            }
            Formula::Context => {
                sum_of_pairs(similarities, |like, unlike| squash((like - unlike - MARGIN).min(0.0)))
            }
        }
    }
}

fn sum_of_pairs(similarities: &[f64], of: impl Fn(f64, f64) -> f64) -> f64 {
    let pairs = similarities.chunks_exact(2);
    pairs.fold(0.0, |sum, pair| sum + of(pair[0], pair[1]))
}

/// 1 on the positive side of a pair, −1 on the other, 0 between them.
fn side(like: f64, unlike: f64) -> f64 {
    match like.partial_cmp(&unlike) {
        Some(std::cmp::Ordering::Greater) => 1.0,
        Some(std::cmp::Ordering::Less) => -1.0,
        _ => 0.0,
    }
}

/// Between −1 and 1, in the same order.
fn squash(value: f64) -> f64 {
    match value.is_infinite() {
        true => value.signum(),
        false => value / (1.0 + value.abs()),
    }
}

fn between_0_and_1(value: f64) -> f64 {
    (squash(value) + 1.0) / 2.0
}
