//! Which points a filter matches.
//!
//! A condition answers two sets of slots: those that match for sure, and those that may, for
//! which the payload has to be read. An index narrows *maybe* and widens *sure*; it never
//! decides differently from [`Filter::matches`].

use std::collections::BTreeSet;
use std::sync::Arc;

use roaring::RoaringBitmap;
use serde_json::{Map, Value};

use super::VectorColumn;
use super::column::Part;
use super::fields::Texts;
use super::slots::{Answer, Slots, at_least};
use super::state::{State, Which};
use crate::filter::{Condition, Filter, Subject};
use crate::point::{Payload, PointId, Slot};
use crate::position::Seq;
use crate::rows::{Row, RowKey};

/// Up to this many points are taken by their slots, one by one.
const FEW: u64 = 4096;

/// So many conditions of `min_should` are counted in sets.
const COUNTED_MAX: usize = 32;

/// What is known of a filter without reading payloads.
pub(super) fn answer(state: &State, vectors: &[VectorColumn], filter: &Filter) -> Answer {
    let each = |conditions: &[Condition]| -> Vec<Answer> {
        conditions.iter().map(|condition| answer_condition(state, vectors, condition)).collect()
    };
    let mut result = each(&filter.must).into_iter().fold(Answer::sure(Slots::all()), Answer::and);
    if !filter.should.is_empty() {
        let any = each(&filter.should).into_iter().fold(Answer::sure(Slots::none()), Answer::or);
        result = result.and(any);
    }
    if let Some(min_should) = &filter.min_should {
        // Each set is met with each count: of many conditions, payloads tell sooner.
        let few = min_should.conditions.len() <= COUNTED_MAX;
        result = result.and(match few {
            true => at_least(min_should.min_count, &each(&min_should.conditions)),
            false => Answer::unknown(),
        });
    }
    each(&filter.must_not).into_iter().fold(result, |result, not| result.and(not.not()))
}

fn answer_condition(state: &State, vectors: &[VectorColumn], condition: &Condition) -> Answer {
    match condition {
        Condition::HasId(ids) => {
            let slots = ids.iter().filter_map(|id| state.ids.get(id));
            Answer::sure(Slots::these(slots.map(|slot| slot.0).collect()))
        }
        Condition::HasVector(name) => Answer::sure(match place_of(vectors, name) {
            Some(place) => Slots::these((**state.vectors[place].present()).clone()),
            None => Slots::none(),
        }),
        Condition::Filter(filter) => answer(state, vectors, filter),
        Condition::Field(condition) => {
            let known = state.fields.answer(condition, state.ids.existing());
            known.unwrap_or_else(Answer::unknown)
        }
        Condition::IsEmpty(_) | Condition::IsNull(_) | Condition::Nested { .. } => {
            Answer::unknown()
        }
    }
}

fn place_of(vectors: &[VectorColumn], name: &str) -> Option<usize> {
    vectors.binary_search_by(|vector| vector.name.as_str().cmp(name)).ok()
}

/// What conditions look at beside payloads, as of one moment.
#[derive(Clone)]
pub(super) struct Facts {
    /// Per vector, the slots that have it.
    present: Vec<Arc<RoaringBitmap>>,
    texts: Arc<Texts>,
}

impl State {
    pub(super) fn facts(&self) -> Facts {
        let present = self.vectors.iter().map(|column| Arc::clone(column.present())).collect();
        Facts { present, texts: Arc::clone(self.fields.texts()) }
    }
}

impl Facts {
    pub(super) fn evaluator<'a>(
        &'a self,
        filter: &'a Filter,
        vectors: &'a [VectorColumn],
    ) -> Evaluator<'a> {
        let roots = filter.roots().into_iter().map(str::to_owned).collect();
        Evaluator { filter, vectors, facts: self, roots }
    }
}

/// The truth about one point after the other: reads payloads.
pub(super) struct Evaluator<'a> {
    filter: &'a Filter,
    vectors: &'a [VectorColumn],
    facts: &'a Facts,
    /// The top-level keys that the filter looks at; the rest of a payload is not parsed.
    roots: BTreeSet<String>,
}

