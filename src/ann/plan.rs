//! How a segment is searched, so that a filter never costs recall.

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

/// Up to this many rows a scan is quick whatever the filter.
const EXACT_ROWS: u64 = 50_000;
const EF_MIN: usize = 64;

/// The plan for a segment of `rows` rows with a graph, of which `allowed` pass the filter.
pub fn plan(rows: u64, allowed: u64, limit: usize) -> Plan {
    if allowed <= EXACT_ROWS || allowed.saturating_mul(10) <= rows {
        return Plan::Exact;
    }
    Plan::Graph(Effort { ef: EF_MIN.max(2 * limit), visits_max: allowed as usize / 2 })
}
