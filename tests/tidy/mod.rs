//! The house rules that a machine can check, checked on the whole source tree.
//!
//! Each rule is a function from one file to what is wrong with it, and `bad.rs` shows each rule
//! a file that breaks it. A finding says where it is and what would be right.

mod bad;
mod imports;
mod rules;
mod source;

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use source::Source;

pub struct Finding {
    path: String,
    line: usize,
    wrong: String,
}

impl Finding {
    fn new(source: &Source, line: usize, wrong: String) -> Self {
        Finding { path: source.path.clone(), line, wrong }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.wrong)
    }
}

/// Words that no file of the project may contain, in two halves so that this one does not:
/// paths that exist only where it was written, and notes of unfinished work.
const FORBIDDEN: &[&str] = &[
    concat!("/wo", "rk/"),
    concat!("../sh", "ared"),
    concat!("/tm", "p/h/"),
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
];

struct Tree {
    /// Every text file: path from the root, and content.
    texts: Vec<(String, String)>,
    sources: Vec<Source>,
}

static TREE: LazyLock<Tree> = LazyLock::new(|| {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut texts = Vec::new();
    for path in files(root) {
        let relative = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
        // What is not UTF-8 is data.
        if let Ok(text) = String::from_utf8(fs::read(&path).unwrap()) {
            texts.push((relative, text));
        }
    }
    let rust = texts.iter().filter(|(path, _)| path.ends_with(".rs"));
    let mut sources: Vec<Source> =
        rust.map(|(path, text)| Source::parse(path, text.clone())).collect();
    mark_test_files(&mut sources);
    Tree { texts, sources }
});

/// Everything below `root` but what `.gitignore` names at the root, and git's own directory.
fn files(root: &Path) -> Vec<PathBuf> {
    let ignored = fs::read_to_string(root.join(".gitignore")).unwrap();
    let ignored: BTreeSet<PathBuf> = ignored
        .lines()
        .filter_map(|line| line.strip_prefix('/'))
        .chain([".git"])
        .map(|name| root.join(name.trim_end_matches('/')))
        .collect();
    let mut found = Vec::new();
    let mut directories = vec![root.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(&directory).unwrap() {
            let entry = entry.unwrap();
            let kind = entry.file_type().unwrap();
            if ignored.contains(&entry.path()) || kind.is_symlink() {
                continue;
            }
            if kind.is_dir() {
                directories.push(entry.path());
            } else {
                found.push(entry.path());
            }
        }
    }
    found.sort();
    found
}

/// A file declared with `#[cfg(test)] mod name;` is test code, and so is what lies below it.
fn mark_test_files(sources: &mut [Source]) {
    let mut bases = Vec::new();
    for source in sources.iter() {
        let directory = match source.path.rsplit_once('/') {
            Some((directory, "mod.rs" | "lib.rs" | "main.rs")) => directory.to_owned(),
            _ => source.path.trim_end_matches(".rs").to_owned(),
        };
        for (at, token) in source.tokens.iter().enumerate() {
            if token.test && source.is_ident(at, "mod") && source.is_punct(at + 2, ';') {
                let Some(name) = source.ident(at + 1) else { continue };
                bases.push(format!("{directory}/{name}"));
            }
        }
    }
    for source in sources {
        let path = source.path.as_str();
        let below = |base: &String| {
            path.strip_prefix(base.as_str())
                .is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
        };
        if bases.iter().any(below) {
            source.mark_all();
        }
    }
}

/// Shows every file to the rule and fails with all it found.
fn check(rule: fn(&Source, &mut Vec<Finding>)) {
    let mut findings = Vec::new();
    for source in &TREE.sources {
        rule(source, &mut findings);
    }
    fail_with(&findings);
}

fn fail_with(findings: &[Finding]) {
    let lines: Vec<String> = findings.iter().map(Finding::to_string).collect();
    assert!(lines.is_empty(), "{} to tidy up:\n{}", lines.len(), lines.join("\n"));
}

#[test]
fn every_room_is_looked_at() {
    let seen: BTreeSet<&str> =
        TREE.sources.iter().filter_map(|source| imports::room(&source.path)).collect();
    let mut ranked: BTreeSet<&str> = imports::RANKS.iter().map(|(room, _)| *room).collect();
    ranked.insert("lib");
    assert_eq!(seen, ranked, "the rooms in src/ (left) and those with a rank (right) differ");
}

