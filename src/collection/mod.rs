//! One collection: its ids, its columns, and everything that reads them.
//!
//! One writer (the applier) calls [`Collection::apply`] with one message at a time; any number
//! of readers see all of a message or none of it. A maintenance thread seals heads into
//! segment files, merges segments and builds graphs; it never changes what a reader sees.
//!
//! Promise: what [`Collection::apply`] took is visible to every read that starts after it
//! returned. No promise: that it is on the disk; the log has it until a checkpoint does.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::filter::Filter;
use crate::point::{Payload, PointId};
use crate::position::Seq;

/// Sizes that bound a collection's memory and its files.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CollectionOptions {
    /// A segment of at least this many rows gets a graph. Default 50 000.
    pub graph_rows_min: u32,
    /// Segments are merged until they have about this many rows. Default 1 000 000.
    pub segment_rows_max: u32,
    /// Segments with a larger share of dead rows are merged. 0 to 1, default 0.3.
    pub dead_share_max: f64,
}

impl Default for CollectionOptions {
    fn default() -> Self {
        CollectionOptions {
            graph_rows_min: 50_000,
            segment_rows_max: 1_000_000,
            dead_share_max: 0.3,
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
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CollectionFiles {
    pub payload: Vec<SegmentEntry>,
    pub vectors: BTreeMap<String, Vec<SegmentEntry>>,
    /// The next free segment number, per collection.
    pub next_segment: u32,
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
    /// Only these top-level keys.
    Include(Vec<String>),
    /// All but these top-level keys.
    Exclude(Vec<String>),
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

#[derive(Clone, Debug)]
pub enum Query {
    Vector(Vec<f32>),
    /// The vector of this point, which is itself left out of the answer.
    Point(PointId),
}

/// What is wrong with a read. The API answers each as a client error.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum ReadError {
    #[error("vector `{given}` does not exist in this collection: it has {known}")]
    UnknownVector { given: String, known: String },
    #[error("the query has {given} dimensions, vector `{name}` has {expected}")]
    WrongDimension { name: String, given: usize, expected: usize },
    #[error("the query has a value that is not a finite 32-bit float")]
    NotFinite,
    #[error("point {0} does not exist, or has no such vector")]
    NoSuchPoint(PointId),
}

/// Why a collection's files cannot be used. Names the file and the remedy.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("{}: {what}. The file is part of the manifest: restore it from a copy, or restore the whole data directory", file.display())]
    Damaged { file: PathBuf, what: String },
    #[error("{}: {source}", file.display())]
    Io { file: PathBuf, source: std::io::Error },
}
