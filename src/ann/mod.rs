//! Scores and graphs: how close vectors are, and which rows of a matrix are closest.
//!
//! The kernels and the HNSW graphs are FAISS's, behind the C++ shim in `shim/`; [`ffi`] is the
//! only caller of it. This room knows rows of a matrix by number; it never sees a point id.
//!
//! Promised: a row's score is the same whatever path found it, because one kernel computes it.
//! A graph lives over vectors *where they are* ([`Vectors`]): it copies none while it is built,
//! saved, opened or searched. [`Graph::open`] refuses a damaged file, or another segment's,
//! before FAISS sees a byte. [`Graph::search`] answers only rows that pass the selector, and
//! `None` rather than a poor answer. No call starts a thread, and none ends the process.
//!
//! Not promised: that a graph finds the very best rows (see [`plan`] for what was measured), or
//! that graphs survive a change of the vectors beneath them: those must never change.
//!
//! On x86-64 the C++ code is compiled for AVX2 (`.cargo/config.toml`). On a processor without it
//! the process ends with exit code 78 and one line, before any of that code runs (`shim/cpu.c`).

mod ffi;
mod file;
mod graph;
mod kernel;
mod plan;
#[cfg(test)]
mod recall;
#[cfg(test)]
mod tests;

use std::sync::Arc;

pub use crate::point::Distance;
pub use file::Fingerprint;
pub use graph::Graph;
pub use kernel::{normalize, scan, score};
pub use plan::{Effort, Plan, plan};

/// The owner of a dense row-major matrix, such as a mapped segment file.
pub trait Vectors: Send + Sync {
    /// All rows, one after another.
    fn values(&self) -> &[f32];
    fn dimensions(&self) -> usize;
}

/// A dense row-major matrix: `values.len() / dimensions` rows.
#[derive(Clone, Copy)]
pub struct Matrix<'a> {
    values: &'a [f32],
    dimensions: usize,
    rows: u32,
}

impl<'a> Matrix<'a> {
    pub fn new(values: &'a [f32], dimensions: usize) -> Result<Self, AnnError> {
        // FAISS numbers rows with an i32.
        let rows = values.len().checked_div(dimensions).unwrap_or(usize::MAX);
        if rows > i32::MAX as usize || rows * dimensions != values.len() {
            return Err(AnnError::Shape { values: values.len(), dimensions });
        }
        Ok(Matrix { values, dimensions, rows: rows as u32 })
    }

    pub fn of(vectors: &'a dyn Vectors) -> Result<Self, AnnError> {
        Matrix::new(vectors.values(), vectors.dimensions())
    }

    pub fn rows(&self) -> u32 {
        self.rows
    }

    pub fn row(&self, row: u32) -> Option<&'a [f32]> {
        let start = row as usize * self.dimensions;
        (row < self.rows).then(|| &self.values[start..start + self.dimensions])
    }
}

/// Which rows a search may answer.
#[derive(Clone, Copy)]
pub struct Selector<'a> {
    /// How many rows pass, or at most that many.
    pub count: u64,
    /// Asked only for rows that are close enough to matter.
    pub passes: &'a dyn Fn(u32) -> bool,
}

/// How densely a graph is linked. More finds more, and costs time to build and memory to keep
/// (8 · `m` bytes a row and a little).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GraphParams {
    pub m: u16,
    pub ef_construction: u16,
}

impl Default for GraphParams {
    fn default() -> Self {
        GraphParams { m: 16, ef_construction: 100 }
    }
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum AnnError {
    #[error("{values} values are no matrix of {dimensions} dimensions and at most 2^31 - 1 rows")]
    Shape { values: usize, dimensions: usize },
    #[error("the vector has {found} dimensions, the rows have {expected}")]
    Dimensions { expected: usize, found: usize },
    #[error("row {row} was asked for, there are {rows}")]
    Row { row: u32, rows: u32 },
    #[error("graph parameters out of range: m is {}, give 2 to 512; ef_construction is {}, give 1 or more", .0.m, .0.ef_construction)]
    Params(GraphParams),
    /// Build the graph again.
    #[error("the graph file is damaged ({0}): build it again")]
    Damaged(&'static str),
    /// Build the graph again.
    #[error("the graph file belongs to other rows: its {what} is {found}, here it is {expected}")]
    OtherRows { what: &'static str, expected: u64, found: u64 },
    #[error("the graph file has format {found}, this program reads up to {newest}: upgrade it")]
    Newer { found: u32, newest: u32 },
    #[error("FAISS: {0}")]
    Faiss(String),
}

/// What a graph is built over, kept alive for as long as the graph.
type Owner = Arc<dyn Vectors>;
