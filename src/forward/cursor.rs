//! How far letters have been forwarded: one small file, `dead-letters/forwarded`.
//!
//! A line of JSON, and a line with the checksum of the first. What cannot be read, is about another
//! target or log, or ahead of it, counts as nothing: every letter that is kept is sent, perhaps
//! once more.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::settings::ForwardSettings;
use crate::disk::{self, Disk};
use crate::position::Seq;
use crate::wal::LogId;

const VERSION: u32 = 1;
const CHECKSUM: &str = "crc32c ";
const WHY: &str = "how far dead letters have been forwarded";

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    version: u32,
    /// Seqs are numbers of this log.
    log_id: Uuid,
    target: String,
    /// Those whose letters up to `forwarded` have been sent; [`ALL`] stands for every one. A file
    /// without it is about none.
    #[serde(default)]
    sources: Vec<String>,
    forwarded: Seq,
}

/// No source has this name.
const ALL: &str = "*";

impl Line {
    /// Whether all that `other` is about has been sent up to here.
    fn covers(&self, other: &Line) -> bool {
        let sent = |source: &String| self.sources.iter().any(|it| it == ALL || it == source);
        self.log_id == other.log_id && self.target == other.target && other.sources.iter().all(sent)
    }
}

/// The seq up to which everything has been forwarded.
pub struct Cursor {
    disk: Disk,
    path: PathBuf,
    line: Line,
    saved: Seq,
}

#[derive(Debug, thiserror::Error)]
pub enum CursorError {
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error(
        "{} has format version {found}, this program knows {VERSION}: start the version that \
         wrote it; or remove the file, and all letters that are kept are forwarded again",
        path.display()
    )]
    Newer { path: PathBuf, found: u32 },
}

