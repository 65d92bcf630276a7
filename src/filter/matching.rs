//! What a single value is compared with.

use std::collections::BTreeSet;

use serde_json::Value;

use super::TextOptions;

/// The fields of `match`. Each compares with the values at a key one by one, and a list
/// matches if one of its elements does.
#[derive(Clone, Debug, PartialEq)]
pub enum Match {
    Value(MatchValue),
    Any(AnyVariants),
    /// A value that is none of these: of a list, one element is enough. `null` is not a value.
    Except(AnyVariants),
    /// All its tokens: without a text index in one string, words in any case; with one, as the
    /// index cuts text, in all strings at the key together.
    Text(String),
    /// One of its tokens.
    TextAny(String),
    /// Its tokens in order and adjacent, in one string.
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
            Match::Text(_) | Match::TextAny(_) | Match::Phrase(_) => {
                let options = TextOptions { phrase_matching: true, ..TextOptions::default() };
                value
                    .as_str()
                    .is_some_and(|text| self.holds_text(&[options.tokens(text)], &options))
            }
        }
    }

    /// Over the tokens of texts, of which a phrase has to be in one. A query without tokens
    /// matches nothing.
    pub(super) fn holds_text(&self, texts: &[Vec<String>], options: &TextOptions) -> bool {
        let stored = |token: &String| texts.iter().any(|tokens| tokens.contains(token));
        match self {
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
