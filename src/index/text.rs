//! Text by its tokens.

use roaring::RoaringBitmap;

use super::IndexAnswer;
use super::lookup::Lookup;
use crate::filter::{Match, TextOptions};

pub(super) struct Text {
    options: TextOptions,
    /// The tokens of all texts of a slot together: that is how `match.text` asks for them.
    pub(super) lookup: Lookup<Box<str>>,
}

impl Text {
    pub(super) fn new(options: TextOptions) -> Self {
        Text { options, lookup: Lookup::default() }
    }

    pub(super) fn options(&self) -> &TextOptions {
        &self.options
    }

    /// Nothing about other matches: they compare whole strings.
    pub(super) fn answer(&self, query: &Match) -> Option<IndexAnswer> {
        match query {
            Match::Text(text) => {
                Some(IndexAnswer::sure(self.all(&self.options.query_tokens(text))))
            }
            Match::TextAny(text) => {
                let tokens = self.options.query_tokens(text);
                Some(IndexAnswer::sure(self.lookup.any(tokens.iter().map(String::as_str))))
            }
            Match::Phrase(_) if !self.options.phrase_matching => Some(IndexAnswer::default()),
            // In what order the tokens stand is not kept.
            Match::Phrase(text) => Some(IndexAnswer::maybe(self.all(&self.options.tokens(text)))),
            Match::Value(_) | Match::Any(_) | Match::Except(_) => None,
        }
    }

    /// The slots with all tokens. Without any, none.
    fn all(&self, tokens: &[String]) -> RoaringBitmap {
        let found: Option<Vec<_>> =
            tokens.iter().map(|token| self.lookup.get(token.as_str())).collect();
        let Some(mut found) = found else { return RoaringBitmap::new() };
        // The rarest first: what is left gets no larger.
        found.sort_unstable_by_key(|postings| postings.len());
        let Some((first, rest)) = found.split_first() else { return RoaringBitmap::new() };
        let mut left = first.to_bitmap();
        rest.iter().for_each(|postings| postings.narrow(&mut left));
        left
    }
}
