//! What [`super::plan`]'s constants were chosen by. Measures, and is not part of a test run:
//! `cargo test --release --lib ann::recall -- --ignored --nocapture --test-threads 1`.
//!
//! To measure over real embeddings, `POINTD_RECALL_ROWS` names a file of little-endian f32 rows,
//! `POINTD_RECALL_DIMENSIONS` their dimensions, and `POINTD_RECALL_LABELS` a text file with the
//! cluster of each row, one a line.

use std::sync::Arc;
use std::time::Instant;

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use super::tests::{Rows, exact, gaussian};
use super::*;

const QUERIES: usize = 200;

pub(super) struct Set {
    name: String,
    pub rows: Arc<Rows>,
    /// The cluster of each row, for filters that follow the clusters.
    pub cluster: Vec<u32>,
    /// With the cluster each is of.
    pub queries: Vec<(Vec<f32>, u32)>,
}

/// Every 300th row of the file is held out as a query.
fn from_file() -> Option<Set> {
    let path = std::env::var("POINTD_RECALL_ROWS").ok()?;
    let dimensions = std::env::var("POINTD_RECALL_DIMENSIONS").ok()?.parse().ok()?;
    let labels = std::fs::read_to_string(std::env::var("POINTD_RECALL_LABELS").ok()?).ok()?;
    let bytes = std::fs::read(&path).ok()?;
    let (mut values, mut cluster, mut queries) = (Vec::new(), Vec::new(), Vec::new());
    let mut names = Vec::new();
    for (n, (row, label)) in bytes.chunks_exact(4 * dimensions).zip(labels.lines()).enumerate() {
        let (floats, _) = row.as_chunks::<4>();
        let mut row: Vec<f32> = floats.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        normalize(&mut row);
        let number = names.iter().position(|name| name == &label).unwrap_or_else(|| {
            names.push(label);
            names.len() - 1
        });
        if n % 300 == 0 {
            queries.push((row, number as u32));
        } else {
            values.extend_from_slice(&row);
            cluster.push(number as u32);
        }
    }
    queries.truncate(QUERIES);
    Some(Set { name: path, rows: Arc::new(Rows { values, dimensions }), cluster, queries })
}

/// `copies` rows in a row are the same vector.
pub(super) fn made_up(
    name: &str,
    rows: usize,
    dimensions: usize,
    clusters: usize,
    copies: usize,
) -> Set {
    let mut random = SmallRng::seed_from_u64(42);
    let centres: Vec<Vec<f32>> =
        (0..clusters).map(|_| (0..dimensions).map(|_| gaussian(&mut random)).collect()).collect();
    let draw = |random: &mut SmallRng| {
        let cluster = random.random_range(0..clusters);
        let mut row: Vec<f32> = centres[cluster]
            .iter()
            .map(|centre| if clusters == 1 { 0.0 } else { *centre } + 0.5 * gaussian(random))
            .collect();
        normalize(&mut row);
        (row, cluster as u32)
    };
    let queries = (0..QUERIES).map(|_| draw(&mut random)).collect();
    let (mut values, mut cluster) = (Vec::new(), Vec::new());
    while cluster.len() < rows {
        let (row, number) = draw(&mut random);
        for _ in 0..copies.min(rows - cluster.len()) {
            values.extend_from_slice(&row);
            cluster.push(number);
        }
    }
    Set { name: name.to_owned(), rows: Arc::new(Rows { values, dimensions }), cluster, queries }
}

struct Filter {
    name: String,
    passes: Box<dyn Fn(u32) -> bool>,
}

fn filters(set: &Set) -> Vec<Filter> {
    let mut filters = vec![Filter { name: "all".to_owned(), passes: Box::new(|_| true) }];
    for percent in [50u32, 25, 10, 5, 1] {
        let passes = move |row: u32| (row.wrapping_mul(2_654_435_761) >> 7) % 100 < percent;
        filters.push(Filter { name: format!("{percent} % random"), passes: Box::new(passes) });
        let cluster = set.cluster.clone();
        let passes = move |row: u32| cluster[row as usize] * 37 % 100 < percent;
        filters.push(Filter { name: format!("{percent} % clusters"), passes: Box::new(passes) });
    }
    filters
}

