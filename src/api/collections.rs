//! Collections: list, describe, exists, delete.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;

use super::Context;
use super::answer::Answer;
use super::body::{Name, Params};
use super::error::ApiError;
use super::indexes::IndexView;
use super::reading::Reading;
use super::writes::UpdateStatus;
use crate::ann::GraphParams;
use crate::collection::{Collection, CollectionOptions, Info};
use crate::operation::Operation;
use crate::point::{Schema, UNNAMED, VectorParams};

#[derive(Serialize)]
struct List {
    collections: Vec<Described>,
}

#[derive(Serialize)]
struct Described {
    name: String,
}

#[derive(Serialize)]
struct Existence {
    exists: bool,
}

pub(super) async fn list(State(shared): Context, _: Reading) -> Result<Answer, ApiError> {
    let all = shared.doors.catalog.collections().into_iter();
    Answer::short(&List { collections: all.map(|(name, _)| Described { name }).collect() })
}

pub(super) async fn exists(
    State(shared): Context,
    Name(name): Name,
    _: Reading,
) -> Result<Answer, ApiError> {
    Answer::short(&Existence { exists: shared.doors.catalog.collection(&name).is_some() })
}

/// Answers `false` if there is no such collection, as Qdrant does: clients delete before they
/// create.
pub(super) async fn delete(
    State(shared): Context,
    Name(name): Name,
    params: Params,
) -> Result<Answer, ApiError> {
    if shared.doors.catalog.collection(&name).is_none() {
        return Answer::short(&false);
    }
    let deadline = shared.deadline(params.timeout_seconds());
    let update = shared.write(&name, vec![Operation::DeleteCollection], true, deadline).await?;
    changed(update.status)
}

/// A change of collections is always waited for. One that is durable and whose turn has not
/// come when time is up is `true` too, with the status 202.
pub(super) fn changed(status: UpdateStatus) -> Result<Answer, ApiError> {
    let answer = Answer::short(&true)?;
    Ok(match status {
        UpdateStatus::Completed => answer,
        UpdateStatus::Acknowledged => answer.with_status(StatusCode::ACCEPTED),
    })
}

pub(super) async fn describe(
    State(shared): Context,
    Name(name): Name,
    _: Reading,
) -> Result<Answer, ApiError> {
    let collection = shared.collection(&name)?;
    Answer::short(&Description::of(&collection, &shared.doors.collection, &collection.info()))
}

/// What Qdrant answers about a collection. Fields that clients insist on and that pointd has
/// nothing to say about (shards, the optimizer's schedule) carry what is true of one node
/// that has none: 1, 0 or null.
#[derive(Serialize)]
struct Description<'a> {
    /// `yellow` while merges or graphs are at work.
    status: &'static str,
    optimizer_status: &'static str,
    /// Vectors under graphs. Those of small segments are scanned, and not counted here.
    indexed_vectors_count: u64,
    points_count: u64,
    segments_count: usize,
    config: Config<'a>,
    payload_schema: BTreeMap<String, IndexView>,
}

#[derive(Serialize)]
struct Config<'a> {
    params: ConfigParams<'a>,
    hnsw_config: HnswConfig,
    optimizer_config: OptimizerConfig,
    wal_config: Option<()>,
    quantization_config: Option<()>,
}

#[derive(Serialize)]
struct ConfigParams<'a> {
    vectors: VectorsView<'a>,
    shard_number: u32,
    replication_factor: u32,
    write_consistency_factor: u32,
    on_disk_payload: bool,
}

/// One unnamed vector, or vectors by name.
#[derive(Serialize)]
#[serde(untagged)]
enum VectorsView<'a> {
    Unnamed(&'a VectorParams),
    Named(&'a BTreeMap<String, VectorParams>),
}

#[derive(Serialize)]
struct HnswConfig {
    m: u16,
    ef_construct: u16,
    full_scan_threshold: u32,
    max_indexing_threads: usize,
    on_disk: bool,
}

#[derive(Serialize)]
struct OptimizerConfig {
    deleted_threshold: f64,
    vacuum_min_vector_number: usize,
    default_segment_number: usize,
    max_segment_size: Option<u64>,
    memmap_threshold: Option<u64>,
    indexing_threshold: u32,
    flush_interval_sec: u64,
    max_optimization_threads: u64,
}

impl<'a> Description<'a> {
    fn of(collection: &'a Collection, options: &CollectionOptions, info: &Info) -> Self {
        let graph = GraphParams::default();
        Description {
            status: if info.optimizing { "yellow" } else { "green" },
            optimizer_status: "ok",
            indexed_vectors_count: info.indexed_vectors,
            points_count: info.points,
            segments_count: info.segments,
            config: Config {
                params: ConfigParams {
                    vectors: VectorsView::of(collection.schema()),
                    shard_number: 1,
                    replication_factor: 1,
                    write_consistency_factor: 1,
                    on_disk_payload: true,
                },
                hnsw_config: HnswConfig {
                    m: graph.m,
                    ef_construct: graph.ef_construction,
                    full_scan_threshold: options.graph_rows_min,
                    max_indexing_threads: 1,
                    on_disk: false,
                },
                optimizer_config: OptimizerConfig {
                    deleted_threshold: options.dead_share_max,
                    vacuum_min_vector_number: 0,
                    default_segment_number: 0,
                    max_segment_size: None,
                    memmap_threshold: None,
                    indexing_threshold: options.graph_rows_min,
                    flush_interval_sec: 0,
                    max_optimization_threads: 1,
                },
                wal_config: None,
                quantization_config: None,
            },
            payload_schema: collection
                .indexes()
                .into_iter()
                .map(|index| (index.field.to_string(), IndexView::new(index.schema, index.points)))
                .collect(),
        }
    }
}

impl<'a> VectorsView<'a> {
    fn of(schema: &'a Schema) -> Self {
        match schema.vectors.get(UNNAMED) {
            Some(params) => VectorsView::Unnamed(params),
            None => VectorsView::Named(&schema.vectors),
        }
    }
}