impl Cursor {
    /// `directory` is the data directory, with its catalog open; `last` is the newest seq of the log.
    /// Begins anew when more sources are forwarded than before: of those, nothing was sent.
    pub fn open(
        disk: &Disk,
        directory: &Path,
        settings: &ForwardSettings,
        log_id: LogId,
        last: Seq,
    ) -> Result<Cursor, CursorError> {
        let path = directory.join("dead-letters").join("forwarded");
        let mut line = Line {
            version: VERSION,
            log_id: log_id.0,
            target: settings.target(),
            sources: settings.sources.clone().unwrap_or_else(|| vec![ALL.to_owned()]),
            forwarded: Seq(0),
        };
        // Fewer sources are noted with the next letter. Until then the file says more than is
        // sent, and all of that has been.
        let mut ahead = None;
        match std::fs::read(&path) {
            Ok(content) => match decode(&content) {
                // The directory was restored, but for this file. Its seqs will be those of others.
                Ok(known) if known.forwarded > last => {
                    ahead = Some(known.forwarded);
                    tracing::error!(
                        path = %path.display(), cursor = %known.forwarded, seq = %last,
                        "is of a later moment than the log: all dead letters that are kept are \
                         forwarded again",
                    );
                }
                Ok(known) if known.covers(&line) => line.forwarded = known.forwarded,
                Ok(known) => tracing::info!(
                    before = known.target,
                    target = line.target,
                    "dead letters are forwarded to another target, or of more sources: beginning \
                     with the oldest",
                ),
                Err(Unreadable::Newer(found)) => return Err(CursorError::Newer { path, found }),
                Err(Unreadable::Damaged) => tracing::error!(
                    path = %path.display(),
                    "is damaged: all dead letters that are kept are forwarded again",
                ),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(CursorError::Io { path, source }),
        }
        let saved = ahead.unwrap_or(line.forwarded);
        let mut cursor = Cursor { disk: disk.clone(), path, line, saved };
        if ahead.is_some() {
            // Noted at once: soon the log will be as far.
            cursor.save()?;
        }
        Ok(cursor)
    }

    pub fn seq(&self) -> Seq {
        self.line.forwarded
    }

    pub(super) fn advance(&mut self, seq: Seq) {
        self.line.forwarded = seq;
    }

    /// Durable when it returns.
    pub(super) fn save(&mut self) -> Result<(), CursorError> {
        if self.saved == self.line.forwarded {
            return Ok(());
        }
        let failed = |source| CursorError::Io { path: self.path.clone(), source };
        let content = encode(&self.line).map_err(|error| failed(error.into()))?;
        disk::publish(&self.disk, &self.path, &content, WHY).map_err(failed)?;
        self.saved = self.line.forwarded;
        Ok(())
    }
}

#[derive(Debug, PartialEq)]
enum Unreadable {
    Newer(u32),
    Damaged,
}

fn encode(line: &Line) -> Result<Vec<u8>, serde_json::Error> {
    let mut content = serde_json::to_vec(line)?;
    content.push(b'\n');
    let checksum = crc32c::crc32c(&content);
    content.extend_from_slice(format!("{CHECKSUM}{checksum:08x}\n").as_bytes());
    Ok(content)
}

fn decode(content: &[u8]) -> Result<Line, Unreadable> {
    #[derive(Deserialize)]
    struct Versioned {
        version: u32,
    }
    let end = content.iter().position(|byte| *byte == b'\n').ok_or(Unreadable::Damaged)? + 1;
    let (line, rest) = content.split_at(end);
    if rest != format!("{CHECKSUM}{:08x}\n", crc32c::crc32c(line)).as_bytes() {
        return Err(Unreadable::Damaged);
    }
    let damaged = |_| Unreadable::Damaged;
    match serde_json::from_slice::<Versioned>(line).map_err(damaged)?.version {
        VERSION => serde_json::from_slice(line).map_err(damaged),
        newer => Err(Unreadable::Newer(newer)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::settings::{KafkaTargetSettings, Then};
    use super::*;
    use crate::source::kafka::Properties;

    fn line(target: &str, seq: u64) -> Line {
        let (log_id, target) = (Uuid::from_u128(7), target.to_owned());
        let sources = vec![ALL.to_owned()];
        Line { version: VERSION, log_id, target, sources, forwarded: Seq(seq) }
    }

    proptest! {
        #[test]
        fn a_cursor_reads_back_as_it_was_written(target in ".*", seq: u64) {
            let line = line(&target, seq);
            prop_assert_eq!(decode(&encode(&line).unwrap()).unwrap(), line);
        }
    }

    #[test]
    fn no_changed_or_missing_byte_goes_unnoticed() {
        let whole = encode(&line("topic dlq", 300)).unwrap();
        for at in 0..whole.len() {
            let mut changed = whole.clone();
            changed[at] ^= 1;
            assert_eq!(decode(&changed), Err(Unreadable::Damaged), "byte {at}");
            assert_eq!(decode(&whole[..at]), Err(Unreadable::Damaged), "cut at {at}");
        }
        let newer = encode(&Line { version: 2, ..line("t", 1) }).unwrap();
        assert_eq!(decode(&newer), Err(Unreadable::Newer(2)));
    }

    #[test]
    fn what_is_about_something_else_or_damaged_begins_anew() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("dead-letters/forwarded");
        std::fs::create_dir(home.path().join("dead-letters")).unwrap();
        let open = |target: &str, log: u128| {
            let log_id = LogId(Uuid::from_u128(log));
            Cursor::open(&Disk::new(), home.path(), &to(target, None), log_id, Seq(9))
        };
        let mut cursor = open("a", 1).unwrap();
        assert_eq!(cursor.seq(), Seq(0));
        cursor.advance(Seq(9));
        cursor.save().unwrap();
        assert_eq!(open("a", 1).unwrap().seq(), Seq(9));
        cursor.advance(Seq(10));
        cursor.save().unwrap();
        assert_eq!(open("a", 1).unwrap().seq(), Seq(0), "it is ahead of the log");
        let noted = decode(&std::fs::read(&path).unwrap()).unwrap();
        assert_eq!(noted.forwarded, Seq(0), "the log will be as far");
        cursor.advance(Seq(9));
        cursor.save().unwrap();
        assert_eq!(open("b", 1).unwrap().seq(), Seq(0));
        assert_eq!(open("a", 2).unwrap().seq(), Seq(0));
        std::fs::write(&path, encode(&Line { version: 2, ..line("topic a", 9) }).unwrap()).unwrap();
        let refused = open("a", 1).err().unwrap().to_string();
        assert!(refused.contains("version 2") && refused.contains("forwarded"), "{refused}");
        std::fs::write(&path, b"nonsense").unwrap();
        assert_eq!(open("a", 1).unwrap().seq(), Seq(0));
    }

    fn to(topic: &str, sources: Option<&[&str]>) -> ForwardSettings {
        let kafka = KafkaTargetSettings {
            brokers: "b:9092".into(),
            topic: topic.into(),
            properties: Properties::default(),
        };
        let sources = sources.map(|names| names.iter().map(|name| (*name).to_owned()).collect());
        ForwardSettings { sources, then: Then::Keep, kafka: Some(kafka), amqp: None }
    }

    /// With `then = "drop"` letters that count as sent go: of a source that is new, none was.
    #[test]
    fn what_covers_more_sources_begins_anew() {
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir(home.path().join("dead-letters")).unwrap();
        let open = |sources: Option<&[&str]>| {
            let log_id = LogId(Uuid::from_u128(1));
            Cursor::open(&Disk::new(), home.path(), &to("t", sources), log_id, Seq(99)).unwrap()
        };
        let sent = |sources: Option<&[&str]>, seq| {
            let mut cursor = open(sources);
            cursor.advance(Seq(seq));
            cursor.save().unwrap();
        };
        sent(Some(&["a"]), 9);
        assert_eq!(open(Some(&["a"])).seq(), Seq(9));
        assert_eq!(open(Some(&["a", "b"])).seq(), Seq(0));
        assert_eq!(open(None).seq(), Seq(0));
        sent(Some(&["a", "b"]), 10);
        assert_eq!(open(Some(&["b"])).seq(), Seq(10));
        // From here on only the letters of `b` are.
        sent(Some(&["b"]), 12);
        assert_eq!(open(Some(&["a", "b"])).seq(), Seq(0));
        sent(None, 20);
        assert_eq!(open(Some(&["c"])).seq(), Seq(20));
    }
}
