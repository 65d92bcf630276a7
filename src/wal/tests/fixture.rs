//! A log that the first released format wrote. It must open for ever.
//!
//! `cargo test --release --lib -- --ignored write_the_fixture` wrote it, once. Never again:
//! a new format gets a new directory beside this one.

use super::super::read::Reader;
use super::*;

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/wal-v1")
}

#[test]
fn version_1_opens() {
    let home = scratch();
    copy(&fixture(), home.path());
    let files = log_files(home.path());
    assert!(files.len() > 2);
    let log_id = Reader::open(&files[0]).unwrap().unwrap().header().start.log_id;
    let opened = open(home.path(), Some(Anchor { log_id, applied: Seq(1) })).unwrap();
    let expected: Vec<_> = (2..=12).map(|seq| record(seq, 0)).collect();
    assert_eq!(opened.records, expected);
    assert_eq!(opened.recovery.torn, None);
}

#[test]
#[ignore = "writes the fixture"]
fn write_the_fixture() {
    let directory = fixture();
    assert!(!directory.exists(), "the fixture of a released format never changes");
    let wal = log(&directory, &[1, 2, 3, 2]);
    let mut wal = open(&directory, anchor(&wal, 0)).unwrap().wal;
    for count in [3, 1] {
        let drafts = drafts(&wal, count, 0);
        wal.append(&drafts).unwrap();
    }
}
