//! Changes to a payload at a key: `set payload` with `key`, and `delete payload`.

use serde_json::{Map, Value};

use super::{Path, Step};

/// Sets each of `values` at the top level of `payload`; a `null` takes its key out.
pub fn merge(payload: &mut Map<String, Value>, values: &Map<String, Value>) {
    for (key, value) in values {
        if value.is_null() {
            payload.remove(key);
        } else {
            payload.insert(key.clone(), value.clone());
        }
    }
}

impl Path {
    /// Merges `values` into each object that the path leads to, as `set payload` with `key`
    /// does in Qdrant. Missing objects on the way are made, and what is in the way is replaced;
    /// an element that a list does not have is not made, so `a[3]` may change nothing else
    /// than to make `a` a list.
    pub fn merge(&self, payload: &mut Map<String, Value>, values: &Map<String, Value>) {
        let value = payload.entry(self.root.clone()).or_insert(Value::Null);
        merge_below(value, &self.steps, values);
    }

    /// Takes out what the path leads to, and answers whether that was anything. `a[]` empties
    /// the list. `a[0]` takes out nothing: told twice, it would take out two elements.
    pub fn remove(&self, payload: &mut Map<String, Value>) -> bool {
        match self.steps.split_first() {
            None => payload.remove(&self.root).is_some(),
            Some((step, rest)) => {
                payload.get_mut(&self.root).is_some_and(|value| remove_below(value, step, rest))
            }
        }
    }
}

fn merge_below(target: &mut Value, steps: &[Step], values: &Map<String, Value>) {
    match steps.split_first() {
        None => {
            if let Some(map) = object(target) {
                merge(map, values);
            }
        }
        Some((Step::Key(name), rest)) => {
            if let Some(map) = object(target) {
                merge_below(map.entry(name.clone()).or_insert(Value::Null), rest, values);
            }
        }
        Some((Step::Index(index), rest)) => {
            if let Some(element) = list(target).and_then(|elements| elements.get_mut(*index)) {
                merge_below(element, rest, values);
            }
        }
        Some((Step::Each, rest)) => {
            for element in list(target).into_iter().flatten() {
                merge_below(element, rest, values);
            }
        }
    }
}

/// The object that `value` is, made one if it is not.
fn object(value: &mut Value) -> Option<&mut Map<String, Value>> {
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    value.as_object_mut()
}

/// The list that `value` is, made one if it is not.
fn list(value: &mut Value) -> Option<&mut Vec<Value>> {
    if !value.is_array() {
        *value = Value::Array(Vec::new());
    }
    value.as_array_mut()
}

fn remove_below(value: &mut Value, step: &Step, rest: &[Step]) -> bool {
    let Some((next, rest)) = rest.split_first() else {
        return match (step, value) {
            (Step::Key(name), Value::Object(map)) => map.remove(name).is_some(),
            (Step::Each, Value::Array(elements)) => !std::mem::take(elements).is_empty(),
            _ => false,
        };
    };
    match (step, value) {
        (Step::Key(name), Value::Object(map)) => {
            map.get_mut(name).is_some_and(|value| remove_below(value, next, rest))
        }
        (Step::Index(index), Value::Array(elements)) => {
            elements.get_mut(*index).is_some_and(|value| remove_below(value, next, rest))
        }
        (Step::Each, Value::Array(elements)) => elements
            .iter_mut()
            .fold(false, |changed, value| remove_below(value, next, rest) | changed),
        _ => false,
    }
}
