//! A data directory that the first released format wrote. It must open for ever.
//!
//! `cargo test --release --test all -- --ignored write_the_data_fixture` wrote it, once. Never
//! again: a new format gets a new directory beside this one.

use std::path::{Path, PathBuf};

use pointd::disk::Disk;

use super::damage::copy;
use super::node::{Node, scratch};
use super::plan::Plan;

const SEED: u64 = 40;
const RECORDS: usize = 60;

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/data-v1")
}

#[test]
fn a_data_directory_of_version_1_opens() {
    let home = scratch();
    copy(&fixture(), home.path());
    let node = Node::open(&Disk::new(), home.path()).unwrap();
    assert!(node.catalog.anchor().unwrap().applied.0 > 40);
    assert_eq!(node.seen(), Plan::new(SEED, RECORDS).states[RECORDS]);
}

#[test]
#[ignore = "writes the fixture"]
fn write_the_data_fixture() {
    assert!(!fixture().exists(), "the fixture of a released format never changes");
    let plan = Plan::new(SEED, RECORDS);
    let mut node = Node::open(&Disk::new(), &fixture()).unwrap();
    for (at, records) in plan.records.chunks(5).enumerate() {
        node.append(records).unwrap();
        if at % 3 == 1 {
            node.checkpoint().unwrap();
            node.improve();
        }
    }
}
