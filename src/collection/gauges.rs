//! The collection's series, looked up once.

use prometheus::{IntCounter, IntGauge};

use super::state::State;
use crate::metrics::Metrics;

pub(super) struct Gauges {
    metrics: Metrics,
    collection: String,
    points: IntGauge,
    head_bytes: IntGauge,
    index_bytes: IntGauge,
    segments: IntGauge,
    pub(super) merges: IntCounter,
    vectors: Vec<VectorGauges>,
}

struct VectorGauges {
    name: String,
    exact_rows: IntGauge,
    graph_rows: IntGauge,
    graph_builds: IntCounter,
}

impl Gauges {
    pub(super) fn new<'a>(
        metrics: Metrics,
        collection: &str,
        vectors: impl Iterator<Item = &'a str>,
    ) -> Self {
        let all = &metrics.collection;
        let label = &[collection];
        let vector = |name: &str| VectorGauges {
            name: name.to_owned(),
            exact_rows: all.exact_rows.with_label_values(&[collection, name]),
            graph_rows: all.graph_rows.with_label_values(&[collection, name]),
            graph_builds: all.graph_builds.with_label_values(&[collection, name]),
        };
        Gauges {
            points: all.points.with_label_values(label),
            head_bytes: all.head_bytes.with_label_values(label),
            index_bytes: all.index_bytes.with_label_values(label),
            segments: all.segments.with_label_values(label),
            merges: all.merges.with_label_values(label),
            vectors: vectors.map(vector).collect(),
            collection: collection.to_owned(),
            metrics,
        }
    }

    /// After each message.
    pub(super) fn applied(&self, points: u64, head_bytes: u64) {
        self.points.set(points as i64);
        self.head_bytes.set(head_bytes as i64);
    }

    /// After each change of segments, and of indexes.
    pub(super) fn rows(&self, state: &State) {
        self.index_bytes.set(state.fields.bytes() as i64);
        let segments: usize = state.columns().map(|(_, column)| column.segments.len()).sum();
        self.segments.set(segments as i64);
        for (column, gauges) in state.vectors.iter().zip(&self.vectors) {
            let (graph, exact) = column.graph_and_exact_rows();
            gauges.graph_rows.set(graph as i64);
            gauges.exact_rows.set(exact as i64);
        }
    }

    pub(super) fn graph_built(&self, place: usize) {
        if let Some(gauges) = self.vectors.get(place) {
            gauges.graph_builds.inc();
        }
    }

    /// Takes the series out of the registry.
    pub(super) fn forget(&self) {
        let all = &self.metrics.collection;
        let label = &[self.collection.as_str()];
        // An error means only that the series is not there.
        for gauge in [&all.points, &all.head_bytes, &all.index_bytes, &all.segments] {
            let _ = gauge.remove_label_values(label);
        }
        let _ = all.merges.remove_label_values(label);
        for vector in &self.vectors {
            let label = &[self.collection.as_str(), vector.name.as_str()];
            let _ = all.exact_rows.remove_label_values(label);
            let _ = all.graph_rows.remove_label_values(label);
            let _ = all.graph_builds.remove_label_values(label);
        }
    }
}
