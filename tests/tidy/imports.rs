//! Imports run strictly downward by rank, and rooms of one rank never import each other.

use super::Finding;
use super::source::{Kind, Source};

/// Every room, with its rank. `src/lib.rs` and the architecture page say the same.
pub const RANKS: &[(&str, u8)] = &[
    ("main", 8),
    ("commands", 7),
    ("daemon", 6),
    ("config", 5),
    ("api", 4),
    ("apply", 4),
    ("forward", 4),
    ("ingest", 4),
    ("maintain", 4),
    ("catalog", 3),
    ("collection", 2),
    ("format", 2),
    ("ann", 1),
    ("index", 1),
    ("operation", 1),
    ("rows", 1),
    ("source", 1),
    ("wal", 1),
    ("disk", 0),
    ("filter", 0),
    ("metrics", 0),
    ("point", 0),
    ("position", 0),
    ("shutdown", 0),
];

/// The imports inside a rank: a condition names point ids and looks into payloads, and the
/// metrics of a partition are labelled by its stream.
const SIDEWAYS: &[(&str, &str)] = &[("filter", "point"), ("metrics", "position")];

fn rank(room: &str) -> Option<u8> {
    RANKS.iter().find(|(name, _)| *name == room).map(|(_, rank)| *rank)
}

/// The room a file of `src/` belongs to.
pub fn room(path: &str) -> Option<&str> {
    let first = path.strip_prefix("src/")?.split('/').next()?;
    Some(first.strip_suffix(".rs").unwrap_or(first))
}

pub fn run_downward(source: &Source, findings: &mut Vec<Finding>) {
    let Some(from) = room(&source.path) else { return };
    // The crate's root only lists the rooms.
    if from == "lib" {
        return;
    }
    let Some(from_rank) = rank(from) else {
        findings.push(Finding::new(
            source,
            1,
            format!("`{from}` has no rank: give it one in tests/tidy/imports.rs and src/lib.rs"),
        ));
        return;
    };
    for (at, line) in imports_from_root(source) {
        let Some(to) = source.ident(at) else {
            findings.push(Finding::new(
                source,
                line,
                "imports everything from the crate's root: name the room".to_owned(),
            ));
            continue;
        };
        if to == from || SIDEWAYS.contains(&(from, to)) {
            continue;
        }
        match rank(to) {
            Some(to_rank) if to_rank < from_rank => {}
            Some(to_rank) => findings.push(Finding::new(
                source,
                line,
                format!(
                    "`{from}` (rank {from_rank}) imports `{to}` (rank {to_rank}): only lower \
                     ranks may be imported; move down what both need, or pass it in from above"
                ),
            )),
            None => findings.push(Finding::new(
                source,
                line,
                format!("`{to}` is no room with a rank: import from the room that defines it"),
            )),
        }
    }
}

/// Where a path that starts at the crate's root goes on: the index of what follows the root
/// (an identifier, or `*`), and its line.
fn imports_from_root(source: &Source) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    for at in 0..source.tokens.len() {
        let Some(next) = after_root(source, at) else { continue };
        match source.opens(next, '{') {
            Some(close) => found.extend(first_of_each(source, next + 1, close)),
            None => found.push(next),
        }
    }
    found.into_iter().map(|at| (at, source.tokens[at].line)).collect()
}

/// If the crate's root is named at `at`, the index after the `::` that follows it.
fn after_root(source: &Source, at: usize) -> Option<usize> {
    let token = &source.tokens[at];
    let inside_path = at >= 2 && source.is_path_separator(at - 2);
    let mut next = match source.ident(at)? {
        "crate" => at + 1,
        "pointd" if source.path == "src/main.rs" && !inside_path => at + 1,
        "super" if !inside_path => {
            let mut last = at;
            let mut steps = 1;
            while source.is_path_separator(last + 1) && source.is_ident(last + 3, "super") {
                last += 3;
                steps += 1;
            }
            if steps < token.modules {
                return None;
            }
            last + 1
        }
        _ => return None,
    };
    if !source.is_path_separator(next) {
        return None;
    }
    next += 2;
    (next < source.tokens.len()).then_some(next)
}

/// The first token of each comma-separated part between two brackets.
fn first_of_each(source: &Source, mut at: usize, close: usize) -> Vec<usize> {
    let mut firsts = Vec::new();
    let mut expected = true;
    while at < close {
        match source.kind(at) {
            Some(Kind::Open(_, end)) => at = *end,
            Some(Kind::Punct(',')) => expected = true,
            Some(_) if expected => {
                firsts.push(at);
                expected = false;
            }
            _ => {}
        }
        at += 1;
    }
    firsts
}
