//! A power cut at every step of the log's life, and at every step of the recovery after it.

use std::path::Path;
use std::sync::Arc;

use super::super::create;
use super::*;
use crate::disk::powercut::{Image, PowerCut};

/// What the world may rely on, by the number of steps the disk had taken.
#[derive(Default)]
pub struct History {
    anchors: Vec<(usize, Anchor)>,
    /// Steps when the append began and when it returned, and the last seq.
    appends: Vec<(usize, Option<usize>, u64)>,
}

impl History {
    pub fn anchor(&self, step: usize) -> Option<Anchor> {
        let at = self.anchors.iter().rev().find(|(from, _)| *from <= step);
        at.map(|(_, anchor)| *anchor)
    }

    /// The last seq that was acknowledged.
    pub fn acknowledged(&self, step: usize) -> u64 {
        let done = |(_, done, last): &(usize, Option<usize>, u64)| {
            done.is_some_and(|done| done <= step).then_some(*last)
        };
        self.appends.iter().filter_map(done).max().unwrap_or(0)
    }

    /// The last seq that can be there.
    pub fn submitted(&self, step: usize) -> u64 {
        let begun =
            |(begun, _, last): &(usize, Option<usize>, u64)| (*begun <= step).then_some(*last);
        self.appends.iter().filter_map(begun).max().unwrap_or(0)
    }
}

/// A log's life: it is made, appended to, trimmed, and opened again, also twice in a row. Ends
/// early if the disk fails.
pub struct Life<'a> {
    pub directory: &'a Path,
    pub cut: &'a Arc<PowerCut>,
    pub history: History,
}

impl Life<'_> {
    fn open(&mut self) -> Option<Wal> {
        let disk = Disk::watched(self.cut.clone());
        let anchor = self.history.anchor(self.cut.steps());
        let opened = open_on(&disk, self.directory, anchor).ok()?;
        self.checkpoint(&opened.wal, anchor.map_or(0, |anchor| anchor.applied.0));
        Some(opened.wal)
    }

    fn append(&mut self, wal: &mut Wal, counts: &[u64]) -> Option<()> {
        for count in counts {
            let last = wal.next_seq().0 + count - 1;
            self.history.appends.push((self.cut.steps(), None, last));
            wal.append(&drafts(wal, *count, 0)).ok()?;
            self.history.appends.last_mut().unwrap().1 = Some(self.cut.steps());
        }
        Some(())
    }

    fn checkpoint(&mut self, wal: &Wal, applied: u64) {
        let anchor = anchor(wal, applied).unwrap();
        self.history.anchors.push((self.cut.steps(), anchor));
    }

    pub fn live(&mut self) -> Option<()> {
        let mut wal = self.open()?;
        self.append(&mut wal, &[1, 2, 1, 3, 2])?;
        self.checkpoint(&wal, 5);
        wal.trimmer().trim(Seq(5)).ok()?;
        self.append(&mut wal, &[4, 3, 1, 1])?; // Seq 17 has a file of its own.
        let mut wal = self.open()?;
        self.append(&mut wal, &[2, 2])?;
        drop(wal);
        let wal = self.open()?;
        drop(wal);
        let mut wal = self.open()?;
        self.append(&mut wal, &[1, 2])?;
        let applied = wal.next_seq().0 - 1;
        self.checkpoint(&wal, applied);
        let mut wal = self.open()?;
        self.append(&mut wal, &[2, 3, 3])?;
        self.open().map(drop)
    }
}

/// A life without failures.
fn life(root: &Path) -> (Arc<PowerCut>, History) {
    let cut = PowerCut::over(root).unwrap();
    let mut life = Life { directory: &root.join("wal"), cut: &cut, history: History::default() };
    life.live().unwrap();
    let Life { history, .. } = life;
    (cut, history)
}

