//! A disk that fails once, at any step: a full disk, a failed fsync. The process goes on or
//! starts again, as it would, and then the power is cut.

use std::io::ErrorKind;
use std::sync::Arc;

use pointd::disk::Disk;
use pointd::disk::powercut::{Image, PowerCut};

use super::node::{Node, scratch};
use super::plan::Plan;
use super::powercut::{History, check};

const RECORDS: usize = 34;

/// A life in which the step with this number fails.
struct Mishap {
    plan: Plan,
    cut: Arc<PowerCut>,
    history: History,
    _root: tempfile::TempDir,
}

fn mishap(step: Option<usize>) -> Mishap {
    let root = scratch();
    let cut = PowerCut::over(root.path()).unwrap();
    if let Some(step) = step {
        cut.fail(step, ErrorKind::StorageFull);
    }
    let disk = Disk::watched(cut.clone());
    let directory = root.path().join("data");
    let plan = Plan::new(5, RECORDS + 6);
    let mut history = History::default();
    // Only one step fails, so a second start does not.
    let open = || Node::open(&disk, &directory).or_else(|_| Node::open(&disk, &directory)).unwrap();
    let mut node = open();
    let mut frame = 0;
    while node.catalog.applied().0 < RECORDS as u64 {
        frame += 1;
        let at = node.catalog.applied().0 as usize;
        let end = (at + 2 + frame % 2).min(RECORDS);
        let appended = history.append(&cut, end as u64, || node.append(&plan.records[at..end]));
        if appended.is_err() {
            drop(node);
            node = open();
            let applied = node.catalog.applied().0 as usize;
            assert!(applied == at || applied == end, "{applied}, neither {at} nor {end}");
        }
        if frame % 2 == 0 {
            if node.checkpoint().is_err_and(|error| error.is_final()) {
                drop(node);
                node = open();
            }
            node.improve();
        }
        assert_eq!(node.seen(), plan.states[node.catalog.applied().0 as usize]);
    }
    if let Err(error) = node.checkpoint() {
        if error.is_final() {
            drop(node);
            node = open();
        }
        node.checkpoint().unwrap();
    }
    assert_eq!(node.catalog.anchor().unwrap().applied.0, RECORDS as u64);
    drop(node);
    Mishap { plan, cut, history, _root: root }
}

impl Mishap {
    fn loss(&self, step: usize) -> Option<String> {
        let spare = scratch();
        self.cut.write_image(step, Image::Durable, spare.path()).unwrap();
        let (acknowledged, submitted) = self.history.at(step);
        check(&spare.path().join("data"), &self.plan, acknowledged, submitted).err()
    }
}

#[test]
fn a_step_that_fails_loses_nothing() {
    let steps = mishap(None).cut.steps();
    for step in 0..steps {
        let mishap = mishap(Some(step));
        // Around the failure, and at the end.
        let near = (step + 1..step + 40).step_by(3);
        for cut in near.chain([mishap.cut.steps()]).filter(|cut| *cut <= mishap.cut.steps()) {
            assert_eq!(mishap.loss(cut), None, "step {step} failed, power cut after {cut}");
        }
    }
}

/// The process ended between naming a manifest and syncing the directory, and its next start
/// removes what that manifest does not name.
#[test]
fn the_sync_of_a_start_is_needed_after_a_failed_checkpoint() {
    let steps = mishap(None).cut.steps();
    let lost = (0..steps).any(|step| {
        let mishap = mishap(Some(step));
        let why = mishap.cut.whys().into_iter().find(|why| why.contains("a restart goes by"));
        mishap.cut.forget(why.unwrap());
        (step + 1..step + 30).any(|cut| mishap.loss(cut.min(mishap.cut.steps())).is_some())
    });
    assert!(lost, "no start needs to sync the data directory");
}
