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
            Condition::IsEmpty(key) => is_empty_at(scope, key),
            Condition::IsNull(key) => is_null_at(scope, key),
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

/// With a text index: over the tokens of all strings at the key together.
fn holds_text(scope: Scope<'_, '_>, key: &Path, query: &Match, options: &TextOptions) -> bool {
    let mut texts = Vec::new();
    key.scalars(scope.object, &mut |value| {
        texts.extend(value.as_str().map(|text| options.tokens(text)));
    });
    query.holds_text(&texts, options)
}

/// Whether everything at the key is `null` or `[]`, or nothing is there.
fn is_empty_at(scope: Scope<'_, '_>, key: &Path) -> bool {
    !key.any(scope.object, &mut |value| !is_empty(value))
}

/// Whether there is a `null` at the key, or a list with one in it.
fn is_null_at(scope: Scope<'_, '_>, key: &Path) -> bool {
    key.any(scope.object, &mut has_null)
}

impl Predicate {
    /// Where brackets lead to several values, one of them is enough, for `false` too.
    fn holds(&self, scope: Scope<'_, '_>, key: &Path) -> bool {
        let mut missing = true;
        let found = key.any(scope.object, &mut |value| {
            missing = false;
            match (self, value) {
                (Predicate::ValuesCount(range), value) => range.contains(count(value)),
                (Predicate::IsEmpty(expected), value) => is_empty(value) == *expected,
                (Predicate::IsNull(expected), value) => has_null(value) == *expected,
                (_, Value::Array(elements)) => {
                    elements.iter().any(|element| self.holds_for(element))
                }
                (_, value) => self.holds_for(value),
            }
        });
        found || (missing && self.holds_for_nothing())
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
            // These are about all that is at a key.
            Predicate::ValuesCount(_) | Predicate::IsEmpty(_) | Predicate::IsNull(_) => false,
        }
    }
}

fn is_empty(value: &Value) -> bool {
    value.is_null() || value.as_array().is_some_and(Vec::is_empty)
}

fn has_null(value: &Value) -> bool {
    match value {
        Value::Array(elements) => elements.iter().any(Value::is_null),
        value => value.is_null(),
    }
}

fn count(value: &Value) -> u64 {
    match value {
        Value::Null => 0,
        Value::Array(elements) => elements.len() as u64,
        _ => 1,
    }
}
