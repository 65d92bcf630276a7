//! Damaged, missing, foreign and newer files are refused by name, and nothing is changed.

use uuid::Uuid;

use super::*;

/// A log that was opened once more after it was made, with several files and appends since,
/// and the anchor from which all of them are needed.
fn several_files(directory: &Path) -> Option<Anchor> {
    let wal = log(directory, &[1, 2, 1, 3, 2]);
    let anchor = anchor(&wal, 0);
    let mut wal = open(directory, anchor).unwrap().wal;
    for count in [1, 1, 2, 1] {
        let drafts = drafts(&wal, count, 0);
        wal.append(&drafts).unwrap();
    }
    assert!(log_files(directory).len() >= 4);
    anchor
}

const RECORDS: usize = 14;

fn end_of(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1
}

fn last_frame(bytes: &[u8]) -> usize {
    memchr::memmem::rfind(bytes, b"ptdF").unwrap()
}

fn name(path: &Path) -> &str {
    path.file_name().unwrap().to_str().unwrap()
}

/// A whole directory: names and contents.
fn contents(directory: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    files_in(directory)
        .into_iter()
        .map(|path| (path.clone(), std::fs::read(path).unwrap()))
        .collect()
}

/// Opens a spoilt log and expects it to be refused, with this name in the message, untouched.
fn expect_refused(directory: &Path, anchor: Option<Anchor>, named: &str) -> OpenError {
    let before = contents(directory);
    let error = refusal(directory, anchor);
    assert!(error.to_string().contains(named), "{named} is not in: {error}");
    assert!(before == contents(directory), "refused, but changed: {error}");
    error
}

#[test]
fn every_changed_byte_is_refused_by_name_or_cut_from_the_last_frame() {
    let home = scratch();
    let (sound, spoilt) = (home.path().join("sound"), home.path().join("spoilt"));
    let anchor = several_files(&sound);
    let files = log_files(&sound);
    copy(&sound, &spoilt);
    let (mut refused, mut cut) = (0, 0);
    for (at, file) in files.iter().enumerate() {
        let whole = std::fs::read(file).unwrap();
        let target = spoilt.join(name(file));
        let last = (at + 1 == files.len()).then(|| last_frame(&whole));
        for byte in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[byte] ^= 1 << (byte % 8);
            std::fs::write(&target, &bytes).unwrap();
            if last.is_none_or(|last| byte < last) {
                let error = refusal(&spoilt, anchor);
                assert!(error.to_string().contains(name(file)), "byte {byte}: {error}");
                refused += 1;
                continue;
            }
            // In the newest file, in its last frame or behind it.
            let opened = open(&spoilt, anchor).unwrap();
            let torn = opened.recovery.torn.unwrap();
            let (begin, end) = (torn.offset as usize, torn.offset as usize + torn.bytes as usize);
            let in_frame = byte < end_of(&whole);
            assert_eq!(begin, if in_frame { last.unwrap() } else { end_of(&whole) });
            assert_eq!(std::fs::read(&torn.kept_at).unwrap(), bytes[begin..end]);
            assert_eq!(end, end_of(&bytes));
            let expected = if in_frame { RECORDS - 1 } else { RECORDS };
            assert_eq!(opened.records.len(), expected, "byte {byte}");
            assert_eq!(torn.file, target);
            copy(&sound, &spoilt);
            cut += 1;
        }
        std::fs::write(&target, &whole).unwrap();
    }
    assert!(refused > 3000 && cut > 300, "{refused} refused, {cut} cut");
}

#[test]
fn a_missing_file_is_refused_by_name() {
    let home = scratch();
    let (sound, spoilt) = (home.path().join("sound"), home.path().join("spoilt"));
    let anchor = several_files(&sound);
    let files = log_files(&sound);
    for (at, file) in files.iter().enumerate() {
        copy(&sound, &spoilt);
        std::fs::remove_file(spoilt.join(name(file))).unwrap();
        match (at, expect_refused(&spoilt, anchor, spoilt.to_str().unwrap())) {
            (0, OpenError::MissingStart { first, applied: Seq(0), .. }) => assert!(first > Seq(1)),
            (_, OpenError::MissingFile { number, .. }) => assert_eq!(number as usize, at + 1),
            (_, other) => panic!("{other}"),
        }
    }
    for file in log_files(&spoilt) {
        std::fs::remove_file(file).unwrap();
    }
    let error = expect_refused(&spoilt, anchor, &anchor.unwrap().log_id.to_string());
    assert!(matches!(error, OpenError::MissingLog { .. }));
}

