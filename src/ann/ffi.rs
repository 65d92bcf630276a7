//! The C interface of `shim/shim.h`, and safe wrappers around it. Nothing else calls it.

use std::any::Any;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr::NonNull;

// Only its libraries are wanted; without a mention they would not be linked.
use faiss_sys as _;

use super::{AnnError, Distance, Effort, GraphParams, Matrix, Owner, Selector};

#[repr(C)]
struct ShimError {
    text: [c_char; 256],
}

impl ShimError {
    fn new() -> Self {
        ShimError { text: [0; 256] }
    }

    fn into_error(mut self) -> AnnError {
        self.text[255] = 0;
        // SAFETY: the array ends in a zero, set just now.
        let text = unsafe { CStr::from_ptr(self.text.as_ptr()) };
        AnnError::Faiss(text.to_string_lossy().into_owned())
    }
}

#[repr(C)]
struct ShimGraph {
    _opaque: [u8; 0],
}

const DONE: c_int = 0;
const GAVE_UP: c_int = 2;

type Append = extern "C" fn(to: *mut c_void, bytes: *const u8, length: usize);
type Passes = extern "C" fn(selector: *mut c_void, row: u32) -> c_int;

unsafe extern "C" {
    fn shim_score(metric: c_int, a: *const f32, b: *const f32, dimensions: usize) -> f32;
    fn shim_score_range(
        metric: c_int,
        query: *const f32,
        rows: *const f32,
        dimensions: usize,
        first: usize,
        count: usize,
        scores: *mut f32,
    );
    fn shim_score_list(
        metric: c_int,
        query: *const f32,
        rows: *const f32,
        dimensions: usize,
        which: *const u32,
        count: usize,
        scores: *mut f32,
    );
    fn shim_graph_new(
        metric: c_int,
        rows: *const f32,
        count: usize,
        dimensions: usize,
        m: c_int,
        ef_construction: c_int,
        error: *mut ShimError,
    ) -> *mut ShimGraph;
    fn shim_graph_grow(
        graph: *mut ShimGraph,
        steps: usize,
        left: *mut usize,
        error: *mut ShimError,
    ) -> c_int;
    fn shim_graph_write(
        graph: *const ShimGraph,
        append: Append,
        to: *mut c_void,
        error: *mut ShimError,
    ) -> c_int;
    fn shim_graph_read(
        bytes: *const u8,
        length: usize,
        metric: c_int,
        rows: *const f32,
        count: usize,
        dimensions: usize,
        error: *mut ShimError,
    ) -> *mut ShimGraph;
    fn shim_graph_search(
        graph: *const ShimGraph,
        query: *const f32,
        k: usize,
        ef: usize,
        share: f64,
        visits_max: usize,
        passes: Option<Passes>,
        selector: *mut c_void,
        rows: *mut u32,
        scores: *mut f32,
        found: *mut usize,
        error: *mut ShimError,
    ) -> c_int;
    fn shim_graph_bytes(graph: *const ShimGraph) -> usize;
    fn shim_graph_free(graph: *mut ShimGraph);
}

/// The shim's number for what a distance computes. Cosine vectors are normalised when they are
/// stored, so their inner product is their cosine.
pub(super) fn metric(distance: Distance) -> c_int {
    match distance {
        Distance::Cosine | Distance::Dot => 0,
        Distance::Euclid => 1,
        Distance::Manhattan => 2,
    }
}

/// Both slices have the same length; the callers check it.
pub(super) fn score(distance: Distance, a: &[f32], b: &[f32]) -> f32 {
    debug_assert_eq!(a.len(), b.len());
    let dimensions = a.len().min(b.len());
    // SAFETY: reads `dimensions` values of each, which both slices have.
    unsafe { shim_score(metric(distance), a.as_ptr(), b.as_ptr(), dimensions) }
}

