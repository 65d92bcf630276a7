//! From a data directory to the state as of the last durable record, ready to append.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use super::guard::{ApplyError, apply, body};
use crate::catalog::{Applied, Catalog, CatalogError, CatalogOptions, CheckpointError, WAL};
use crate::disk::Disk;
use crate::metrics::Metrics;
use crate::position::Seq;
use crate::wal::{self, Record, Recovery, Wal};

/// A data directory, opened and replayed.
pub struct Recovered {
    pub catalog: Arc<Catalog>,
    pub wal: Wal,
    pub recovery: Recovery,
    /// How much of the log no checkpoint holds, about.
    pub replayed_bytes: u64,
}

#[derive(Debug, thiserror::Error)]
pub enum RecoverError {
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    #[error(transparent)]
    Wal(#[from] wal::OpenError),
    #[error("the first manifest: {0}")]
    FirstManifest(#[from] CheckpointError),
}

/// Opens the catalog and its log, and applies every record that no checkpoint holds. A new
/// data directory gets its first manifest here, before anything is appended.
pub fn recover(
    disk: &Disk,
    directory: &Path,
    catalog: CatalogOptions,
    wal: wal::Options,
    reject: &BTreeSet<Seq>,
    metrics: &Metrics,
) -> Result<Recovered, RecoverError> {
    let catalog = Arc::new(Catalog::open(disk, directory, catalog, metrics)?);
    let anchor = catalog.anchor();
    let mut replayed_bytes = 0;
    let mut replay = |record: Record| -> Result<(), ApplyError> {
        replayed_bytes += record.body.len() as u64;
        let body = body(record.seq, record.body, reject)?;
        let Record { seq, time, position, .. } = record;
        apply(&catalog, Applied { seq, time, position, body }, reject).map(|_| ())
    };
    let (wal, recovery) = Wal::open(disk, &directory.join(WAL), wal, anchor, &mut replay)?;
    if anchor.is_none() {
        catalog.checkpoint(catalog.seal(), wal.log_id())?;
    }
    metrics.wal.applied_seq.set(catalog.applied().0 as i64);
    metrics.wal.checkpoint_seq.set(anchor.map_or(0, |anchor| anchor.applied.0 as i64));
    metrics.wal.bytes.set(wal.trimmer().bytes() as i64);
    Ok(Recovered { catalog, wal, recovery, replayed_bytes })
}
