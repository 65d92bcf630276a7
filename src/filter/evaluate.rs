//! Whether a point matches: over its id and its payload.

use serde_json::{Map, Value};

use super::{Condition, Filter, MatchValue};
use crate::point::PointId;

impl Filter {
    pub fn is_empty(&self) -> bool {
        self.must.is_empty() && self.should.is_empty() && self.must_not.is_empty()
    }

    pub fn matches(&self, id: PointId, payload: &Map<String, Value>) -> bool {
        let holds = |condition: &Condition| condition.matches(id, payload);
        self.must.iter().all(holds)
            && (self.should.is_empty() || self.should.iter().any(holds))
            && !self.must_not.iter().any(holds)
    }
}

impl Condition {
    fn matches(&self, id: PointId, payload: &Map<String, Value>) -> bool {
        match self {
            Condition::Match { key, value } => key.any(payload, &mut |found| value.matches(found)),
            Condition::HasId(ids) => ids.contains(&id),
            Condition::Nested(filter) => filter.matches(id, payload),
        }
    }
}

impl MatchValue {
    /// A list matches if one of its elements does; a list inside a list does not.
    fn matches(&self, found: &Value) -> bool {
        match found {
            Value::Array(elements) => elements.iter().any(|element| self.equals(element)),
            value => self.equals(value),
        }
    }

    fn equals(&self, value: &Value) -> bool {
        match self {
            MatchValue::Bool(expected) => value.as_bool() == Some(*expected),
            MatchValue::Integer(expected) => value.as_i64() == Some(*expected),
            MatchValue::Keyword(expected) => value.as_str() == Some(expected),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(filter: Value, payload: Value) -> bool {
        let filter: Filter = serde_json::from_value(filter).unwrap();
        filter.matches(PointId::Number(7), payload.as_object().unwrap())
    }

    #[test]
    fn clauses_combine_as_qdrants_do() {
        let red = serde_json::json!({"key": "color", "match": {"value": "red"}});
        let big = serde_json::json!({"key": "size", "match": {"value": 3}});
        let point = serde_json::json!({"color": ["blue", "red"], "size": 2});
        assert!(matches(serde_json::json!({}), point.clone()));
        assert!(matches(serde_json::json!({"must": [red]}), point.clone()));
        assert!(matches(serde_json::json!({"must": red}), point.clone()));
        assert!(!matches(serde_json::json!({"must": [red, big]}), point.clone()));
        assert!(matches(serde_json::json!({"should": [red, big]}), point.clone()));
        assert!(!matches(serde_json::json!({"must_not": [red]}), point.clone()));
        assert!(!matches(serde_json::json!({"must": [{"should": [big]}]}), point.clone()));
        assert!(matches(serde_json::json!({"must": [{"has_id": [7]}]}), point));
    }

    #[test]
    fn numbers_with_a_fraction_and_other_types_do_not_match() {
        let two = serde_json::json!({"must": [{"key": "size", "match": {"value": 2}}]});
        assert!(!matches(two.clone(), serde_json::json!({"size": 2.5})));
        assert!(!matches(two.clone(), serde_json::json!({"size": "2"})));
        assert!(!matches(two, serde_json::json!({"size": null})));
    }

    #[test]
    fn what_is_not_a_condition_is_refused_with_what_would_be() {
        for bad in [
            serde_json::json!({"must": [{"key": "a"}]}),
            serde_json::json!({"must": [{"key": "a", "match": {"value": 1.5}}]}),
            serde_json::json!({"must": [{"key": "a", "mtach": {"value": 1}}]}),
            serde_json::json!({"musst": []}),
        ] {
            assert!(serde_json::from_value::<Filter>(bad.clone()).is_err(), "{bad} was taken");
        }
    }
}
