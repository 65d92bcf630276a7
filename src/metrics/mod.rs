//! Every metric of the daemon, in one place. A metric's help text is its documentation.
//!
//! One prefix, base units last, `_total` on counters; labels are bounded (source, topic,
//! partition, collection, reason, route), never ids.

mod letters;
mod source;

use std::collections::BTreeSet;
use std::sync::Arc;

use prometheus::proto::MetricFamily;
use prometheus::{
    Encoder, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry, TextEncoder,
};

use crate::position::{Position, Stream};

pub use letters::LetterMetrics;
pub use source::SourceMetrics;
use source::source;

/// Cheap to clone: all clones count into the same registry.
#[derive(Clone)]
pub struct Metrics {
    registry: Registry,
    pub source: Arc<SourceMetrics>,
    pub wal: Arc<WalMetrics>,
    pub collection: Arc<CollectionMetrics>,
    pub http: Arc<HttpMetrics>,
    pub letters: Arc<LetterMetrics>,
}

impl SourceMetrics {
    /// Removes every series of a partition that is no longer there.
    pub fn forget(&self, stream: &Stream) {
        let labels = stream_labels(stream);
        let labels = labels.each();
        for counters in [&self.received, &self.decoded, &self.duplicates] {
            // One that was never made is as good as removed.
            let _ = counters.remove_label_values(&labels);
        }
        let gauges = [
            &self.durable_offset,
            &self.applied_offset,
            &self.committed_offset,
            &self.end_offset,
            &self.halted,
            &self.unreadable,
        ];
        for gauges in gauges {
            let _ = gauges.remove_label_values(&labels);
        }
        let _ = self.lag_seconds.remove_label_values(&labels);
    }
}

pub struct WalMetrics {
    pub appended_bytes: IntCounter,
    pub appended_records: IntCounter,
    pub bytes: IntGauge,
    pub frame_bytes: Histogram,
    pub fsync_seconds: Histogram,
    pub queue_bytes: IntGauge,
    pub durable_seq: IntGauge,
    pub applied_seq: IntGauge,
    pub checkpoint_seq: IntGauge,
    pub checkpoint_seconds: Histogram,
    pub checkpoint_failures: IntCounter,
    pub apply_held: IntGauge,
    pub disk_free_bytes: IntGauge,
    pub disk_reserve_bytes: IntGauge,
}

/// Per collection (`collection`), and per vector where named so (`vector`).
pub struct CollectionMetrics {
    pub points: IntGaugeVec,
    pub segments: IntGaugeVec,
    pub head_bytes: IntGaugeVec,
    /// Memory of payload indexes.
    pub index_bytes: IntGaugeVec,
    /// Rows that a search scans exactly because no graph covers them.
    pub exact_rows: IntGaugeVec,
    pub graph_rows: IntGaugeVec,
    pub graph_builds: IntCounterVec,
    pub merges: IntCounterVec,
    /// Records applied since the data directory was made, as checkpointed, by kind
    /// (`operations`, `duplicate`, `dead_letter`, `refused`, `moved`, `start`, `redrive`, `drop`).
    pub applied_records: IntGaugeVec,
    pub dead_letters: IntGauge,
}

pub struct HttpMetrics {
    pub duration_seconds: HistogramVec,
    pub responses: IntCounterVec,
    pub connections: IntGauge,
}

/// Registers what it makes. Names and labels are constants of this file, so a failure is a
/// programming error that the first test of this module meets.
struct Make<'a>(&'a Registry);

impl Make<'_> {
    fn keep<T: prometheus::core::Collector + Clone + 'static>(
        &self,
        made: prometheus::Result<T>,
    ) -> T {
        match made.and_then(|metric| self.0.register(Box::new(metric.clone())).map(|()| metric)) {
            Ok(metric) => metric,
            Err(error) => unreachable!("a metric of this file is malformed: {error}"),
        }
    }

    fn counter(&self, name: &str, help: &str) -> IntCounter {
        self.keep(IntCounter::new(name, help))
    }

    fn counters(&self, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
        self.keep(IntCounterVec::new(Opts::new(name, help), labels))
    }

    fn gauge(&self, name: &str, help: &str) -> IntGauge {
        self.keep(IntGauge::new(name, help))
    }

    fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
        self.keep(IntGaugeVec::new(Opts::new(name, help), labels))
    }

    fn histogram(&self, name: &str, help: &str, buckets: Vec<f64>) -> Histogram {
        self.keep(Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets)))
    }
}

