//! Every rule, shown a file that breaks it and one that does not: a rule that cannot fail
//! guards nothing.

use super::source::Source;
use super::{Finding, forbidden_words, imports, mark_test_files, rules, unknown_metrics};

type Rule = fn(&Source, &mut Vec<Finding>);

/// The lines the rule complains about.
fn lines(rule: Rule, path: &str, text: &str) -> Vec<usize> {
    let mut findings = Vec::new();
    rule(&Source::parse(path, text.to_owned()), &mut findings);
    assert!(findings.iter().all(|finding| finding.path == path));
    findings.iter().map(|finding| finding.line).collect()
}

fn imports_of(path: &str, text: &str) -> Vec<usize> {
    lines(imports::run_downward, path, text)
}

#[test]
fn an_import_upwards_is_found_however_it_is_written() {
    assert_eq!(imports_of("src/wal/mod.rs", "use crate::catalog::Catalog;"), [1]);
    assert_eq!(imports_of("src/wal/mod.rs", "\nuse crate::{\n  disk::Disk,\n  api::{A, B}};"), [4]);
    assert_eq!(imports_of("src/wal/mod.rs", "fn f() { crate::daemon::run() }"), [1]);
    assert_eq!(imports_of("src/wal/mod.rs", "fn f() { g!(1, crate::daemon::run()) }"), [1]);
    assert_eq!(imports_of("src/wal/append.rs", "use super::super::apply::Applier;"), [1]);
    assert_eq!(imports_of("src/wal/mod.rs", "use super::apply::Applier;"), [1]);
    assert_eq!(imports_of("src/wal/mod.rs", "mod m { use super::super::apply::Applier; }"), [1]);
}

#[test]
fn an_import_sideways_or_of_the_root_is_found() {
    assert_eq!(imports_of("src/source/kafka.rs", "use crate::wal::Wal;"), [1]);
    assert_eq!(imports_of("src/apply.rs", "use crate::ingest::Ingest;"), [1]);
    assert_eq!(imports_of("src/point/id.rs", "use crate::filter::Filter;"), [1]);
    assert_eq!(imports_of("src/wal/mod.rs", "use crate::*;"), [1]);
    assert_eq!(imports_of("src/wal/mod.rs", "use crate::Wal;"), [1]);
    assert_eq!(imports_of("src/shelf/mod.rs", ""), [1]);
}

#[test]
fn imports_downward_and_within_a_room_are_fine() {
    let none: [usize; 0] = [];
    let text = "use crate::{disk::Disk, wal::frame::{Frame, Header}};\n\
                pub(crate) fn f() { super::frame::g(); crate::position::h() }\n\
                mod tests { use super::*; use super::super::Wal; }\n\
                // use crate::api::Router;\n\
                const TEXT: &str = \"use crate::api::Router;\";";
    assert_eq!(imports_of("src/wal/append.rs", text), none);
    assert_eq!(imports_of("src/main.rs", "use pointd::commands;"), none);
    assert_eq!(imports_of("src/filter/mod.rs", "use crate::point::PointId;"), none);
    assert_eq!(imports_of("tests/wal.rs", "use pointd::daemon;"), none);
}

#[test]
fn a_long_file_is_found() {
    let at_most = "// a line\n".repeat(rules::FILE_LINES_MAX);
    assert!(lines(rules::files_are_short, "src/disk.rs", &at_most).is_empty());
    let longer = at_most + "// one more\n";
    assert_eq!(lines(rules::files_are_short, "src/disk.rs", &longer), [401]);
}

#[test]
fn a_long_function_is_found_and_braces_in_text_do_not_count() {
    let function = |body: usize| {
        let body = "    g(\"}\"); // }\n".repeat(body);
        format!(
            "trait T {{ fn short(&self); }}\nimpl T {{\n#[inline]\nfn long(a: [u8; 4])\n{{\n{body}}}\n}}"
        )
    };
    // `fn` line, opening and closing brace: three lines besides the body.
    assert!(lines(rules::functions_are_short, "src/disk.rs", &function(67)).is_empty());
    assert_eq!(lines(rules::functions_are_short, "src/disk.rs", &function(68)), [4]);
    let inside_macro = format!("proptest! {{\n{} }}", function(68));
    assert_eq!(lines(rules::functions_are_short, "src/disk.rs", &inside_macro), [5]);
}

#[test]
fn unsafe_outside_its_rooms_is_found() {
    let text = "// unsafe\nfn f() { unsafe { g() } }";
    assert_eq!(lines(rules::unsafe_stays_in_its_rooms, "src/rows/mod.rs", text), [2]);
    assert_eq!(
        lines(rules::unsafe_stays_in_its_rooms, "tests/x.rs", "unsafe impl A for B {}"),
        [1]
    );
    assert!(lines(rules::unsafe_stays_in_its_rooms, "src/rows/map.rs", text).is_empty());
    assert!(lines(rules::unsafe_stays_in_its_rooms, "src/ann/shim.rs", text).is_empty());
}

