//! Conditions on points, and the one evaluator that is the truth about them.
//!
//! An index may answer a condition faster, never differently: what it cannot answer for
//! certain is evaluated here, over the payload. The answers are Qdrant's for a collection
//! without payload indexes; only how a text is cut into words is told by an index. Whether
//! there *is* an index for a key is not known here.

pub mod datetime;
mod evaluate;
mod geo;
mod matching;
mod parse;
mod range;
mod text;
mod write;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use crate::point::{Path, PointId};

pub use evaluate::Subject;
pub use geo::{GeoBoundingBox, GeoPoint, GeoPolygon, GeoRadius};
pub use matching::{AnyVariants, Match, MatchValue};
pub use parse::{DEPTH_MAX, InvalidFilter};
pub use range::Range;
pub use text::{TextOptions, Tokenizer};

/// What all, some, or none of the conditions of a clause hold for. An empty filter matches all;
/// an empty clause asks for nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filter {
    pub must: Vec<Condition>,
    /// At least one holds, if any is given.
    pub should: Vec<Condition>,
    pub must_not: Vec<Condition>,
    pub min_should: Option<MinShould>,
}

/// At least `min_count` of the conditions hold; `min_count` is at least 1.
#[derive(Clone, Debug, PartialEq)]
pub struct MinShould {
    pub conditions: Vec<Condition>,
    pub min_count: usize,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Condition {
    /// A predicate on the values at a key.
    Field(FieldCondition),
    /// Nothing at the key, or only `null` and `[]`.
    IsEmpty(Path),
    /// A `null` at the key, or a list with one in it; nothing is not `null`.
    IsNull(Path),
    HasId(Ids),
    /// The point has a vector of this name; the unnamed vector's name is empty.
    HasVector(String),
    /// One object of the list at `key` matches the whole filter, whose keys start in that
    /// object. There a point has neither an id nor vectors.
    Nested {
        key: Path,
        filter: Filter,
    },
    Filter(Filter),
}

/// Holds if one of the predicates does. To be written it has at most one in each field.
#[derive(Clone, Debug, PartialEq)]
pub struct FieldCondition {
    pub key: Path,
    pub predicates: Vec<Predicate>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Predicate {
    Match(Match),
    /// Numbers, compared as f64.
    Range(Range<f64>),
    /// Strings that are dates, in microseconds since 1970.
    DatetimeRange(Range<i64>),
    GeoBoundingBox(GeoBoundingBox),
    GeoRadius(GeoRadius),
    GeoPolygon(GeoPolygon),
    /// The elements of a list; `null` and nothing count 0, everything else 1.
    ValuesCount(Range<u64>),
    /// Whether there is nothing, `null` or `[]`.
    IsEmpty(bool),
    /// Whether there is `null`, or a list with a `null` in it.
    IsNull(bool),
}

impl FieldCondition {
    /// The condition as Qdrant understands these predicates: if `values_count`, `is_empty` or
    /// `is_null` is among them, the first of these is looked at and nothing else.
    pub fn new(key: Path, mut predicates: Vec<Predicate>) -> Self {
        let alone = [
            |predicate: &Predicate| matches!(predicate, Predicate::ValuesCount(_)),
            |predicate: &Predicate| matches!(predicate, Predicate::IsEmpty(_)),
            |predicate: &Predicate| matches!(predicate, Predicate::IsNull(_)),
        ];
        if let Some(at) = alone.iter().find_map(|is_it| predicates.iter().position(is_it)) {
            predicates = vec![predicates.swap_remove(at)];
        }
        FieldCondition { key, predicates }
    }
}

/// Point ids, sorted, each once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ids(Vec<PointId>);

impl FromIterator<PointId> for Ids {
    fn from_iter<I: IntoIterator<Item = PointId>>(ids: I) -> Self {
        let mut ids: Vec<PointId> = ids.into_iter().collect();
        ids.sort_unstable();
        ids.dedup();
        Ids(ids)
    }
}

impl Ids {
    pub fn contains(&self, id: PointId) -> bool {
        self.0.binary_search(&id).is_ok()
    }

    pub fn iter(&self) -> impl ExactSizeIterator<Item = PointId> + '_ {
        self.0.iter().copied()
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Filter {
    /// Without any condition: it matches every point.
    pub fn is_empty(&self) -> bool {
        self.min_should.is_none() && self.conditions().next().is_none()
    }

    fn conditions(&self) -> impl Iterator<Item = &Condition> {
        let counted = self.min_should.iter().flat_map(|min_should| &min_should.conditions);
        self.must.iter().chain(&self.should).chain(&self.must_not).chain(counted)
    }

    /// Whether it looks at payloads.
    pub fn reads_keys(&self) -> bool {
        !self.roots().is_empty()
    }

    /// The top-level payload keys it looks at; none if it reads no payload.
    pub fn roots(&self) -> BTreeSet<&str> {
        let mut roots = BTreeSet::new();
        self.collect_roots(&mut roots);
        roots
    }

    fn collect_roots<'a>(&'a self, roots: &mut BTreeSet<&'a str>) {
        for condition in self.conditions() {
            match condition {
                Condition::Field(FieldCondition { key, .. })
                | Condition::IsEmpty(key)
                | Condition::IsNull(key)
                | Condition::Nested { key, .. } => {
                    roots.insert(key.root());
                }
                Condition::Filter(filter) => filter.collect_roots(roots),
                Condition::HasId(_) | Condition::HasVector(_) => {}
            }
        }
    }
}
