//! Which part of a payload is answered: `with_payload` by keys.
//!
//! As in Qdrant, elements of a list are reached by `a[]` alone: to `a[0]` and `a.b` a list at
//! `a` is one without such elements.

use serde_json::{Map, Value};

use super::{Path, Step};

/// What a key still asks for below the value at hand.
type Rest<'a> = &'a [Step];

/// The values at `keys`, each with the objects and lists it stands in.
pub fn include(payload: &Map<String, Value>, keys: &[Path]) -> Map<String, Value> {
    narrow(payload, keys, included)
}

/// Everything but the values at `keys`.
pub fn exclude(payload: &Map<String, Value>, keys: &[Path]) -> Map<String, Value> {
    narrow(payload, keys, excluded)
}

fn narrow(
    payload: &Map<String, Value>,
    keys: &[Path],
    keep: fn(&Value, &[Rest<'_>]) -> Option<Value>,
) -> Map<String, Value> {
    let kept = payload.iter().filter_map(|(name, value)| {
        let ahead: Vec<Rest<'_>> =
            keys.iter().filter(|key| key.root == *name).map(|key| key.steps.as_slice()).collect();
        Some((name.clone(), keep(value, &ahead)?))
    });
    kept.collect()
}

fn included(value: &Value, keys: &[Rest<'_>]) -> Option<Value> {
    if keys.is_empty() {
        return None;
    }
    if keys.iter().any(|rest| rest.is_empty()) {
        return Some(value.clone());
    }
    Some(below(value, keys, included))
}

fn excluded(value: &Value, keys: &[Rest<'_>]) -> Option<Value> {
    if keys.iter().any(|rest| rest.is_empty()) {
        return None;
    }
    Some(if keys.is_empty() { value.clone() } else { below(value, keys, excluded) })
}

fn below(
    value: &Value,
    keys: &[Rest<'_>],
    keep: fn(&Value, &[Rest<'_>]) -> Option<Value>,
) -> Value {
    match value {
        Value::Object(map) => {
            let kept = map.iter().filter_map(|(name, value)| {
                let ahead = after(keys, |step| matches!(step, Step::Key(key) if key == name));
                Some((name.clone(), keep(value, &ahead)?))
            });
            Value::Object(kept.collect())
        }
        Value::Array(elements) => {
            let ahead = after(keys, |step| *step == Step::Each);
            Value::Array(elements.iter().filter_map(|value| keep(value, &ahead)).collect())
        }
        value => value.clone(),
    }
}

/// The keys that take this step, without it.
fn after<'a>(keys: &[Rest<'a>], takes: impl Fn(&Step) -> bool) -> Vec<Rest<'a>> {
    let ahead = keys.iter().filter_map(|rest| rest.split_first());
    ahead.filter(|(step, _)| takes(step)).map(|(_, rest)| rest).collect()
}
