//! Indexes that filters would have been faster with: made by themselves.
//!
//! A filter that had to read many payloads wishes for an index of each of its keys that has none.
//! A wish that comes often enough is granted in the background. Such an index answers as every
//! other; it is in no description of the collection, orders nothing, and is gone at the next start.

use std::collections::BTreeMap;
use std::sync::PoisonError;

use super::Collection;
use super::select::{Captured, Points};
use super::state::{State, Which};
use crate::filter::{AnyVariants, Condition, FieldCondition, Filter, Match, MatchValue, Predicate};
use crate::point::{FieldType, Path};

/// A filter that reads fewer payloads is fast enough.
const PAYLOADS_MIN: u64 = 10_000;

/// How often a wish must come.
const WISHES_MIN: u32 = 4;

/// Different wishes that are kept in mind.
const WISHES_MAX: usize = 64;

/// How often an index of a key and a kind would have helped.
pub(super) type Wishes = BTreeMap<(Path, FieldType), u32>;

impl Collection {
    /// A filter's answer as of now. Keeps in mind what would have made it faster.
    pub(super) fn capture(&self, state: &State, filter: &Filter, column: Which) -> Captured {
        let captured = Captured::take(state, &self.vectors, filter, column);
        if let Points::Many { answer, existing, .. } = &captured.points
            && !answer.maybe.is_none()
            && answer.maybe.count_of(existing) >= PAYLOADS_MIN
        {
            self.wish(state, filter);
        }
        captured
    }

    fn wish(&self, state: &State, filter: &Filter) {
        let mut missing = Vec::new();
        collect(state, filter, &mut missing);
        let mut wishes = self.wishes.lock().unwrap_or_else(PoisonError::into_inner);
        for wish in missing {
            if let Some(times) = wishes.get_mut(&wish) {
                *times += 1;
            } else if wishes.len() < WISHES_MAX {
                wishes.insert(wish, 1);
            }
        }
    }

    /// Begins one index that was wished for often enough, if there may be one more.
    pub(super) fn grant_wish(&self) {
        let mut wishes = self.wishes.lock().unwrap_or_else(PoisonError::into_inner);
        let often = |(_, times): &(&(Path, FieldType), &u32)| **times >= WISHES_MIN;
        let Some((wish, _)) = wishes.iter().find(often) else { return };
        let (field, data_type) = wish.clone();
        wishes.remove(&(field.clone(), data_type));
        drop(wishes);
        let mut state = self.write();
        let full = state.fields.automatic_count() >= self.options.automatic_indexes_max;
        if full || state.fields.has(&field, data_type) {
            return;
        }
        match state.fields.create_automatic(&field, &data_type.into()) {
            Ok(()) => {
                tracing::info!(collection = self.name, %field, ?data_type, "automatic index");
            }
            Err(error) => tracing::warn!(%field, error, "automatic index not made"),
        }
    }
}

/// What the filter has conditions on that no index answers.
fn collect(state: &State, filter: &Filter, missing: &mut Vec<(Path, FieldType)>) {
    let counted = filter.min_should.iter().flat_map(|min_should| &min_should.conditions);
    let all = filter.must.iter().chain(&filter.should).chain(&filter.must_not).chain(counted);
    for condition in all {
        match condition {
            Condition::Filter(filter) => collect(state, filter, missing),
            Condition::Field(FieldCondition { key, predicates }) => {
                for predicate in predicates {
                    let alone = FieldCondition::new(key.clone(), vec![predicate.clone()]);
                    let known = state.fields.answer(&alone, state.ids.existing()).is_some();
                    if let Some(data_type) = helpful(predicate).filter(|_| !known) {
                        missing.push((key.clone(), data_type));
                    }
                }
            }
            _ => {}
        }
    }
}

/// The kind of index that would answer the predicate without changing the answer: one of text
/// would.
fn helpful(predicate: &Predicate) -> Option<FieldType> {
    match predicate {
        Predicate::Match(Match::Value(value)) => Some(match value {
            MatchValue::Bool(_) => FieldType::Bool,
            MatchValue::Integer(_) => FieldType::Integer,
            MatchValue::Keyword(_) => FieldType::Keyword,
        }),
        Predicate::Match(Match::Any(list) | Match::Except(list)) => Some(match list {
            AnyVariants::Strings(_) => FieldType::Keyword,
            AnyVariants::Integers(_) => FieldType::Integer,
        }),
        Predicate::Range(_) => Some(FieldType::Float),
        Predicate::DatetimeRange(_) => Some(FieldType::Datetime),
        Predicate::GeoBoundingBox(_) | Predicate::GeoRadius(_) | Predicate::GeoPolygon(_) => {
            Some(FieldType::Geo)
        }
        Predicate::Match(_)
        | Predicate::ValuesCount(_)
        | Predicate::IsEmpty(_)
        | Predicate::IsNull(_) => None,
    }
}
