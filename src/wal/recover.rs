//! The second half of opening: make sure that what was replayed is on the disk, and that the
//! log can go on. Every step leaves a log that opens, so a crash here is like any other.

use std::path::Path;

use super::chain::Link;
use super::create::{NAME, create};
use super::error::OpenError;
use super::file::{LogFile, close};
use super::header::FileHeader;
use super::name::{FileName, Listing};
use super::walk::Walked;
use super::{Options, Torn, Trimmer};
use crate::disk::{Disk, publish};
use crate::position::Seq;

const EVIDENCE: &str = "the copy of a torn tail, before the tail is cut";

/// Where recovery works.
pub struct Site<'a> {
    pub disk: &'a Disk,
    pub directory: &'a Path,
    pub options: Options,
    pub trimmer: &'a Trimmer,
}

impl Site<'_> {
    /// Gives the new file, where the chain goes on in it, and what was cut. The files it leaves
    /// are known to the trimmer; the new one is not yet.
    pub fn mend(
        &self,
        applied: Seq,
        listing: &Listing,
        walked: Walked,
    ) -> Result<(LogFile, Link, Option<Torn>), OpenError> {
        let Walked { behind, unclosed, newest } = walked;
        // The newest file was found, but whoever made it may have died before its name was
        // durable; what it carries, or begins after, is about to be cut or removed. The same
        // goes for a copy of broken bytes.
        self.disk.sync_dir(self.directory, NAME).map_err(OpenError::io(self.directory))?;
        self.clear(listing, behind)?;
        let mut torn = self.keep(newest.name, newest.offset, &newest.broken)?;
        if let Some(file) = unclosed {
            // The log is never torn in two places: a file with a torn closing frame has a
            // successor that is still empty.
            torn = torn.or(self.keep(file.name, file.offset, &file.broken)?);
            self.close(file.name, file.offset, file.link, newest.name)?;
        }

        // The last frame may be in the page cache only: its fsync may have failed, or never
        // have been asked for. The one behind the manifest was durable before it was applied.
        let last = newest.last.as_ref().filter(|(_, frame)| frame.last_seq() > applied);
        let (offset, start, carried) = match last {
            Some((offset, frame)) => (*offset, frame.header.link, &frame.bytes[..]),
            None => (newest.offset, newest.next, &[][..]),
        };
        let header =
            FileHeader { number: newest.name.number + 1, carried: !carried.is_empty(), start };
        let file_bytes = self.options.file_bytes;
        let file = create(self.disk, self.directory, header, carried, 0, file_bytes)?;
        self.close(newest.name, offset, start, file.name)?;
        Ok((file, newest.next, torn))
    }

    /// Copies broken bytes to a file of their own.
    fn keep(&self, name: FileName, offset: u64, bytes: &[u8]) -> Result<Option<Torn>, OpenError> {
        if bytes.is_empty() {
            return Ok(None);
        }
        let kept_at = name.evidence(self.directory, offset);
        // If it is there, a recovery that died has kept it: that copy is whole, and older than
        // any cutting.
        if !kept_at.exists() {
            publish(self.disk, &kept_at, bytes, EVIDENCE).map_err(OpenError::io(&kept_at))?;
        }
        let (file, bytes) = (name.path(self.directory), bytes.len() as u64);
        Ok(Some(Torn { file, offset, bytes, kept_at }))
    }

    /// Removes what a crash left: unfinished files, and those behind the manifest. This comes
    /// first because it makes room.
    fn clear(&self, listing: &Listing, behind: usize) -> Result<(), OpenError> {
        for path in &listing.temporary {
            self.disk.remove(path).map_err(OpenError::io(path))?;
        }
        for (index, name) in listing.files.iter().enumerate() {
            let path = name.path(self.directory);
            if index < behind {
                self.disk.remove(&path).map_err(OpenError::io(&path))?;
            } else {
                let bytes = path.metadata().map_err(OpenError::io(&path))?.len();
                self.trimmer.add(*name, bytes);
            }
        }
        Ok(())
    }

    fn close(
        &self,
        name: FileName,
        offset: u64,
        link: Link,
        successor: FileName,
    ) -> Result<(), OpenError> {
        let path = name.path(self.directory);
        let closed = self.disk.open(&path).and_then(|file| close(&file, offset, link, successor));
        self.trimmer.shrink(name, closed.map_err(OpenError::io(&path))?);
        Ok(())
    }
}
