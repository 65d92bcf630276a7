//! The log against a plain list, where closing and opening again is an operation like others.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Operation {
    /// One frame with this many records.
    Append(u64),
    Reopen,
    /// A manifest at this share (of 16) of what is not behind one yet; then a trim.
    Checkpoint(u64),
    /// A manifest that was written before a crash kept the trim from happening.
    CheckpointOnly(u64),
}

fn any_operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        4 => (1..6u64).prop_map(Operation::Append),
        2 => Just(Operation::Reopen),
        1 => (0..=16u64).prop_map(Operation::Checkpoint),
        1 => (0..=16u64).prop_map(Operation::CheckpointOnly),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn what_was_appended_is_replayed(operations in vec(any_operation(), 1..40)) {
        let home = scratch();
        let directory = home.path().join("wal");
        let mut wal = open(&directory, None).unwrap().wal;
        let (log_id, mut applied, mut last) = (wal.log_id(), 0, 0);
        for operation in operations {
            match operation {
                Operation::Append(count) => {
                    let appended = wal.append(&drafts(&wal, count, 0)).unwrap();
                    prop_assert_eq!(appended.first, Seq(last + 1));
                    last += count;
                    prop_assert_eq!(appended.last, Seq(last));
                }
                Operation::Reopen => {
                    let anchor = Anchor { log_id, applied: Seq(applied) };
                    let opened = open(&directory, Some(anchor)).unwrap();
                    let expected: Vec<_> = (applied + 1..=last).map(|at| record(at, 0)).collect();
                    prop_assert_eq!(&opened.records, &expected);
                    let records = expected.len() as u64;
                    let recovery = Recovery { records, last: Seq(last), torn: None };
                    prop_assert_eq!(opened.recovery, recovery);
                    wal = opened.wal;
                }
                Operation::Checkpoint(share) => {
                    applied += (last - applied) * share / 16;
                    wal.trimmer().trim(Seq(applied)).unwrap();
                }
                Operation::CheckpointOnly(share) => applied += (last - applied) * share / 16,
            }
            prop_assert_eq!(wal.next_seq(), Seq(last + 1));
            prop_assert_eq!(wal.log_id(), log_id);
            let on_disk: u64 =
                log_files(&directory).iter().map(|file| file.metadata().unwrap().len()).sum();
            prop_assert_eq!(wal.trimmer().bytes(), on_disk);
        }
    }
}
