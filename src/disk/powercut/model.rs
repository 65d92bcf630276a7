//! What the disk and the page cache hold after a run of steps.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use super::{Image, Taken};

/// The directory, as the page cache and as the disk have it.
#[derive(Clone, Default)]
pub struct Model {
    files: Vec<Content>,
    cached: Names,
    durable: Names,
    /// Changes to names that are not durable, in order.
    renaming: Vec<Change>,
}

/// Relative paths, and what they name.
type Names = BTreeMap<PathBuf, Node>;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Node {
    Directory,
    /// An index into [`Model::files`].
    File(usize),
}

#[derive(Clone)]
enum Change {
    Named(PathBuf, Node),
    Renamed(PathBuf, PathBuf),
    Removed(PathBuf),
}

#[derive(Clone, Default)]
struct Content {
    cached: Vec<u8>,
    durable: Vec<u8>,
    /// Not synced, in order.
    writes: Vec<Edit>,
}

#[derive(Clone)]
enum Edit {
    Write(u64, Vec<u8>),
    Resize(u64),
}

const SECTOR: u64 = 512;

impl Edit {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Edit::Resize(length) => bytes.resize(*length as usize, 0),
            Edit::Write(offset, written) => {
                let (start, end) = (*offset as usize, *offset as usize + written.len());
                bytes.resize(bytes.len().max(end), 0);
                bytes[start..end].copy_from_slice(written);
            }
        }
    }

    /// A write, cut where the disk's sectors are.
    fn sectors(&self) -> Vec<Edit> {
        let Edit::Write(offset, written) = self else { return vec![self.clone()] };
        let (mut at, mut left, mut sectors) = (*offset, &written[..], vec![]);
        while !left.is_empty() {
            let (sector, rest) = left.split_at(left.len().min((SECTOR - at % SECTOR) as usize));
            sectors.push(Edit::Write(at, sector.to_vec()));
            at += sector.len() as u64;
            left = rest;
        }
        sectors
    }
}

impl Change {
    fn directory(&self) -> &Path {
        let (Change::Named(path, _) | Change::Renamed(_, path) | Change::Removed(path)) = self;
        path.parent().unwrap_or(Path::new(""))
    }

    fn apply(&self, names: &mut Names) {
        match self {
            Change::Named(path, node) => {
                names.insert(path.clone(), *node);
            }
            Change::Renamed(from, to) => {
                if let Some(node) = names.remove(from) {
                    names.insert(to.clone(), node);
                }
            }
            Change::Removed(path) => {
                names.remove(path);
            }
        }
    }
}

impl Model {
    pub fn load(&mut self, root: &Path, inside: &Path) -> io::Result<()> {
        for entry in std::fs::read_dir(root.join(inside))? {
            let entry = entry?;
            let path = inside.join(entry.file_name());
            let node = if entry.file_type()?.is_dir() {
                self.load(root, &path)?;
                Node::Directory
            } else {
                let bytes = std::fs::read(entry.path())?;
                self.files.push(Content { cached: bytes.clone(), durable: bytes, writes: vec![] });
                Node::File(self.files.len() - 1)
            };
            self.cached.insert(path.clone(), node);
            self.durable.insert(path, node);
        }
        Ok(())
    }

    pub fn take(&mut self, step: &Taken, forgotten: &BTreeSet<String>) {
        match step {
            Taken::Create(path) => {
                self.files.push(Content::default());
                self.change(Change::Named(path.clone(), Node::File(self.files.len() - 1)));
            }
            Taken::CreateDir(path) => self.change(Change::Named(path.clone(), Node::Directory)),
            Taken::Rename(from, to) => self.change(Change::Renamed(from.clone(), to.clone())),
            Taken::Remove(path) => self.change(Change::Removed(path.clone())),
            Taken::Write(path, offset, bytes) => {
                self.edit(path, Edit::Write(*offset, bytes.clone()));
            }
            Taken::Resize(path, length) => self.edit(path, Edit::Resize(*length)),
            Taken::Sync(_, why) | Taken::SyncDir(_, why) if forgotten.contains(*why) => {}
            Taken::Sync(path, _) => self.sync(path, true),
            Taken::FailedSync(path) => self.sync(path, false),
            Taken::SyncDir(path, _) => self.sync_dir(path),
            Taken::Failed => {}
        }
    }

    fn change(&mut self, change: Change) {
        change.apply(&mut self.cached);
        self.renaming.push(change);
    }

    /// `None` for a file that was removed while open, which no image will show.
    fn content(&mut self, path: &Path) -> Option<&mut Content> {
        match self.cached.get(path) {
            Some(Node::File(index)) => self.files.get_mut(*index),
            _ => None,
        }
    }

    fn edit(&mut self, path: &Path, edit: Edit) {
        if let Some(content) = self.content(path) {
            edit.apply(&mut content.cached);
            content.writes.push(edit);
        }
    }

    fn sync(&mut self, path: &Path, succeeds: bool) {
        if let Some(content) = self.content(path) {
            for edit in std::mem::take(&mut content.writes) {
                if succeeds {
                    edit.apply(&mut content.durable);
                }
            }
        }
    }

    fn sync_dir(&mut self, directory: &Path) {
        let (synced, rest) = std::mem::take(&mut self.renaming)
            .into_iter()
            .partition::<Vec<_>, _>(|change| change.directory() == directory);
        self.renaming = rest;
        for change in synced {
            change.apply(&mut self.durable);
        }
    }

    pub fn write(&self, image: Image, into: &Path) -> io::Result<()> {
        let mut chance = Chance(if let Image::Between(seed) = image { seed } else { 0 });
        let mut names = if image == Image::Killed { &self.cached } else { &self.durable }.clone();
        if let Image::Between(_) = image {
            let prefix = chance.below(self.renaming.len() + 1);
            self.renaming.iter().take(prefix).for_each(|change| change.apply(&mut names));
        }
        std::fs::create_dir_all(into)?;
        // Sorted, so a directory comes before what is in it.
        for (path, node) in &names {
            let target = into.join(path);
            if !target.parent().is_some_and(Path::is_dir) {
                // Its directory did not survive.
                continue;
            }
            match node {
                Node::Directory => std::fs::create_dir(&target)?,
                Node::File(index) => {
                    std::fs::write(&target, self.files[*index].bytes(image, &mut chance))?;
                }
            }
        }
        Ok(())
    }
}

impl Content {
    fn bytes(&self, image: Image, chance: &mut Chance) -> Vec<u8> {
        match image {
            Image::Durable => self.durable.clone(),
            Image::Killed => self.cached.clone(),
            Image::Between(_) => {
                let mut bytes = self.durable.clone();
                for sector in self.writes.iter().flat_map(Edit::sectors) {
                    if chance.below(2) == 0 {
                        sector.apply(&mut bytes);
                    }
                }
                bytes
            }
        }
    }
}

/// Pseudo-random numbers that a seed brings back (splitmix64).
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % bound as u64) as usize
    }
}
