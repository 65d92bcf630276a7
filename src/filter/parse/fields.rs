//! A JSON object with known fields.

use serde_json::{Map, Value};

use super::{InvalidFilter, Parsed};

/// An object that has been found to have no other fields than it may have.
pub(super) struct Fields<'a> {
    map: &'a Map<String, Value>,
    what: &'static str,
}

impl<'a> Fields<'a> {
    /// `what` is the object's name in errors, with its article.
    pub(super) fn of(
        value: &'a Value,
        what: &'static str,
        known: &[&'static str],
    ) -> Parsed<Fields<'a>> {
        let map = value.as_object().ok_or_else(|| expected(what, value))?;
        match map.keys().find(|name| !known.contains(&name.as_str())) {
            Some(unknown) => Err(InvalidFilter::new(unknown_field(unknown, what, known))),
            None => Ok(Fields { map, what }),
        }
    }

    /// The field, read; `None` if it is not there or `null`.
    pub(super) fn get<T>(
        &self,
        name: &str,
        read: impl FnOnce(&'a Value) -> Parsed<T>,
    ) -> Parsed<Option<T>> {
        let value = self.map.get(name).filter(|value| !value.is_null());
        value.map(read).transpose().map_err(|fault| fault.inside(name))
    }

    pub(super) fn require<T>(
        &self,
        name: &str,
        read: impl FnOnce(&'a Value) -> Parsed<T>,
    ) -> Parsed<T> {
        let missing = || InvalidFilter::new(format!("{} needs `{name}`", self.what));
        self.get(name, read)?.ok_or_else(missing)
    }
}

/// Each element, read.
pub(super) fn list<T>(
    value: &Value,
    what: &str,
    read: impl Fn(&Value) -> Parsed<T>,
) -> Parsed<Vec<T>> {
    let elements = value.as_array().ok_or_else(|| expected(what, value))?;
    let read = |(at, element)| read(element).map_err(|fault| fault.inside(&format!("[{at}]")));
    elements.iter().enumerate().map(read).collect()
}

pub(super) fn text(value: &Value) -> Parsed<String> {
    value.as_str().map(str::to_owned).ok_or_else(|| expected("a string", value))
}

pub(super) fn flag(value: &Value) -> Parsed<bool> {
    value.as_bool().ok_or_else(|| expected("`true` or `false`", value))
}

pub(super) fn number(value: &Value) -> Parsed<f64> {
    value.as_f64().ok_or_else(|| expected("a number", value))
}

pub(super) fn count(value: &Value) -> Parsed<u64> {
    value.as_u64().ok_or_else(|| expected("a whole number from 0", value))
}

/// "… is expected here, not …": the value in short.
pub(super) fn expected(what: &str, found: &Value) -> InvalidFilter {
    let text = found.to_string();
    let short: String = text.chars().take(60).collect();
    let more = if short.len() < text.len() { "…" } else { "" };
    InvalidFilter::new(format!("{what} is expected here, not `{short}{more}`"))
}

fn unknown_field(name: &str, what: &str, known: &[&str]) -> String {
    let short: String = name.chars().take(60).collect();
    // Only what is near, and nearer than anything else.
    let mut near: Vec<_> = known.iter().map(|field| (distance(&short, field), field)).collect();
    near.sort_unstable();
    let limit = 2.min(short.len() / 2);
    let meant = match near.as_slice() {
        [(least, field), rest @ ..]
            if *least <= limit && rest.first().is_none_or(|(next, _)| next > least) =>
        {
            format!("did you mean `{field}`?")
        }
        _ => format!("it may have `{}`", known.join("`, `")),
    };
    format!("{what} has no field `{short}`: {meant}")
}

/// How many letters have to be changed, added, left out, or swapped with their neighbour.
fn distance(from: &str, to: &str) -> usize {
    let (from, to): (Vec<char>, Vec<char>) = (from.chars().collect(), to.chars().collect());
    let mut rows = vec![(0..=to.len()).collect::<Vec<usize>>()];
    for (i, a) in from.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, b) in to.iter().enumerate() {
            let changed = rows[i][j] + usize::from(a != b);
            let mut least = changed.min(rows[i][j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *a == to[j - 1] && from[i - 1] == *b {
                least = least.min(rows[i - 1][j - 1] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows[from.len()][to.len()]
}
