//! For tests: what a power cut at any step would have left on the disk.
//!
//! A [`PowerCut`] watches a [`Disk`](super::Disk) that works in a real directory, and keeps a
//! journal of its steps. From it, the state after any step can be written out into another
//! directory, as the disk would have it after a power cut ([`Image::Durable`],
//! [`Image::Between`]) or as the page cache shows it after `kill -9` ([`Image::Killed`]).
//!
//! The model: a file's content is durable as of its last sync; a name is there, gone or
//! changed as of the last sync of its directory. A file whose name was never synced is absent,
//! whatever was synced into it. Of what was not synced, any 512-byte sectors of writes and any
//! prefix of the changes to names may be there all the same. After a failed sync the kernel
//! shows the pages as written and forgets to write them: they stay readable, and a later sync
//! does not make them durable.

mod model;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use model::Model;

use super::{Step, Witness};

/// What survives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Image {
    /// Only what was synced.
    Durable,
    /// Everything: the process died, the machine did not.
    Killed,
    /// What was synced, and a pseudo-random part of what was not.
    Between(u64),
}

/// The journal of a directory.
pub struct PowerCut {
    root: PathBuf,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The directory as it was found, all of it durable.
    found: Model,
    steps: Vec<Taken>,
    forgotten: BTreeSet<String>,
    failing: BTreeMap<usize, io::ErrorKind>,
}

/// A step that was taken. Paths are relative to the root.
enum Taken {
    Create(PathBuf),
    CreateDir(PathBuf),
    Write(PathBuf, u64, Vec<u8>),
    Resize(PathBuf, u64),
    Sync(PathBuf, &'static str),
    FailedSync(PathBuf),
    Rename(PathBuf, PathBuf),
    Remove(PathBuf),
    SyncDir(PathBuf, &'static str),
    /// It failed, and changed nothing.
    Failed,
}

impl PowerCut {
    /// Takes what is in `root` now as durable.
    pub fn over(root: &Path) -> io::Result<Arc<PowerCut>> {
        let mut found = Model::default();
        found.load(root, Path::new(""))?;
        let state = Mutex::new(State { found, ..Default::default() });
        Ok(Arc::new(PowerCut { root: root.to_owned(), state }))
    }

    /// How many steps were taken so far. An image after step `n` holds the first `n`.
    pub fn steps(&self) -> usize {
        self.lock().steps.len()
    }

    /// What the syncs so far were for.
    pub fn whys(&self) -> BTreeSet<&'static str> {
        let why = |step: &Taken| match step {
            Taken::Sync(_, why) | Taken::SyncDir(_, why) => Some(*why),
            _ => None,
        };
        self.lock().steps.iter().filter_map(why).collect()
    }

    /// Images are made as if the syncs with this `why` had never been asked for.
    pub fn forget(&self, why: &str) {
        self.lock().forgotten.insert(why.to_owned());
    }

    pub fn forget_nothing(&self) {
        self.lock().forgotten.clear();
    }

    /// Step number `step`, counted from 0, fails with this error.
    pub fn fail(&self, step: usize, error: io::ErrorKind) {
        self.lock().failing.insert(step, error);
    }

    /// Writes into `into`, which is empty or absent, what is left of the first `steps` steps.
    pub fn write_image(&self, steps: usize, image: Image, into: &Path) -> io::Result<()> {
        let state = self.lock();
        let mut model = state.found.clone();
        for step in state.steps.iter().take(steps) {
            model.take(step, &state.forgotten);
        }
        model.write(image, into)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `None` outside the root, where nothing is watched.
    fn inside(&self, path: &Path) -> Option<PathBuf> {
        path.strip_prefix(&self.root).ok().map(Path::to_owned)
    }

    fn taken(&self, step: Step<'_>) -> Option<Taken> {
        Some(match step {
            Step::Create { path } => Taken::Create(self.inside(path)?),
            Step::CreateDir { path } => Taken::CreateDir(self.inside(path)?),
            Step::Write { path, offset, bytes } => {
                Taken::Write(self.inside(path)?, offset, bytes.to_vec())
            }
            Step::Resize { path, length } => Taken::Resize(self.inside(path)?, length),
            Step::Sync { path, why } => Taken::Sync(self.inside(path)?, why),
            Step::Rename { from, to } => Taken::Rename(self.inside(from)?, self.inside(to)?),
            Step::Remove { path } => Taken::Remove(self.inside(path)?),
            Step::SyncDir { path, why } => Taken::SyncDir(self.inside(path)?, why),
        })
    }
}

impl Witness for PowerCut {
    fn saw(&self, step: Step<'_>) -> io::Result<()> {
        let Some(taken) = self.taken(step) else { return Ok(()) };
        let mut state = self.lock();
        let number = state.steps.len();
        match state.failing.remove(&number) {
            None => state.steps.push(taken),
            Some(error) => {
                state.steps.push(match taken {
                    Taken::Sync(path, _) => Taken::FailedSync(path),
                    _ => Taken::Failed,
                });
                return Err(io::Error::new(error, format!("step {number} was told to fail")));
            }
        }
        Ok(())
    }
}