/// `first`, then each bound `factor` times the last.
fn buckets(first: f64, factor: f64, count: i32) -> Vec<f64> {
    (0..count).map(|power| first * factor.powi(power)).collect()
}

impl Default for Metrics {
    fn default() -> Self {
        let registry = Registry::new();
        let make = Make(&registry);
        let metrics = (source(&make), wal(&make), collection(&make), http(&make));
        Metrics {
            source: Arc::new(metrics.0),
            wal: Arc::new(metrics.1),
            collection: Arc::new(metrics.2),
            http: Arc::new(metrics.3),
            letters: Arc::new(letters::letters(&make)),
            registry,
        }
    }
}

impl Metrics {
    pub fn new() -> Self {
        Metrics::default()
    }

    /// Counts a delivery that the log already has.
    pub fn duplicate(&self, position: &Position) {
        self.source.duplicates.with_label_values(&stream_labels(&position.stream).each()).inc();
    }

    /// The text exposition format.
    pub fn render(&self) -> String {
        encode(&self.registry.gather())
    }

    /// Without the series of streams that are not `assigned`. What was given out of a partition is
    /// still logged and applied when that is no longer there: its series would come back, and
    /// stand still for ever.
    pub fn render_assigned(&self, assigned: &BTreeSet<StreamLabels>) -> String {
        let mut families = self.registry.gather();
        for family in &mut families {
            family.mut_metric().retain(|series| {
                let of = |name| series.get_label().iter().find(|label| label.name() == name);
                let [Some(source), Some(topic), Some(partition)] =
                    ["source", "topic", "partition"].map(of)
                else {
                    return true;
                };
                let values = [source, topic, partition].map(|label| label.value().to_owned());
                assigned.contains(&StreamLabels(values))
            });
        }
        families.retain(|family| !family.get_metric().is_empty());
        encode(&families)
    }
}

fn encode(families: &[MetricFamily]) -> String {
    let mut text = Vec::new();
    match TextEncoder::new().encode(families, &mut text) {
        Ok(()) => String::from_utf8_lossy(&text).into_owned(),
        Err(error) => format!("# the metrics could not be encoded: {error}\n"),
    }
}

/// The values of the labels `source`, `topic` and `partition`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StreamLabels([String; 3]);

pub fn stream_labels(stream: &Stream) -> StreamLabels {
    let partition = stream.partition().map_or_else(|| "-".to_owned(), |number| number.to_string());
    StreamLabels([stream.source().to_owned(), stream.name().to_owned(), partition])
}

impl StreamLabels {
    pub fn each(&self) -> [&str; 3] {
        self.0.each_ref().map(String::as_str)
    }
}

fn wal(make: &Make<'_>) -> WalMetrics {
    WalMetrics {
        appended_bytes: make
            .counter("pointd_wal_appended_bytes_total", "Bytes appended to the log."),
        appended_records: make
            .counter("pointd_wal_appended_records_total", "Records appended to the log."),
        bytes: make.gauge("pointd_wal_bytes", "Size of the log files on disk."),
        frame_bytes: make.histogram(
            "pointd_wal_frame_bytes",
            "Size of a frame: what one fsync covers.",
            buckets(256.0, 4.0, 10),
        ),
        fsync_seconds: make.histogram(
            "pointd_wal_fsync_seconds",
            "Duration of one fsync of the log.",
            buckets(0.000_05, 2.5, 12),
        ),
        queue_bytes: make.gauge(
            "pointd_wal_queue_bytes",
            "Bytes taken from sources that are not in the log yet.",
        ),
        durable_seq: make.gauge("pointd_wal_durable_seq", "The highest seq that is fsynced."),
        applied_seq: make.gauge("pointd_applied_seq", "The highest seq that readers see."),
        checkpoint_seq: make.gauge(
            "pointd_checkpoint_seq",
            "The seq of the newest manifest: where a restart begins to replay.",
        ),
        checkpoint_seconds: make.histogram(
            "pointd_checkpoint_seconds",
            "Duration of one checkpoint.",
            buckets(0.001, 4.0, 9),
        ),
        checkpoint_failures: make.counter(
            "pointd_checkpoint_failures_total",
            "Checkpoints that failed. Each is tried again; meanwhile the log keeps everything.",
        ),
        apply_held: make.gauge(
            "pointd_apply_held",
            "1 while applying waits because rows in memory cannot be written out fast enough.",
        ),
        disk_free_bytes: make
            .gauge("pointd_disk_free_bytes", "Free space of the data directory's volume."),
        disk_reserve_bytes: make.gauge(
            "pointd_disk_reserve_bytes",
            "With less free than that no source fetches: storage.reserve_bytes.",
        ),
    }
}

