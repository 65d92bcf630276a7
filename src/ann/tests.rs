use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rand::rngs::SmallRng;
use rand::{Rng, RngExt, SeedableRng};

use super::*;

mod file;

pub(super) const DISTANCES: [Distance; 4] =
    [Distance::Cosine, Distance::Dot, Distance::Euclid, Distance::Manhattan];
pub(super) const PLENTY: Effort = Effort { ef: 200, visits_max: usize::MAX };
pub(super) const FINGERPRINT: Fingerprint = Fingerprint(0x1234_5678_9abc_def0);

pub(super) struct Rows {
    pub values: Vec<f32>,
    pub dimensions: usize,
}

impl Vectors for Rows {
    fn values(&self) -> &[f32] {
        &self.values
    }

    fn dimensions(&self) -> usize {
        self.dimensions
    }
}

impl Rows {
    pub fn row(&self, row: u32) -> &[f32] {
        Matrix::of(self).unwrap().row(row).unwrap()
    }
}

pub(super) fn gaussian(random: &mut impl Rng) -> f32 {
    // The sum of twelve uniforms has variance 1.
    (0..12).map(|_| random.random::<f32>()).sum::<f32>() - 6.0
}

pub(super) fn random_rows(seed: u64, rows: usize, dimensions: usize) -> Arc<Rows> {
    let mut random = SmallRng::seed_from_u64(seed);
    let mut values: Vec<f32> = (0..rows * dimensions).map(|_| gaussian(&mut random)).collect();
    values.chunks_mut(dimensions).for_each(|row| assert!(normalize(row)));
    Arc::new(Rows { values, dimensions })
}

pub(super) fn build(distance: Distance, rows: &Arc<Rows>) -> Graph {
    Graph::build(distance, rows.clone(), GraphParams::default(), || false).unwrap().unwrap()
}

/// The best rows by scoring all of them, best first.
pub(super) fn exact(
    distance: Distance,
    rows: &Rows,
    query: &[f32],
    limit: usize,
    passes: impl Fn(u32) -> bool,
) -> Vec<(u32, f32)> {
    let matrix = Matrix::of(rows).unwrap();
    let mut found = Vec::new();
    let which = (0..matrix.rows()).filter(|row| passes(*row));
    scan(distance, query, matrix, which, |row, score| found.push((row, score))).unwrap();
    found.sort_by(|a, b| {
        let order = b.1.total_cmp(&a.1);
        let order = if distance.larger_is_closer() { order } else { order.reverse() };
        order.then(a.0.cmp(&b.0))
    });
    found.truncate(limit);
    found
}

fn naive(distance: Distance, a: &[f32], b: &[f32]) -> f64 {
    let pairs = a.iter().zip(b).map(|(a, b)| (f64::from(*a), f64::from(*b)));
    match distance {
        Distance::Cosine | Distance::Dot => pairs.map(|(a, b)| a * b).sum(),
        Distance::Euclid => pairs.map(|(a, b)| (a - b) * (a - b)).sum::<f64>().sqrt(),
        Distance::Manhattan => pairs.map(|(a, b)| (a - b).abs()).sum(),
    }
}

#[test]
fn scores_equal_the_textbook() {
    let mut random = SmallRng::seed_from_u64(1);
    for dimensions in [1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 33, 100, 384, 767, 1536] {
        let a: Vec<f32> = (0..dimensions).map(|_| gaussian(&mut random)).collect();
        let b: Vec<f32> = (0..dimensions).map(|_| gaussian(&mut random)).collect();
        for distance in DISTANCES {
            let expected = naive(distance, &a, &b);
            let found = f64::from(score(distance, &a, &b).unwrap());
            // Rounding grows with the sum of the terms' sizes, not with their sum.
            let terms: f64 = a.iter().zip(&b).map(|(a, b)| f64::from((a * b).abs())).sum();
            let tolerance = 1e-6 * (terms + expected.abs() + 1.0);
            assert!(
                (found - expected).abs() <= tolerance,
                "{distance:?} over {dimensions}: {found}, not {expected}"
            );
        }
    }
}

