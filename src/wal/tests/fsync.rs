//! A step of the disk fails, the process ends and starts again: it sees the page cache, which
//! after a failed fsync shows what will never be written.

use std::io;

use super::powercut::{History, Life, check};
use super::*;
use crate::disk::powercut::{Image, PowerCut};

#[test]
fn what_is_replayed_after_a_failed_step_is_on_the_disk() {
    let mut step = 0;
    // Every step of a life, until a life has no such step.
    while life_with_a_failure(step) {
        step += 1;
    }
    assert!(step > 100, "a short life: {step} steps");
}

/// Whether the step was reached.
fn life_with_a_failure(step: usize) -> bool {
    let home = scratch();
    let directory = home.path().join("wal");
    let cut = PowerCut::over(home.path()).unwrap();
    cut.fail(step, io::ErrorKind::Other);
    let mut life = Life { directory: &directory, cut: &cut, history: History::default() };
    life.live();
    let Life { history, .. } = life;
    if cut.steps() <= step {
        return false;
    }

    let crashed = cut.steps();
    let anchor = history.anchor(crashed);
    let disk = Disk::watched(cut.clone());
    let mut opened = open_on(&disk, &directory, anchor).unwrap();
    let applied = anchor.map_or(0, |anchor| anchor.applied.0);
    let anchor = Some(Anchor { log_id: opened.wal.log_id(), applied: Seq(applied) });
    let last = opened.recovery.last.0;
    let submitted = history.submitted(crashed);
    assert!((history.acknowledged(crashed)..=submitted).contains(&last), "step {step}");
    let survives = |at: usize, image: Image, anchor: Option<Anchor>, least: u64| {
        let spare = scratch();
        cut.write_image(at, image, spare.path()).unwrap();
        let directory = spare.path().join("wal");
        let checked = check(&directory, anchor, least, submitted.max(least));
        assert_eq!(checked, Ok(()), "step {step} failed, then {at}, {image:?}");
    };
    for at in crashed..cut.steps() {
        for image in [Image::Durable, Image::Between((at + step) as u64)] {
            survives(at, image, history.anchor(crashed), history.acknowledged(crashed));
        }
    }
    survives(cut.steps(), Image::Durable, anchor, last);

    // And once more is appended, over a rotation.
    for count in [1, 3, 3, 4, 3] {
        let drafts = drafts(&opened.wal, count, 0);
        let appended = opened.wal.append(&drafts).unwrap();
        survives(cut.steps(), Image::Durable, anchor, appended.last.0);
    }
    true
}
