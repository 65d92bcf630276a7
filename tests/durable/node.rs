//! A data directory at work: what the threads of the daemon do, one step after the other.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use pointd::apply::{Recovered, recover};
use pointd::catalog::{Applied, Catalog, CatalogOptions, CheckpointError};
use pointd::collection::{
    Collection, CollectionOptions, PayloadSelect, Scroll, Select, VectorSelect,
};
use pointd::disk::Disk;
use pointd::filter::Filter;
use pointd::metrics::Metrics;
use pointd::operation::encode;
use pointd::position::{Mark, Seq};
use pointd::wal::{AppendError, Draft, LogId, Wal};

use super::model::{Seen, SeenLetter, SeenPoint, SeenStream};
use super::plan::Planned;

pub struct Node {
    pub catalog: Arc<Catalog>,
    pub wal: Wal,
    log_id: LogId,
}

/// Sizes so small that everything the real ones do happens within a hundred records.
pub fn catalog_options() -> CatalogOptions {
    let collection = CollectionOptions {
        graph_rows_min: 3,
        segment_rows_max: 64,
        dead_share_max: 0.3,
        ..CollectionOptions::default()
    };
    CatalogOptions { collection, ..CatalogOptions::default() }
}

pub fn wal_options() -> pointd::wal::Options {
    pointd::wal::Options { file_bytes: 4096, frame_bytes_max: 1 << 20 }
}

/// A directory in memory where there is one: these tests ask for very many syncs.
pub fn scratch() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap()
}

impl Node {
    pub fn open(disk: &Disk, directory: &Path) -> Result<Node, String> {
        let (catalog, wal) = (catalog_options(), wal_options());
        let recovered = recover(disk, directory, catalog, wal, &BTreeSet::new(), &Metrics::new());
        let Recovered { catalog, wal, .. } = recovered.map_err(|error| error.to_string())?;
        Ok(Node { catalog, log_id: wal.log_id(), wal })
    }

    /// One frame: durable, then applied. A failed append ends the process.
    pub fn append(&mut self, records: &[Planned]) -> Result<(), AppendError> {
        let drafts: Vec<Draft> = records.iter().map(draft).collect();
        let appended = self.wal.append(&drafts)?;
        for (record, seq) in records.iter().zip(appended.first.0..) {
            let Planned { time, position, body } = record.clone();
            self.catalog.apply(Applied { seq: Seq(seq), time, position, body });
        }
        Ok(())
    }

    pub fn checkpoint(&self) -> Result<(), CheckpointError> {
        let seq = self.catalog.checkpoint(self.catalog.seal(), self.log_id)?;
        // Failing to remove is harmless, as the maintenance thread has it.
        let _ = self.catalog.sweep();
        let _ = self.wal.trimmer().trim(seq);
        Ok(())
    }

    /// Merges and graphs; what fails stays undone. How many merges there were.
    pub fn improve(&self) -> usize {
        let mut merges = 0;
        for (_, collection) in self.catalog.collections() {
            collection.fill_index();
            while collection.merge(&AtomicBool::new(false)).unwrap_or(false) {
                merges += 1;
            }
        }
        self.build_graphs();
        merges
    }

    pub fn build_graphs(&self) {
        for (_, collection) in self.catalog.collections() {
            while collection.build_graph(&mut || false).unwrap_or(false) {}
        }
    }

    pub fn seen(&self) -> Seen {
        seen(&self.catalog)
    }
}

pub fn draft(record: &Planned) -> Draft {
    let position = record.position.as_ref().map(|position| position.encode());
    Draft { time: record.time, position, body: encode(&record.body) }
}

/// Everything a reader can see.
pub fn seen(catalog: &Catalog) -> Seen {
    let collections = catalog.collections();
    let indexes = collections.iter().filter_map(|(name, collection)| {
        let indexes = collection.indexes().into_iter().map(|index| (index.field, index.schema));
        let indexes: BTreeMap<_, _> = indexes.collect();
        (!indexes.is_empty()).then(|| (name.clone(), indexes))
    });
    let indexes = indexes.collect();
    let mut streams = BTreeMap::new();
    for progress in catalog.progress() {
        let positions = catalog.positions(progress.stream.source()).into_iter();
        // Positions are told without the broker's nodes, under which earlier versions kept them.
        let told = progress.stream.without_nodes();
        let told = told.as_ref().unwrap_or(&*progress.stream);
        let own = positions.filter(|position| &*position.stream == told);
        let suffix = own.filter_map(|position| match position.mark {
            Mark::Next(next) => {
                assert_eq!(Some(next), progress.next);
                None
            }
            Mark::Fingerprint(print) => Some(print),
        });
        let seen = SeenStream {
            next: progress.next,
            suffix: suffix.collect(),
            time: progress.time,
            records: progress.records,
        };
        streams.insert((*progress.stream).clone(), seen);
    }
    let letters = catalog.dead_letters().into_iter().map(|letter| SeenLetter {
        seq: letter.seq,
        time: letter.time,
        position: letter.position.clone(),
        reason: letter.refusal.reason,
        original: letter.original.clone(),
        collection: letter.collection.clone(),
        rewritten: letter.rewritten,
        redrives: letter.redrives,
        redriven_at: letter.redriven_at,
    });
    Seen {
        applied: catalog.applied(),
        collections: collections.into_iter().map(|(name, it)| (name, points(&it))).collect(),
        indexes,
        streams,
        letters: letters.collect(),
        counters: catalog.counters(),
    }
}

fn points(collection: &Collection) -> BTreeMap<pointd::point::PointId, SeenPoint> {
    let select = Select { payload: PayloadSelect::All, vectors: VectorSelect::All };
    let scroll = Scroll { filter: Filter::default(), offset: None, limit: 1000, select };
    let page = collection.scroll(&scroll).unwrap();
    assert_eq!(collection.count(&Filter::default()), page.points.len() as u64);
    let seen = page.points.into_iter().map(|point| {
        let payload = String::from_utf8(point.payload.unwrap().as_bytes().to_vec()).unwrap();
        let vectors = point.vectors.unwrap().into_iter().collect();
        (point.id, SeenPoint { version: point.version, payload, vectors })
    });
    seen.collect()
}
