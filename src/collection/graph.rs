//! Graphs over segments: built, kept beside their segment, opened again.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::state::{State, Which};
use super::{Collection, CollectionOptions, OpenError};
use crate::ann::{AnnError, Distance, Fingerprint, Graph, GraphParams, Vectors};
use crate::disk::{free_bytes, publish};
use crate::rows::name::FileName;
use crate::rows::{Segment, SegmentFile};

/// What a graph takes for each row, about.
const ROW_BYTES: u64 = 144;

impl Vectors for SegmentFile {
    fn values(&self) -> &[f32] {
        SegmentFile::values(self)
    }

    fn dimensions(&self) -> usize {
        SegmentFile::dimensions(self)
    }
}

/// Why a graph could not be built. Searches stay exact, and slower.
#[derive(Debug, thiserror::Error)]
pub enum GraphError {
    #[error("{}: {source}", file.display())]
    Save { file: PathBuf, source: io::Error },
    #[error("{}: {source}", segment.display())]
    Build { segment: PathBuf, source: AnnError },
}

fn fingerprint(file: &SegmentFile) -> Fingerprint {
    let written = file.written();
    Fingerprint(u64::from(written.crc32c) << 32 | written.length_bytes & 0xffff_ffff)
}

/// The largest segment that shall have a graph and has none: its vector's place, its number.
pub(super) fn missing(
    state: &State,
    options: &CollectionOptions,
) -> Option<(usize, u32, Arc<SegmentFile>)> {
    let mut largest: Option<(usize, u32, Arc<SegmentFile>)> = None;
    for (place, column) in state.vectors.iter().enumerate() {
        for (number, standing) in &column.segments {
            let Segment::File(file) = &standing.segment else { continue };
            let wanted = standing.graph.is_none()
                && standing.live.len() >= u64::from(options.graph_rows_min.max(1));
            let larger = largest.as_ref().is_none_or(|(.., best)| file.rows() > best.rows());
            if wanted && larger {
                largest = Some((place, *number, Arc::clone(file)));
            }
        }
    }
    largest
}

impl Collection {
    /// Builds, saves and attaches at most one missing graph, of the largest segment that shall
    /// have one. True if it did. Runs for minutes, without the lock; `stop` is asked between two
    /// short steps, and may seal, flush and install meanwhile.
    pub fn build_graph(&self, stop: &mut dyn FnMut() -> bool) -> Result<bool, GraphError> {
        let missing = missing(&self.read(), &self.options);
        let Some((place, number, file)) = missing else { return Ok(false) };
        if !self.has_room(u64::from(file.rows()) * ROW_BYTES) {
            return Ok(false);
        }
        let distance = self.vectors[place].params.distance;
        let build = |source| GraphError::Build { segment: file.path().to_owned(), source };
        let vectors: Arc<dyn Vectors> = Arc::clone(&file) as Arc<dyn Vectors>;
        let graph = Graph::build(distance, vectors, GraphParams::default(), stop);
        let Some(graph) = graph.map_err(build)? else { return Ok(false) };
        let bytes = graph.save(fingerprint(&file)).map_err(build)?;
        let path = self.graph_path(place, number);
        match self.has_room(bytes.len() as u64) {
            true => {
                publish(&self.disk, &path, &bytes, "a graph, so that it need not be built again")
                    .map_err(|source| GraphError::Save { file: path, source })?
            }
            false => tracing::warn!(
                file = %path.display(),
                "graph not saved: the disk is full but for the reserve. It is in use until the \
                 process ends"
            ),
        }
        self.attach(place, number, graph);
        self.gauges.graph_built(place);
        Ok(true)
    }

    /// Whether the disk has so much free beyond the reserve, as far as that can be told.
    pub(super) fn has_room(&self, bytes: u64) -> bool {
        let reserve = self.options.reserve_bytes;
        let enough = |free: u64| free > reserve.saturating_add(bytes);
        reserve == 0 || free_bytes(&self.directory).map_or(true, enough)
    }

    fn attach(&self, place: usize, number: u32, graph: Graph) {
        let mut state = self.write();
        if let Some(standing) = state.vectors[place].segments.get_mut(&number) {
            standing.graph = Some(Arc::new(graph));
        }
        self.gauges.rows(&state);
    }

    fn graph_path(&self, place: usize, number: u32) -> PathBuf {
        self.column_directory(Which::Vector(place)).join(FileName::Graph(number).to_string())
    }

    /// Takes up the graphs that lie beside installed segments. One that cannot be used is
    /// removed, for [`Collection::build_graph`] to build again.
    pub(super) fn open_graphs(&self) {
        for place in 0..self.vectors.len() {
            let files: Vec<(u32, Arc<SegmentFile>)> = {
                let state = self.read();
                let segments = state.vectors[place].segments.iter();
                let file = |(number, standing): (&u32, &super::column::Standing)| match &standing
                    .segment
                {
                    Segment::File(file) => Some((*number, Arc::clone(file))),
                    Segment::Memory(_) => None,
                };
                segments.filter_map(file).collect()
            };
            for (number, file) in files {
                let path = self.graph_path(place, number);
                match std::fs::read(&path) {
                    Ok(bytes) => self.open_graph(place, number, file, &bytes),
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => {
                        tracing::warn!(file = %path.display(), %error, "graph not read: it is built again");
                    }
                }
            }
        }
    }

    fn open_graph(&self, place: usize, number: u32, file: Arc<SegmentFile>, bytes: &[u8]) {
        let distance: Distance = self.vectors[place].params.distance;
        let print = fingerprint(&file);
        match Graph::open(bytes, distance, file, print) {
            Ok(graph) => self.attach(place, number, graph),
            Err(error) => {
                let path = self.graph_path(place, number);
                tracing::warn!(file = %path.display(), %error, "graph removed: it is built again");
                if let Err(error) = self.disk.remove(&path) {
                    tracing::warn!(file = %path.display(), %error, "graph not removed");
                }
            }
        }
    }
}

impl From<crate::rows::RowsError> for OpenError {
    fn from(error: crate::rows::RowsError) -> Self {
        use crate::rows::RowsError;
        match error {
            RowsError::Io { file, source } => OpenError::Io { file, source },
            RowsError::Damaged { file, what } => OpenError::Damaged { file, what },
            RowsError::Newer { file, found } => OpenError::Newer { file, found },
        }
    }
}
