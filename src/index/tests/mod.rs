//! The index against the filter's own evaluation, over the same payloads.

mod any;
mod geo;
mod order;
mod sorted;
mod truth;

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{Entries, FieldIndex, IndexAnswer};
use crate::filter::{Condition, FieldCondition, Filter, Predicate, Subject};
use crate::point::{FieldSchema, FieldType, Path, PointId};

pub(super) const TYPES: [FieldType; 8] = [
    FieldType::Keyword,
    FieldType::Integer,
    FieldType::Float,
    FieldType::Geo,
    FieldType::Text,
    FieldType::Bool,
    FieldType::Datetime,
    FieldType::Uuid,
];

/// An index, and the payloads it was given.
pub(super) struct Twin {
    pub(super) index: FieldIndex,
    pub(super) payloads: BTreeMap<u32, Map<String, Value>>,
    entries: BTreeMap<u32, Entries>,
}

impl Twin {
    pub(super) fn new(field: &str, schema: &FieldSchema) -> Self {
        let field: Path = field.parse().unwrap();
        let index = FieldIndex::new(&field, schema).unwrap();
        Twin { index, payloads: BTreeMap::new(), entries: BTreeMap::new() }
    }

    /// Overwrites what the slot has; without a payload the slot goes.
    pub(super) fn put(&mut self, slot: u32, payload: Option<Value>) {
        if let Some(entries) = self.entries.remove(&slot) {
            self.index.remove(slot, &entries);
            self.payloads.remove(&slot);
        }
        if let Some(Value::Object(payload)) = payload {
            let entries = self.index.extract(&payload);
            self.index.insert(slot, &entries);
            self.entries.insert(slot, entries);
            self.payloads.insert(slot, payload);
        }
    }

    pub(super) fn truth(&self, predicate: &Predicate) -> impl Fn(u32) -> bool {
        let key = self.index.field().clone();
        let condition = FieldCondition { key, predicates: vec![predicate.clone()] };
        let filter = Filter { must: vec![Condition::Field(condition)], ..Filter::default() };
        move |slot| {
            let text = |key: &Path| self.index.text_options().filter(|_| key == self.index.field());
            filter.matches(&Subject {
                id: PointId::Number(u64::from(slot)),
                payload: &self.payloads[&slot],
                has_vector: &|_| false,
                text: &text,
            })
        }
    }

    /// The answer, if there is one, after it was held against the truth.
    pub(super) fn answer(&self, predicate: &Predicate) -> Option<IndexAnswer> {
        let answer = self.index.answer(predicate)?;
        let truth = self.truth(predicate);
        assert!(answer.sure.is_disjoint(&answer.maybe), "{predicate:?}: {answer:?}");
        for slot in &answer.sure | &answer.maybe {
            assert!(self.payloads.contains_key(&slot), "{predicate:?}: {slot} is not there");
        }
        for (slot, payload) in &self.payloads {
            if answer.maybe.contains(*slot) {
                continue;
            }
            assert_eq!(
                answer.sure.contains(*slot),
                truth(*slot),
                "{:?} `{}`, {predicate:?}, {payload:?}",
                self.index.schema(),
                self.index.field()
            );
        }
        Some(answer)
    }
}
