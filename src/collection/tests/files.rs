use std::fs;
use std::path::PathBuf;

use serde_json::json;

use super::*;

/// A collection of one vector with a few segments, and its manifest.
fn written(directory: &Path) -> (Collection, CollectionFiles) {
    let collection = create(directory, Schema::unnamed(2, Distance::Dot), eager());
    let mut files = CollectionFiles::default();
    for seq in 1..=9 {
        let vector = named("", &[seq as f32, 1.0]);
        let message = [upsert(number(seq), vec![vector], json!({"seq": seq}))];
        collection.apply(Seq(seq), &message).unwrap();
        if seq % 3 == 0 {
            files = checkpoint(&collection);
        }
    }
    (collection, files)
}

fn reopen(directory: &Path, files: &CollectionFiles) -> Result<Collection, OpenError> {
    open(directory, Schema::unnamed(2, Distance::Dot), eager(), files)
}

fn files_below(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for column in fs::read_dir(directory.join("collection")).unwrap() {
        for file in fs::read_dir(column.unwrap().path()).unwrap() {
            files.push(file.unwrap().path());
        }
    }
    files.sort();
    files
}

#[test]
fn a_missing_or_damaged_file_is_refused_by_name() {
    let directory = tempfile::tempdir().unwrap();
    let (collection, files) = written(directory.path());
    drop(collection);
    assert_eq!(files_below(directory.path()).len(), 6);
    for path in files_below(directory.path()) {
        let whole = fs::read(&path).unwrap();
        for at in (0..whole.len()).step_by(whole.len() / 40) {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            fs::write(&path, &bytes).unwrap();
            let error = reopen(directory.path(), &files).err().unwrap();
            assert!(matches!(&error, OpenError::Damaged { file, .. } if *file == path), "{error}");
        }
        fs::remove_file(&path).unwrap();
        let error = reopen(directory.path(), &files).err().unwrap();
        assert!(matches!(&error, OpenError::Damaged { file, .. } if *file == path), "{error}");
        fs::write(&path, &whole).unwrap();
    }
    reopen(directory.path(), &files).unwrap();
}

#[test]
fn files_of_different_manifests_do_not_make_a_collection() {
    let directory = tempfile::tempdir().unwrap();
    let (collection, files) = written(directory.path());
    drop(collection);
    let mut mixed = files.clone();
    mixed.payload.pop();
    let error = reopen(directory.path(), &mixed).err().unwrap();
    assert!(error.to_string().contains("which does not exist"), "{error}");
    let mut other = files.clone();
    other.vectors.insert("other".to_owned(), Vec::new());
    let error = reopen(directory.path(), &other).err().unwrap();
    assert!(error.to_string().contains("`other`"), "{error}");
    let mut again = files;
    again.next_segment = 1;
    let error = reopen(directory.path(), &again).err().unwrap();
    assert!(matches!(error, OpenError::Damaged { .. }), "{error}");
}

#[test]
fn what_a_crash_left_is_removed_and_the_rest_stays() {
    let directory = tempfile::tempdir().unwrap();
    let (collection, files) = written(directory.path());
    let named = files_below(directory.path());
    collection.apply(Seq(10), &[Operation::DeletePoints(Selector::Ids(vec![number(1)]))]).unwrap();
    collection.flush(collection.seal()).unwrap();
    drop(collection);
    let payload = directory.path().join("collection/payload");
    for leftover in ["4000.arrow", "4000.graph", "3.tmp", "notes.txt"] {
        fs::write(payload.join(leftover), "x").unwrap();
    }
    let collection = reopen(directory.path(), &files).unwrap();
    assert_eq!(files_below(directory.path()), named);
    assert_eq!(collection.count(&Filter::default()), 9);
}

#[test]
fn a_merge_keeps_its_inputs_until_the_next_manifest() {
    let directory = tempfile::tempdir().unwrap();
    let (collection, files) = written(directory.path());
    let before = files_below(directory.path());
    let gone: Vec<PointId> = (1..=8).map(number).collect();
    collection.apply(Seq(10), &[Operation::DeletePoints(Selector::Ids(gone))]).unwrap();
    assert!(merge_all(&collection) > 0);
    assert!(before.iter().all(|path| path.exists()));
    assert_eq!(collection.count(&Filter::default()), 1);

    // Without the manifest: as before the merge.
    let old = reopen(directory.path(), &files).unwrap();
    assert_eq!(old.count(&Filter::default()), 9);
    drop(old);
}

