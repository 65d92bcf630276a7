//! Whether a point matches: over its id, its vectors' names and its payload.

use serde_json::{Map, Value};

use super::{
    Condition, FieldCondition, Filter, GeoPoint, Match, MinShould, Predicate, TextOptions, datetime,
};
use crate::point::{Path, PointId};

/// A point, as far as a filter looks at it.
#[derive(Clone, Copy)]
pub struct Subject<'a> {
    pub id: PointId,
    pub payload: &'a Map<String, Value>,
    /// Whether the point has a vector of that name.
    pub has_vector: &'a dyn Fn(&str) -> bool,
    /// How text at this key is cut, if there is a text index for it.
    pub text: &'a dyn Fn(&Path) -> Option<&'a TextOptions>,
}

/// Where a condition's keys start: the payload, or an object inside it.
#[derive(Clone, Copy)]
struct Scope<'s, 'a> {
    subject: &'s Subject<'a>,
    object: &'s Map<String, Value>,
    /// The key of the list that the object stands in.
    below: Option<&'s Path>,
}

impl Filter {
    pub fn matches(&self, subject: &Subject<'_>) -> bool {
        self.holds(Scope { subject, object: subject.payload, below: None })
    }

    fn holds(&self, scope: Scope<'_, '_>) -> bool {
        let holds = |condition: &Condition| condition.holds(scope);
        self.must.iter().all(holds)
            && (self.should.is_empty() || self.should.iter().any(holds))
            && !self.must_not.iter().any(holds)
            && self.min_should.as_ref().is_none_or(|counted| counted.holds(scope))
    }
}

impl MinShould {
    fn holds(&self, scope: Scope<'_, '_>) -> bool {
        let holding = self.conditions.iter().filter(|condition| condition.holds(scope));
        holding.take(self.min_count).count() == self.min_count
    }
}

impl Condition {
    fn holds(&self, scope: Scope<'_, '_>) -> bool {
        match self {
            Condition::Field(condition) => condition.holds(scope),
            Condition::IsEmpty(key) => !key.any(scope.object, &mut |value| !is_empty(value)),
            Condition::IsNull(key) => key.any(scope.object, &mut |value| value.is_null()),
            Condition::HasId(ids) => scope.below.is_none() && ids.contains(scope.subject.id),
            Condition::HasVector(name) => scope.below.is_none() && (scope.subject.has_vector)(name),
            Condition::Nested { key, filter } => holds_nested(scope, key, filter),
            Condition::Filter(filter) => filter.holds(scope),
        }
    }
}

/// Over each object of the list. What is no list has no elements, and what is no object in it
/// has no keys: neither matches, whatever the filter.
fn holds_nested(scope: Scope<'_, '_>, key: &Path, filter: &Filter) -> bool {
    let key = key.elements();
    let below = scope.below.map_or_else(|| key.clone(), |outer| outer.join(&key));
    key.any(scope.object, &mut |element| {
        element.as_object().is_some_and(|object| {
            filter.holds(Scope { subject: scope.subject, object, below: Some(&below) })
        })
    })
}

impl FieldCondition {
    fn holds(&self, scope: Scope<'_, '_>) -> bool {
        self.predicates.iter().any(|predicate| match predicate {
            Predicate::Match(query) if query.is_text() => match scope.text(&self.key) {
                Some(options) => holds_text(scope, &self.key, query, options),
                None => predicate.holds(scope, &self.key),
            },
            _ => predicate.holds(scope, &self.key),
        })
    }
}

impl<'a> Scope<'_, 'a> {
    /// An index is known by its whole key, from the payload down.
    fn text(&self, key: &Path) -> Option<&'a TextOptions> {
        match self.below {
            Some(below) => (self.subject.text)(&below.join(key)),
            None => (self.subject.text)(key),
        }
    }
}

/// With a text index: over the tokens of all strings at the key together, but a phrase does
/// not run from one string into the next. A query without tokens matches nothing.
fn holds_text(scope: Scope<'_, '_>, key: &Path, query: &Match, options: &TextOptions) -> bool {
    let mut texts = Vec::new();
    key.scalars(scope.object, &mut |value| {
        texts.extend(value.as_str().map(|text| options.tokens(text)));
    });
    let stored = |token: &String| texts.iter().any(|tokens| tokens.contains(token));
    match query {
        Match::Text(text) => {
            let tokens = options.query_tokens(text);
            !tokens.is_empty() && tokens.iter().all(stored)
        }
        Match::TextAny(text) => options.query_tokens(text).iter().any(stored),
        Match::Phrase(text) => {
            let tokens = options.tokens(text);
            options.phrase_matching
                && !tokens.is_empty()
                && texts.iter().any(|text| text.windows(tokens.len()).any(|run| run == tokens))
        }
        Match::Value(_) | Match::Any(_) | Match::Except(_) => false,
    }
}

impl Predicate {
    fn holds(&self, scope: Scope<'_, '_>, key: &Path) -> bool {
        let mut missing = true;
        let found = key.any(scope.object, &mut |value| {
            missing = false;
            self.holds_at(value)
        });
        found || (missing && self.holds_for_nothing())
    }

    /// Over the whole value at a key.
    fn holds_at(&self, value: &Value) -> bool {
        match (self, value) {
            (Predicate::ValuesCount(range), value) => range.contains(count(value)),
            (Predicate::IsEmpty(expected), value) => is_empty(value) == *expected,
            (Predicate::IsNull(expected), Value::Array(elements)) => {
                elements.iter().any(Value::is_null) == *expected
            }
            (Predicate::IsNull(expected), value) => value.is_null() == *expected,
            (_, Value::Array(elements)) => elements.iter().any(|element| self.holds_for(element)),
            (_, value) => self.holds_for(value),
        }
    }

    /// Over one value that is not looked into: a list inside a list matches as a list.
    fn holds_for(&self, value: &Value) -> bool {
        match self {
            Predicate::Match(expected) => expected.holds(value),
            Predicate::Range(range) => value.as_f64().is_some_and(|number| range.contains(number)),
            Predicate::DatetimeRange(range) => {
                let date = value.as_str().and_then(datetime::parse);
                date.is_some_and(|date| range.contains(date))
            }
            Predicate::GeoBoundingBox(area) => {
                GeoPoint::of(value).is_some_and(|point| area.contains(&point))
            }
            Predicate::GeoRadius(area) => {
                GeoPoint::of(value).is_some_and(|point| area.contains(&point))
            }
            Predicate::GeoPolygon(area) => {
                GeoPoint::of(value).is_some_and(|point| area.contains(&point))
            }
            Predicate::ValuesCount(_) | Predicate::IsEmpty(_) | Predicate::IsNull(_) => {
                self.holds_at(value)
            }
        }
    }

    /// Over a key that leads to no value. Nothing counts 0, is empty, and is not `null`.
    fn holds_for_nothing(&self) -> bool {
        match self {
            Predicate::ValuesCount(range) => range.contains(0),
            Predicate::IsEmpty(expected) => *expected,
            Predicate::IsNull(expected) => !expected,
            _ => false,
        }
    }
}

fn is_empty(value: &Value) -> bool {
    value.is_null() || value.as_array().is_some_and(Vec::is_empty)
}

fn count(value: &Value) -> u64 {
    match value {
        Value::Null => 0,
        Value::Array(elements) => elements.len() as u64,
        _ => 1,
    }
}
