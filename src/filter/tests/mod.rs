//! Every rule, in a table by family. Where nothing else is said, a rule is Qdrant's for a
//! collection without payload indexes.

mod clauses;
mod dates;
mod elements;
mod places;
mod refused;
mod round_trip;
mod texts;

use serde_json::{Value, json};

use super::*;

fn filter(value: Value) -> Filter {
    serde_json::from_value(value).unwrap()
}

/// Whether point 7 with the vector `image` matches.
fn matches(filter: &Filter, payload: &Value) -> bool {
    let payload = payload.as_object().unwrap();
    let (has_vector, text) = (&|name: &str| name == "image", &|_: &Path| None);
    filter.matches(&Subject { id: PointId::Number(7), payload, has_vector, text })
}

/// Whether the condition holds for the payload, and its negation does not.
fn holds(condition: &Value, payload: &Value) -> bool {
    let holds = matches(&filter(json!({"must": condition})), payload);
    assert_ne!(holds, matches(&filter(json!({"must_not": condition})), payload), "{condition}");
    holds
}

/// Whether `predicate` on `a` holds for `value` at `a`.
fn holds_for(predicate: &Value, value: &Value) -> bool {
    let mut condition = predicate.clone();
    condition["key"] = json!("a");
    holds(&condition, &json!({"a": value}))
}

fn holds_for_nothing(predicate: &Value) -> bool {
    let mut condition = predicate.clone();
    condition["key"] = json!("a");
    holds(&condition, &json!({"b": 1}))
}
