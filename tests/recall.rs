//! Recall of default searches against exact ones, with and without filters: a filter must never
//! cost recall.

use pointd::collection::{Collection, CollectionOptions, Query, ScoredPoint, Search, Select};
use pointd::disk::Disk;
use pointd::filter::Filter;
use pointd::metrics::Metrics;
use pointd::operation::{Operation, UpsertPoint};
use pointd::point::{Distance, NamedVector, Payload, PointId, Schema, UNNAMED};
use pointd::position::Seq;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

const LIMIT: usize = 10;
const RECALL_MIN: f64 = 0.98;
/// The shares that filters keep, in percent.
const SHARES: [u64; 3] = [1, 10, 50];

/// A vector, and the number from 0 to 99 of the hundredth of its space that it lies in.
type Placed = (Vec<f32>, u64);

/// Points around `clusters` centres.
fn clustered(points: usize, dim: usize, clusters: usize, seed: u64) -> Vec<Placed> {
    let mut random = StdRng::seed_from_u64(seed);
    let mut normal = move || {
        let (a, b): (f64, f64) = (random.random(), random.random());
        ((-2.0 * (1.0 - a).ln()).sqrt() * (std::f64::consts::TAU * b).cos()) as f32
    };
    let centres: Vec<Vec<f32>> =
        (0..clusters).map(|_| (0..dim).map(|_| normal()).collect()).collect();
    (0..points)
        .map(|point| {
            let cluster = point % clusters;
            let vector = centres[cluster].iter().map(|centre| centre + 0.35 * normal()).collect();
            (vector, (cluster * 100 / clusters) as u64)
        })
        .collect()
}

/// `random_P` holds for P percent of the points at random, `region_P` for a P percent region of
/// the space.
fn payload(id: u64, region: u64) -> Payload {
    let dice = id.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    let mut map = serde_json::Map::new();
    for share in SHARES {
        map.insert(format!("random_{share}"), (dice % 100 < share).into());
        map.insert(format!("region_{share}"), (region < share).into());
    }
    Payload::from_map(&map)
}

struct Built {
    collection: Collection,
    queries: Vec<Vec<f32>>,
    _directory: tempfile::TempDir,
}

/// A collection with default options whose rows are all in one segment under a graph.
fn build(points: Vec<Placed>, distance: Distance, queries: Vec<Vec<f32>>) -> Built {
    let directory = tempfile::tempdir().unwrap();
    let schema = Schema::unnamed(points[0].0.len(), distance);
    let collection = Collection::create(
        "recall",
        directory.path().join("c"),
        schema,
        CollectionOptions::default(),
        Disk::new(),
        Metrics::new(),
    );
    for (id, (values, region)) in points.into_iter().enumerate() {
        let id = id as u64;
        let vectors = vec![NamedVector { name: UNNAMED.into(), values }];
        let point = UpsertPoint { id: PointId::Number(id), vectors, payload: payload(id, region) };
        collection.apply(Seq(id + 1), &[Operation::Upsert(vec![point])]).unwrap();
    }
    let flushed = collection.flush(collection.seal()).unwrap();
    collection.install(flushed).unwrap();
    assert!(collection.build_graph(&mut || false).unwrap(), "no graph was built");
    Built { collection, queries, _directory: directory }
}

impl Built {
    fn search(&self, query: &[f32], filter: &Filter, exact: bool) -> Vec<ScoredPoint> {
        let search = Search {
            vector: UNNAMED.into(),
            query: Query::Vector(query.to_vec()),
            filter: filter.clone(),
            limit: LIMIT,
            offset: 0,
            score_threshold: None,
            exact,
            ef: None,
            select: Select::default(),
        };
        self.collection.search(&search).unwrap()
    }

    /// The share of the exact answer's points that the default answer has.
    fn recall(&self, filter: &Filter, queries: usize) -> f64 {
        let (mut found, mut expected) = (0, 0);
        for query in &self.queries[..queries] {
            let exact = self.search(query, filter, true);
            let given = self.search(query, filter, false);
            expected += exact.len();
            found +=
                exact.iter().filter(|hit| given.iter().any(|g| g.point.id == hit.point.id)).count();
        }
        assert!(expected > 0);
        found as f64 / expected as f64
    }

    fn assert_recall(&self, what: &str) {
        let unfiltered = self.recall(&Filter::default(), self.queries.len());
        println!("recall@{LIMIT} {what}: {unfiltered:.4} without a filter");
        assert!(unfiltered >= RECALL_MIN, "{what}: {unfiltered}");
        for kind in ["random", "region"] {
            for share in SHARES {
                let condition = serde_json::json!({"must": [
                    {"key": format!("{kind}_{share}"), "match": {"value": true}}
                ]});
                let filter = serde_json::from_value(condition).unwrap();
                let recall = self.recall(&filter, self.queries.len().min(25));
                println!(
                    "recall@{LIMIT} {what}: {recall:.4} with a filter that keeps {share} % ({kind})"
                );
                assert!(recall >= RECALL_MIN, "{what}, {kind} {share} %: {recall}");
            }
        }
    }
}

#[test]
fn default_searches_of_clustered_points_find_what_exact_ones_do() {
    let mut points = clustered(55_200, 128, 200, 11);
    let queries = points.split_off(55_000).into_iter().map(|(vector, _)| vector).collect();
    build(points, Distance::Euclid, queries).assert_recall("55 000 x 128 clustered");
}

/// 50 000 and more sentence embeddings, made by `config/sample/make.py --many`. Their directory
/// is in `POINTD_EMBEDDINGS`.
#[test]
#[ignore = "needs embeddings that take minutes to make: see `make recall`"]
fn default_searches_of_real_embeddings_find_what_exact_ones_do() {
    let directory = std::env::var("POINTD_EMBEDDINGS").expect("POINTD_EMBEDDINGS is set");
    let read = |name: &str| std::fs::read(std::path::Path::new(&directory).join(name)).unwrap();
    let (codes, scales) = (read("embeddings.i8"), read("embeddings.scale.f32"));
    let dim = 384;
    let mut points: Vec<Placed> = codes
        .chunks_exact(dim)
        .zip(scales.chunks_exact(4))
        .map(|(row, scale)| {
            let scale = f32::from_le_bytes(scale.try_into().unwrap());
            let vector: Vec<f32> = row.iter().map(|code| scale * f32::from(*code as i8)).collect();
            (vector, 0)
        })
        .collect();
    assert!(points.len() >= 50_200, "only {} embeddings", points.len());
    // Regions: points by their nearness to one of them.
    let pivot = points[0].0.clone();
    let nearness = |vector: &[f32]| vector.iter().zip(&pivot).map(|(a, b)| a * b).sum::<f32>();
    let mut order: Vec<usize> = (0..points.len()).collect();
    order.sort_by(|a, b| nearness(&points[*b].0).total_cmp(&nearness(&points[*a].0)));
    let count = order.len();
    for (rank, at) in order.into_iter().enumerate() {
        points[at].1 = (rank * 100 / count) as u64;
    }
    // Every so many is a query rather than a point.
    let every = points.len() / 200;
    let (mut kept, mut queries) = (Vec::new(), Vec::new());
    for (at, placed) in points.into_iter().enumerate() {
        if at % every == 0 && queries.len() < 200 {
            queries.push(placed.0);
        } else {
            kept.push(placed);
        }
    }
    let what = format!("{} x {dim} real embeddings", kept.len());
    build(kept, Distance::Cosine, queries).assert_recall(&what);
}