#[test]
fn merges_leave_neither_dead_rows_nor_tombstones_with_nothing_to_hide() {
    let directory = tempfile::tempdir().unwrap();
    let (collection, _) = written(directory.path());
    let gone: Vec<PointId> = (1..=8).map(number).collect();
    collection.apply(Seq(10), &[Operation::DeletePoints(Selector::Ids(gone))]).unwrap();
    checkpoint(&collection);
    assert!(merge_all(&collection) > 0);
    let files = checkpoint(&collection);
    let rows = |entries: &[SegmentEntry]| entries.iter().map(|entry| entry.rows).sum::<u32>();
    assert_eq!((rows(&files.payload), rows(&files.vectors[""])), (1, 1));
    drop(collection);
    let collection = reopen(directory.path(), &files).unwrap();
    assert_eq!(collection.count(&Filter::default()), 1);
}

/// Heads that were sealed before a merge looks end at an earlier seq than what it sees.
#[test]
fn no_merge_happens_between_a_seal_and_its_manifest() {
    let directory = tempfile::tempdir().unwrap();
    let (collection, _) = written(directory.path());
    let sealed = collection.seal();
    let message = [upsert(number(1), vec![], json!({}))];
    for seq in 10..20 {
        collection.apply(Seq(seq), &message).unwrap();
    }
    let gone: Vec<PointId> = (2..=9).map(number).collect();
    collection.apply(Seq(20), &[Operation::DeletePoints(Selector::Ids(gone))]).unwrap();
    assert_eq!(merge_all(&collection), 0);
    let flushed = collection.flush(sealed).unwrap();
    let files = collection.files_with(&flushed);
    collection.install(flushed).unwrap();
    assert!(merge_all(&collection) > 0);
    let old = reopen(directory.path(), &files).unwrap();
    assert_eq!(old.count(&Filter::default()), 9);
}

#[test]
fn a_cancelled_merge_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let (collection, _) = written(directory.path());
    // Two of each segment's three points.
    let gone: Vec<PointId> = [1, 2, 4, 5, 7, 8].map(number).to_vec();
    collection.apply(Seq(10), &[Operation::DeletePoints(Selector::Ids(gone))]).unwrap();
    let before = files_below(directory.path());
    assert!(!collection.merge(&AtomicBool::new(true)).unwrap());
    assert_eq!(files_below(directory.path()), before);
    assert!(merge_all(&collection) > 0);
}

#[test]
fn no_merge_begins_that_would_use_the_reserve() {
    let directory = tempfile::tempdir().unwrap();
    let (_, files) = written(directory.path());
    let gone: Vec<PointId> = [1, 2, 4, 5, 7, 8].map(number).to_vec();
    for (reserve_bytes, merges) in [(u64::MAX, false), (1, true)] {
        let options = CollectionOptions { reserve_bytes, ..eager() };
        let schema = Schema::unnamed(2, Distance::Dot);
        let collection = open(directory.path(), schema, options, &files).unwrap();
        let delete = Operation::DeletePoints(Selector::Ids(gone.clone()));
        collection.apply(Seq(10), &[delete]).unwrap();
        assert_eq!(merge_all(&collection) > 0, merges);
    }
}

#[test]
fn a_flush_that_failed_is_made_up_for_by_the_next() {
    let directory = tempfile::tempdir().unwrap();
    let (collection, _) = written(directory.path());
    collection.apply(Seq(10), &[upsert(number(50), vec![], json!({}))]).unwrap();
    let blocked = directory.path().join("collection/payload");
    let aside = directory.path().join("aside");
    fs::rename(&blocked, &aside).unwrap();
    fs::write(&blocked, "in the way").unwrap();
    assert!(collection.flush(collection.seal()).is_err());
    fs::remove_file(&blocked).unwrap();
    fs::rename(&aside, &blocked).unwrap();
    assert_eq!(collection.count(&Filter::default()), 10);
    collection.apply(Seq(11), &[upsert(number(51), vec![], json!({}))]).unwrap();
    let files = checkpoint(&collection);
    drop(collection);
    let collection = reopen(directory.path(), &files).unwrap();
    assert_eq!(collection.count(&Filter::default()), 11);
    assert_eq!(collection.head_bytes(), 0);
}
