//! The rules that look at one Rust file, apart from imports.

use super::Finding;
use super::source::{Kind, Source};

pub const FILE_LINES_MAX: usize = 400;
pub const FUNCTION_LINES_MAX: usize = 70;

const BANNED: &[&str] =
    &["common", "handler", "handlers", "helper", "helpers", "manager", "managers", "util", "utils"];

pub fn files_are_short(source: &Source, findings: &mut Vec<Finding>) {
    let lines = source.text.lines().count();
    if lines > FILE_LINES_MAX {
        findings.push(Finding::new(
            source,
            lines,
            format!(
                "{lines} lines, at most {FILE_LINES_MAX}: give a long verb a sibling file, and \
                 tests a tests.rs"
            ),
        ));
    }
}

pub fn functions_are_short(source: &Source, findings: &mut Vec<Finding>) {
    for at in 0..source.tokens.len() {
        let (true, Some(name)) = (source.is_ident(at, "fn"), source.ident(at + 1)) else {
            continue;
        };
        // A declaration without a body ends before any brace.
        let mut body = at + 2;
        let close = loop {
            match source.kind(body) {
                Some(Kind::Open('{', close)) => break Some(*close),
                Some(Kind::Open(_, close)) => body = *close,
                Some(Kind::Punct(';') | Kind::Close) | None => break None,
                _ => {}
            }
            body += 1;
        };
        let Some(close) = close else { continue };
        let line = source.tokens[at].line;
        let lines = source.tokens[close].line - line + 1;
        if lines > FUNCTION_LINES_MAX {
            findings.push(Finding::new(
                source,
                line,
                format!(
                    "`{name}` has {lines} lines, at most {FUNCTION_LINES_MAX}: name its steps \
                     and give each a function"
                ),
            ));
        }
    }
}

/// Where `unsafe` lives: behind these doors everything is safe.
const UNSAFE: &[&str] = &["src/ann/", "src/rows/map.rs", "src/source/kafka/native.rs"];

pub fn unsafe_stays_in_its_rooms(source: &Source, findings: &mut Vec<Finding>) {
    if UNSAFE.iter().any(|place| source.path.starts_with(place)) {
        return;
    }
    for (at, token) in source.tokens.iter().enumerate() {
        if source.is_ident(at, "unsafe") {
            findings.push(Finding::new(
                source,
                token.line,
                format!("`unsafe` belongs in {}: use their doors", UNSAFE.join(" and ")),
            ));
        }
    }
}

/// What panics on a value from outside: `unwrap`, `expect` and unfinished code.
pub fn nothing_unwraps(source: &Source, findings: &mut Vec<Finding>) {
    if !source.path.starts_with("src/") {
        return;
    }
    for (at, token) in source.tokens.iter().enumerate() {
        let Some(name) = source.ident(at) else { continue };
        let after = at.checked_sub(1).is_some_and(|before| {
            source.is_punct(before, '.') || (before > 0 && source.is_path_separator(before - 1))
        });
        let method = matches!(name, "unwrap" | "expect" | "unwrap_err" | "expect_err") && after;
        let unfinished =
            matches!(name, "todo" | "unimplemented" | "dbg") && source.is_punct(at + 1, '!');
        if (method || unfinished) && !token.test && !source.allows(token.line) {
            findings.push(Finding::new(
                source,
                token.line,
                format!(
                    "`{name}` outside tests: return an error that names the remedy, or say why \
                     it cannot fail with `// tidy allows: <reason>`"
                ),
            ));
        }
    }
}

pub fn tests_do_not_sleep(source: &Source, findings: &mut Vec<Finding>) {
    for (at, token) in source.tokens.iter().enumerate() {
        let Some(name @ ("sleep" | "sleep_until" | "sleep_ms" | "park_timeout")) = source.ident(at)
        else {
            continue;
        };
        let defined = at > 0 && source.is_ident(at - 1, "fn");
        let called = source.opens(at + 1, '(').is_some();
        if token.test && called && !defined && !source.allows(token.line) {
            findings.push(Finding::new(
                source,
                token.line,
                format!(
                    "`{name}` in a test: wait on an event, or poll a condition with a deadline in \
                     one place marked `// tidy allows: <reason>`"
                ),
            ));
        }
    }
}

pub fn names_are_the_fields(source: &Source, findings: &mut Vec<Finding>) {
    for part in source.path.split('/') {
        report_banned(source, 1, part.trim_end_matches(".rs"), findings);
    }
    for at in 0..source.tokens.len() {
        let Some(word) = source.ident(at) else { continue };
        let name = match word {
            "fn" | "struct" | "enum" | "trait" | "mod" | "type" | "const" | "static" | "union" => {
                at + 1
            }
            "macro_rules" if source.is_punct(at + 1, '!') => at + 2,
            _ => continue,
        };
        if let Some(text) = source.ident(name) {
            report_banned(source, source.tokens[name].line, text, findings);
        }
    }
}

fn report_banned(source: &Source, line: usize, name: &str, findings: &mut Vec<Finding>) {
    for word in words(name) {
        if BANNED.contains(&word.as_str()) {
            findings.push(Finding::new(
                source,
                line,
                format!("`{word}` in `{name}` says nothing: use the field's word for what it does"),
            ));
        }
    }
}

/// The words of a snake_case or CamelCase name, in lower case.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    for letter in name.chars() {
        if letter == '_' || letter.is_uppercase() {
            words.push(String::new());
        }
        if letter != '_'
            && let Some(word) = words.last_mut()
        {
            word.extend(letter.to_lowercase());
        }
    }
    words
}

pub fn metrics_have_the_prefix(source: &Source, findings: &mut Vec<Finding>) {
    if !source.path.starts_with("src/") {
        return;
    }
    for (line, name, counter) in metric_names(source) {
        if !name.starts_with("pointd_") {
            findings.push(Finding::new(
                source,
                line,
                format!("metric `{name}` must start with `pointd_`"),
            ));
        }
        if counter && !name.ends_with("_total") {
            findings.push(Finding::new(
                source,
                line,
                format!("`{name}` counts up, so its name must end with `_total`"),
            ));
        }
    }
}

/// (line, name, is it a counter) of every metric that is made outside tests.
pub fn metric_names(source: &Source) -> Vec<(usize, String, bool)> {
    const KINDS: &[&str] = &[
        "Counter",
        "CounterVec",
        "Gauge",
        "GaugeVec",
        "Histogram",
        "HistogramOpts",
        "HistogramVec",
        "IntCounter",
        "IntCounterVec",
        "IntGauge",
        "IntGaugeVec",
        "Opts",
    ];
    let mut names = Vec::new();
    for (at, token) in source.tokens.iter().enumerate() {
        let Some(word) = source.ident(at) else { continue };
        let short = matches!(
            word,
            "counter" | "counters" | "gauge" | "gauges" | "histogram" | "histograms"
        );
        let made = at >= 3
            && matches!(word, "new" | "with_opts")
            && source.ident(at - 3).is_some_and(|kind| KINDS.contains(&kind));
        let open = at + 1 + usize::from(source.is_punct(at + 1, '!'));
        if token.test || !(short || made) || source.opens(open, '(').is_none() {
            continue;
        }
        if let Some(Kind::Literal(text)) = source.kind(open + 1)
            && text.starts_with('"')
        {
            let of = if made { source.ident(at - 3).unwrap_or_default() } else { word };
            let counter = of.to_lowercase().contains("counter");
            names.push((source.tokens[open + 1].line, text.trim_matches('"').to_owned(), counter));
        }
    }
    names
}