/// Scores of `scores.len()` rows from `first` on.
pub(super) fn score_range(
    distance: Distance,
    query: &[f32],
    matrix: Matrix<'_>,
    first: u32,
    scores: &mut [f32],
) {
    assert_eq!(query.len(), matrix.dimensions);
    assert!(first as usize + scores.len() <= matrix.rows as usize);
    // SAFETY: the two lines above, and `Matrix` holds `rows * dimensions` values.
    unsafe {
        shim_score_range(
            metric(distance),
            query.as_ptr(),
            matrix.values.as_ptr(),
            matrix.dimensions,
            first as usize,
            scores.len(),
            scores.as_mut_ptr(),
        );
    }
}

/// Scores of the rows in `which`, each below `matrix.rows`.
pub(super) fn score_list(
    distance: Distance,
    query: &[f32],
    matrix: Matrix<'_>,
    which: &[u32],
    scores: &mut [f32],
) {
    assert_eq!(query.len(), matrix.dimensions);
    assert!(which.len() == scores.len() && which.iter().all(|row| *row < matrix.rows));
    // SAFETY: the two lines above, and `Matrix` holds `rows * dimensions` values.
    unsafe {
        shim_score_list(
            metric(distance),
            query.as_ptr(),
            matrix.values.as_ptr(),
            matrix.dimensions,
            which.as_ptr(),
            which.len(),
            scores.as_mut_ptr(),
        );
    }
}

/// A graph of the shim's, and the vectors it points into.
pub(super) struct Handle {
    graph: NonNull<ShimGraph>,
    vectors: Owner,
    rows: u32,
}

// SAFETY: the shim's graph has no thread of its own and no thread-local state, and `Owner` is
// `Send + Sync`.
unsafe impl Send for Handle {}
// SAFETY: what takes `&self` only reads the graph, except for its pool of visited tables, which
// has a lock. What changes the graph takes `&mut self`.
unsafe impl Sync for Handle {}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: made by the shim, freed once. The vectors are dropped after this body.
        unsafe { shim_graph_free(self.graph.as_ptr()) }
    }
}

/// What the shim calls back for every row it might answer.
struct Asked<'a> {
    selector: Selector<'a>,
    panic: Option<Box<dyn Any + Send>>,
}

