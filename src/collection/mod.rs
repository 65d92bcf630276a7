//! One collection: its ids, its columns, and everything that reads them.
//!
//! One writer (the applier) calls [`Collection::apply`] with one message at a time; any number
//! of readers see all of a message or none of it. The writer seals heads between two messages; a
//! maintenance thread writes them to files, merges segments and builds graphs, and never changes
//! what a reader sees.
//!
//! Promise: what [`Collection::apply`] took is visible to every read that starts after it
//! returned. No promise: that it is on the disk; the log has it until a checkpoint does.

mod apply;
mod column;
mod error;
mod fields;
mod flush;
mod gauges;
mod graph;
mod ids;
mod merge;
mod open;
mod order;
mod query;
mod read;
mod sample;
mod scroll;
mod search;
mod select;
mod slots;
mod stage;
mod staged;
mod state;
#[cfg(test)]
mod tests;
mod top;
mod wishes;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Mutex, RwLock, RwLockReadGuard, RwLockWriteGuard};

use serde::{Deserialize, Serialize};

use crate::disk::Disk;
use crate::filter::Filter;
use crate::metrics::Metrics;
use crate::point::{Path, Payload, PointId, Schema, VectorParams};
use crate::position::Seq;
use crate::rows::{ColumnType, Labels};
use column::Column;
use fields::Fields;
use gauges::Gauges;
use ids::Ids;
use state::{State, Which};
use wishes::Wishes;

pub use error::{OpenError, ReadError};
pub use fields::{IndexEntry, IndexInfo};
pub use flush::{Flushed, Sealed};
pub use graph::GraphError;
pub use order::Ordered;
pub use query::{Example, Like, Objective, Pair, Query, Recommend};
pub use sample::Sample;

/// As many as there are numbers for slots.
const SLOTS_MAX: u32 = u32::MAX;

/// Sizes that bound a collection's memory and its files.
#[derive(Clone, Debug)]
pub struct CollectionOptions {
    /// A segment of at least this many rows gets a graph. Default 50 000.
    pub graph_rows_min: u32,
    /// Segments are merged until they have about this many rows. Default 1 000 000.
    pub segment_rows_max: u32,
    /// Segments with a larger share of dead rows are merged. 0 to 1, default 0.3.
    pub dead_share_max: f64,
    /// Payload indexes that are made because filters often read many payloads. Default 8.
    pub automatic_indexes_max: usize,
    /// What merges and graphs leave free of the disk. Default 0: nothing.
    pub reserve_bytes: u64,
}

impl Default for CollectionOptions {
    fn default() -> Self {
        CollectionOptions {
            graph_rows_min: 50_000,
            segment_rows_max: 1_000_000,
            dead_share_max: 0.3,
            automatic_indexes_max: 8,
            reserve_bytes: 0,
        }
    }
}

/// One immutable file of one column, as the manifest names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentEntry {
    /// Its number, unique in its column for ever.
    pub number: u32,
    pub rows: u32,
    pub length_bytes: u64,
    pub crc32c: u32,
}

/// What the manifest says of a collection: the files of each column, as of one seq.
/// The payload column's files come under `payload`, a vector's under its name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CollectionFiles {
    pub payload: Vec<SegmentEntry>,
    pub vectors: BTreeMap<String, Vec<SegmentEntry>>,
    /// The next free segment number, per collection.
    pub next_segment: u32,
    /// The payload indexes, which are made anew from the payloads.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub indexes: Vec<IndexEntry>,
}

/// Which parts of a point an answer carries.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Select {
    pub payload: PayloadSelect,
    pub vectors: VectorSelect,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub enum PayloadSelect {
    #[default]
    None,
    All,
    /// Only what these keys lead to.
    Include(Vec<Path>),
    /// All but what these keys lead to.
    Exclude(Vec<Path>),
}

#[derive(Clone, Debug, Default, PartialEq)]
pub enum VectorSelect {
    #[default]
    None,
    All,
    Named(Vec<String>),
}

