//! What a search asks for: to be close to one vector, or to suit several examples.
//!
//! An example is a vector, or a point that lends its own. Points that are named as examples are
//! left out of the answer. Vectors under cosine are normalised here, whoever gave them.
//!
//! Promise: the scores of [`Objective`] are Qdrant's. One vector, an average among them, is
//! searched as any other is, through graphs where there are some; what weighs several examples
//! against each other is scored exactly, row by row, never through a graph.

mod combine;
mod scan;

use std::collections::BTreeSet;

use super::state::State;
use super::{Collection, ReadError};
use crate::ann;
use crate::point::{Distance, PointId};
use combine::Combined;

#[derive(Clone, Debug)]
pub enum Query {
    Vector(Vec<f32>),
    /// The vector of this point, which is itself left out of the answer.
    Point(PointId),
    Like(Like),
}

/// A query by examples.
#[derive(Clone, Debug)]
pub struct Like {
    pub objective: Objective,
    /// The vector that example points lend; `None` for the one that is searched.
    pub lender: Option<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Example {
    Vector(Vec<f32>),
    Point(PointId),
}

/// Examples to be like, and to be unlike. A point that has no such vector is passed over.
#[derive(Clone, Debug, PartialEq)]
pub struct Recommend<T = Example> {
    pub positive: Vec<T>,
    pub negative: Vec<T>,
}

/// Rather like one than like the other.
#[derive(Clone, Debug, PartialEq)]
pub struct Pair<T = Example> {
    pub positive: T,
    pub negative: T,
}

/// What makes a point a good answer. For all but `Average` and `Nearest` a larger score is a
/// better one, whatever the distance.
#[derive(Clone, Debug, PartialEq)]
pub enum Objective<T = Example> {
    /// Close to it.
    Nearest(T),
    /// Close to the positive examples' average, moved away from that of the negative ones.
    Average(Recommend<T>),
    /// The best similarity to a positive example, unless one to a negative example is better.
    Best(Recommend<T>),
    /// Similarities to positive examples, less those to negative ones.
    Sum(Recommend<T>),
    /// On the positive side of as many pairs as possible, and then close to the target.
    Discover { target: T, context: Vec<Pair<T>> },
    /// On the positive side of every pair, or close to it.
    Context(Vec<Pair<T>>),
}

/// What a search compares rows with.
pub(super) enum Aim {
    Nearest(Vec<f32>),
    Combined(Combined),
}

/// A query as of one moment.
pub(super) struct Resolved {
    pub(super) aim: Aim,
    /// The points that lent a vector, or were asked for one.
    pub(super) except: BTreeSet<PointId>,
}

impl<T> Objective<T> {
    /// How many vectors each row is compared with.
    pub fn comparisons(&self) -> usize {
        match self {
            Objective::Nearest(_) | Objective::Average(_) => 1,
            others => others.examples().len(),
        }
    }

    fn examples(&self) -> Vec<&T> {
        fn both<T>(pair: &Pair<T>) -> [&T; 2] {
            [&pair.positive, &pair.negative]
        }
        match self {
            Objective::Nearest(example) => vec![example],
            Objective::Average(like) | Objective::Best(like) | Objective::Sum(like) => {
                like.positive.iter().chain(&like.negative).collect()
            }
            Objective::Discover { target, context } => {
                std::iter::once(target).chain(context.iter().flat_map(both)).collect()
            }
            Objective::Context(pairs) => pairs.iter().flat_map(both).collect(),
        }
    }