fn measure(set: &Set, distance: Distance, params: GraphParams, efs: &[usize], filtered: bool) {
    let count = set.cluster.len();
    let started = Instant::now();
    let graph = Graph::build(distance, set.rows.clone(), params, || false).unwrap().unwrap();
    let built = started.elapsed();
    println!(
        "\n{} ({count} x {}), {distance:?}, m {}, ef_construction {}: built in {:.1} s ({:.0} us a row), {} B a row",
        set.name,
        set.rows.dimensions,
        params.m,
        params.ef_construction,
        built.as_secs_f64(),
        built.as_secs_f64() * 1e6 / count as f64,
        graph.bytes() / count,
    );
    for filter in filters(set).iter().take(if filtered { 99 } else { 1 }) {
        let allowed = (0..count as u32).filter(|row| (filter.passes)(*row)).count();
        let selector = Selector { count: allowed as u64, passes: &*filter.passes };
        let selector = (allowed < count).then_some(selector);
        for limit in [10, 100] {
            let started = Instant::now();
            let truth: Vec<_> = set
                .queries
                .iter()
                .map(|(query, _)| exact(distance, &set.rows, query, limit, &filter.passes))
                .collect();
            if plan(count as u64, allowed as u64, limit) == Plan::Exact {
                println!("  {:>14} k {limit:>3} planned exact", filter.name);
            }
            let exact_ms = started.elapsed().as_secs_f64() * 1e3 / QUERIES as f64;
            let planned = match plan(count as u64, allowed as u64, limit) {
                Plan::Exact => None,
                Plan::Graph(effort) => Some(effort),
            };
            let deep = |ef: &usize| Effort { ef: *ef, visits_max: usize::MAX };
            for effort in planned.into_iter().chain(efs.iter().map(deep)) {
                let (mut hits, mut of, mut worst, mut gave_up) = (0, 0, 1.0f64, 0);
                let mut times = Vec::new();
                for ((query, _), truth) in set.queries.iter().zip(&truth) {
                    let started = Instant::now();
                    let found = graph.search(query, limit, effort, selector).unwrap();
                    times.push(started.elapsed().as_secs_f64() * 1e3);
                    let Some(found) = found else {
                        gave_up += 1;
                        continue;
                    };
                    // By score: of equal rows any is right.
                    let bound = truth[truth.len() - 1].1;
                    let right = |score: f32| {
                        if distance.larger_is_closer() { score >= bound } else { score <= bound }
                    };
                    let hit = found.iter().filter(|(_, score)| right(*score)).count();
                    hits += hit;
                    of += truth.len();
                    worst = worst.min(hit as f64 / truth.len() as f64);
                }
                times.sort_by(f64::total_cmp);
                println!(
                    "  {:>14} k {limit:>3} ef {:>4}: recall {:.4} worst {worst:.2}  p50 {:.3} p99 {:.3} ms  exact {exact_ms:.2} ms  gave up {gave_up}",
                    filter.name,
                    effort.ef,
                    hits as f64 / of as f64,
                    times[QUERIES / 2],
                    times[QUERIES * 99 / 100],
                );
            }
        }
    }
}

const USUAL: GraphParams = GraphParams { m: 16, ef_construction: 100 };

#[test]
#[ignore = "measures for minutes"]
fn clustered() {
    let set = made_up("clustered", 60_000, 128, 200, 1);
    measure(&set, Distance::Cosine, USUAL, &[300], true);
}

#[test]
#[ignore = "measures for minutes"]
fn unclustered() {
    let set = made_up("gaussian", 60_000, 128, 1, 1);
    measure(&set, Distance::Cosine, USUAL, &[64, 128, 256, 512], false);
    measure(&set, Distance::Euclid, USUAL, &[], false);
    measure(&set, Distance::Manhattan, USUAL, &[], false);
}

#[test]
#[ignore = "measures for minutes"]
fn equal_rows() {
    for copies in [10, 40, 100, 1_000] {
        let set = made_up(&format!("{copies} copies"), 30_000, 64, 200, copies);
        measure(&set, Distance::Cosine, USUAL, &[], false);
    }
}

#[test]
#[ignore = "measures for minutes"]
fn embeddings() {
    let Some(set) = from_file() else {
        return println!("name a file: see the head of this module");
    };
    measure(&set, Distance::Cosine, USUAL, &[64], true);
    measure(&set, Distance::Manhattan, USUAL, &[64], true);
}
