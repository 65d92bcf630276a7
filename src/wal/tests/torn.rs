//! Broken bytes at the end of the log are cut, and never gone without a copy.

use std::io;

use super::powercut::{IMAGES, check};
use super::*;
use crate::disk::powercut::{Image, PowerCut};

/// A log that a crash left broken.
struct Broken {
    home: tempfile::TempDir,
    anchor: Option<Anchor>,
    bytes: Bytes,
    /// Its records: the broken bytes hold none that was acknowledged.
    last: u64,
}

fn break_last_frame(file: &Path) -> Bytes {
    let mut bytes = std::fs::read(file).unwrap();
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    let begin = memchr::memmem::rfind(&bytes, b"ptdF").unwrap();
    bytes[begin + 60] ^= 1;
    std::fs::write(file, &bytes).unwrap();
    Bytes::copy_from_slice(&bytes[begin..end])
}

/// The last append was interrupted. The frame before it is carried over if `applied` is below
/// its records.
fn broken_frame(applied: u64) -> Broken {
    let home = scratch();
    let directory = home.path().join("wal");
    let wal = log(&directory, &[1, 2, 1]);
    let bytes = break_last_frame(&log_files(&directory).pop().unwrap());
    Broken { anchor: anchor(&wal, applied), bytes, last: 3, home }
}

/// The first append to a new file was interrupted: there is no frame to carry over.
fn broken_first_frame() -> Broken {
    let home = scratch();
    let directory = home.path().join("wal");
    let mut wal = log(&directory, &[1]);
    while log_files(&directory).len() == 1 {
        let drafts = drafts(&wal, 1, 0);
        wal.append(&drafts).unwrap();
    }
    let bytes = break_last_frame(&log_files(&directory)[1]);
    Broken { anchor: anchor(&wal, 0), bytes, last: wal.next_seq().0 - 2, home }
}

/// The closing of a file was interrupted; its successor is there, and empty.
fn broken_closing() -> Broken {
    let home = scratch();
    let directory = home.path().join("wal");
    let wal = log(&directory, &[1, 2]);
    let anchor = anchor(&wal, 0);
    drop(open(&directory, anchor).unwrap());
    let bytes = break_last_frame(&log_files(&directory)[0]);
    Broken { anchor, bytes, last: 3, home }
}

impl Broken {
    fn all() -> [fn() -> Broken; 4] {
        [|| broken_frame(0), || broken_frame(3), broken_first_frame, broken_closing]
    }

    fn recover(&self, cut: &Arc<PowerCut>) -> Result<Opened, OpenError> {
        open_on(&Disk::watched(cut.clone()), &self.home.path().join("wal"), self.anchor)
    }

    /// The first step after which a power cut, and a recovery after that, leave no copy.
    fn lost(&self, cut: &PowerCut, images: &[Image]) -> Option<usize> {
        let holds = |file: &PathBuf| {
            memchr::memmem::find(&std::fs::read(file).unwrap(), &self.bytes).is_some()
        };
        (0..=cut.steps()).find(|step| {
            images.iter().any(|image| {
                let spare = scratch();
                cut.write_image(*step, *image, spare.path()).unwrap();
                let directory = spare.path().join("wal");
                let checked = check(&directory, self.anchor, self.last, self.last);
                assert_eq!(checked, Ok(()), "step {step}, {image:?}");
                !files_in(&directory).iter().any(holds)
            })
        })
    }
}

#[test]
fn broken_bytes_are_cut_and_kept_and_told() {
    for broken in Broken::all() {
        let broken = broken();
        let cut = PowerCut::over(broken.home.path()).unwrap();
        let opened = broken.recover(&cut).unwrap();
        let torn = opened.recovery.torn.unwrap();
        assert_eq!(std::fs::read(&torn.kept_at).unwrap(), broken.bytes);
        assert_eq!(torn.bytes as usize, broken.bytes.len());
        assert_eq!(opened.recovery.last, Seq(broken.last));
    }
}

#[test]
fn no_power_cut_takes_the_copy() {
    for broken in Broken::all() {
        let broken = broken();
        let cut = PowerCut::over(broken.home.path()).unwrap();
        broken.recover(&cut).unwrap();
        let images: Vec<_> = IMAGES.into_iter().chain((5..20).map(Image::Between)).collect();
        assert_eq!(broken.lost(&cut, &images), None);
        let why = cut.whys().into_iter().find(|why| why.contains("torn tail")).unwrap();
        cut.forget(why);
        assert!(broken.lost(&cut, &images).is_some(), "nothing needs the sync for {why}");
    }
}

#[test]
fn no_failure_in_recovery_takes_the_copy() {
    for make in Broken::all() {
        let mut step = 0;
        loop {
            let broken = make();
            let cut = PowerCut::over(broken.home.path()).unwrap();
            cut.fail(step, io::ErrorKind::Other);
            if broken.recover(&cut).is_ok() {
                break;
            }
            broken.recover(&cut).unwrap();
            assert_eq!(broken.lost(&cut, &IMAGES), None, "step {step} failed");
            step += 1;
        }
        assert!(step > 10, "a short recovery: {step} steps");
    }
}