#[test]
fn a_file_behind_the_manifest_may_be_missing_or_damaged() {
    let home = scratch();
    let (sound, spoilt) = (home.path().join("sound"), home.path().join("spoilt"));
    let anchor = several_files(&sound).map(|anchor| Anchor { applied: Seq(9), ..anchor });
    let files = log_files(&sound);
    for trimmed in [0, 1] {
        copy(&sound, &spoilt);
        if trimmed == 1 {
            // A power cut brought an older one back, but not this one.
            std::fs::remove_file(spoilt.join(name(&files[1]))).unwrap();
        }
        std::fs::write(spoilt.join(name(&files[0])), "anything").unwrap();
        let opened = open(&spoilt, anchor).unwrap();
        let expected: Vec<_> = (10..=14).map(|seq| record(seq, 0)).collect();
        assert_eq!(opened.records, expected);
        assert!(!spoilt.join(name(&files[0])).exists());
    }
}

#[test]
fn a_cut_file_is_refused_unless_it_ends_in_the_last_frame() {
    let home = scratch();
    let (sound, spoilt) = (home.path().join("sound"), home.path().join("spoilt"));
    let anchor = several_files(&sound);
    let files = log_files(&sound);
    for (at, file) in files.iter().enumerate() {
        let whole = std::fs::read(file).unwrap();
        let newest = at + 1 == files.len();
        for length in (0..whole.len()).step_by(23) {
            copy(&sound, &spoilt);
            std::fs::write(spoilt.join(name(file)), &whole[..length]).unwrap();
            if newest && length > last_frame(&whole) {
                let left = open(&spoilt, anchor).unwrap().records.len();
                assert!((RECORDS - 1..=RECORDS).contains(&left));
            } else if !newest || length < 64 {
                expect_refused(&spoilt, anchor, name(file));
            }
        }
    }
}

#[test]
fn a_whole_frame_out_of_place_is_damage() {
    let home = scratch();
    let wal = log(home.path(), &[1, 1, 1]);
    let file = log_files(home.path()).pop().unwrap();
    let whole = std::fs::read(&file).unwrap();
    let starts: Vec<_> = memchr::memmem::find_iter(&whole, b"ptdF").collect();
    let end = end_of(&whole);
    let frame = |at: usize| &whole[starts[at]..*starts.get(at + 1).unwrap_or(&end)];
    let spoil = |frames: &[&[u8]]| {
        let mut bytes = whole[..64].to_vec();
        frames.iter().for_each(|frame| bytes.extend_from_slice(frame));
        bytes.resize(whole.len(), 0);
        std::fs::write(&file, bytes).unwrap();
    };
    let broken: Vec<u8> = frame(1).iter().map(|byte| !byte).collect();
    for frames in [
        &[frame(0), frame(2)][..],
        &[frame(0), frame(0)],
        &[frame(1), frame(2)],
        &[frame(0), &broken, frame(2)],
        &[frame(0), &broken[1..], frame(2)],
        &[frame(0), b"x", frame(1)],
    ] {
        spoil(frames);
        let error = expect_refused(home.path(), anchor(&wal, 0), name(&file));
        assert!(matches!(error, OpenError::Damaged { .. }), "{error}");
    }
    // An older frame inside the bytes of a broken one is a body that quotes it.
    spoil(&[frame(0), b"x", frame(0)]);
    let opened = open(home.path(), anchor(&wal, 0)).unwrap();
    assert_eq!((opened.records.len(), opened.recovery.torn.is_some()), (1, true));
}

#[test]
fn a_carried_frame_is_never_taken_for_a_torn_one() {
    let home = scratch();
    let wal = log(home.path(), &[1, 2]);
    drop(open(home.path(), anchor(&wal, 0)).unwrap());
    let files = log_files(home.path());
    assert_eq!(files.len(), 2);
    let whole = std::fs::read(&files[1]).unwrap();
    for byte in 64..end_of(&whole) {
        let mut bytes = whole.clone();
        bytes[byte] ^= 0x10;
        std::fs::write(&files[1], bytes).unwrap();
        // With its predecessor needed, and without.
        expect_refused(home.path(), anchor(&wal, 0), name(&files[1]));
        expect_refused(home.path(), anchor(&wal, 1), name(&files[1]));
    }
    let mut bytes = whole.clone();
    bytes[64..].fill(0);
    std::fs::write(&files[1], bytes).unwrap();
    for applied in [0, 1] {
        expect_refused(home.path(), anchor(&wal, applied), name(&files[1]));
    }
    std::fs::write(&files[1], whole).unwrap();
    assert_eq!(open(home.path(), anchor(&wal, 0)).unwrap().records.len(), 3);
}

