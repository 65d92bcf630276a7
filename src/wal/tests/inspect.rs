//! Looking at a log that is in use.

use std::sync::atomic::{AtomicBool, Ordering};

use super::super::inspect::{Fact, walk};
use super::*;

fn facts(directory: &Path) -> Vec<Fact> {
    let mut facts = vec![];
    walk(directory, &mut |fact| {
        facts.push(fact);
        Ok(())
    })
    .unwrap();
    facts
}

#[test]
fn every_record_is_seen_and_nothing_is_changed() {
    let home = scratch();
    let wal = log(home.path(), &[1, 2, 3, 4, 3]);
    let before: Vec<_> =
        log_files(home.path()).iter().map(std::fs::read).map(Result::unwrap).collect();
    let mut seen = vec![];
    for fact in facts(home.path()) {
        if let Fact::Frame(frame) = fact {
            assert_eq!(frame.records.len() as u64, frame.last.0 - frame.first.0 + 1);
            seen.extend(frame.records);
        }
    }
    assert_eq!(Seq(seen.len() as u64 + 1), wal.next_seq());
    for (seen, seq) in seen.iter().zip(1..) {
        let expected = record(seq, 0);
        assert_eq!((seen.seq, seen.time), (expected.seq, expected.time));
        assert_eq!(seen.body, expected.body);
        assert_eq!(
            seen.position.as_ref().map(|read| read.as_ref().unwrap()),
            expected.position.as_ref()
        );
    }
    let after: Vec<_> =
        log_files(home.path()).iter().map(std::fs::read).map(Result::unwrap).collect();
    assert!(before == after);
}

#[test]
fn beside_appends_and_trims_nothing_looks_damaged() {
    let home = scratch();
    let mut wal = log(home.path(), &[1]);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..2000 {
                let appended = wal.append(&drafts(&wal, 2, 0)).unwrap();
                wal.trimmer().trim(Seq(appended.last.0.saturating_sub(20))).unwrap();
            }
            done.store(true, Ordering::Release);
        });
        let mut looks = 0;
        while !done.load(Ordering::Acquire) || looks == 0 {
            for fact in facts(home.path()) {
                match fact {
                    Fact::Missing { .. } | Fact::Misnamed { .. } => panic!("{fact:?}"),
                    Fact::Bad { next_frame: Some(_), .. } => panic!("{fact:?}"),
                    Fact::File { ref header, .. } => assert!(header.is_ok(), "{fact:?}"),
                    _ => {}
                }
            }
            looks += 1;
        }
    });
}
