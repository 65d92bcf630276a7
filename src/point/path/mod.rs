//! Keys that lead into a payload: `a`, `a.b`, `a[].b`, `a[0].b`, `"a.b".c`.
//!
//! A key leads to any number of values, none included. It says nothing about whether what it
//! leads to is what was meant: `a.b` finds nothing where `a` is a list, and is no error.

mod edit;
mod select;
#[cfg(test)]
mod tests;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::{Map, Value};

pub use edit::merge;
pub use select::{exclude, include};

/// How many steps a key may take below its top-level key.
const STEPS_MAX: usize = 32;

/// A parsed key. `a.b` does not enter a list at `a`; `a[].b` does.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Path {
    root: String,
    steps: Vec<Step>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Step {
    Key(String),
    /// One element of a list, from 0.
    Index(usize),
    /// Every element of a list.
    Each,
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "`{given}` is not a key: write `a`, `a.b`, `a[].b` or `a[0]`, with letters, digits, `_` and `-` \
     in a name, quote any other name as in `\"a.b\".c`, and go at most {STEPS_MAX} levels down"
)]
pub struct InvalidPath {
    pub given: String,
}

impl FromStr for Path {
    type Err = InvalidPath;

    fn from_str(text: &str) -> Result<Self, InvalidPath> {
        let parsed = || {
            let (root, mut rest) = split_name(text)?;
            let mut steps = Vec::new();
            while !rest.is_empty() {
                let (step, after) = split_step(rest)?;
                steps.push(step);
                rest = after;
            }
            if steps.len() > STEPS_MAX {
                return None;
            }
            Some(Path { root: root.to_owned(), steps })
        };
        parsed().ok_or_else(|| InvalidPath { given: text.chars().take(200).collect() })
    }
}

/// A name that stands without quotes: Qdrant's grammar, so that a key means the same there.
fn is_plain(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_' || letter == '-'
}

fn split_name(text: &str) -> Option<(&str, &str)> {
    if let Some(quoted) = text.strip_prefix('"') {
        return quoted.split_once('"').filter(|(name, _)| !name.contains('\\'));
    }
    let end = text.find(|letter| !is_plain(letter)).unwrap_or(text.len());
    (end > 0).then(|| text.split_at(end))
}

fn split_step(text: &str) -> Option<(Step, &str)> {
    if let Some(name) = text.strip_prefix('.') {
        return split_name(name).map(|(name, rest)| (Step::Key(name.to_owned()), rest));
    }
    let (inside, rest) = text.strip_prefix('[')?.split_once(']')?;
    if inside.is_empty() {
        return Some((Step::Each, rest));
    }
    // `parse` would also take a sign.
    let digits = inside.bytes().all(|byte| byte.is_ascii_digit());
    let index = inside.parse().ok().filter(|_| digits)?;
    Some((Step::Index(index), rest))
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_name(&self.root, f)?;
        for step in &self.steps {
            match step {
                Step::Each => f.write_str("[]")?,
                Step::Index(index) => write!(f, "[{index}]")?,
                Step::Key(name) => {
                    f.write_str(".")?;
                    write_name(name, f)?;
                }
            }
        }
        Ok(())
    }
}

fn write_name(name: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    if !name.is_empty() && name.chars().all(is_plain) {
        f.write_str(name)
    } else {
        write!(f, "\"{name}\"")
    }
}

impl Serialize for Path {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Path {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl Path {
    /// The top-level key it begins with.
    pub fn root(&self) -> &str {
        &self.root
    }

    /// One key, nothing below.
    pub fn is_top_level(&self) -> bool {
        self.steps.is_empty()
    }

    /// The elements of the list it leads to: `a` → `a[]`, `a[]` as it is.
    pub fn elements(&self) -> Path {
        let mut path = self.clone();
        if path.steps.last() != Some(&Step::Each) {
            path.steps.push(Step::Each);
        }
        path
    }

    /// `below`, seen from here: `a[]` and `b.c` → `a[].b.c`.
    pub fn join(&self, below: &Path) -> Path {
        let mut path = self.clone();
        path.steps.push(Step::Key(below.root.clone()));
        path.steps.extend(below.steps.iter().cloned());
        path
    }

    /// Calls `visit` with every value the path leads to, until it answers `true`.
    pub fn any(&self, payload: &Map<String, Value>, visit: &mut dyn FnMut(&Value) -> bool) -> bool {
        payload.get(&self.root).is_some_and(|value| any_below(value, &self.steps, visit))
    }

    /// Calls `visit` with each value that a condition on this key compares with: a list's
    /// elements stand for the list, one level deep. A list inside a list is visited as a list.
    pub fn scalars(&self, payload: &Map<String, Value>, visit: &mut dyn FnMut(&Value)) {
        self.any(payload, &mut |value| {
            match value {
                Value::Array(elements) => elements.iter().for_each(&mut *visit),
                value => visit(value),
            }
            false
        });
    }
}

fn any_below(value: &Value, steps: &[Step], visit: &mut dyn FnMut(&Value) -> bool) -> bool {
    match (steps.split_first(), value) {
        (None, value) => visit(value),
        (Some((Step::Key(name), rest)), Value::Object(map)) => {
            map.get(name).is_some_and(|value| any_below(value, rest, visit))
        }
        (Some((Step::Index(index), rest)), Value::Array(values)) => {
            values.get(*index).is_some_and(|value| any_below(value, rest, visit))
        }
        (Some((Step::Each, rest)), Value::Array(values)) => {
            values.iter().any(|value| any_below(value, rest, visit))
        }
        _ => false,
    }
}