#[test]
fn every_path_gives_a_row_the_same_score() {
    let rows = random_rows(2, 1_000, 37);
    let matrix = Matrix::of(&*rows).unwrap();
    let query = random_rows(3, 1, 37);
    for distance in DISTANCES {
        let alone: Vec<f32> =
            (0..1_000).map(|row| score(distance, &query.values, rows.row(row)).unwrap()).collect();
        let scattered: Vec<u32> = (0..1_000).rev().chain([5, 5, 7]).collect();
        for which in [(0..1_000).collect::<Vec<u32>>(), scattered, (3..700).collect(), vec![]] {
            let mut seen = Vec::new();
            scan(distance, &query.values, matrix, which.iter().copied(), |row, score| {
                assert_eq!(score.to_bits(), alone[row as usize].to_bits(), "{distance:?} {row}");
                seen.push(row);
            })
            .unwrap();
            assert_eq!(seen, which);
        }
        let graph = build(distance, &rows);
        for (row, score) in graph.search(&query.values, 50, PLENTY, None).unwrap().unwrap() {
            assert_eq!(score.to_bits(), alone[row as usize].to_bits(), "{distance:?} {row}");
        }
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let rows = random_rows(4, 10, 4);
    let matrix = Matrix::of(&*rows).unwrap();
    let unseen = |_, _| panic!("a row that does not exist was scored");
    assert_eq!(
        scan(Distance::Dot, &[0.0; 4], matrix, [10], unseen),
        Err(AnnError::Row { row: 10, rows: 10 })
    );
    let short = AnnError::Dimensions { expected: 4, found: 3 };
    assert_eq!(scan(Distance::Dot, &[0.0; 3], matrix, [0], unseen), Err(short));
    assert!(score(Distance::Dot, &[0.0; 3], &[0.0; 4]).is_err());
    assert!(build(Distance::Dot, &rows).search(&[0.0; 5], 1, PLENTY, None).is_err());
    assert!(Matrix::new(&[0.0; 7], 2).is_err());
    assert!(Matrix::new(&[0.0; 7], 0).is_err());
    assert!(matrix.row(10).is_none());
    for params in
        [GraphParams { m: 1, ef_construction: 9 }, GraphParams { m: 9, ef_construction: 0 }]
    {
        let refused = Graph::build(Distance::Dot, rows.clone(), params, || false);
        assert_eq!(refused.err(), Some(AnnError::Params(params)));
    }
}

#[test]
fn normalize_gives_length_one_and_keeps_what_has_it() {
    let mut random = SmallRng::seed_from_u64(5);
    for scale in [1e-3, 1.0, 1e6, 1e37] {
        let mut vector: Vec<f32> = (0..131).map(|_| gaussian(&mut random) * scale).collect();
        assert!(normalize(&mut vector));
        assert!((naive(Distance::Dot, &vector, &vector) - 1.0).abs() < 1e-6, "scale {scale}");
        let once = vector.clone();
        assert!(normalize(&mut vector));
        assert_eq!(once, vector, "a second time changes nothing");
    }
    let mut zero = [0.0, -0.0, 1e-5];
    assert!(!normalize(&mut zero));
    assert_eq!(zero, [0.0, -0.0, 1e-5]);
    assert!(!normalize(&mut []));
}

#[test]
fn a_search_with_a_selector_answers_only_rows_that_pass_best_first() {
    let rows = random_rows(6, 3_000, 24);
    let queries = random_rows(7, 20, 24);
    for distance in DISTANCES {
        let graph = build(distance, &rows);
        for share in [2, 10, 100] {
            let passes = |row: u32| row % share == 1;
            let selector = Selector { count: 3_000 / u64::from(share), passes: &passes };
            let mut hits = 0;
            for query in queries.values.chunks(24) {
                let found = graph.search(query, 10, PLENTY, Some(selector)).unwrap().unwrap();
                let truth = exact(distance, &rows, query, 10, passes);
                assert_eq!(found.len(), 10);
                assert!(found.iter().all(|(row, _)| passes(*row)));
                let in_order = found.is_sorted_by(|a, b| {
                    if distance.larger_is_closer() { a.1 >= b.1 } else { a.1 <= b.1 }
                });
                assert!(in_order, "{distance:?}: {found:?}");
                hits += found.iter().filter(|row| truth.contains(row)).count();
            }
            assert!(hits >= 195, "{distance:?}, one in {share}: {hits} of 200");
        }
    }
}

#[test]
fn a_search_without_a_selector_finds_nearly_all() {
    let rows = random_rows(8, 5_000, 32);
    let queries = random_rows(9, 50, 32);
    for distance in DISTANCES {
        let graph = build(distance, &rows);
        let mut hits = 0;
        for query in queries.values.chunks(32) {
            let found = graph.search(query, 10, PLENTY, None).unwrap().unwrap();
            let truth = exact(distance, &rows, query, 10, |_| true);
            hits += found.iter().filter(|row| truth.contains(row)).count();
        }
        assert!(hits >= 490, "{distance:?}: {hits} of 500");
    }
}

#[test]
fn a_walk_that_costs_too_much_or_finds_too_few_gives_up() {
    let rows = random_rows(10, 2_000, 16);
    let graph = build(Distance::Euclid, &rows);
    let query = rows.row(77);
    let short = Effort { ef: 64, visits_max: 50 };
    assert_eq!(graph.search(query, 10, short, None).unwrap(), None);
    // Three rows pass, and the count says so; or the count promises more than there are.
    let passes = |row: u32| row < 3;
    let three = Selector { count: 3, passes: &passes };
    let found = graph.search(query, 10, PLENTY, Some(three)).unwrap().unwrap();
    assert_eq!(found, exact(Distance::Euclid, &rows, query, 10, passes));
    let more = Selector { count: 4, passes: &passes };
    assert_eq!(graph.search(query, 10, PLENTY, Some(more)).unwrap(), None);
}

#[test]
fn tiny_graphs_and_limits_beyond_the_rows() {
    for distance in DISTANCES {
        for count in [0, 1, 2, 3, 20] {
            let rows = random_rows(11, count, 8);
            let graph = build(distance, &rows);
            let saved = graph.save(FINGERPRINT).unwrap();
            let opened = Graph::open(&saved, distance, rows.clone(), FINGERPRINT).unwrap();
            let query = random_rows(12, 1, 8);
            for graph in [graph, opened] {
                assert_eq!(graph.rows() as usize, count);
                for limit in [0, 1, 2, 100] {
                    let found = graph.search(&query.values, limit, PLENTY, None).unwrap().unwrap();
                    let truth = exact(distance, &rows, &query.values, limit, |_| true);
                    assert_eq!(found, truth, "{distance:?}, {count} rows, limit {limit}");
                }
            }
        }
    }
}

#[test]
fn many_equal_rows_do_not_hide_the_others() {
    // Half of the rows are one and the same vector: links between equal rows crowd out others.
    let mut values = random_rows(13, 4_000, 16).values.clone();
    for row in 0..2_000 {
        values.copy_within(0..16, row * 2 * 16);
    }
    let rows = Arc::new(Rows { values, dimensions: 16 });
    let graph = build(Distance::Cosine, &rows);
    let queries = random_rows(14, 50, 16);
    let mut hits = 0;
    for query in queries.values.chunks(16) {
        // By score: among equal rows any is right.
        let truth = exact(Distance::Cosine, &rows, query, 10, |_| true);
        let found = graph.search(query, 10, PLENTY, None).unwrap().unwrap();
        hits += found.iter().filter(|(_, score)| *score >= truth[9].1).count();
    }
    assert!(hits >= 490, "{hits} of 500");
}

#[test]
fn a_filter_that_follows_the_clusters_does_not_cost_recall() {
    let set = recall::made_up("", 10_000, 64, 50, 1);
    let graph = build(Distance::Cosine, &set.rows);
    let (mut hits, mut of) = (0, 0);
    // Nothing of the query's own cluster passes.
    for (query, own) in set.queries.iter().take(100) {
        let passes = |row: u32| set.cluster[row as usize] != *own && row.is_multiple_of(2);
        let count = (0..10_000).filter(|row| passes(*row)).count() as u64;
        let selector = Selector { count, passes: &passes };
        let effort = Effort { ef: 96, visits_max: usize::MAX };
        let found = graph.search(query, 10, effort, Some(selector)).unwrap().unwrap();
        let truth = exact(Distance::Cosine, &set.rows, query, 10, passes);
        hits += found.iter().filter(|row| truth.contains(row)).count();
        of += 10;
    }
    assert!(hits * 1_000 >= of * 985, "{hits} of {of}");
}

#[test]
fn a_build_stops_when_cancelled() {
    let rows = random_rows(15, 2_000, 16);
    let looks = AtomicUsize::new(0);
    let built = Graph::build(Distance::Dot, rows.clone(), GraphParams::default(), || {
        looks.fetch_add(1, Ordering::Relaxed) == 10
    });
    assert!(built.unwrap().is_none());
    assert_eq!(looks.load(Ordering::Relaxed), 11, "it went on after it was told to stop");
    assert_eq!(Arc::strong_count(&rows), 1, "a cancelled build keeps the vectors");
}

#[test]
fn searches_side_by_side_answer_as_one_after_another() {
    let rows = random_rows(16, 3_000, 16);
    let graph = build(Distance::Cosine, &rows);
    let queries = random_rows(17, 200, 16);
    let ask = |ef: usize| -> Vec<_> {
        let effort = Effort { ef, visits_max: usize::MAX };
        let passes = |row: u32| !row.is_multiple_of(3);
        let selector = Selector { count: 2_000, passes: &passes };
        let search = |query| graph.search(query, 5, effort, Some(selector)).unwrap().unwrap();
        queries.values.chunks(16).map(search).collect()
    };
    let efs = [5, 17, 64, 150];
    let alone: Vec<_> = efs.iter().map(|ef| ask(*ef)).collect();
    assert_ne!(alone[0], alone[3], "ef makes no difference: the test shows nothing");
    std::thread::scope(|scope| {
        let ask = &ask;
        let threads: Vec<_> = (0..8).map(|n| (n, scope.spawn(move || ask(efs[n % 4])))).collect();
        for (n, thread) in threads {
            assert_eq!(thread.join().unwrap(), alone[n % 4]);
        }
    });
}

#[test]
fn a_panic_of_the_selector_reaches_the_caller() {
    let rows = random_rows(18, 100, 8);
    let graph = build(Distance::Dot, &rows);
    let passes = |row: u32| if row < 100 { panic!("from the selector") } else { true };
    let selector = Selector { count: 100, passes: &passes };
    let search = || graph.search(rows.row(0), 5, PLENTY, Some(selector));
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(search));
    assert_eq!(caught.unwrap_err().downcast_ref::<&str>(), Some(&"from the selector"));
    assert!(graph.search(rows.row(0), 5, PLENTY, None).unwrap().is_some());
}

#[test]
fn the_plan_scans_the_few_and_walks_the_many() {
    let graph = |rows, allowed, limit| match plan(rows, allowed, limit) {
        Plan::Graph(effort) => Some(effort),
        Plan::Exact => None,
    };
    assert_eq!(graph(0, 0, 10), None);
    assert_eq!(graph(1_000_000, 0, 10), None);
    assert_eq!(graph(1_000_000, 20_000, 10), None, "one in fifty passes");
    assert_eq!(graph(1_000_000, 1_000_000, 1_000_000), None, "everything is asked for");
    assert_eq!(graph(u64::MAX, u64::MAX, usize::MAX), None);
    for (allowed, limit) in [(1_000_000, 10), (500_000, 10), (100_000, 10), (500_000, 100)] {
        let effort = graph(1_000_000, allowed, limit).unwrap();
        assert!(effort.ef >= 2 * limit && effort.ef >= 64);
        assert!(effort.visits_max as u64 <= allowed, "walking costs more than scanning");
    }
    match plan_with(1_000_000, 1_000_000, 10, 500) {
        Plan::Graph(effort) => assert_eq!(effort.ef, 500),
        Plan::Exact => panic!("a wish for a deeper walk is no wish for a scan"),
    }
}
