//! Appending, trimming, and what `append` refuses.

use std::io;

use super::*;
use crate::disk::powercut::PowerCut;

#[test]
fn seqs_count_from_one_without_holes() {
    let home = scratch();
    let mut wal = open(home.path(), None).unwrap().wal;
    assert_eq!(wal.next_seq(), Seq(1));
    let first = wal.append(&drafts(&wal, 3, 0)).unwrap();
    assert_eq!((first.first, first.last), (Seq(1), Seq(3)));
    let second = wal.append(&drafts(&wal, 1, 0)).unwrap();
    assert_eq!((second.first, second.last), (Seq(4), Seq(4)));
    let bytes = 60 + record(4, 0).position.map_or(0, |position| position.encode().len());
    assert_eq!(second.bytes as usize, bytes + 24 + record(4, 0).body.len());
}

#[test]
fn a_record_larger_than_a_log_file_fits() {
    let home = scratch();
    let mut wal = log(home.path(), &[1]);
    let body = Bytes::from(vec![5; 100_000]);
    wal.append(&[Draft { time: UnixMillis(1), position: None, body: body.clone() }]).unwrap();
    wal.append(&drafts(&wal, 1, 0)).unwrap();
    let anchor = anchor(&wal, 0);
    for _ in 0..3 {
        let opened = open(home.path(), anchor).unwrap();
        assert_eq!(opened.records[1].body, body);
        assert_eq!(opened.records[2], record(3, 0));
    }
    // As the last frame it is carried over whole, also into a file too small for it.
    let home = scratch();
    let mut wal = open(home.path(), None).unwrap().wal;
    wal.append(&[Draft { time: UnixMillis(1), position: None, body: body.clone() }]).unwrap();
    for _ in 0..3 {
        let opened = open(home.path(), super::anchor(&wal, 0)).unwrap();
        assert_eq!(opened.records[0].body, body);
    }
}

#[test]
fn drafts_that_could_not_be_read_back_are_refused_and_the_log_goes_on() {
    let home = scratch();
    let mut wal = log(home.path(), &[1]);
    assert!(matches!(wal.append(&[]), Err(AppendError::Empty)));
    let empty = Draft { time: UnixMillis(1), position: Some(Bytes::new()), body: Bytes::new() };
    let refused = wal.append(&[draft(&record(2, 0)), empty]);
    assert!(matches!(refused, Err(AppendError::EmptyPosition { index: 1 })));
    let body = vec![0; OPTIONS.frame_bytes_max - 83].into();
    let mut large = Draft { time: UnixMillis(1), position: None, body };
    let refused = wal.append(std::slice::from_ref(&large));
    assert!(matches!(refused, Err(AppendError::TooLarge { bytes_max: 1_048_576, .. })));
    large.body.truncate(OPTIONS.frame_bytes_max - 84);
    assert_eq!(large.frame_bytes() + 60, OPTIONS.frame_bytes_max);
    wal.append(std::slice::from_ref(&large)).unwrap();
    assert_eq!(open(home.path(), anchor(&wal, 0)).unwrap().records.len(), 2);
}

/// The directory's step numbers repeat from run to run.
fn steps_of_an_append(frames: &[u64]) -> std::ops::Range<usize> {
    let home = scratch();
    let cut = PowerCut::over(home.path()).unwrap();
    let disk = Disk::watched(cut.clone());
    let mut wal = open_on(&disk, &home.path().join("wal"), None).unwrap().wal;
    let mut begun = 0;
    for count in frames {
        begun = cut.steps();
        wal.append(&drafts(&wal, *count, 0)).unwrap();
    }
    begun..cut.steps()
}

#[test]
fn after_a_failed_write_or_fsync_the_log_takes_nothing_more() {
    // The last append begins a new file.
    let frames = [1, 2, 3, 4];
    let steps = steps_of_an_append(&frames);
    assert!(steps.len() > 8, "no rotation in {steps:?}");
    let (mut no_room, mut poisoned) = (0, 0);
    for step in steps {
        let home = scratch();
        let directory = home.path().join("wal");
        let cut = PowerCut::over(home.path()).unwrap();
        cut.fail(step, io::ErrorKind::StorageFull);
        let mut wal = open_on(&Disk::watched(cut.clone()), &directory, None).unwrap().wal;
        for count in &frames[..3] {
            wal.append(&drafts(&wal, *count, 0)).unwrap();
        }
        let error = wal.append(&drafts(&wal, 4, 0)).unwrap_err();
        let again = wal.append(&drafts(&wal, 4, 0));
        match error {
            AppendError::NoRoom { .. } => {
                no_room += 1;
                assert_eq!(again.unwrap().last, Seq(10));
                assert_eq!(open(&directory, anchor(&wal, 0)).unwrap().records.len(), 10);
            }
            AppendError::Failed { .. } => {
                poisoned += 1;
                let steps = cut.steps();
                let message = again.unwrap_err().to_string();
                assert!(message.contains("told to fail") && message.contains("restart"));
                assert_eq!(cut.steps(), steps, "a poisoned log touched the disk");
                let replayed = open(&directory, anchor(&wal, 0)).unwrap().records.len();
                assert!(replayed == 6 || replayed == 10, "{replayed}");
            }
            other => panic!("{other}"),
        }
    }
    // Making the file and finding its blocks may fail; everything else is final.
    assert_eq!(no_room, 2);
    assert!(poisoned >= 7, "{poisoned}");
}

#[test]
fn trimming_keeps_every_file_with_something_after_the_seq() {
    let home = scratch();
    let wal = log(home.path(), &[2; 30]);
    let trimmer = wal.trimmer();
    let before = log_files(home.path());
    assert!(before.len() > 6);
    assert_eq!(trimmer.trim(Seq(0)).unwrap(), 0);
    for applied in 1..=60 {
        let trimmed = std::thread::spawn({
            let trimmer = trimmer.clone();
            move || trimmer.trim(Seq(applied)).unwrap()
        });
        trimmed.join().unwrap();
        let left = log_files(home.path());
        assert!(before.ends_with(&left) && !left.is_empty());
        let spare = scratch();
        copy(home.path(), spare.path());
        let opened = open(spare.path(), anchor(&wal, applied)).unwrap();
        let expected: Vec<_> = (applied + 1..=60).map(|seq| record(seq, 0)).collect();
        assert_eq!(opened.records, expected);
    }
    assert_eq!(log_files(home.path()).len(), 1);
}

#[test]
fn an_error_of_the_replay_ends_the_opening() {
    let home = scratch();
    let wal = log(home.path(), &[3]);
    let mut replay = |record: Record| match record.seq {
        Seq(2) => Err(io::Error::other("no such collection")),
        _ => Ok(()),
    };
    let opened = Wal::open(&Disk::new(), home.path(), OPTIONS, anchor(&wal, 0), &mut replay);
    match opened.map(|_| ()) {
        Err(error @ OpenError::Replay { seq: Seq(2), .. }) => {
            assert!(error.to_string().contains("no such collection"));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(open(home.path(), anchor(&wal, 0)).unwrap().records.len(), 3);
}