#[test]
fn unwraps_outside_tests_are_found() {
    let text = "fn f() {\n  g().unwrap();\n  g()\n    .expect(\"g\");\n  g().map(Option::unwrap);\n  todo!()\n}";
    assert_eq!(lines(rules::nothing_unwraps, "src/wal/mod.rs", text), [2, 4, 5, 6]);
    assert!(lines(rules::nothing_unwraps, "tests/wal.rs", text).is_empty());
    assert!(lines(rules::nothing_unwraps, "src/wal/tests.rs", text).is_empty());
    let in_tests = format!("#[cfg(test)]\nmod tests {{ {text} }}\nfn last() {{ g().unwrap() }}");
    assert_eq!(lines(rules::nothing_unwraps, "src/wal/mod.rs", &in_tests), [9]);
    let one_item = "#[cfg(test)]\nuse a::b;\n#[cfg(test)]\nfn f<A, B>() -> C<A, B> { g().unwrap() }\n\
                    #[cfg_attr(test, allow(dead_code))]\nfn h() { g().unwrap() }\n\
                    #[cfg(not(test))]\nfn i() { g().unwrap() }";
    assert_eq!(lines(rules::nothing_unwraps, "src/wal/mod.rs", one_item), [6, 8]);
    let harmless = "#[expect(dead_code)] fn f() { g().unwrap_or(1); /* .unwrap() */ }";
    assert!(lines(rules::nothing_unwraps, "src/wal/mod.rs", harmless).is_empty());
}

#[test]
fn an_exception_needs_a_reason_beside_it() {
    let with = |comment: &str| format!("fn f() {{\n  {comment}\n  g().unwrap()\n}}");
    let rule = rules::nothing_unwraps;
    assert!(lines(rule, "src/disk.rs", &with("// tidy allows: g is a constant above")).is_empty());
    assert_eq!(lines(rule, "src/disk.rs", &with("// tidy allows:")), [3]);
    assert_eq!(lines(rule, "src/disk.rs", &with("// g cannot fail, as it is a constant")), [3]);
    let elsewhere = with("h().unwrap(); // tidy allows: h is a constant above");
    assert_eq!(lines(rule, "src/disk.rs", &elsewhere), [3]);
}

#[test]
fn a_file_that_only_tests_declare_is_test_code() {
    let declares = "#[cfg(test)]\nmod model;\nmod append;".to_owned();
    let unwraps = "fn f() { g().unwrap() }".to_owned();
    let mut sources = [
        Source::parse("src/wal/mod.rs", declares),
        Source::parse("src/wal/model.rs", unwraps.clone()),
        Source::parse("src/wal/model/disk.rs", unwraps.clone()),
        Source::parse("src/wal/append.rs", unwraps),
    ];
    mark_test_files(&mut sources);
    let found = sources.each_ref().map(|source| {
        let mut findings = Vec::new();
        rules::nothing_unwraps(source, &mut findings);
        findings.len()
    });
    assert_eq!(found, [0, 0, 0, 1]);
}

#[test]
fn a_sleeping_test_is_found() {
    let text = "fn f() { std::thread::sleep(PAUSE);\n tokio::time::sleep_until(then).await }";
    assert_eq!(lines(rules::tests_do_not_sleep, "tests/wal.rs", text), [1, 2]);
    assert!(lines(rules::tests_do_not_sleep, "src/source/kafka.rs", text).is_empty());
    let in_tests = format!("#[cfg(test)] mod tests {{\n{text}}}");
    assert_eq!(lines(rules::tests_do_not_sleep, "src/source/kafka.rs", &in_tests), [2, 3]);
}

#[test]
fn an_empty_name_is_found() {
    let text = "struct OffsetManager;\nfn parse_common() {}\nmod util {}\nfn uncommonly() {}\n\
                use tower::util::Handler;";
    assert_eq!(lines(rules::names_are_the_fields, "src/disk.rs", text), [1, 2, 3]);
    assert_eq!(lines(rules::names_are_the_fields, "src/api/helpers.rs", ""), [1]);
    assert_eq!(lines(rules::names_are_the_fields, "tests/common/mod.rs", ""), [1]);
}

#[test]
fn a_badly_named_metric_is_found() {
    let text = "fn f() {\n make.gauge(\"wal_bytes\", \"Size.\");\n\
                make.counters(\"pointd_merges\", \"Merges.\", &[]);\n\
                Opts::new(\"lag_seconds\", \"Age.\");\n\
                make.counter(\"pointd_reads_total\", \"Reads.\");\n}";
    assert_eq!(lines(rules::metrics_have_the_prefix, "src/metrics.rs", text), [2, 3, 4]);
}

#[test]
fn an_unknown_metric_in_an_alert_is_found() {
    let made = ["pointd_lag_seconds".to_owned(), "pointd_points".to_owned()].into();
    let mut findings = Vec::new();
    let text = "rate(pointd_lag_seconds_bucket[5m]) and pointd_points > 1 # pointd_lag_*\n\
                pointd_lag > 1\npointd_speed_*";
    unknown_metrics("deploy/rules.yml", text, &made, &mut findings);
    assert_eq!(findings.iter().map(|finding| finding.line).collect::<Vec<_>>(), [2, 3]);
}

#[test]
fn a_forbidden_word_is_found_in_any_file() {
    let mut findings = Vec::new();
    let text = format!("fine\nsee {}\n", super::FORBIDDEN.join(" or "));
    forbidden_words("README.md", &text, &mut findings);
    assert_eq!(findings.len(), super::FORBIDDEN.len());
    assert!(findings[0].to_string().starts_with("README.md:2: "));
    findings.clear();
    forbidden_words("README.md", "homework/ and networks", &mut findings);
    assert!(findings.is_empty());
}