impl Evaluator<'_> {
    pub(super) fn matches(&self, id: PointId, slot: Slot, payload: &Row) -> bool {
        let has_vector = |place: usize| self.facts.present[place].contains(slot.0);
        let payload = payload.payload().unwrap_or_else(Payload::empty);
        self.matches_with(id, &payload, &has_vector)
    }

    /// A payload that is no JSON object is taken for an empty one: it could come only from a
    /// file whose checksum was verified.
    pub(super) fn matches_with(
        &self,
        id: PointId,
        payload: &Payload,
        has_vector: &dyn Fn(usize) -> bool,
    ) -> bool {
        let map = match self.roots.is_empty() {
            true => Map::<String, Value>::new(),
            false => payload.to_map_of(&self.roots).unwrap_or_default(),
        };
        self.filter.matches(&Subject {
            id,
            payload: &map,
            has_vector: &|name| place_of(self.vectors, name).is_some_and(has_vector),
            text: &|key| self.facts.texts.get(key),
        })
    }
}

/// A filter's answer at one moment, with what is needed to finish it without the lock.
pub(super) struct Captured {
    pub(super) facts: Facts,
    pub(super) points: Points,
}

pub(super) enum Points {
    /// So few points can match that they are at hand.
    Few(Vec<Candidate>),
    Many {
        answer: Answer,
        existing: Arc<RoaringBitmap>,
        /// Where the payloads are, if they have to be read.
        payloads: Vec<Part>,
    },
}

pub(super) struct Candidate {
    pub(super) id: PointId,
    slot: Slot,
    payload: Row,
    /// Its row in the column that was asked for.
    pub(super) row: Option<Row>,
    sure: bool,
}

impl Captured {
    /// `column` is where a candidate's row is wanted from.
    pub(super) fn take(
        state: &State,
        vectors: &[VectorColumn],
        filter: &Filter,
        column: Which,
    ) -> Self {
        let answer = answer(state, vectors, filter);
        let few = answer.possible().listed().filter(|slots| slots.len() <= FEW).map(|slots| {
            let candidate = |slot| {
                let payload = state.payload.row(slot)?;
                let row = state.column(column).row(slot);
                let sure = answer.sure.contains(slot);
                Some(Candidate { id: payload.key().id, slot, payload, row, sure })
            };
            slots.iter().map(Slot).filter_map(candidate).collect()
        });
        let points = few.map_or_else(|| Points::many(state, answer), Points::Few);
        Captured { facts: state.facts(), points }
    }

    pub(super) fn count(&self, evaluator: &Evaluator<'_>) -> u64 {
        match &self.points {
            Points::Few(candidates) => {
                let matching = candidates.iter().filter(|candidate| candidate.matches(evaluator));
                matching.count() as u64
            }
            Points::Many { answer, existing, payloads } => {
                finish(answer, payloads, evaluator).count_of(existing)
            }
        }
    }

    /// The slots that match.
    pub(super) fn slots(&self, evaluator: &Evaluator<'_>) -> RoaringBitmap {
        match &self.points {
            Points::Few(candidates) => {
                let matching = candidates.iter().filter(|candidate| candidate.matches(evaluator));
                matching.map(|candidate| candidate.slot.0).collect()
            }
            Points::Many { answer, existing, payloads } => {
                finish(answer, payloads, evaluator).of(existing)
            }
        }
    }
}

impl Points {
    fn many(state: &State, answer: Answer) -> Self {
        let payloads = if answer.maybe.is_none() { Vec::new() } else { state.payload.view() };
        Points::Many { answer, existing: Arc::clone(state.ids.existing()), payloads }
    }
}

impl Candidate {
    pub(super) fn matches(&self, evaluator: &Evaluator<'_>) -> bool {
        self.sure || evaluator.matches(self.id, self.slot, &self.payload)
    }
}

/// Reads the payloads of all that may match.
pub(super) fn finish(answer: &Answer, payloads: &[Part], evaluator: &Evaluator<'_>) -> Slots {
    let Answer { sure, maybe } = answer;
    if maybe.is_none() {
        return sure.clone();
    }
    let mut matched = RoaringBitmap::new();
    for part in payloads {
        for row in &*part.live {
            let slot = part.segment.slot(row);
            if maybe.contains(slot) {
                let RowKey { id, .. } = part.segment.key(row);
                if evaluator.matches(id, slot, &part.segment.row(row)) {
                    matched.insert(slot.0);
                }
            }
        }
    }
    sure.clone().or(&Slots::these(matched))
}

/// Whether the point is still what it was when `captured` was the newest seq, and its slot.
pub(super) fn unchanged(state: &State, id: PointId, captured: Seq) -> Option<Slot> {
    state.ids.get(id).filter(|slot| state.version(*slot) <= captured)
}