    /// Every example in the place of another.
    fn map<U>(
        self,
        each: &mut dyn FnMut(T) -> Result<U, ReadError>,
    ) -> Result<Objective<U>, ReadError> {
        Ok(match self {
            Objective::Nearest(example) => Objective::Nearest(each(example)?),
            Objective::Average(like) => Objective::Average(like.map(each)?),
            Objective::Best(like) => Objective::Best(like.map(each)?),
            Objective::Sum(like) => Objective::Sum(like.map(each)?),
            Objective::Discover { target, context } => {
                Objective::Discover { target: each(target)?, context: map_pairs(context, each)? }
            }
            Objective::Context(pairs) => Objective::Context(map_pairs(pairs, each)?),
        })
    }
}

impl Objective {
    pub fn names_points(&self) -> bool {
        self.examples().into_iter().any(|example| matches!(example, Example::Point(_)))
    }
}

impl<T> Recommend<T> {
    fn map<U>(
        self,
        each: &mut dyn FnMut(T) -> Result<U, ReadError>,
    ) -> Result<Recommend<U>, ReadError> {
        let mut all = |examples: Vec<T>| -> Result<Vec<U>, ReadError> {
            let mut found = Vec::with_capacity(examples.len());
            for example in examples {
                match each(example) {
                    Ok(example) => found.push(example),
                    // Qdrant, too, recommends by the examples that have the vector.
                    Err(ReadError::NoVector(_)) => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(found)
        };
        Ok(Recommend { positive: all(self.positive)?, negative: all(self.negative)? })
    }
}

fn map_pairs<T, U>(
    pairs: Vec<Pair<T>>,
    each: &mut dyn FnMut(T) -> Result<U, ReadError>,
) -> Result<Vec<Pair<U>>, ReadError> {
    let mut pair =
        |pair: Pair<T>| Ok(Pair { positive: each(pair.positive)?, negative: each(pair.negative)? });
    pairs.into_iter().map(&mut pair).collect()
}

impl Query {
    fn objective(&self) -> Objective {
        match self {
            Query::Vector(vector) => Objective::Nearest(Example::Vector(vector.clone())),
            Query::Point(id) => Objective::Nearest(Example::Point(*id)),
            Query::Like(like) => like.objective.clone(),
        }
    }
}

impl Collection {
    /// The objective with vectors of this collection in the place of point ids, for a search in
    /// another collection. `vector` is the name of the one they lend.
    pub fn lend(&self, vector: &str, objective: Objective) -> Result<Objective, ReadError> {
        let place = self.known_place(vector)?;
        let state = self.read();
        objective.map(&mut |example| match example {
            Example::Point(id) => lent(&state, place, id).map(Example::Vector),
            vector => Ok(vector),
        })
    }

    /// The query for a search of the vector at `place`, checked.
    pub(super) fn resolve(
        &self,
        state: &State,
        place: usize,
        query: &Query,
    ) -> Result<Resolved, ReadError> {
        let lender = match query {
            Query::Like(Like { lender: Some(lender), .. }) => self.known_place(lender)?,
            _ => place,
        };
        let mut except = BTreeSet::new();
        let objective = query.objective().map(&mut |example| {
            let vector = match example {
                Example::Vector(vector) => vector,
                Example::Point(id) => {
                    except.insert(id);
                    lent(state, lender, id)?
                }
            };
            self.check_example(place, &vector)?;
            Ok(vector)
        })?;
        Ok(Resolved { aim: self.aim(place, objective)?, except })
    }

    fn aim(&self, place: usize, objective: Objective<Vec<f32>>) -> Result<Aim, ReadError> {
        let distance = self.vectors[place].params.distance;
        let comparable = |mut vector: Vec<f32>| {
            if distance == Distance::Cosine {
                // A zero vector stays zero: it is equally unlike everything.
                ann::normalize(&mut vector);
            }
            vector
        };
        Ok(match objective {
            Objective::Nearest(vector) => Aim::Nearest(comparable(vector)),
            Objective::Average(like) => {
                let average = average(&like)?;
                self.check_example(place, &average)?;
                Aim::Nearest(comparable(average))
            }
            other => Aim::Combined(Combined::new(
                distance,
                other.map(&mut |vector| Ok(comparable(vector)))?,
            )?),
        })
    }

    fn check_example(&self, place: usize, vector: &[f32]) -> Result<(), ReadError> {
        let (name, params) = (&self.vectors[place].name, &self.vectors[place].params);
        if vector.len() != params.size {
            let (name, given) = (name.clone(), vector.len());
            return Err(ReadError::WrongDimension { name, given, expected: params.size });
        }
        match vector.iter().all(|value| value.is_finite()) {
            true => Ok(()),
            false => Err(ReadError::NotFinite),
        }
    }
}

/// The vector of a point.
fn lent(state: &State, place: usize, id: PointId) -> Result<Vec<f32>, ReadError> {
    let slot = state.ids.get(id).ok_or(ReadError::NoSuchPoint(id))?;
    let row = state.vectors[place].row(slot);
    let vector = row.as_ref().and_then(|row| row.vector());
    Ok(vector.ok_or(ReadError::NoVector(id))?.to_vec())
}

/// The positive examples' average, mirrored at that of the negative ones. All have as many
/// dimensions.
fn average(like: &Recommend<Vec<f32>>) -> Result<Vec<f32>, ReadError> {
    let Some(positive) = mean(&like.positive) else {
        return Err(ReadError::NoExample { strategy: "average_vector", wanted: "positive" });
    };
    let moved = match mean(&like.negative) {
        Some(negative) => {
            positive.iter().zip(negative).map(|(like, unlike)| like + (like - unlike)).collect()
        }
        None => positive,
    };
    Ok(moved.into_iter().map(|value: f64| value as f32).collect())
}

/// In f64, so that no sum of finite vectors is infinite.
fn mean(vectors: &[Vec<f32>]) -> Option<Vec<f64>> {
    let mut sum = vec![0.0; vectors.first()?.len()];
    for vector in vectors {
        for (sum, value) in sum.iter_mut().zip(vector) {
            *sum += f64::from(*value);
        }
    }
    Some(sum.into_iter().map(|sum| sum / vectors.len() as f64).collect())
}