/// A point as an answer carries it. `vectors` has only those that were asked for and that the
/// point has.
#[derive(Clone, Debug, PartialEq)]
pub struct PointView {
    pub id: PointId,
    /// The seq of the message that last changed the point.
    pub version: Seq,
    pub payload: Option<Payload>,
    pub vectors: Option<Vec<(String, Vec<f32>)>>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct ScoredPoint {
    pub point: PointView,
    pub score: f32,
}

#[derive(Clone, Debug)]
pub struct Scroll {
    pub filter: Filter,
    /// The first id to answer.
    pub offset: Option<PointId>,
    pub limit: usize,
    pub select: Select,
}

#[derive(Clone, Debug)]
pub struct Page {
    pub points: Vec<PointView>,
    /// The id the next page begins with; `None` after the last.
    pub next_page_offset: Option<PointId>,
}

#[derive(Clone, Debug)]
pub struct Search {
    /// The vector's name, `point::UNNAMED` for an unnamed one.
    pub vector: String,
    pub query: Query,
    pub filter: Filter,
    pub limit: usize,
    /// The best so many are passed over.
    pub offset: usize,
    /// Worse scores are left out.
    pub score_threshold: Option<f32>,
    /// Scan every row; never use a graph.
    pub exact: bool,
    /// Overrides the width of the graph search.
    pub ef: Option<usize>,
    pub select: Select,
}

/// What there is, counted at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Info {
    pub points: u64,
    /// Immutable segments, over all columns.
    pub segments: usize,
    /// Live rows under graphs, over all vectors.
    pub indexed_vectors: u64,
    /// Memory of rows that are not in installed files.
    pub head_bytes: u64,
    /// By name.
    pub vectors: BTreeMap<String, VectorInfo>,
    /// Whether a segment waits for its graph.
    pub optimizing: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VectorInfo {
    /// Live rows that a search scans.
    pub exact_rows: u64,
    /// Live rows that a graph covers.
    pub graph_rows: u64,
}

/// See the module's promise. All methods may be called from any thread; of those that change
/// something, each says who calls it.
pub struct Collection {
    name: String,
    directory: PathBuf,
    schema: Schema,
    /// In the order of the schema.
    vectors: Vec<VectorColumn>,
    options: CollectionOptions,
    disk: Disk,
    state: RwLock<State>,
    wishes: Mutex<Wishes>,
    gauges: Gauges,
}

struct VectorColumn {
    name: String,
    params: VectorParams,
}

impl Collection {
    /// A new, empty collection. Its directory is made, and made durable, by the first flush;
    /// the directory's parent must exist.
    pub fn create(
        name: &str,
        directory: PathBuf,
        schema: Schema,
        options: CollectionOptions,
        disk: Disk,
        metrics: Metrics,
    ) -> Collection {
        let column = |(name, params): (&String, &VectorParams)| VectorColumn {
            name: name.clone(),
            params: params.clone(),
        };
        let vectors: Vec<VectorColumn> = schema.vectors.iter().map(column).collect();
        let names = vectors.iter().map(|vector| vector.name.as_str());
        let gauges = Gauges::new(metrics, name, names);
        let heads = vectors.iter().zip(1..);
        let state = State {
            seq: Seq::default(),
            ids: Ids::default(),
            payload: Column::new(ColumnType::Payload, 0),
            vectors: heads.map(|(vector, head)| Column::new(vector.column(), head)).collect(),
            fields: Fields::default(),
            next_segment: 1 + vectors.len() as u32,
            sealing: false,
        };
        Collection {
            name: name.to_owned(),
            directory,
            schema,
            vectors,
            options,
            disk,
            state: RwLock::new(state),
            wishes: Mutex::default(),
            gauges,
        }
    }

    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    pub fn info(&self) -> Info {
        let state = self.read();
        let vector = |(column, vector): (&Column, &VectorColumn)| {
            let (graph_rows, exact_rows) = column.graph_and_exact_rows();
            (vector.name.clone(), VectorInfo { exact_rows, graph_rows })
        };
        let vectors: BTreeMap<_, _> = state.vectors.iter().zip(&self.vectors).map(vector).collect();
        Info {
            points: state.ids.len(),
            segments: state.columns().map(|(_, column)| column.segments.len()).sum(),
            indexed_vectors: vectors.values().map(|vector| vector.graph_rows).sum(),
            head_bytes: state.memory_bytes(),
            optimizing: graph::missing(&state, &self.options).is_some(),
            vectors,
        }
    }

    /// Memory of rows that are not in installed files: the heads, and what is being flushed.
    pub fn head_bytes(&self) -> u64 {
        self.read().memory_bytes()
    }

    /// Takes the collection's series out of the metrics: it was deleted.
    pub fn forget_metrics(&self) {
        self.gauges.forget();
    }

    /// A panic under the lock may have left half a message: nothing may be read after it.
    fn read(&self) -> RwLockReadGuard<'_, State> {
        match self.state.read() {
            Ok(state) => state,
            Err(_) => {
                panic!("collection `{}` is unusable after a panic while it was written", self.name)
            }
        }
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        match self.state.write() {
            Ok(state) => state,
            Err(_) => {
                panic!("collection `{}` is unusable after a panic while it was written", self.name)
            }
        }
    }

    fn columns(&self) -> impl Iterator<Item = Which> + use<> {
        std::iter::once(Which::Payload).chain((0..self.vectors.len()).map(Which::Vector))
    }

    fn column_type(&self, which: Which) -> ColumnType {
        match which {
            Which::Payload => ColumnType::Payload,
            Which::Vector(place) => self.vectors[place].column(),
        }
    }

    fn labels(&self, which: Which) -> Labels<'_> {
        let vector = match which {
            Which::Payload => "",
            Which::Vector(place) => &self.vectors[place].name,
        };
        Labels { collection: &self.name, vector }
    }

    /// The vector's place in the schema.
    fn place_of(&self, name: &str) -> Option<usize> {
        self.vectors.binary_search_by(|vector| vector.name.as_str().cmp(name)).ok()
    }

    fn known_place(&self, name: &str) -> Result<usize, ReadError> {
        self.place_of(name).ok_or_else(|| ReadError::UnknownVector {
            given: name.to_owned(),
            known: self.known_vectors(),
        })
    }

    /// The names of its vectors, for an error.
    fn known_vectors(&self) -> String {
        let names = self.vectors.iter().map(|vector| format!("`{}`", vector.name));
        let names: Vec<String> = names.collect();
        if names.is_empty() { "none".to_owned() } else { names.join(", ") }
    }
}

impl VectorColumn {
    fn column(&self) -> ColumnType {
        ColumnType::Vector { size: self.params.size, distance: self.params.distance }
    }
}
