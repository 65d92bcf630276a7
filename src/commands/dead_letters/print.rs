//! Letters for a terminal. What is in them came from outside: no control character of it gets
//! there.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Write};

use serde_json::Value;

use crate::commands::client::time_shown;

const DETAIL_CHARS_MAX: usize = 100;

/// A line each.
pub(super) fn table(letters: &[Value], out: &mut impl Write) -> io::Result<()> {
    let rows: Vec<[String; 5]> = letters.iter().map(row).collect();
    let heads = ["SEQ", "TIME", "FROM", "REASON", "DETAIL"].map(str::to_owned);
    let all: Vec<&[String; 5]> = std::iter::once(&heads).chain(&rows).collect();
    let width = |at: usize| all.iter().map(|row| row[at].chars().count()).max().unwrap_or(0);
    let widths = [width(0), width(1), width(2), width(3)];
    for [seq, time, from, reason, detail] in all {
        let [w0, w1, w2, w3] = widths;
        writeln!(out, "{seq:>w0$}  {time:<w1$}  {from:<w2$}  {reason:<w3$}  {detail}")?;
    }
    Ok(())
}

fn row(letter: &Value) -> [String; 5] {
    let text = |name: &str| shown(letter[name].as_str().unwrap_or_default(), DETAIL_CHARS_MAX);
    [letter["seq"].to_string(), time(letter), from(letter), text("reason"), text("detail")]
}

fn time(letter: &Value) -> String {
    time_shown(&letter["time_unix_ms"]).unwrap_or_else(|| "-".to_owned())
}

/// Source and place.
fn from(letter: &Value) -> String {
    let position = &letter["position"];
    let Some(source) = position["source"].as_str() else { return "http".to_owned() };
    let place = match (position["topic"].as_str(), position["queue"].as_str()) {
        (Some(topic), _) => {
            format!("{topic}/{}@{}", position["partition"], position["offset"])
        }
        (None, queue) => queue.unwrap_or_default().to_owned(),
    };
    shown(&format!("{source} {place}"), DETAIL_CHARS_MAX)
}

/// One letter whole.
pub(super) fn letter(letter: &Value, out: &mut impl Write) -> io::Result<()> {
    let line = |out: &mut dyn Write, name: &str, value: &str| writeln!(out, "{name:<12} {value}");
    line(out, "seq", &letter["seq"].to_string())?;
    line(out, "time", &time(letter))?;
    line(out, "from", &from(letter))?;
    for name in ["reason", "detail", "collection"] {
        if let Some(text) = letter[name].as_str() {
            line(out, name, &shown(text, usize::MAX))?;
        }
    }
    line(out, "redrives", &letter["redrives"].to_string())?;
    if letter["rewritten"] == Value::Bool(true) {
        line(out, "rewritten", "yes: the value is the message written again")?;
    }
    let original = &letter["original"];
    if !original["key"].is_null() {
        line(out, "key", &content(&original["key"]))?;
    }
    for header in original["headers"].as_array().map_or(&[][..], Vec::as_slice) {
        let name = shown(header["name"].as_str().unwrap_or_default(), usize::MAX);
        line(out, "header", &format!("{name}: {}", content(header)))?;
    }
    writeln!(out, "\n{}", content(&original["value"]))
}

fn content(content: &Value) -> String {
    match (content["text"].as_str(), content["base64"].as_str()) {
        (Some(text), _) => shown(text, usize::MAX),
        (None, base64) => format!("base64 {}", base64.unwrap_or_default()),
    }
}

/// What became of one letter.
pub(super) fn decided(letter: &Value, out: &mut impl Write) -> io::Result<()> {
    let status = letter["status"].as_str().unwrap_or_default().replace('_', " ");
    write!(out, "{} {status}", letter["seq"])?;
    if let Some(detail) = letter["detail"].as_str() {
        let reason = letter["reason"].as_str().map_or_else(String::new, |it| format!("{it}: "));
        write!(out, ": {reason}{}", shown(detail, usize::MAX))?;
    }
    writeln!(out)
}

/// How many letters came to what.
#[derive(Default)]
pub(super) struct Tally(BTreeMap<String, usize>);

impl Tally {
    pub(super) fn count(&mut self, letter: &Value) {
        let status = letter["status"].as_str().unwrap_or_default();
        *self.0.entry(status.replace('_', " ")).or_default() += 1;
    }

    pub(super) fn all(&self) -> usize {
        self.0.values().sum()
    }

    /// Those that did not come to what was asked for.
    pub(super) fn not_done(&self) -> usize {
        let bad = ["refused", "would be refused", "not taken", "gone", "unknown"];
        bad.iter().filter_map(|status| self.0.get(*status)).sum()
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("no letters");
        }
        for (at, (status, count)) in self.0.iter().enumerate() {
            let comma = if at > 0 { ", " } else { "" };
            write!(f, "{comma}{count} {status}")?;
        }
        Ok(())
    }
}

/// Without control characters, and no longer than that.
fn shown(text: &str, chars_max: usize) -> String {
    let mut shown: String = text
        .chars()
        .take(chars_max)
        .map(|c| if c.is_control() && c != '\n' && c != '\t' { '\u{fffd}' } else { c })
        .collect();
    if chars_max < usize::MAX {
        shown = shown.replace(['\n', '\t'], " ");
        if text.chars().nth(chars_max).is_some() {
            shown.push('…');
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn letters_are_lined_up_and_cannot_steer_the_terminal() {
        let letters = [
            json!({"seq": 7, "time_unix_ms": 1_700_000_000_000_u64, "reason": "not_json",
                "detail": "\u{1b}[2Jexpected\nvalue", "position":
                {"source": "orders", "topic": "points", "partition": 2, "offset": 41}}),
            json!({"seq": 123, "time_unix_ms": u64::MAX, "reason": "x", "detail": "é", "position": null}),
        ];
        let mut out = Vec::new();
        table(&letters, &mut out).unwrap();
        let expected = "\
SEQ  TIME                  FROM                REASON    DETAIL
  7  2023-11-14T22:13:20Z  orders points/2@41  not_json  \u{fffd}[2Jexpected value
123  -                     http                x         é
";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn a_tally_says_what_stays() {
        let mut tally = Tally::default();
        assert_eq!(tally.to_string(), "no letters");
        for status in ["applied", "refused", "applied", "gone", "acknowledged", "unknown"] {
            tally.count(&json!({ "status": status }));
        }
        assert_eq!(tally.to_string(), "1 acknowledged, 2 applied, 1 gone, 1 refused, 1 unknown");
        // What was acknowledged is durable, and will be applied.
        assert_eq!((tally.not_done(), tally.all()), (3, 6));
    }
}
