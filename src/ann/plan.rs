//! How a segment is searched, so that a filter never costs recall.
//!
//! Measured with `recall.rs` on 60 000 rows (m 16, ef_construction 100, the first 10, by the
//! effort planned here):
//!
//! | rows | filter | recall |
//! |---|---|---|
//! | sentence embeddings, 384 dimensions | none | 1.000 |
//! | | 50 % or 25 %, at random | 1.000 |
//! | | 50 % or 25 %, by category | 0.9995 |
//! | made-up clusters, 128 dimensions | none | 1.000 |
//! | | 50 % or 25 %, at random | 1.000 |
//! | | 50 % or 25 %, whole clusters | 0.994 |
//!
//! With an ef of 64 one query of 200 found none of its ten nearest embeddings; with 96 every one
//! found all. Fewer than about one row in eight passing is a scan at this size, and gives up
//! nothing.

/// How far a graph is walked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Effort {
    /// Rows that pass which are kept while walking; the walk ends when nothing closer is in
    /// sight. More finds more. Never less than the limit.
    pub ef: usize,
    /// Scores computed before the walk gives up.
    pub visits_max: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plan {
    /// Score every row that passes.
    Exact,
    /// Walk the graph; if it answers `None`, score every row that passes after all.
    Graph(Effort),
}

const EF_MIN: usize = 96;
/// How many rows worth of scanning one row of `ef` costs in a walk, without a filter. With one
/// it costs as many times more as there are rows for each that passes.
const WALK_COST: f64 = 8.0;

/// The plan for a segment of `rows` rows with a graph, of which `allowed` pass the filter (or at
/// most that many), for the best `limit`. `ef` is what the request asks for, if it does.
pub fn plan(rows: u64, allowed: u64, limit: usize, ef: Option<usize>) -> Plan {
    // With a filter the last of many results lie far apart, and take a deeper walk.
    let per_result = if allowed < rows { 3 } else { 2 };
    let ef = ef.unwrap_or(EF_MIN.max(limit.saturating_mul(per_result))).max(limit);
    // A walk scores about WALK_COST · ef · rows / allowed rows. In f64 nothing overflows,
    // whatever the request asks for.
    if (allowed as f64).powi(2) <= WALK_COST * ef as f64 * rows as f64 {
        return Plan::Exact;
    }
    // A walk that finds little costs at most half of the scan that then follows it.
    Plan::Graph(Effort { ef, visits_max: (allowed / 2) as usize })
}
