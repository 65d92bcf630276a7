//! How text is cut into tokens: of a `text` payload index.
//!
//! Of Qdrant's tokenizers, `multilingual` is not here, nor are stemming, stop words and the
//! folding of accents.

use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Tokenizer {
    /// Runs of letters and digits.
    #[default]
    Word,
    /// What stands between white space.
    Whitespace,
    /// Every beginning of a word.
    Prefix,
}

/// Lengths are in characters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TextOptions {
    pub tokenizer: Tokenizer,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_token_len: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_token_len: Option<usize>,
    pub lowercase: bool,
    /// Without it, `match.phrase` matches nothing.
    pub phrase_matching: bool,
}

/// In characters. Queries are cut alike, so a longer word is found by its beginning.
const PREFIX_MAX: usize = 64;

impl Default for TextOptions {
    fn default() -> Self {
        TextOptions {
            tokenizer: Tokenizer::default(),
            min_token_len: None,
            max_token_len: None,
            lowercase: true,
            phrase_matching: false,
        }
    }
}

impl<'de> Deserialize<'de> for Tokenizer {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match &*String::deserialize(deserializer)? {
            "word" => Ok(Tokenizer::Word),
            "whitespace" => Ok(Tokenizer::Whitespace),
            "prefix" => Ok(Tokenizer::Prefix),
            "multilingual" => Err(serde::de::Error::custom(
                "the tokenizer `multilingual` is not built in: take `word`, `whitespace` or `prefix`",
            )),
            other => Err(serde::de::Error::custom(format!(
                "`{other}` is not a tokenizer: take `word`, `whitespace` or `prefix`"
            ))),
        }
    }
}

impl TextOptions {
    /// The tokens of a payload's text, in order, repeated ones included.
    pub fn tokens(&self, text: &str) -> Vec<String> {
        let mut tokens = Vec::new();
        for word in self.words(text) {
            match self.tokenizer {
                Tokenizer::Prefix => self.prefixes(&word, &mut tokens),
                _ if self.is_too_long(&word) => {}
                _ => tokens.push(word),
            }
        }
        tokens
    }

    /// The tokens that a query asks for: of a word's beginnings, the longest.
    pub fn query_tokens(&self, text: &str) -> Vec<String> {
        if self.tokenizer != Tokenizer::Prefix {
            return self.tokens(text);
        }
        let longest = |word: String| word.chars().take(self.prefix_max()).collect();
        self.words(text).map(longest).collect()
    }

    /// Words in their final case, without those that are too short.
    fn words(&self, text: &str) -> impl Iterator<Item = String> {
        let by_space = self.tokenizer == Tokenizer::Whitespace;
        let ends = move |letter: char| match by_space {
            true => letter.is_whitespace(),
            false => !letter.is_alphanumeric(),
        };
        let words = text.split(ends).filter(|word| !word.is_empty());
        let words =
            words.map(|word| if self.lowercase { word.to_lowercase() } else { word.to_owned() });
        words.filter(|word| self.min_token_len.is_none_or(|least| word.chars().count() >= least))
    }

    /// The longest beginning of a word: all of a long word's would be its length squared.
    fn prefix_max(&self) -> usize {
        self.max_token_len.unwrap_or(usize::MAX).min(PREFIX_MAX)
    }

    fn is_too_long(&self, word: &str) -> bool {
        self.max_token_len.is_some_and(|most| word.chars().count() > most)
    }

    fn prefixes(&self, word: &str, tokens: &mut Vec<String>) {
        // A beginning has a first letter, whatever the shortest token may be.
        let least = self.min_token_len.unwrap_or(1).max(1);
        let most = self.prefix_max();
        let ends = word.char_indices().map(|(at, _)| at).skip(least).chain([word.len()]);
        tokens.extend((least..=most).zip(ends).map(|(_, end)| word[..end].to_owned()));
    }
}
