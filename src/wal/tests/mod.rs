//! What the log promises, tried. Log files are a few KiB here, so that rotation happens.

mod append;
mod codec;
mod damage;
mod fixture;
mod fsync;
mod inspect;
mod model;
mod powercut;
mod torn;

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use super::*;
use crate::position::{Mark, Offset, Position, Stream};

const OPTIONS: Options = Options { file_bytes: 2048, frame_bytes_max: 1 << 20 };

/// A directory in memory where there is one: these tests ask for very many syncs.
fn scratch() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap()
}

/// The record with this seq. Its body is long now and then, once too long for a log file.
/// `generation` tells apart what was appended before a crash and after it.
fn record(seq: u64, generation: u8) -> Record {
    let length = if seq == 17 { 5000 } else { (seq * seq * 37 % 700) as usize };
    let mut body = format!("{generation}/{seq}/").into_bytes();
    body.extend((0..length).map(|at| (at as u64 * 31 + seq * 7) as u8 | 1));
    let position = (!seq.is_multiple_of(3)).then(|| {
        let stream = Arc::new(Stream::Partition {
            source: "orders".into(),
            cluster: "c".into(),
            topic: "points".into(),
            topic_id: None,
            partition: (seq % 4) as i32,
        });
        Position::new(stream, Mark::Next(Offset(seq)))
    });
    Record { seq: Seq(seq), time: UnixMillis(1_000_000 + seq), position, body: body.into() }
}

fn draft(record: &Record) -> Draft {
    let position = record.position.as_ref().map(Position::encode);
    Draft { time: record.time, position, body: record.body.clone() }
}

/// Drafts of the next `count` records.
fn drafts(wal: &Wal, count: u64, generation: u8) -> Vec<Draft> {
    let first = wal.next_seq().0;
    (first..first + count).map(|seq| draft(&record(seq, generation))).collect()
}

struct Opened {
    wal: Wal,
    recovery: Recovery,
    records: Vec<Record>,
}

fn open_on(disk: &Disk, directory: &Path, anchor: Option<Anchor>) -> Result<Opened, OpenError> {
    let mut records = vec![];
    let mut replay = |record| {
        records.push(record);
        Ok::<_, Infallible>(())
    };
    let (wal, recovery) = Wal::open(disk, directory, OPTIONS, anchor, &mut replay)?;
    Ok(Opened { wal, recovery, records })
}

fn open(directory: &Path, anchor: Option<Anchor>) -> Result<Opened, OpenError> {
    open_on(&Disk::new(), directory, anchor)
}

fn refusal(directory: &Path, anchor: Option<Anchor>) -> OpenError {
    match open(directory, anchor) {
        Err(error) => error,
        Ok(opened) => panic!("opened, with {:?}", opened.recovery),
    }
}

fn anchor(wal: &Wal, applied: u64) -> Option<Anchor> {
    Some(Anchor { log_id: wal.log_id(), applied: Seq(applied) })
}

/// A new log with a record of each of these frames.
fn log(directory: &Path, frames: &[u64]) -> Wal {
    let mut wal = open(directory, None).unwrap().wal;
    for count in frames {
        let drafts = drafts(&wal, *count, 0);
        wal.append(&drafts).unwrap();
    }
    wal
}

fn files_in(directory: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> =
        std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn log_files(directory: &Path) -> Vec<PathBuf> {
    let mut files = files_in(directory);
    files.retain(|path| path.extension().is_some_and(|extension| extension == "wal"));
    files
}

/// A fresh copy of a log directory.
fn copy(from: &Path, to: &Path) {
    let _ = std::fs::remove_dir_all(to);
    std::fs::create_dir_all(to).unwrap();
    for file in files_in(from) {
        std::fs::copy(&file, to.join(file.file_name().unwrap())).unwrap();
    }
}