#[test]
fn a_torn_closing_frame_is_written_again() {
    let home = scratch();
    let (sound, spoilt) = (home.path().join("sound"), home.path().join("spoilt"));
    let wal = log(&sound, &[1, 2]);
    drop(open(&sound, anchor(&wal, 0)).unwrap());
    let first = log_files(&sound).remove(0);
    let whole = std::fs::read(&first).unwrap();
    for byte in last_frame(&whole)..whole.len() {
        copy(&sound, &spoilt);
        let mut bytes = whole.clone();
        bytes[byte] ^= 0x20;
        std::fs::write(spoilt.join(name(&first)), bytes).unwrap();
        let opened = open(&spoilt, anchor(&wal, 0)).unwrap();
        assert_eq!(opened.records.len(), 3);
        assert_eq!(std::fs::read(spoilt.join(name(&first))).unwrap(), whole);
        assert!(opened.recovery.torn.unwrap().kept_at.exists());
    }
}

#[test]
fn a_log_that_ends_below_the_manifest_is_refused() {
    let home = scratch();
    let wal = log(home.path(), &[1, 2]);
    drop(open(home.path(), anchor(&wal, 3)).unwrap());
    let error = expect_refused(home.path(), anchor(&wal, 4), "ends in");
    assert!(matches!(error, OpenError::EndsEarly { last: Seq(3), applied: Seq(4), .. }));
}

#[test]
fn records_without_a_manifest_are_refused_and_an_empty_log_is_made_anew() {
    let home = scratch();
    let directory = home.path().join("wal");
    let first = open(&directory, None).unwrap().wal.log_id();
    let mut wal = open(&directory, None).unwrap().wal;
    assert_ne!(wal.log_id(), first);
    assert_eq!(log_files(&directory).len(), 1);
    wal.append(&drafts(&wal, 1, 0)).unwrap();
    let file = log_files(&directory).pop().unwrap();
    let error = expect_refused(&directory, None, name(&file));
    assert!(matches!(error, OpenError::ManifestMissing { .. }));
    // Also when everything is trimmed, and only an empty file is left.
    drop(open(&directory, anchor(&wal, 1)).unwrap());
    let error = expect_refused(&directory, None, "manifest");
    assert!(matches!(error, OpenError::ManifestMissing { .. }));
}

#[test]
fn the_log_of_another_data_directory_is_refused() {
    let home = scratch();
    log(home.path(), &[1]);
    let log_id = LogId(Uuid::from_u128(7));
    let anchor = Some(Anchor { log_id, applied: Seq(0) });
    let error = expect_refused(home.path(), anchor, &log_id.to_string());
    assert!(matches!(error, OpenError::OtherLog { .. }));
}

#[test]
fn a_renamed_file_is_refused_with_its_right_name() {
    let home = scratch();
    let wal = log(home.path(), &[1]);
    let file = log_files(home.path()).remove(0);
    for wrong in ["00000000000000000001-0000000002.wal", "copy.wal"] {
        let wrong = home.path().join(wrong);
        std::fs::rename(&file, &wrong).unwrap();
        let error = expect_refused(home.path(), anchor(&wal, 0), name(&wrong));
        assert!(matches!(error, OpenError::Misnamed { .. }));
        std::fs::rename(&wrong, &file).unwrap();
    }
    let right = name(&file).to_owned();
    std::fs::rename(&file, home.path().join("00000000000000000001-0000000003.wal")).unwrap();
    expect_refused(home.path(), anchor(&wal, 0), &right);
}

#[test]
fn newer_versions_are_refused_as_such() {
    let home = scratch();
    let wal = log(home.path(), &[1, 1]);
    let file = log_files(home.path()).remove(0);
    let whole = std::fs::read(&file).unwrap();
    let mut header = whole.clone();
    header[8] = 9;
    let checksum = crc32c::crc32c(&header[..60]);
    header[60..64].copy_from_slice(&checksum.to_le_bytes());
    // The last frame: were it only broken, it would be cut.
    let at = last_frame(&whole);
    let mut frame = whole.clone();
    frame[at + 4] = 9;
    let checksum = crc32c::crc32c(&frame[at..at + 52]);
    frame[at + 52..at + 56].copy_from_slice(&checksum.to_le_bytes());
    for bytes in [header, frame] {
        std::fs::write(&file, bytes).unwrap();
        let error = expect_refused(home.path(), anchor(&wal, 0), "version 9");
        assert!(
            matches!(error, OpenError::Newer { .. }) && error.to_string().contains(name(&file))
        );
    }
}
