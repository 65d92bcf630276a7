//! The collection against a model, on its own and under readers on other threads.

mod apply;
mod files;
mod graphs;
mod history;
mod meanwhile;
mod model;
mod queries;
mod speed;
mod threads;
mod wishes;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use serde_json::Value;
use uuid::Uuid;

use super::*;
use crate::operation::{Operation, Selector, UpsertPoint};
use crate::point::{Distance, NamedVector};

/// Merges and graphs set in at once.
fn eager() -> CollectionOptions {
    CollectionOptions {
        graph_rows_min: 2,
        segment_rows_max: 64,
        dead_share_max: 0.3,
        ..CollectionOptions::default()
    }
}

fn schema() -> Schema {
    let vector = |name: &str, size, distance| (name.to_owned(), VectorParams { size, distance });
    Schema {
        vectors: BTreeMap::from([
            vector("cos", 3, Distance::Cosine),
            vector("dot", 2, Distance::Dot),
            vector("l1", 1, Distance::Manhattan),
            vector("l2", 2, Distance::Euclid),
        ]),
    }
}

fn create(directory: &Path, schema: Schema, options: CollectionOptions) -> Collection {
    let directory = directory.join("collection");
    Collection::create("shop", directory, schema, options, Disk::new(), Metrics::new())
}

fn open(
    directory: &Path,
    schema: Schema,
    options: CollectionOptions,
    files: &CollectionFiles,
) -> Result<Collection, OpenError> {
    let directory = directory.join("collection");
    Collection::open("shop", directory, schema, files, options, Disk::new(), Metrics::new())
}

/// What a checkpoint does with a collection; the manifest is the answer.
fn checkpoint(collection: &Collection) -> CollectionFiles {
    let flushed = collection.flush(collection.seal()).unwrap();
    let files = collection.files_with(&flushed);
    collection.install(flushed).unwrap();
    collection.remove_obsolete(&files).unwrap();
    files
}

fn merge_all(collection: &Collection) -> usize {
    let mut merges = 0;
    while collection.merge(&AtomicBool::new(false)).unwrap() {
        merges += 1;
        assert!(merges < 100, "merges do not come to an end");
    }
    merges
}

fn number(number: u64) -> PointId {
    PointId::Number(number)
}

fn uuid(number: u64) -> PointId {
    PointId::Uuid(Uuid::from_u128(u128::from(number) << 100 | 5))
}

fn payload(json: Value) -> Payload {
    Payload::from_map(json.as_object().unwrap())
}

fn named(name: &str, values: &[f32]) -> NamedVector {
    NamedVector { name: name.to_owned(), values: values.to_vec() }
}

fn point(id: PointId, vectors: Vec<NamedVector>, json: Value) -> UpsertPoint {
    UpsertPoint { id, vectors, payload: payload(json) }
}

fn upsert(id: PointId, vectors: Vec<NamedVector>, json: Value) -> Operation {
    Operation::Upsert(vec![point(id, vectors, json)])
}

fn everything() -> Select {
    Select { payload: PayloadSelect::All, vectors: VectorSelect::All }
}

fn search(vector: &str, query: Query, limit: usize) -> Search {
    Search {
        vector: vector.to_owned(),
        query,
        filter: Filter::default(),
        limit,
        offset: 0,
        score_threshold: None,
        exact: false,
        ef: None,
        select: Select::default(),
    }
}

fn filter(json: Value) -> Filter {
    serde_json::from_value(json).unwrap()
}
