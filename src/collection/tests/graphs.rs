//! Searches through graphs. A graph is walked only where more than 50 000 rows may match.

use std::fs;
use std::path::PathBuf;

use serde_json::json;

use super::*;
use crate::ann;
use crate::filter::Subject;

const ROWS: u64 = 60_000;
const SIZE: usize = 8;

fn options() -> CollectionOptions {
    CollectionOptions::default()
}

fn one_vector() -> Schema {
    Schema::unnamed(SIZE, Distance::Euclid)
}

/// Spread over a cube, the same each time.
fn vector(seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x1234_5678_9abc_def1;
    let value = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1u64 << 24) as f32
    };
    std::iter::repeat_n((), 3 + SIZE).map(value).skip(3).collect()
}

fn filled(directory: &Path) -> (Collection, CollectionFiles) {
    let collection = create(directory, one_vector(), options());
    for first in (0..ROWS).step_by(1000) {
        let points = (first..first + 1000).map(|id| {
            point(number(id), vec![named("", &vector(id))], json!({"even": id % 2 == 0}))
        });
        let message = [Operation::Upsert(points.collect())];
        collection.apply(Seq(first / 1000 + 1), &message).unwrap();
    }
    let files = checkpoint(&collection);
    (collection, files)
}

fn graph_file(directory: &Path, files: &CollectionFiles) -> PathBuf {
    let number = files.vectors[""][0].number;
    directory.join(format!("collection/vector-0/{number}.graph"))
}

fn ids(found: &[ScoredPoint]) -> Vec<PointId> {
    found.iter().map(|scored| scored.point.id).collect()
}

/// The share of the exact answers that searches with this width find.
fn recall(collection: &Collection, filter: &Filter, ef: Option<usize>) -> f64 {
    let (mut found, mut all) = (0, 0);
    for query in 0..50 {
        let query = vector(1 << 40 | query);
        let mut search = search("", Query::Vector(query.clone()), 10);
        (search.filter, search.ef, search.select) = (filter.clone(), ef, everything());
        let answer = collection.search(&search).unwrap();
        for scored in &answer {
            let point = &scored.point;
            let payload = &point.payload.as_ref().unwrap().to_map().unwrap();
            let (has_vector, text) = (&|_: &str| true, &|_: &_| None);
            assert!(filter.matches(&Subject { id: point.id, payload, has_vector, text }));
            let stored = &point.vectors.as_ref().unwrap()[0].1;
            assert_eq!(scored.score, ann::score(Distance::Euclid, &query, stored).unwrap());
            let PointId::Number(id) = point.id else { panic!("{}", point.id) };
            assert_eq!(*stored, vector(if point.version.0 > 1000 { id + ROWS } else { id }));
        }
        let sorted = answer.is_sorted_by(|a, b| a.score <= b.score);
        assert!(sorted && answer.len() == 10);
        search.exact = true;
        let exact = ids(&collection.search(&search).unwrap());
        found += exact.iter().filter(|id| ids(&answer).contains(id)).count();
        all += exact.len();
    }
    f64::from(found as u32) / f64::from(all as u32)
}

#[test]
fn a_search_through_a_graph_answers_only_points_that_stand_with_their_scores() {
    let directory = tempfile::tempdir().unwrap();
    let (collection, files) = filled(directory.path());
    assert!(!collection.build_graph(&mut || true).unwrap());
    let full = CollectionOptions { reserve_bytes: u64::MAX, ..options() };
    let beside = open(directory.path(), collection.schema().clone(), full, &files).unwrap();
    assert!(!beside.build_graph(&mut || false).unwrap(), "it would have used the reserve");
    assert!(collection.build_graph(&mut || false).unwrap());
    assert!(!collection.build_graph(&mut || false).unwrap());
    let info = collection.info();
    assert_eq!((info.indexed_vectors, info.vectors[""].graph_rows), (ROWS, ROWS));

    let everywhere = Filter::default();
    assert!(recall(&collection, &everywhere, None) > 0.95);
    // So narrow that it misses some: the graph is what was searched.
    assert!(recall(&collection, &everywhere, Some(1)) < 1.0);
    let even = filter(json!({"must": [{"key": "even", "match": {"value": true}}]}));
    assert_eq!(recall(&collection, &even, None), 1.0);

    // The nearest of each query go, others move: what the graph still links is not answered.
    let mut gone = Vec::new();
    for query in 0..50 {
        let search = search("", Query::Vector(vector(1 << 40 | query)), 10);
        gone.extend(ids(&collection.search(&search).unwrap()));
    }
    let moved = (0..ROWS).step_by(100).filter(|id| !gone.contains(&number(*id)));
    let moved = moved
        .map(|id| point(number(id), vec![named("", &vector(id + ROWS))], json!({"even": true})));
    let moved = Operation::Upsert(moved.collect());
    collection
        .apply(Seq(2000), &[Operation::DeletePoints(Selector::Ids(gone.clone())), moved])
        .unwrap();
    assert!(recall(&collection, &everywhere, None) > 0.95);
    assert!(recall(&collection, &everywhere, Some(1)) < 1.0);
    let some_gone = collection.retrieve(&gone, &Select::default()).unwrap();
    assert_eq!(some_gone, []);

    reopened(directory.path(), collection, &files);
}

/// A graph is taken up again with its segment; a damaged one is removed, and built anew.
fn reopened(directory: &Path, collection: Collection, files: &CollectionFiles) {
    drop(collection);
    let graph = graph_file(directory, files);
    let whole = fs::read(&graph).unwrap();
    let collection = open(directory, one_vector(), options(), files).unwrap();
    assert_eq!(collection.info().indexed_vectors, ROWS);
    assert!(!collection.info().optimizing);
    drop(collection);

    for at in [9, 30, whole.len() / 2, whole.len() - 1] {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        fs::write(&graph, &bytes).unwrap();
        let collection = open(directory, one_vector(), options(), files).unwrap();
        assert_eq!(collection.info().indexed_vectors, 0);
        assert!(collection.info().optimizing);
        assert!(!graph.exists());
        assert_eq!(collection.count(&Filter::default()), ROWS);
    }
}
