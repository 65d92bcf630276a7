//! A changed or missing file: refused by name, never served.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use pointd::apply::recover;
use pointd::disk::Disk;
use pointd::metrics::Metrics;

use super::model::Seen;
use super::node::{Node, catalog_options, scratch, seen, wal_options};
use super::plan::Plan;

/// A data directory with everything in it: several collections and segments, graphs, files of
/// dead letters, log files before and after the manifest.
fn furnish(directory: &Path) -> Seen {
    let plan = Plan::new(23, 110);
    let mut node = Node::open(&Disk::new(), directory).unwrap();
    for (at, records) in plan.records.chunks(2).enumerate() {
        node.append(records).unwrap();
        match at {
            12 | 24 => {
                node.checkpoint().unwrap();
                node.improve();
            }
            // Without merges, whose files no manifest would name.
            30 => {
                node.checkpoint().unwrap();
                node.build_graphs();
            }
            20 => {
                drop(node);
                node = Node::open(&Disk::new(), directory).unwrap();
            }
            _ => {}
        }
    }
    node.seen()
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

pub fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            std::fs::copy(path, target).unwrap();
        }
    }
}

fn is(path: &Path, extension: &str) -> bool {
    path.extension().is_some_and(|known| known == extension)
}

enum Start {
    Refused(String),
    Opened(Seen),
    /// The log's last frame was broken: cut, and kept here.
    Cut(PathBuf),
}

fn start(directory: &Path) -> Start {
    let (catalog, wal) = (catalog_options(), wal_options());
    match recover(&Disk::new(), directory, catalog, wal, &BTreeSet::new(), &Metrics::new()) {
        Err(error) => Start::Refused(error.to_string()),
        Ok(recovered) => match recovered.recovery.torn {
            Some(torn) => Start::Cut(torn.kept_at),
            None => Start::Opened(seen(&recovered.catalog)),
        },
    }
}

/// Starts over a copy of `furnished` in which `file` was damaged.
fn damaged(furnished: &Path, file: &Path, damage: impl Fn(&Path)) -> Start {
    let spare = scratch();
    copy(furnished, spare.path());
    damage(&spare.path().join(file.strip_prefix(furnished).unwrap()));
    let start = start(spare.path());
    if let Start::Cut(kept_at) = &start {
        assert!(std::fs::metadata(kept_at).unwrap().len() > 0);
    }
    start
}

fn name(file: &Path) -> &str {
    file.file_name().unwrap().to_str().unwrap()
}

#[test]
fn a_missing_file_is_named() {
    let home = scratch();
    let whole = furnish(home.path());
    let files = files(home.path());
    for extension in ["wal", "arrow", "jsonl", "graph"] {
        let count = files.iter().filter(|file| is(file, extension)).count();
        assert!(count > 1, "{count} files with the extension {extension}");
    }
    for file in files.iter().filter(|file| !is(file, "graph")) {
        match damaged(home.path(), file, |file| std::fs::remove_file(file).unwrap()) {
            // The log says of a missing file which number it has, or what seqs are missing.
            Start::Refused(_) if is(file, "wal") => {}
            Start::Refused(error) => assert!(error.contains(name(file)), "{file:?}: {error}"),
            // What no manifest needs any more may be missing.
            Start::Opened(seen) if is(file, "wal") && seen == whole => {}
            _ => panic!("opened without {file:?}"),
        }
    }
}

#[test]
fn a_changed_byte_is_never_served() {
    let home = scratch();
    let whole = furnish(home.path());
    let files = files(home.path());
    let newest = files.iter().rfind(|file| is(file, "wal")).unwrap();
    for file in files.iter().filter(|file| !is(file, "graph")) {
        let length = std::fs::metadata(file).unwrap().len() as usize;
        for at in (0..length).step_by(29).chain([length - 1]) {
            let changed = damaged(home.path(), file, |file| {
                let mut bytes = std::fs::read(file).unwrap();
                bytes[at] ^= 0x10;
                std::fs::write(file, bytes).unwrap();
            });
            match changed {
                Start::Refused(error) => assert!(error.contains(name(file)), "{file:?}: {error}"),
                Start::Cut(_) => assert_eq!(file, newest, "byte {at}"),
                Start::Opened(seen) => {
                    // What no manifest needs any more may go unread.
                    assert!(is(file, "wal") && seen == whole, "{file:?}, byte {at}");
                }
            }
        }
    }
}

#[test]
fn graphs_can_go() {
    let home = scratch();
    let whole = furnish(home.path());
    for file in files(home.path()).iter().filter(|file| is(file, "graph")) {
        let without = damaged(home.path(), file, |file| std::fs::remove_file(file).unwrap());
        assert!(matches!(without, Start::Opened(seen) if seen == whole));
        let changed = damaged(home.path(), file, |file| {
            let mut bytes = std::fs::read(file).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            std::fs::write(file, bytes).unwrap();
        });
        assert!(matches!(changed, Start::Opened(seen) if seen == whole));
    }
}

#[test]
fn a_newer_manifest_is_refused() {
    let home = scratch();
    furnish(home.path());
    let manifest = home.path().join("MANIFEST");
    let content = std::fs::read_to_string(&manifest).unwrap();
    let (body, _) = content.trim_end().rsplit_once('\n').unwrap();
    let body = body.replacen("\"version\": 3", "\"version\": 4", 1) + "\n";
    let checksum = crc32c::crc32c(body.as_bytes());
    std::fs::write(&manifest, format!("{body}crc32c {checksum:08x}\n")).unwrap();
    let Start::Refused(error) = start(home.path()) else { panic!("opened a newer format") };
    assert!(error.contains("version 4") && error.contains("MANIFEST"), "{error}");
}

#[test]
fn leftovers_of_a_crash_are_removed() {
    let home = scratch();
    let whole = furnish(home.path());
    let leftovers =
        ["collections/999999/payload/7.arrow", "dead-letters/999.jsonl", "MANIFEST.tmp"];
    for leftover in leftovers {
        let path = home.path().join(leftover);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "half written").unwrap();
    }
    assert!(matches!(start(home.path()), Start::Opened(seen) if seen == whole));
    assert!(!home.path().join("collections/999999").exists());
    assert!(!home.path().join("dead-letters/999.jsonl").exists());
}

#[test]
fn one_process_per_data_directory() {
    let home = scratch();
    let node = Node::open(&Disk::new(), home.path()).unwrap();
    let Err(error) = Node::open(&Disk::new(), home.path()) else { panic!("opened twice") };
    assert!(error.contains("in use"), "{error}");
    drop(node);
    Node::open(&Disk::new(), home.path()).unwrap();
}