extern "C" fn passes(asked: *mut c_void, row: u32) -> c_int {
    // SAFETY: `Handle::search` passes an `Asked` that lives for the whole call, on this thread.
    let asked = unsafe { &mut *asked.cast::<Asked<'_>>() };
    if asked.panic.is_some() {
        return 0;
    }
    // A panic must not unwind through C++ frames; `Handle::search` lets it go on from there.
    match catch_unwind(AssertUnwindSafe(|| (asked.selector.passes)(row))) {
        Ok(passes) => c_int::from(passes),
        Err(panic) => {
            asked.panic = Some(panic);
            0
        }
    }
}

extern "C" fn append(to: *mut c_void, bytes: *const u8, length: usize) {
    if length > 0 {
        // SAFETY: `Handle::write` passes a `Vec<u8>`, the shim `length` readable bytes.
        unsafe {
            (*to.cast::<Vec<u8>>()).extend_from_slice(std::slice::from_raw_parts(bytes, length));
        }
    }
}

impl Handle {
    /// A graph with none of its rows linked yet.
    ///
    /// The matrix's address is kept: `vectors` is kept alive, and what it lends through `&self`
    /// cannot move while it is.
    pub fn new(distance: Distance, vectors: Owner, params: GraphParams) -> Result<Self, AnnError> {
        let matrix = Matrix::of(&*vectors)?;
        let rows = matrix.rows;
        let mut error = ShimError::new();
        // SAFETY: the matrix holds `rows * dimensions` values, for as long as `vectors` lives.
        let graph = unsafe {
            shim_graph_new(
                metric(distance),
                matrix.values.as_ptr(),
                rows as usize,
                matrix.dimensions,
                c_int::from(params.m),
                c_int::from(params.ef_construction),
                &mut error,
            )
        };
        let graph = NonNull::new(graph).ok_or_else(|| error.into_error())?;
        Ok(Handle { graph, vectors, rows })
    }

    /// A graph from bytes that [`Handle::write`] gave, over the same rows.
    pub fn read(bytes: &[u8], distance: Distance, vectors: Owner) -> Result<Self, AnnError> {
        let matrix = Matrix::of(&*vectors)?;
        let rows = matrix.rows;
        let mut error = ShimError::new();
        // SAFETY: as in `new`; the bytes are only read during the call.
        let graph = unsafe {
            shim_graph_read(
                bytes.as_ptr(),
                bytes.len(),
                metric(distance),
                matrix.values.as_ptr(),
                rows as usize,
                matrix.dimensions,
                &mut error,
            )
        };
        let graph = NonNull::new(graph).ok_or_else(|| error.into_error())?;
        Ok(Handle { graph, vectors, rows })
    }

    /// Links up to `steps` more rows; answers how many are left.
    pub fn grow(&mut self, steps: usize) -> Result<usize, AnnError> {
        let mut error = ShimError::new();
        let mut left = 0;
        // SAFETY: the graph is alive and, by `&mut self`, nobody else's.
        let status = unsafe { shim_graph_grow(self.graph.as_ptr(), steps, &mut left, &mut error) };
        if status == DONE { Ok(left) } else { Err(error.into_error()) }
    }

    /// Appends FAISS's own format, without the vectors.
    pub fn write(&self, to: &mut Vec<u8>) -> Result<(), AnnError> {
        let mut error = ShimError::new();
        let to: *mut Vec<u8> = to;
        // SAFETY: the graph is alive; `to` is only used by `append`, during the call.
        let status =
            unsafe { shim_graph_write(self.graph.as_ptr(), append, to.cast(), &mut error) };
        if status == DONE { Ok(()) } else { Err(error.into_error()) }
    }

    /// The best rows in no order, with their scores; `None` if the visits ran out.
    pub fn search(
        &self,
        query: &[f32],
        limit: usize,
        effort: Effort,
        selector: Option<Selector<'_>>,
    ) -> Result<Option<Vec<(u32, f32)>>, AnnError> {
        assert_eq!(query.len(), self.vectors.dimensions());
        let limit = limit.min(self.rows as usize);
        let mut rows = vec![0u32; limit];
        let mut scores = vec![0f32; limit];
        let mut found = 0;
        let mut error = ShimError::new();
        let share =
            selector.map_or(1.0, |selector| selector.count as f64 / f64::from(self.rows.max(1)));
        let mut asked = selector.map(|selector| Asked { selector, panic: None });
        let callback: Option<Passes> = asked.as_ref().map(|_| passes as Passes);
        // SAFETY: the query has the graph's dimensions, `rows` and `scores` have room for
        // `limit`, and `asked` outlives the call.
        let status = unsafe {
            shim_graph_search(
                self.graph.as_ptr(),
                query.as_ptr(),
                limit,
                effort.ef.min(self.rows as usize),
                share,
                effort.visits_max,
                callback,
                asked
                    .as_mut()
                    .map_or(std::ptr::null_mut(), |asked| std::ptr::from_mut(asked).cast()),
                rows.as_mut_ptr(),
                scores.as_mut_ptr(),
                &mut found,
                &mut error,
            )
        };
        if let Some(panic) = asked.and_then(|asked| asked.panic) {
            resume_unwind(panic);
        }
        match status {
            DONE => Ok(Some(rows.into_iter().zip(scores).take(found).collect())),
            GAVE_UP => Ok(None),
            _ => Err(error.into_error()),
        }
    }

    pub fn rows(&self) -> u32 {
        self.rows
    }

    pub fn dimensions(&self) -> usize {
        self.vectors.dimensions()
    }

    pub fn bytes(&self) -> usize {
        // SAFETY: the graph is alive.
        unsafe { shim_graph_bytes(self.graph.as_ptr()) }
    }
}
