//! Opening: find the files, verify and replay them, then let [`super::recover`] mend the end.

use std::error::Error;
use std::path::Path;

use uuid::Uuid;

use super::append::Fuse;
use super::chain::Link;
use super::create::{Failure, create, create_directory};
use super::error::OpenError;
use super::file::LogFile;
use super::header::FileHeader;
use super::name::{Listing, list};
use super::read::Reader;
use super::recover::Site;
use super::walk::Walk;
use super::{Anchor, LogId, Options, Record, Recovery, Trimmer, Wal};
use crate::disk::Disk;
use crate::position::Seq;

pub type Replay<'a> = dyn FnMut(Record) -> Result<(), Box<dyn Error + Send + Sync>> + 'a;

pub fn open(
    disk: &Disk,
    directory: &Path,
    options: Options,
    anchor: Option<Anchor>,
    replay: &mut Replay<'_>,
) -> Result<(Wal, Recovery), OpenError> {
    let listing = list(directory).map_err(OpenError::io(directory))?;
    if let Some(path) = listing.misnamed.first() {
        let expected = "its first seq in 20 digits, '-', its number in 10, '.wal'".to_owned();
        return Err(OpenError::Misnamed { file: path.clone(), expected });
    }
    let trimmer = Trimmer::new(disk.clone(), directory.to_owned());
    let (file, next, recovery) = match anchor {
        None => begin(disk, directory, options, &listing)?,
        Some(anchor) => {
            let mut walk = Walk::new(directory, anchor, replay);
            let walked = walk.all(&listing.files)?;
            let records = walk.records();
            let site = Site { disk, directory, options, trimmer: &trimmer };
            let (file, next, torn) = site.mend(anchor.applied, &listing, walked)?;
            (file, next, Recovery { records, last: Seq(next.seq.0.saturating_sub(1)), torn })
        }
    };
    trimmer.add(file.name, file.length);
    if let Some(anchor) = anchor {
        trimmer.trim(anchor.applied).map_err(OpenError::io(directory))?;
    }
    let (disk, directory) = (disk.clone(), directory.to_owned());
    let (buffer, fuse) = (Vec::new(), Fuse::default());
    Ok((Wal { disk, directory, options, file, next, buffer, fuse, trimmer }, recovery))
}

/// A new log. A crash may have come between the making of a log and its manifest: then there
/// is one file, and nothing in it.
fn begin(
    disk: &Disk,
    directory: &Path,
    options: Options,
    listing: &Listing,
) -> Result<(LogFile, Link, Recovery), OpenError> {
    let start = Link::first(LogId(Uuid::new_v4()));
    let header = FileHeader { number: 1, carried: false, start };
    for name in &listing.files {
        let path = name.path(directory);
        let reader = Reader::open(&path).map_err(OpenError::io(&path))?;
        let reader = reader.map_err(|fault| OpenError::fault(&path, 0, fault))?;
        let tail = reader.tail().map_err(OpenError::io(&path))?;
        if *name != header.name() || tail.iter().any(|byte| *byte != 0) {
            return Err(OpenError::ManifestMissing { file: path });
        }
    }
    create_directory(disk, directory).map_err(OpenError::io(directory))?;
    // Takes the place of the empty file, if there is one.
    let file = create(disk, directory, header, &[], 0, options.file_bytes)?;
    Ok((file, start, Recovery { records: 0, last: Seq(0), torn: None }))
}

impl From<Failure> for OpenError {
    fn from(failure: Failure) -> OpenError {
        let (Failure::NoRoom(path, source) | Failure::Failed(path, source)) = failure;
        OpenError::Io { path, source }
    }
}
