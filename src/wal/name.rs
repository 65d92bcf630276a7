//! The names of the files in a log directory. Nothing else writes or parses one.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::position::Seq;

const SUFFIX: &str = ".wal";
const TEMPORARY: &str = ".wal.tmp";

/// `<first seq>-<file number>.wal`, both zero padded, so names sort as the log runs. The
/// number tells apart two files that begin with the same seq: one that recovery began with a
/// copy of its predecessor's only frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileName {
    pub first_seq: Seq,
    /// Counted from 1, without holes.
    pub number: u64,
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:020}-{:010}{SUFFIX}", self.first_seq.0, self.number)
    }
}

impl FileName {
    pub fn parse(name: &str) -> Option<FileName> {
        let (first_seq, number) = name.strip_suffix(SUFFIX)?.split_once('-')?;
        let parsed =
            FileName { first_seq: Seq(first_seq.parse().ok()?), number: number.parse().ok()? };
        // Only the one spelling: "+7" and unpadded numbers parse, but are not names of ours.
        (parsed.to_string() == name).then_some(parsed)
    }

    /// Whether nothing after `applied` lies in an older file.
    pub fn begins_by(&self, applied: Seq) -> bool {
        self.first_seq.0 <= applied.0.saturating_add(1)
    }

    pub fn path(&self, directory: &Path) -> PathBuf {
        directory.join(self.to_string())
    }

    /// What the file is called until its content is durable.
    pub fn temporary(&self, directory: &Path) -> PathBuf {
        directory.join(format!("{self}.tmp"))
    }

    /// Where a torn tail found at `offset` is kept.
    pub fn evidence(&self, directory: &Path, offset: u64) -> PathBuf {
        directory.join(format!("torn-{:020}-{:010}-{offset}.bin", self.first_seq.0, self.number))
    }
}

/// What a name in the directory is.
enum Kind {
    Log(FileName),
    /// Left by a crash while a file was made; holds nothing.
    Temporary,
    /// Ends like a log file, but is none: someone renamed it.
    Misnamed,
    Other,
}

fn kind(name: &str) -> Kind {
    // Evidence is published under a name that ends in ".tmp" until it is durable.
    if name.ends_with(TEMPORARY) || (name.starts_with("torn-") && name.ends_with(".tmp")) {
        return Kind::Temporary;
    }
    match FileName::parse(name) {
        Some(name) => Kind::Log(name),
        None if name.ends_with(SUFFIX) => Kind::Misnamed,
        None => Kind::Other,
    }
}

/// What lies in the log directory.
pub struct Listing {
    /// In the order of the log.
    pub files: Vec<FileName>,
    pub temporary: Vec<PathBuf>,
    pub misnamed: Vec<PathBuf>,
}

/// A directory that does not exist lists nothing.
pub fn list(directory: &Path) -> io::Result<Listing> {
    let mut listing = Listing { files: vec![], temporary: vec![], misnamed: vec![] };
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(listing),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let path = entry?.path();
        match path.file_name().and_then(|name| name.to_str()).map(kind) {
            Some(Kind::Log(name)) => listing.files.push(name),
            Some(Kind::Temporary) => listing.temporary.push(path),
            Some(Kind::Misnamed) => listing.misnamed.push(path),
            Some(Kind::Other) | None => {}
        }
    }
    listing.files.sort();
    Ok(listing)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_name_parses_back(first_seq: u64, number: u64) {
            let name = FileName { first_seq: Seq(first_seq), number };
            prop_assert_eq!(FileName::parse(&name.to_string()), Some(name));
        }

        #[test]
        fn only_our_own_spelling_is_a_name(text in "[0-9+-]{0,24}-[0-9+]{0,12}\\.wal") {
            if let Some(name) = FileName::parse(&text) {
                prop_assert_eq!(name.to_string(), text);
            }
        }
    }

    #[test]
    fn names_sort_as_the_log_runs() {
        let name = |seq, number| FileName { first_seq: Seq(seq), number }.to_string();
        assert!(name(9, 3) < name(10, 4));
        assert!(name(10, 9) < name(10, 10));
    }
}