fn collection(make: &Make<'_>) -> CollectionMetrics {
    let vector = &["collection", "vector"];
    CollectionMetrics {
        points: make.gauges("pointd_points", "Points in the collection.", &["collection"]),
        segments: make.gauges(
            "pointd_segments",
            "Immutable segments, over all columns.",
            &["collection"],
        ),
        head_bytes: make.gauges(
            "pointd_head_bytes",
            "Rows still only in memory and in the log.",
            &["collection"],
        ),
        index_bytes: make.gauges(
            "pointd_index_bytes",
            "Memory of payload indexes, about.",
            &["collection"],
        ),
        exact_rows: make.gauges(
            "pointd_exact_rows",
            "Rows that a search scans exactly: no graph covers them yet.",
            vector,
        ),
        graph_rows: make.gauges("pointd_graph_rows", "Rows covered by a graph.", vector),
        graph_builds: make.counters("pointd_graph_builds_total", "Graphs built.", vector),
        merges: make.counters("pointd_merges_total", "Merges of segments.", &["collection"]),
        applied_records: make.gauges(
            "pointd_applied_records",
            "Records applied since the data directory was made, by kind.",
            &["kind"],
        ),
        dead_letters: make.gauge("pointd_dead_letters", "Dead letters kept."),
    }
}

fn http(make: &Make<'_>) -> HttpMetrics {
    let route = &["method", "route"];
    HttpMetrics {
        duration_seconds: make.keep(HistogramVec::new(
            HistogramOpts::new("pointd_http_duration_seconds", "Duration of a request, by route.")
                .buckets(buckets(0.000_1, 3.0, 11)),
            route,
        )),
        responses: make.counters(
            "pointd_http_responses_total",
            "Responses, by status.",
            &["method", "route", "status"],
        ),
        connections: make.gauge("pointd_http_connections", "Open connections."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_registers_and_renders() {
        let metrics = Metrics::new();
        metrics.wal.durable_seq.set(7);
        metrics.source.received.with_label_values(&["orders", "points", "0"]).inc();
        let text = metrics.render();
        assert!(text.contains("pointd_wal_durable_seq 7"));
        assert!(text.contains(
            r#"pointd_source_received_total{partition="0",source="orders",topic="points"} 1"#
        ));
    }

    #[test]
    fn a_stream_that_is_gone_shows_nothing_whoever_counts_it_afterwards() {
        let stream = |partition| Stream::Partition {
            source: "orders".into(),
            cluster: "c".into(),
            topic: "points".into(),
            topic_id: None,
            partition,
        };
        let metrics = Metrics::new();
        metrics.wal.durable_seq.set(7);
        metrics.source.reconnects.with_label_values(&["orders"]).inc();
        let count = |stream: &Stream| {
            let labels = stream_labels(stream);
            metrics.source.decoded.with_label_values(&labels.each()).inc();
            metrics.source.applied_offset.with_label_values(&labels.each()).set(1);
            metrics.source.lag_seconds.with_label_values(&labels.each()).set(0.5);
        };
        let (here, gone) = (stream(1), stream(2));
        [&here, &gone].into_iter().for_each(&count);
        metrics.source.forget(&gone);
        // Of what was taken before, something is applied later.
        count(&gone);
        let text = metrics.render_assigned(&BTreeSet::from([stream_labels(&here)]));
        assert_eq!(text.matches("partition=\"1\"").count(), 3, "{text}");
        assert!(!text.contains("partition=\"2\""), "{text}");
        assert!(text.contains("reconnects_total{source=\"orders\"} 1"), "{text}");
        assert!(text.contains("pointd_wal_durable_seq 7"), "{text}");
        // Nothing but the header of a metric without a series would be left.
        let text = metrics.render_assigned(&BTreeSet::new());
        assert!(!text.contains("pointd_source_decoded_total"), "{text}");
    }
}
