//! Filters from JSON, by hand: a fault is named with its place and what would be right, where
//! a derived reader would say that nothing matched.

mod condition;
mod fields;
mod once;
mod predicate;

use serde::{Deserialize, Deserializer, de};
use serde_json::Value;

use super::Filter;

/// How deep filters may stand in one another. The text of the deepest, inside a message or
/// the log, stays below the 128 levels that a JSON reader goes.
pub const DEPTH_MAX: usize = 20;

/// What is wrong with a filter, and where in it.
#[derive(Debug, PartialEq, Eq)]
pub struct InvalidFilter {
    /// Such as `must[0].match`; empty for the filter itself.
    pub at: String,
    pub reason: String,
}

impl std::error::Error for InvalidFilter {}

impl std::fmt::Display for InvalidFilter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if !self.at.is_empty() {
            write!(f, "at `{}`: ", self.at)?;
        }
        f.write_str(&self.reason)
    }
}

impl InvalidFilter {
    fn new(reason: impl Into<String>) -> Self {
        InvalidFilter { at: String::new(), reason: reason.into() }
    }

    /// The same fault, seen from one level up.
    fn inside(mut self, step: &str) -> Self {
        let dot = if self.at.is_empty() || self.at.starts_with('[') { "" } else { "." };
        self.at = format!("{step}{dot}{}", self.at);
        self
    }
}

type Parsed<T> = Result<T, InvalidFilter>;

impl TryFrom<&Value> for Filter {
    type Error = InvalidFilter;

    fn try_from(value: &Value) -> Parsed<Self> {
        condition::filter(value, 1)
    }
}

impl<'de> Deserialize<'de> for Filter {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let once::Once(value) = once::Once::deserialize(deserializer)?;
        Filter::try_from(&value).map_err(de::Error::custom)
    }
}
