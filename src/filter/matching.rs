//! What a single value is compared with.

use std::collections::BTreeSet;

use serde_json::Value;

/// The fields of `match`. Each compares with the values at a key one by one, and a list
/// matches if one of its elements does.
#[derive(Clone, Debug, PartialEq)]
pub enum Match {
    Value(MatchValue),
    Any(AnyVariants),
    /// A value that is none of these: of a list, one element is enough. `null` is not a value.
    Except(AnyVariants),
    /// Without a text index the string contains the text as it is; with one, all its tokens.
    Text(String),
    /// One of the words, or tokens.
    TextAny(String),
    /// Without a text index as `Text`; with one, the tokens in order and adjacent.
    Phrase(String),
}

/// A value that `match` compares with. Numbers with a fraction are not matched, as in Qdrant:
/// `5` does not match `5.0`. UUIDs are compared as the strings they are.
#[derive(Clone, Debug, PartialEq)]
pub enum MatchValue {
    Bool(bool),
    Integer(i64),
    Keyword(String),
}

/// A list of strings, or of integers. An empty one is a list of strings.
#[derive(Clone, Debug, PartialEq)]
pub enum AnyVariants {
    Strings(BTreeSet<String>),
    Integers(BTreeSet<i64>),
}

impl Match {
    /// Whether a text index has a say in it.
    pub(super) fn is_text(&self) -> bool {
        matches!(self, Match::Text(_) | Match::TextAny(_) | Match::Phrase(_))
    }

    /// Over one value that is not looked into: the elements of a list are the caller's.
    pub(super) fn holds(&self, value: &Value) -> bool {
        match self {
            Match::Value(expected) => expected.equals(value),
            Match::Any(list) => list.contains(value),
            Match::Except(list) => !value.is_null() && !list.contains(value),
            Match::Text(text) | Match::Phrase(text) => {
                value.as_str().is_some_and(|stored| stored.contains(text.as_str()))
            }
            Match::TextAny(text) => value
                .as_str()
                .is_some_and(|stored| text.split_whitespace().any(|word| stored.contains(word))),
        }
    }
}

impl MatchValue {
    fn equals(&self, value: &Value) -> bool {
        match self {
            MatchValue::Bool(expected) => value.as_bool() == Some(*expected),
            MatchValue::Integer(expected) => value.as_i64() == Some(*expected),
            MatchValue::Keyword(expected) => value.as_str() == Some(expected),
        }
    }
}

impl AnyVariants {
    pub fn contains(&self, value: &Value) -> bool {
        match self {
            AnyVariants::Strings(list) => value.as_str().is_some_and(|text| list.contains(text)),
            AnyVariants::Integers(list) => {
                value.as_i64().is_some_and(|number| list.contains(&number))
            }
        }
    }
}
