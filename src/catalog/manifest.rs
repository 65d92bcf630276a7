//! The manifest: everything that is durable and not in the log, as of one seq. JSON for the
//! eye, and a last line with the checksum of all before it. That line and the field `version`
//! stay where they are in every version.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::streams::{Place, Streams};
use super::windows::WindowsFile;
use super::{Counters, SealedCatalog};
use crate::collection::CollectionFiles;
use crate::point::Schema;
use crate::position::{Fingerprint, Offset, Seq, Stream, UnixMillis};
use crate::wal::LogId;

/// Version 3 knows leader epochs, windows of message ids, and dead letters that were dropped; 2
/// has collections with payload indexes; 1 had none of it. They are the same otherwise.
pub const VERSION: u32 = 3;
const CHECKSUM: &str = "crc32c ";

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    pub version: u32,
    /// The checkpoint's number.
    pub number: u64,
    pub log_id: Uuid,
    /// Everything up to here is in the files.
    pub seq: Seq,
    pub counters: Counters,
    /// Collections that the configuration has created.
    pub configured: BTreeSet<String>,
    pub collections: BTreeMap<String, CollectionEntry>,
    pub streams: Vec<StreamEntry>,
    /// Oldest first.
    pub dead_letters: Vec<DeadLetterFile>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub windows: Option<WindowsFile>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CollectionEntry {
    /// The seq that created it, and the name of its directory.
    pub created: Seq,
    pub schema: Schema,
    pub files: CollectionFiles,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StreamEntry {
    pub stream: Stream,
    pub next: Option<Offset>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leader_epoch: Option<i32>,
    /// The body's fingerprint, then a space and the message id if there is one: a line each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub suffix: Vec<String>,
    pub time_unix_ms: UnixMillis,
    pub records: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeadLetterFile {
    /// The checkpoint that wrote it, and its name.
    pub number: u64,
    pub letters: u64,
    /// The seqs of its first and last dead letter.
    pub first: Seq,
    pub last: Seq,
    pub length_bytes: u64,
    pub crc32c: u32,
}

impl DeadLetterFile {
    pub fn name(&self) -> String {
        DeadLetterFile::name_of(self.number)
    }

    pub(super) fn name_of(number: u64) -> String {
        format!("{number}.jsonl")
    }
}

#[derive(Debug, thiserror::Error)]
pub enum InvalidManifest {
    #[error("{0}")]
    Damaged(String),
    #[error("format version {0}")]
    Newer(u32),
}

impl Manifest {
    /// What the state says; the files are the caller's to add.
    pub fn of(sealed: &SealedCatalog, log_id: LogId, number: u64) -> Manifest {
        Manifest {
            version: VERSION,
            number,
            log_id: log_id.0,
            seq: sealed.seq,
            counters: sealed.counters,
            configured: sealed.configured.clone(),
            collections: BTreeMap::new(),
            streams: sealed.streams.iter().map(|(stream, place)| entry(stream, place)).collect(),
            dead_letters: Vec::new(),
            windows: None,
        }
    }

    pub fn streams(&self) -> Result<Streams, InvalidManifest> {
        let mut streams = Streams::default();
        for entry in &self.streams {
            let suffix = entry.suffix.iter().map(|line| fingerprint(line));
            let place = Place {
                next: entry.next,
                leader_epoch: entry.leader_epoch,
                suffix: suffix.collect::<Result<VecDeque<_>, _>>()?,
                time: entry.time_unix_ms,
                records: entry.records,
            };
            streams.insert(entry.stream.clone(), place);
        }
        Ok(streams)
    }

    pub fn encode(&self) -> Result<Vec<u8>, serde_json::Error> {
        let mut content = serde_json::to_vec_pretty(self)?;
        content.push(b'\n');
        let checksum = crc32c::crc32c(&content);
        content.extend_from_slice(format!("{CHECKSUM}{checksum:08x}\n").as_bytes());
        Ok(content)
    }

    pub fn decode(content: &[u8]) -> Result<Manifest, InvalidManifest> {
        let body = verified(content)
            .ok_or_else(|| InvalidManifest::Damaged("its checksum does not fit it".to_owned()))?;
        let malformed = |error: serde_json::Error| {
            InvalidManifest::Damaged(format!("its checksum fits, its content does not: {error}"))
        };
        #[derive(Deserialize)]
        struct Versioned {
            version: u32,
        }
        match serde_json::from_slice::<Versioned>(body).map_err(malformed)?.version {
            1..=VERSION => serde_json::from_slice(body).map_err(malformed),
            newer => Err(InvalidManifest::Newer(newer)),
        }
    }
}

/// The content without its last line, if that line is its checksum.
fn verified(content: &[u8]) -> Option<&[u8]> {
    let last = CHECKSUM.len() + "00000000\n".len();
    let (body, line) = content.split_at_checked(content.len().checked_sub(last)?)?;
    let expected = format!("{CHECKSUM}{:08x}\n", crc32c::crc32c(body));
    (line == expected.as_bytes()).then_some(body)
}

fn entry(stream: &Stream, place: &Place) -> StreamEntry {
    let line = |print: &Fingerprint| match &print.message_id {
        Some(id) => format!("{:032x} {id}", print.body),
        None => format!("{:032x}", print.body),
    };
    StreamEntry {
        stream: stream.clone(),
        next: place.next,
        leader_epoch: place.leader_epoch,
        suffix: place.suffix.iter().map(line).collect(),
        time_unix_ms: place.time,
        records: place.records,
    }
}

fn fingerprint(line: &str) -> Result<Fingerprint, InvalidManifest> {
    let (body, message_id) = match line.split_once(' ') {
        Some((body, id)) => (body, Some(id.to_owned())),
        None => (line, None),
    };
    let body = u128::from_str_radix(body, 16)
        .map_err(|_| InvalidManifest::Damaged(format!("`{line}` is not a fingerprint")))?;
    Ok(Fingerprint { body, message_id })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        let queue = Stream::Queue { source: "s".into(), cluster: "c".into(), queue: "q".into() };
        let print = |body, id: Option<&str>| Fingerprint { body, message_id: id.map(String::from) };
        let suffix = [print(u128::MAX, None), print(0, Some("")), print(7, Some("a b\n\"c"))];
        let place = Place { suffix: suffix.into(), records: 9, ..Place::default() };
        Manifest {
            version: VERSION,
            number: 4,
            log_id: Uuid::from_u128(5),
            seq: Seq(u64::MAX),
            counters: Counters { moved: 3, ..Counters::default() },
            configured: BTreeSet::from(["a".to_owned()]),
            collections: BTreeMap::new(),
            streams: vec![entry(&queue, &place)],
            dead_letters: vec![],
            windows: Some(WindowsFile { number: 4, length_bytes: 8, crc32c: 7 }),
        }
    }

    #[test]
    fn a_manifest_reads_back_as_it_was_written() {
        let manifest = manifest();
        let read = Manifest::decode(&manifest.encode().unwrap()).unwrap();
        assert_eq!(read, manifest);
        let suffix: Vec<Fingerprint> = read
            .streams()
            .unwrap()
            .positions("s")
            .into_iter()
            .filter_map(|position| match position.mark {
                crate::position::Mark::Fingerprint(print) => Some(print),
                crate::position::Mark::Next(_) => None,
            })
            .collect();
        let ids: Vec<Option<&str>> =
            suffix.iter().map(|print| print.message_id.as_deref()).collect();
        assert_eq!(ids, [None, Some(""), Some("a b\n\"c")]);
        assert_eq!(suffix.iter().map(|it| it.body).collect::<Vec<_>>(), [u128::MAX, 0, 7]);
    }

    #[test]
    fn no_changed_missing_or_added_byte_goes_unnoticed() {
        let whole = manifest().encode().unwrap();
        for at in 0..whole.len() {
            let mut changed = whole.clone();
            changed[at] ^= 1;
            assert!(matches!(Manifest::decode(&changed), Err(InvalidManifest::Damaged(_))));
            assert!(matches!(Manifest::decode(&whole[..at]), Err(InvalidManifest::Damaged(_))));
        }
        let longer = [&whole[..], b"\n"].concat();
        assert!(matches!(Manifest::decode(&longer), Err(InvalidManifest::Damaged(_))));
    }
}
