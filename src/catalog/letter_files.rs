//! Which files the dead letters of a checkpoint are in.
//!
//! A file is never changed. From the first on of which a letter has gone or was tried again, what
//! is kept goes into one new file, with the letters that are in none yet.

use std::path::Path;
use std::sync::Arc;

use super::manifest::{DeadLetterFile, Manifest};
use super::{Catalog, CheckpointError, DeadLetter, dead_letters, dead_letters_directory};

/// With more files than this, a checkpoint writes them all into one.
const FILES_MAX: usize = 4;

const LETTERS: &str = "a dead-letter file's content, before the manifest names it";
const LETTERS_NAME: &str = "a dead-letter file's name, before the manifest names it";

impl Catalog {
    /// Writes what is in no file yet, or no longer as it is there; gives the files of the next
    /// manifest. `letters` are all that are kept, in order of seq.
    pub(super) fn write_dead_letters(
        &self,
        letters: &[Arc<DeadLetter>],
        number: u64,
    ) -> Result<Vec<DeadLetterFile>, CheckpointError> {
        let manifest = self.manifest();
        let (mut files, mut new) = match &manifest {
            Some(manifest) => whole(manifest, letters),
            None => (Vec::new(), letters),
        };
        if !new.is_empty() && files.len() >= FILES_MAX {
            (files, new) = (Vec::new(), letters);
        }
        if let (Some(first), Some(last)) = (new.first(), new.last()) {
            let path = dead_letters_directory(&self.directory);
            let content = dead_letters::encode(new.iter().map(|letter| &**letter))
                .map_err(|error| CheckpointError::not_written(&path)(error.into()))?;
            let file = DeadLetterFile {
                number,
                letters: new.len() as u64,
                first: first.seq,
                last: last.seq,
                length_bytes: content.len() as u64,
                crc32c: crc32c::crc32c(&content),
            };
            let path = path.join(file.name());
            self.write_letters(&path, &content).map_err(CheckpointError::not_written(path))?;
            files.push(file);
        }
        Ok(files)
    }

    fn write_letters(&self, path: &Path, content: &[u8]) -> std::io::Result<()> {
        let file = self.disk.create(path)?;
        file.write_at(content, 0)?;
        file.sync(LETTERS)?;
        self.disk.sync_dir(&dead_letters_directory(&self.directory), LETTERS_NAME)
    }
}

/// The first files that still say what is kept, and the letters that are not in them.
fn whole<'a>(
    manifest: &Manifest,
    letters: &'a [Arc<DeadLetter>],
) -> (Vec<DeadLetterFile>, &'a [Arc<DeadLetter>]) {
    let (mut files, mut rest) = (Vec::new(), letters);
    for file in &manifest.dead_letters {
        let (of_file, after) =
            rest.split_at(rest.partition_point(|letter| letter.seq <= file.last));
        let changed = |letter: &Arc<DeadLetter>| letter.redriven_at > Some(manifest.seq);
        if of_file.len() as u64 != file.letters || of_file.iter().any(changed) {
            break;
        }
        files.push(file.clone());
        rest = after;
    }
    (files, rest)
}
