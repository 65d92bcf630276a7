//! One Rust file as a flat list of tokens, so that a rule is a search for a few neighbours.
//! The lexer is the compiler's own grammar (proc-macro2): strings and comments cannot mislead
//! it, and the inside of macros is seen too.

use proc_macro2::{Delimiter, TokenStream, TokenTree};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    Ident(String),
    Literal(String),
    Punct(char),
    /// An opening bracket and the index of its closing one.
    Open(char, usize),
    Close,
}

#[derive(Clone, Debug)]
pub struct Token {
    pub kind: Kind,
    pub line: usize,
    /// Compiled only for tests.
    pub test: bool,
    /// How many modules below the crate's root.
    pub modules: usize,
}

pub struct Source {
    /// From the root of the repository, with `/`.
    pub path: String,
    pub text: String,
    pub tokens: Vec<Token>,
}

impl Source {
    pub fn parse(path: &str, text: String) -> Source {
        let stream: TokenStream =
            text.parse().unwrap_or_else(|error| panic!("{path} is not Rust: {error}"));
        let mut tokens = Vec::new();
        flatten(stream, &mut tokens);
        let mut source = Source { path: path.to_owned(), text, tokens };
        source.mark_tests();
        source.count_modules();
        source
    }

    pub fn is_ident(&self, at: usize, name: &str) -> bool {
        matches!(self.kind(at), Some(Kind::Ident(ident)) if ident == name)
    }

    pub fn is_punct(&self, at: usize, wanted: char) -> bool {
        self.kind(at) == Some(&Kind::Punct(wanted))
    }

    /// The index of the closing bracket, if this token opens one.
    pub fn opens(&self, at: usize, wanted: char) -> Option<usize> {
        match self.kind(at) {
            Some(Kind::Open(bracket, close)) if *bracket == wanted => Some(*close),
            _ => None,
        }
    }

    pub fn ident(&self, at: usize) -> Option<&str> {
        match self.kind(at) {
            Some(Kind::Ident(ident)) => Some(ident),
            _ => None,
        }
    }

    pub fn kind(&self, at: usize) -> Option<&Kind> {
        self.tokens.get(at).map(|token| &token.kind)
    }

    /// `::` at `at`.
    pub fn is_path_separator(&self, at: usize) -> bool {
        self.is_punct(at, ':') && self.is_punct(at + 1, ':')
    }

    /// `// tidy allows: <reason>` on the line itself or alone on the one above it.
    pub fn allows(&self, line: usize) -> bool {
        let comment = |number: usize| {
            let text = self.text.lines().nth(number.checked_sub(1)?)?;
            let (before, reason) = text.split_once("// tidy allows:")?;
            let placed = number == line || before.trim().is_empty();
            (placed && reason.trim().len() >= 10).then_some(())
        };
        comment(line).or_else(|| comment(line - 1)).is_some()
    }

    /// Marks what only a test build compiles: whole files, and items under `#[cfg(test)]` or
    /// `#[test]`.
    fn mark_tests(&mut self) {
        let parts: Vec<&str> = self.path.split('/').collect();
        if parts.contains(&"tests") || self.path.ends_with("/tests.rs") {
            self.mark_all();
        }
        for at in 0..self.tokens.len() {
            if !self.is_punct(at, '#') {
                continue;
            }
            let inner = self.is_punct(at + 1, '!');
            let bracket = at + 1 + usize::from(inner);
            let Some(close) = self.opens(bracket, '[') else { continue };
            let test = (bracket..close).any(|index| self.is_ident(index, "test"))
                && !(bracket..close).any(|index| self.is_ident(index, "not"))
                && !self.is_ident(bracket + 1, "cfg_attr");
            if test && inner {
                self.mark_all();
            } else if test {
                let end = self.item_end(close + 1);
                self.tokens[at..end].iter_mut().for_each(|token| token.test = true);
            }
        }
    }

    pub fn mark_all(&mut self) {
        self.tokens.iter_mut().for_each(|token| token.test = true);
    }

    /// The index after the item, statement or field that begins at `at`.
    fn item_end(&self, mut at: usize) -> usize {
        let mut angles = 0_i32;
        while let Some(kind) = self.kind(at) {
            match kind {
                Kind::Open('{', close) => return close + 1,
                Kind::Open(_, close) => at = *close,
                Kind::Close => return at,
                Kind::Punct(';') => return at + 1,
                Kind::Punct(',') if angles == 0 => return at + 1,
                Kind::Punct('<') => angles += 1,
                // The end of `->` and `=>` closes nothing.
                Kind::Punct('>') if !self.is_punct(at - 1, '-') && !self.is_punct(at - 1, '=') => {
                    angles -= 1;
                }
                _ => {}
            }
            at += 1;
        }
        at
    }

    fn count_modules(&mut self) {
        let of_file = self
            .path
            .strip_prefix("src/")
            .map_or(0, |rest| rest.trim_end_matches("/mod.rs").split('/').count());
        let root = matches!(self.path.as_str(), "src/lib.rs" | "src/main.rs");
        let of_file = if root { 0 } else { of_file };
        self.tokens.iter_mut().for_each(|token| token.modules = of_file);
        for at in 0..self.tokens.len() {
            if self.is_ident(at, "mod")
                && let Some(close) = self.opens(at + 2, '{')
            {
                self.tokens[at + 2..close].iter_mut().for_each(|token| token.modules += 1);
            }
        }
    }
}

fn flatten(stream: TokenStream, tokens: &mut Vec<Token>) {
    let token = |kind, line| Token { kind, line, test: false, modules: 0 };
    for tree in stream {
        let line = tree.span().start().line;
        match tree {
            TokenTree::Ident(ident) => tokens.push(token(Kind::Ident(ident.to_string()), line)),
            TokenTree::Literal(text) => tokens.push(token(Kind::Literal(text.to_string()), line)),
            TokenTree::Punct(punct) => tokens.push(token(Kind::Punct(punct.as_char()), line)),
            TokenTree::Group(group) => {
                let bracket = match group.delimiter() {
                    Delimiter::Brace => '{',
                    Delimiter::Bracket => '[',
                    Delimiter::Parenthesis => '(',
                    Delimiter::None => ' ',
                };
                let open = tokens.len();
                tokens.push(token(Kind::Open(bracket, 0), line));
                flatten(group.stream(), tokens);
                tokens[open].kind = Kind::Open(bracket, tokens.len());
                tokens.push(token(Kind::Close, group.span_close().start().line));
            }
        }
    }
}
