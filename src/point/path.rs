//! Keys that lead into a payload: `a`, `a.b`, `a[]`, `a[].b`, `"a.b".c`.

use std::fmt;
use std::str::FromStr;

use serde_json::{Map, Value};

/// A parsed key. `a.b` does not enter a list at `a`; `a[].b` does.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Path {
    steps: Vec<Step>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Step {
    Key(String),
    /// Every element of a list.
    Each,
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "`{given}` is not a key: write `a`, `a.b`, `a[].b`, or quote a name with dots as `\"a.b\"`"
)]
pub struct InvalidPath {
    pub given: String,
}

impl FromStr for Path {
    type Err = InvalidPath;

    fn from_str(text: &str) -> Result<Self, InvalidPath> {
        let invalid = || InvalidPath { given: text.to_owned() };
        let (mut steps, mut rest) = (Vec::new(), text);
        loop {
            let (name, after) = match rest.strip_prefix('"') {
                Some(quoted) => quoted.split_once('"').ok_or_else(invalid)?,
                None => rest.split_at(rest.find(['.', '[']).unwrap_or(rest.len())),
            };
            if name.is_empty() {
                return Err(invalid());
            }
            steps.push(Step::Key(name.to_owned()));
            rest = after;
            while let Some(after) = rest.strip_prefix("[]") {
                steps.push(Step::Each);
                rest = after;
            }
            match rest.strip_prefix('.') {
                Some(after) => rest = after,
                None if rest.is_empty() => return Ok(Path { steps }),
                None => return Err(invalid()),
            }
        }
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, step) in self.steps.iter().enumerate() {
            match step {
                Step::Each => f.write_str("[]")?,
                Step::Key(name) => {
                    let dot = if at > 0 { "." } else { "" };
                    let quote = if name.contains(['.', '[', '"']) { "\"" } else { "" };
                    write!(f, "{dot}{quote}{name}{quote}")?;
                }
            }
        }
        Ok(())
    }
}

impl Path {
    /// Calls `visit` with every value the path leads to, until it answers `true`.
    pub fn any(&self, payload: &Map<String, Value>, visit: &mut dyn FnMut(&Value) -> bool) -> bool {
        match self.steps.split_first() {
            Some((Step::Key(name), rest)) => {
                payload.get(name).is_some_and(|value| any_below(value, rest, visit))
            }
            _ => false,
        }
    }
}

fn any_below(value: &Value, steps: &[Step], visit: &mut dyn FnMut(&Value) -> bool) -> bool {
    match (steps.split_first(), value) {
        (None, value) => visit(value),
        (Some((Step::Key(name), rest)), Value::Object(map)) => {
            map.get(name).is_some_and(|value| any_below(value, rest, visit))
        }
        (Some((Step::Each, rest)), Value::Array(values)) => {
            values.iter().any(|value| any_below(value, rest, visit))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(path: &str, payload: Value) -> Vec<Value> {
        let mut seen = Vec::new();
        let path: Path = path.parse().unwrap();
        path.any(payload.as_object().unwrap(), &mut |value| {
            seen.push(value.clone());
            false
        });
        seen
    }

    #[test]
    fn a_dot_does_not_enter_a_list_and_brackets_do() {
        let payload = serde_json::json!({"a": [{"b": 1}, {"b": 2}], "c": {"d": 3}, "e.f": 4});
        assert_eq!(values("a.b", payload.clone()), Vec::<Value>::new());
        assert_eq!(values("a[].b", payload.clone()), [1, 2].map(Value::from));
        assert_eq!(values("c.d", payload.clone()), [Value::from(3)]);
        assert_eq!(values("\"e.f\"", payload), [Value::from(4)]);
    }

    #[test]
    fn a_path_prints_as_it_parses() {
        for text in ["a", "a.b", "a[].b", "a[][]", "\"a.b\".c"] {
            assert_eq!(text.parse::<Path>().unwrap().to_string(), text);
        }
        for bad in ["", ".", "a.", ".a", "a[0]", "a[", "\"a", "a[]b"] {
            assert!(bad.parse::<Path>().is_err(), "{bad} was taken");
        }
    }
}