/// Whether what must be there is there, and nothing else, and the log goes on from it.
pub fn check(
    directory: &Path,
    anchor: Option<Anchor>,
    acknowledged: u64,
    submitted: u64,
) -> Result<(), String> {
    let mut opened = open(directory, anchor).map_err(|error| error.to_string())?;
    let applied = anchor.map_or(0, |anchor| anchor.applied.0);
    let last = applied + opened.records.len() as u64;
    if last < acknowledged || last > submitted.max(applied) {
        return Err(format!("ends at {last}: {acknowledged} acknowledged, {submitted} submitted"));
    }
    let mut expected: Vec<_> = (applied + 1..=last).map(|seq| record(seq, 0)).collect();
    if opened.records != expected {
        return Err("replayed other records than were appended".to_owned());
    }
    let anchor = super::anchor(&opened.wal, applied);
    for count in [2, 1] {
        let drafts = drafts(&opened.wal, count, 1);
        opened.wal.append(&drafts).map_err(|error| error.to_string())?;
    }
    expected.extend((last + 1..=last + 3).map(|seq| record(seq, 1)));
    match open(directory, anchor).map_err(|error| error.to_string())?.records {
        records if records == expected => Ok(()),
        _ => Err("the second opening replayed something else".to_owned()),
    }
}

pub const IMAGES: [Image; 6] = [
    Image::Durable,
    Image::Killed,
    Image::Between(1),
    Image::Between(2),
    Image::Between(3),
    Image::Between(4),
];

/// The first cut that breaks a promise.
fn first_loss(cut: &PowerCut, history: &History, images: &[Image]) -> Option<String> {
    for step in 0..=cut.steps() {
        for image in images {
            let spare = scratch();
            cut.write_image(step, *image, spare.path()).unwrap();
            let (acknowledged, submitted) = (history.acknowledged(step), history.submitted(step));
            let directory = spare.path().join("wal");
            let checked = check(&directory, history.anchor(step), acknowledged, submitted);
            if let Err(loss) = checked {
                return Some(format!("step {step}, {image:?}: {loss}"));
            }
        }
    }
    None
}

#[test]
fn a_power_cut_at_any_step_loses_nothing_and_invents_nothing() {
    let home = scratch();
    let (cut, history) = life(home.path());
    assert_eq!(first_loss(&cut, &history, &IMAGES), None);
}

#[test]
fn without_any_one_of_the_syncs_a_power_cut_loses_something() {
    let home = scratch();
    let (cut, history) = life(home.path());
    let whys = cut.whys();
    // The sixth protects the copy of a torn tail, and is tried below.
    assert_eq!(whys.len(), 5, "{whys:?}");
    for why in whys {
        cut.forget(why);
        let loss = first_loss(&cut, &history, &IMAGES);
        assert!(loss.is_some(), "nothing needs the sync for {why}");
        cut.forget_nothing();
    }
}

#[test]
fn a_power_cut_at_any_step_of_recovery_loses_nothing() {
    let home = scratch();
    let (cut, history) = life(home.path());
    for step in 1..=cut.steps() {
        for image in [Image::Durable, Image::Between(step as u64)] {
            let crashed = scratch();
            cut.write_image(step, image, crashed.path()).unwrap();
            recover_and_cut(crashed.path(), &history, step);
        }
    }
}

/// Recovers a crashed log, and cuts the power at every step of that.
fn recover_and_cut(root: &Path, history: &History, step: usize) {
    let second = PowerCut::over(root).unwrap();
    let (anchor, acknowledged) = (history.anchor(step), history.acknowledged(step));
    let disk = Disk::watched(second.clone());
    let opened = open_on(&disk, &root.join("wal"), anchor).unwrap();
    let last = opened.recovery.last.0;
    for again in 0..=second.steps() {
        for image in [Image::Durable, Image::Killed, Image::Between((step + again) as u64)] {
            // What a finished recovery replayed may be relied on.
            let done = again == second.steps();
            let least = if done { last } else { acknowledged };
            let anchor = if done { super::anchor(&opened.wal, opened.applied()) } else { anchor };
            let spare = scratch();
            second.write_image(again, image, spare.path()).unwrap();
            let checked = check(&spare.path().join("wal"), anchor, least, history.submitted(step));
            assert_eq!(checked, Ok(()), "step {step}, then {again}, {image:?}");
        }
    }
}

impl Opened {
    /// The anchor's seq that it was opened with.
    fn applied(&self) -> u64 {
        self.recovery.last.0 - self.records.len() as u64
    }
}

#[test]
fn a_directory_with_parents_is_durable() {
    let home = scratch();
    let cut = PowerCut::over(home.path()).unwrap();
    let directory = home.path().join("a/b/wal");
    create::create_directory(&Disk::watched(cut.clone()), &directory).unwrap();
    let spare = scratch();
    cut.write_image(cut.steps(), Image::Durable, spare.path()).unwrap();
    assert!(spare.path().join("a/b/wal").is_dir());
}
