//! `params` of a search.

use serde::Deserialize;

/// `quantization` and `acorn` are passed over: they choose between speed and exactness, and we
/// answer from the f32 rows. So is `indexed_only`, which allows rows without a graph to be
/// left out: we scan them.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub(super) struct SearchParams {
    pub(super) hnsw_ef: Option<usize>,
    #[serde(default)]
    pub(super) exact: bool,
}
