//! Removing what the newest manifest no longer names.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use super::manifest::Manifest;
use super::{Catalog, collections_directory, dead_letters_directory, windows_directory};
use crate::position::Seq;

impl Catalog {
    /// Removes files that a crash, a deletion, a merge or a checkpoint has made needless. The
    /// removal need not be durable: what a power cut brings back is removed at the next open.
    /// On the maintenance thread, after a checkpoint.
    pub fn sweep(&self) -> io::Result<()> {
        // A collection with a later seq has been created since.
        let Some(manifest) = self.manifest() else { return Ok(()) };
        self.sweep_up_to(manifest.seq)
    }

    pub(super) fn sweep_up_to(&self, last: Seq) -> io::Result<()> {
        let Some(manifest) = self.manifest() else { return Ok(()) };
        for (name, collection) in self.collections() {
            if let Some(entry) = manifest.collections.get(&name) {
                collection.remove_obsolete(&entry.files)?;
            }
        }
        self.sweep_collections(&manifest, last)?;
        self.sweep_dead_letters(&manifest)?;
        self.sweep_windows(&manifest)
    }

    fn sweep_collections(&self, manifest: &Manifest, last: Seq) -> io::Result<()> {
        let named: BTreeSet<Seq> =
            manifest.collections.values().map(|entry| entry.created).collect();
        for entry in std::fs::read_dir(collections_directory(&self.directory))? {
            let entry = entry?;
            let created = entry.file_name().to_str().and_then(|name| name.parse().ok()).map(Seq);
            let needless = created.is_some_and(|seq| seq <= last && !named.contains(&seq));
            if needless {
                self.remove_tree(&entry.path())?;
            }
        }
        Ok(())
    }

    fn sweep_dead_letters(&self, manifest: &Manifest) -> io::Result<()> {
        let named: BTreeSet<String> =
            manifest.dead_letters.iter().map(|file| file.name()).collect();
        for entry in std::fs::read_dir(dead_letters_directory(&self.directory))? {
            let entry = entry?;
            let name = entry.file_name();
            let Some(name) = name.to_str() else { continue };
            if name.ends_with(".jsonl") && !named.contains(name) {
                self.disk.remove(&entry.path())?;
            }
        }
        Ok(())
    }

    fn sweep_windows(&self, manifest: &Manifest) -> io::Result<()> {
        let named = manifest.windows.as_ref().map(|file| file.name());
        for entry in std::fs::read_dir(windows_directory(&self.directory))? {
            let entry = entry?;
            let name = entry.file_name();
            let Some(name) = name.to_str() else { continue };
            if name.ends_with(".bin") && Some(name) != named.as_deref() {
                self.disk.remove(&entry.path())?;
            }
        }
        Ok(())
    }

    fn remove_tree(&self, path: &Path) -> io::Result<()> {
        // Not through a link: what it points to is not ours.
        if !path.symlink_metadata()?.is_dir() {
            return self.disk.remove(path);
        }
        for entry in std::fs::read_dir(path)? {
            self.remove_tree(&entry?.path())?;
        }
        self.disk.remove_dir(path)
    }
}
