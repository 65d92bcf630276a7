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

const EF_MIN: usize = 96;
/// How many rows worth of scanning one row of `ef` costs in a walk, without a filter. With one
/// it costs as many times more as there are rows for each that passes.
const WALK_COST: f64 = 8.0;

/// The plan for a segment of `rows` rows with a graph, of which `allowed` pass the filter (or at
/// most that many), for the best `limit`.
pub fn plan(rows: u64, allowed: u64, limit: usize) -> Plan {
    // With a filter the last of many results lie far apart, and take a deeper walk.
    let per_result = if allowed < rows { 3 } else { 2 };
    let ef = EF_MIN.max(limit.saturating_mul(per_result));
    plan_with(rows, allowed, limit, ef)
}

/// As [`plan`], with an `ef` that the request asks for.
pub fn plan_with(rows: u64, allowed: u64, limit: usize, ef: usize) -> Plan {
    let ef = ef.max(limit);
    // A walk scores about WALK_COST · ef · rows / allowed rows. In f64 nothing overflows,
    // whatever the request asks for.
    if (allowed as f64).powi(2) <= WALK_COST * ef as f64 * rows as f64 {
        return Plan::Exact;
    }
    // A walk that finds little costs at most half of the scan that then follows it.
    Plan::Graph(Effort { ef, visits_max: (allowed / 2) as usize })
}