#[test]
fn imports_run_downward() {
    check(imports::run_downward);
}

#[test]
fn files_are_short() {
    check(rules::files_are_short);
}

#[test]
fn functions_are_short() {
    check(rules::functions_are_short);
}

#[test]
fn unsafe_stays_in_its_rooms() {
    check(rules::unsafe_stays_in_its_rooms);
}

#[test]
fn nothing_unwraps() {
    check(rules::nothing_unwraps);
}

#[test]
fn tests_do_not_sleep() {
    check(rules::tests_do_not_sleep);
}

#[test]
fn names_are_the_fields() {
    check(rules::names_are_the_fields);
}

#[test]
fn metrics_have_the_prefix() {
    check(rules::metrics_have_the_prefix);
}

#[test]
fn no_file_holds_a_forbidden_word() {
    let mut findings = Vec::new();
    for (path, text) in &TREE.texts {
        forbidden_words(path, text, &mut findings);
    }
    fail_with(&findings);
}

fn forbidden_words(path: &str, text: &str, findings: &mut Vec<Finding>) {
    for (number, line) in text.lines().enumerate() {
        for word in FORBIDDEN.iter().filter(|word| line.contains(**word)) {
            let wrong = format!("`{word}` means nothing to a reader of this repository: remove it");
            findings.push(Finding { path: path.to_owned(), line: number + 1, wrong });
        }
    }
}

/// Every metric that is made.
fn metrics() -> BTreeSet<String> {
    let sources = TREE.sources.iter().filter(|source| source.path.starts_with("src/"));
    let made: BTreeSet<String> =
        sources.flat_map(rules::metric_names).map(|(_, name, _)| name).collect();
    assert!(made.contains("pointd_wal_fsync_seconds"), "{made:?}");
    made
}

/// The page for whoever is on call has each.
#[test]
fn every_metric_is_explained() {
    let page = TREE.texts.iter().find(|(path, _)| path == "docs/operations.md").unwrap();
    let is_letter = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let explained: BTreeSet<&str> = page.1.split(|letter| !is_letter(letter)).collect();
    let made = metrics();
    let missing: Vec<&String> =
        made.iter().filter(|name| !explained.contains(name.as_str())).collect();
    assert!(missing.is_empty(), "docs/operations.md says nothing of {missing:?}");
}

/// An alert on a metric that does not exist never fires, and a page that names one misleads.
#[test]
fn metrics_that_are_named_exist() {
    let made = metrics();
    let mut findings = Vec::new();
    for (path, text) in &TREE.texts {
        if path.starts_with("deploy/") || path.ends_with(".md") {
            unknown_metrics(path, text, &made, &mut findings);
        }
    }
    fail_with(&findings);
}

fn unknown_metrics(path: &str, text: &str, made: &BTreeSet<String>, findings: &mut Vec<Finding>) {
    for (number, line) in text.lines().enumerate() {
        for word in line.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_') {
            let known = || {
                made.contains(word)
                    || ["_bucket", "_sum", "_count"].iter().any(|suffix| {
                        word.strip_suffix(suffix).is_some_and(|name| made.contains(name))
                    })
                    // `pointd_source_*` stands for all that begin so.
                    || (word.ends_with('_') && made.iter().any(|name| name.starts_with(word)))
            };
            if word.starts_with("pointd_") && !known() {
                let wrong = format!("there is no metric `{word}`: src/metrics.rs lists them");
                findings.push(Finding { path: path.to_owned(), line: number + 1, wrong });
            }
        }
    }
}

/// Whoever is woken looks there, and a row of an alert that is gone misleads.
#[test]
fn every_alert_is_explained() {
    let text = |path: &str| TREE.texts.iter().find(|(found, _)| found == path).unwrap().1.as_str();
    let rules = text("deploy/prometheus-rules.yml").lines();
    let alerts: BTreeSet<&str> =
        rules.filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    let rows = text("docs/operations.md").lines();
    let explained: BTreeSet<&str> = rows
        .filter_map(|line| line.strip_prefix("| ")?.split(' ').next())
        .filter(|word| word.starts_with("Pointd"))
        .collect();
    assert!(alerts.contains("PointdDown"), "{alerts:?}");
    assert_eq!(alerts, explained, "the alerts (left) and the rows about them (right) differ");
}
