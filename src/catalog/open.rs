//! From the files of a data directory to the state of its newest manifest.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, RwLock};

use super::manifest::{DeadLetterFile, InvalidManifest, Manifest, VERSION};
use super::windows::{WindowSizes, Windows, WindowsFile};
use super::{
    Catalog, CatalogError, CatalogOptions, Checkpoints, DeadLetter, DirectoryLock, Held, MANIFEST,
    State, collection_directory, collections_directory, dead_letters, dead_letters_directory,
    windows_directory,
};
use crate::collection::Collection;
use crate::disk::Disk;
use crate::metrics::Metrics;
use crate::position::Seq;

const DIRECTORY: &str = "the manifest a restart goes by, before it removes what that does not name";

impl Catalog {
    /// Reads and verifies the manifest and everything it names, and removes what it does not.
    /// A fresh directory gives an empty catalog without a manifest: whoever makes its log then
    /// makes a checkpoint, before anything else.
    pub fn open(
        disk: &Disk,
        directory: &Path,
        options: CatalogOptions,
        metrics: &Metrics,
    ) -> Result<Catalog, CatalogError> {
        let lock = DirectoryLock::take(disk, directory)?;
        let manifest = read_manifest(directory)?;
        if manifest.is_none() {
            refuse_leftovers(directory)?;
            sync_own_name(disk, directory)?;
        }
        let letters = dead_letters_directory(directory);
        for owned in [collections_directory(directory), letters, windows_directory(directory)] {
            // What a manifest needs is missed when it is opened, file by file.
            disk.create_dir_all(&owned).map_err(CatalogError::io(&owned))?;
        }
        // A process that ended between naming the manifest and syncing the directory left a
        // name that only the page cache has. A power cut could still bring the older one back,
        // which needs files that this one does not name.
        disk.sync_dir(directory, DIRECTORY).map_err(CatalogError::io(directory))?;
        let state = match &manifest {
            Some(manifest) => read_state(disk, directory, manifest, &options, metrics)?,
            None => State { windows: Windows::new(options.windows.clone()), ..State::default() },
        };
        let number = manifest.as_ref().map_or(0, |manifest| manifest.number);
        let catalog = Catalog {
            disk: disk.clone(),
            directory: directory.to_owned(),
            options,
            metrics: metrics.clone(),
            state: RwLock::new(state),
            manifest: RwLock::new(manifest.map(Arc::new)),
            indexes: crossbeam_channel::bounded(1),
            checkpoints: Mutex::new(Checkpoints { number, stopped: false }),
            _lock: lock,
        };
        // Replay makes collections under the same numbers anew.
        catalog.sweep_up_to(Seq(u64::MAX)).map_err(CatalogError::io(directory))?;
        Ok(catalog)
    }
}

fn read_manifest(directory: &Path) -> Result<Option<Manifest>, CatalogError> {
    let file = directory.join(MANIFEST);
    let content = match std::fs::read(&file) {
        Ok(content) => content,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(CatalogError::Io { path: file, source }),
    };
    Manifest::decode(&content).map(Some).map_err(|error| invalid(file, error))
}

fn invalid(file: PathBuf, error: InvalidManifest) -> CatalogError {
    match error {
        InvalidManifest::Damaged(what) => CatalogError::Damaged { file, what },
        InvalidManifest::Newer(found) => CatalogError::Newer { file, found, known: VERSION },
    }
}

/// Makes the data directory's own name durable, whether this start made it or one that ended
/// too early, and the names of those it is in, which may be as new.
fn sync_own_name(disk: &Disk, directory: &Path) -> Result<(), CatalogError> {
    let absolute = std::path::absolute(directory).map_err(CatalogError::io(directory))?;
    for parent in absolute.ancestors().skip(1) {
        match disk.sync_dir(parent, "the data directory's own name") {
            // Then it is not ours, and was there before.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Ok(()),
            synced => synced.map_err(CatalogError::io(parent))?,
        }
    }
    Ok(())
}

/// The first manifest is durable before the first record is, and a record before any of these.
fn refuse_leftovers(directory: &Path) -> Result<(), CatalogError> {
    for owned in [collections_directory(directory), dead_letters_directory(directory)] {
        let mut entries = match std::fs::read_dir(&owned) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(source) => return Err(CatalogError::Io { path: owned, source }),
        };
        if let Some(entry) = entries.next() {
            let found = entry.map_err(CatalogError::io(&owned))?.path();
            return Err(CatalogError::ManifestMissing {
                manifest: directory.join(MANIFEST),
                found,
            });
        }
    }
    Ok(())
}

fn read_state(
    disk: &Disk,
    directory: &Path,
    manifest: &Manifest,
    options: &CatalogOptions,
    metrics: &Metrics,
) -> Result<State, CatalogError> {
    let mut collections = BTreeMap::new();
    for (name, entry) in &manifest.collections {
        let collection = Collection::open(
            name,
            collection_directory(directory, entry.created),
            entry.schema.clone(),
            &entry.files,
            options.collection.clone(),
            disk.clone(),
            metrics.clone(),
        )
        .map_err(|source| CatalogError::Collection { name: name.clone(), source })?;
        let held = Held { created: entry.created, collection: Arc::new(collection) };
        collections.insert(name.clone(), held);
    }
    let mut letters = dead_letters::DeadLetters::default();
    for file in &manifest.dead_letters {
        for letter in read_dead_letters(directory, file)? {
            letters.push(Arc::new(letter));
        }
    }
    let streams = manifest.streams().map_err(|error| invalid(directory.join(MANIFEST), error))?;
    Ok(State {
        applied: manifest.seq,
        collections,
        configured: manifest.configured.clone(),
        streams,
        dead_letters: letters,
        windows: read_windows(directory, manifest.windows.as_ref(), &options.windows)?,
        counters: manifest.counters,
    })
}

fn read_dead_letters(
    directory: &Path,
    entry: &DeadLetterFile,
) -> Result<Vec<DeadLetter>, CatalogError> {
    let file = dead_letters_directory(directory).join(entry.name());
    let content = std::fs::read(&file).map_err(CatalogError::io(&file))?;
    let damaged = |what: String| CatalogError::Damaged { file: file.clone(), what };
    let (length, checksum) = (content.len() as u64, crc32c::crc32c(&content));
    if length != entry.length_bytes {
        let expected = entry.length_bytes;
        return Err(damaged(format!("{length} bytes where the manifest says {expected}")));
    }
    if checksum != entry.crc32c {
        return Err(damaged("its checksum is not the manifest's".to_owned()));
    }
    let letters = dead_letters::decode(&content).map_err(|error| damaged(error.to_string()))?;
    if letters.len() as u64 != entry.letters {
        let (found, expected) = (letters.len(), entry.letters);
        return Err(damaged(format!("{found} dead letters where the manifest says {expected}")));
    }
    Ok(letters)
}

fn read_windows(
    directory: &Path,
    file: Option<&WindowsFile>,
    sizes: &WindowSizes,
) -> Result<Windows, CatalogError> {
    let Some(file) = file else { return Ok(Windows::new(sizes.clone())) };
    let path = windows_directory(directory).join(file.name());
    let content = std::fs::read(&path).map_err(CatalogError::io(&path))?;
    let whole =
        content.len() as u64 == file.length_bytes && crc32c::crc32c(&content) == file.crc32c;
    let windows = whole.then(|| Windows::decode(&content, sizes.clone())).flatten();
    windows.ok_or_else(|| CatalogError::Damaged {
        file: path,
        what: "its length or checksum is not the manifest's".to_owned(),
    })
}
