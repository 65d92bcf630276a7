//! Data directories that released formats wrote. They must open for ever.
//!
//! `cargo test --release --test all -- --ignored write_the_data_fixture` wrote the newest, once.
//! Never again: a new format gets a new directory beside these.

use std::path::{Path, PathBuf};

use pointd::disk::Disk;

use super::damage::copy;
use super::node::{Node, scratch};
use super::plan::Plan;

const SEED: u64 = 40;
const RECORDS: usize = 60;
/// The seq of the last manifest.
const MANIFEST: usize = 55;

fn fixture(version: u32) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/data-v{version}"))
}

/// A plan that ends with payload indexes, in the last manifest and in the log after it.
fn plan_of_version_2() -> Plan {
    let plans = (SEED..).map(|seed| Plan::of_version_2(seed, RECORDS));
    let indexed =
        |plan: &Plan| [MANIFEST, RECORDS].iter().all(|seq| !plan.states[*seq].indexes.is_empty());
    plans.into_iter().find(indexed).unwrap()
}

/// A plan with a letter that was tried again, in the last manifest and at the end.
fn plan_of_version_3() -> Plan {
    let plans = (SEED..).map(|seed| Plan::new(seed, RECORDS));
    let tried = |plan: &Plan| {
        let states = [MANIFEST, RECORDS].map(|seq| &plan.states[seq]);
        states.iter().all(|state| state.letters.iter().any(|letter| letter.redrives > 0))
    };
    plans.into_iter().find(tried).unwrap()
}

fn opens(version: u32, plan: &Plan) {
    let home = scratch();
    copy(&fixture(version), home.path());
    let node = Node::open(&Disk::new(), home.path()).unwrap();
    assert_eq!(node.catalog.anchor().unwrap().applied.0, MANIFEST as u64);
    let (mut seen, mut planned) = (node.seen(), plan.states[RECORDS].clone());
    // Their files do not say of a source's letter whether its value was written again.
    for letter in seen.letters.iter_mut().chain(&mut planned.letters) {
        letter.rewritten = letter.position.is_none();
    }
    assert_eq!(seen, planned);
}

#[test]
fn a_data_directory_of_version_1_opens() {
    opens(1, &Plan::of_version_1(SEED, RECORDS));
}

/// Version 2 has payload indexes, and every operation in its log.
#[test]
fn a_data_directory_of_version_2_opens() {
    opens(2, &plan_of_version_2());
}

/// Version 3 has dead letters that were tried again, and decisions about others in its log.
#[test]
fn a_data_directory_of_version_3_opens() {
    opens(3, &plan_of_version_3());
}

#[test]
#[ignore = "writes the fixture"]
fn write_the_data_fixture() {
    assert!(!fixture(3).exists(), "the fixture of a released format never changes");
    let plan = plan_of_version_3();
    let mut node = Node::open(&Disk::new(), &fixture(3)).unwrap();
    for (at, records) in plan.records.chunks(5).enumerate() {
        node.append(records).unwrap();
        if at % 3 == 1 {
            node.checkpoint().unwrap();
            node.improve();
        }
    }
}
