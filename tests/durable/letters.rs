//! Dead letters in their files: kept, tried again, dropped.

use std::io::ErrorKind;
use std::path::Path;

use pointd::disk::Disk;
use pointd::disk::powercut::PowerCut;
use pointd::operation::{Body, Operation, Reason, Redrive, Refusal, Selector};
use pointd::position::{Seq, UnixMillis};

use super::node::{Node, scratch};
use super::plan::{Planned, message};

fn planned(body: Body) -> Planned {
    Planned { time: UnixMillis(5), position: None, body }
}

/// Becomes a letter: there is no such collection.
fn refused() -> Planned {
    planned(message("nowhere", vec![Operation::ClearPayload(Selector::Ids(vec![]))]))
}

fn drop_letters(letters: impl IntoIterator<Item = u64>) -> Planned {
    planned(Body::DropLetters(letters.into_iter().map(Seq).collect()))
}

fn in_vain(letter: u64) -> Planned {
    let attempt = Err(Refusal::new(Reason::MissingId, "again"));
    planned(Body::Redrive(Redrive { letter: Seq(letter), attempt }))
}

fn files(home: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(home.join("dead-letters")).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Two letters in each of several files: some are dropped, some tried again, at last none is left.
#[test]
fn files_follow_what_becomes_of_their_letters() {
    let home = scratch();
    let open = || Node::open(&Disk::new(), home.path()).unwrap();
    let mut at_work = Some(open());
    let mut settle = |records: &[Planned]| {
        let mut node = at_work.take().unwrap();
        node.append(records).unwrap();
        node.checkpoint().unwrap();
        let seen = node.seen();
        drop(node);
        let node = at_work.insert(open());
        assert_eq!(node.seen(), seen);
        (seen.letters.iter().map(|letter| letter.seq.0).collect::<Vec<_>>(), files(home.path()))
    };
    for round in 0..3 {
        let (letters, files) = settle(&[refused(), refused()]);
        assert_eq!((letters.len(), files.len()), (2 * (round + 1), round + 1));
    }
    let before = files(home.path());
    // Of the second file: the first one stays as it is, the third is written with it.
    let (letters, after) = settle(&[drop_letters([3, 99])]);
    assert_eq!(letters, [1, 2, 4, 5, 6]);
    assert_eq!((after.len(), after[0] == before[0], after.contains(&before[2])), (2, true, false));
    let (letters, again) = settle(&[in_vain(5), in_vain(77)]);
    assert_eq!(letters, [1, 2, 4, 5, 6]);
    assert_eq!((again.len(), again[0] == before[0], again[1] == after[1]), (2, true, false));
    // Nothing has changed since: neither do the files.
    assert_eq!(settle(&[drop_letters([3])]).1, again);
    let (letters, last) = settle(&[drop_letters(4..=6)]);
    assert_eq!((letters, last), (vec![1, 2], vec![before[0].clone()]));
    assert_eq!(settle(&[drop_letters([1, 2])]), (vec![], vec![]));
}

/// On a full disk each attempt would leave more.
#[test]
fn a_checkpoint_that_fails_leaves_no_file_of_letters() {
    let mut failures = 0;
    for step in 0.. {
        let root = scratch();
        let home = root.path().join("data");
        let cut = PowerCut::over(root.path()).unwrap();
        let mut node = Node::open(&Disk::watched(cut.clone()), &home).unwrap();
        node.append(&[refused()]).unwrap();
        node.checkpoint().unwrap();
        let before = files(&home);
        node.append(&[refused()]).unwrap();
        cut.fail(cut.steps() + step, ErrorKind::StorageFull);
        match node.checkpoint() {
            Err(error) if !error.is_final() => failures += 1,
            _ => break,
        }
        assert_eq!(files(&home), before, "step {step}");
        assert!(!home.join("MANIFEST.tmp").exists(), "step {step}");
        node.checkpoint().unwrap();
    }
    assert!(failures > 4, "{failures}");
}
