//! Building and searching a graph.

use super::ffi::Handle;
use super::file::{self, Fingerprint};
use super::{AnnError, Distance, Effort, GraphParams, Owner, Selector};

/// Rows linked between two looks at whether to stop: some tens of milliseconds.
const STEP: usize = 32;

/// An HNSW graph over the rows of a matrix that stays where it is.
pub struct Graph {
    handle: Handle,
    distance: Distance,
}

impl Graph {
    /// Links every row, on this thread alone; `None` once `cancelled` says so.
    ///
    /// Takes about 0.1 to 0.5 ms a row, and memory for the graph only ([`Graph::bytes`]).
    pub fn build(
        distance: Distance,
        vectors: Owner,
        params: GraphParams,
        mut cancelled: impl FnMut() -> bool,
    ) -> Result<Option<Graph>, AnnError> {
        if !(2..=512).contains(&params.m) || params.ef_construction == 0 {
            return Err(AnnError::Params(params));
        }
        let mut handle = Handle::new(distance, vectors, params)?;
        loop {
            if cancelled() {
                return Ok(None);
            }
            if handle.grow(STEP)? == 0 {
                return Ok(Some(Graph { handle, distance }));
            }
        }
    }

    /// The graph without its vectors, with a checksum over every byte. `fingerprint` names the
    /// rows: [`Graph::open`] refuses the file over any others.
    pub fn save(&self, fingerprint: Fingerprint) -> Result<Vec<u8>, AnnError> {
        let shape = file::Shape {
            distance: self.distance,
            dimensions: self.handle.dimensions(),
            rows: self.handle.rows(),
            fingerprint,
        };
        file::seal(&shape, |bytes| self.handle.write(bytes))
    }

    /// A saved graph over the vectors it was built over.
    pub fn open(
        bytes: &[u8],
        distance: Distance,
        vectors: Owner,
        fingerprint: Fingerprint,
    ) -> Result<Graph, AnnError> {
        let matrix = super::Matrix::of(&*vectors)?;
        let shape =
            file::Shape { distance, dimensions: matrix.dimensions, rows: matrix.rows, fingerprint };
        let graph = file::unseal(bytes, &shape)?;
        Ok(Graph { handle: Handle::read(graph, distance, vectors)?, distance })
    }

    /// At most `limit` rows that pass, best first, equal scores by row.
    ///
    /// `None` means that the graph is the wrong tool for this query: the effort is spent, or it
    /// found fewer rows than there should be. Scan the rows that pass instead.
    pub fn search(
        &self,
        query: &[f32],
        limit: usize,
        effort: Effort,
        selector: Option<Selector<'_>>,
    ) -> Result<Option<Vec<(u32, f32)>>, AnnError> {
        let expected = self.handle.dimensions();
        if query.len() != expected {
            return Err(AnnError::Dimensions { expected, found: query.len() });
        }
        let there = selector.map_or(u64::from(self.rows()), |selector| selector.count);
        let Some(mut found) = self.handle.search(query, limit, effort, selector)? else {
            return Ok(None);
        };
        if (found.len() as u64) < there.min(limit as u64) {
            return Ok(None);
        }
        found.sort_unstable_by(|a, b| {
            let by_score = if self.distance.larger_is_closer() {
                b.1.total_cmp(&a.1)
            } else {
                a.1.total_cmp(&b.1)
            };
            by_score.then(a.0.cmp(&b.0))
        });
        Ok(Some(found))
    }

    pub fn rows(&self) -> u32 {
        self.handle.rows()
    }

    /// Memory held beside the vectors. A search in flight adds one byte a row.
    pub fn bytes(&self) -> usize {
        self.handle.bytes()
    }
}
