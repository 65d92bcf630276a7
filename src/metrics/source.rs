//! What is told of the sources.

use prometheus::{GaugeVec, IntCounterVec, IntGaugeVec, Opts};

use super::Make;

/// Per source, or per partition (`source`, `topic`, `partition`; a queue's partition is `-`).
pub struct SourceMetrics {
    pub received: IntCounterVec,
    pub decoded: IntCounterVec,
    pub duplicates: IntCounterVec,
    pub dead_letters: IntCounterVec,
    pub durable_offset: IntGaugeVec,
    pub applied_offset: IntGaugeVec,
    pub committed_offset: IntGaugeVec,
    pub end_offset: IntGaugeVec,
    pub lag_seconds: GaugeVec,
    /// A queue's.
    pub waiting: IntGaugeVec,
    pub state: IntGaugeVec,
    pub paused: IntGaugeVec,
    pub halted: IntGaugeVec,
    pub unreadable: IntGaugeVec,
    pub reconnects: IntCounterVec,
    pub pressure: IntGaugeVec,
    pub blocked: IntGaugeVec,
    pub rebuilds: IntCounterVec,
    pub topics_missing: IntGaugeVec,
    pub topics_refused: IntGaugeVec,
    pub commit_refused: IntGaugeVec,
    pub other_consumers: IntGaugeVec,
}

/// Received, decoded, duplicates.
fn counts(make: &Make<'_>, stream: &[&str]) -> [IntCounterVec; 3] {
    let received = "Messages delivered by the broker.";
    let duplicates = "Deliveries recognised as already in the log.";
    [
        make.counters("pointd_source_received_total", received, stream),
        make.counters("pointd_source_decoded_total", "Messages decoded into operations.", stream),
        make.counters("pointd_source_duplicates_total", duplicates, stream),
    ]
}

/// Durable, applied, committed, end.
fn offsets(make: &Make<'_>, stream: &[&str]) -> [IntGaugeVec; 4] {
    [
        make.gauges(
            "pointd_source_durable_offset",
            "Next offset after the last message in the log.",
            stream,
        ),
        make.gauges(
            "pointd_source_applied_offset",
            "Next offset after the last applied message.",
            stream,
        ),
        make.gauges("pointd_source_committed_offset", "Offset committed at the broker.", stream),
        make.gauges("pointd_source_end_offset", "The broker's end of the partition.", stream),
    ]
}

/// Topics missing, topics refused, commits refused, other consumers.
fn troubles(make: &Make<'_>) -> [IntGaugeVec; 4] {
    [
        make.gauges(
            "pointd_source_topics_missing",
            "Topics that a source names and that do not exist.",
            &["source"],
        ),
        make.gauges(
            "pointd_source_topics_refused",
            "Topics of which the broker says nothing to a source: no rights, most often.",
            &["source"],
        ),
        make.gauges(
            "pointd_source_commit_refused",
            "1 while the broker refuses a source's commits.",
            &["source"],
        ),
        make.gauges(
            "pointd_source_other_consumers",
            "Consumers of a queue beside the source, if there have been some for a while.",
            &["source"],
        ),
    ]
}

fn lag_seconds(make: &Make<'_>, stream: &[&str]) -> GaugeVec {
    let opts = Opts::new(
        "pointd_source_lag_seconds",
        "Age of the newest applied message while more are waiting; 0 at the end.",
    );
    make.keep(GaugeVec::new(opts, stream))
}

pub(super) fn source(make: &Make<'_>) -> SourceMetrics {
    let stream = &["source", "topic", "partition"];
    let [received, decoded, duplicates] = counts(make, stream);
    let [topics_missing, topics_refused, commit_refused, other_consumers] = troubles(make);
    let [durable_offset, applied_offset, committed_offset, end_offset] = offsets(make, stream);
    SourceMetrics {
        topics_missing,
        topics_refused,
        commit_refused,
        other_consumers,
        received,
        decoded,
        duplicates,
        dead_letters: make.counters(
            "pointd_dead_letters_total",
            "Messages that could not be applied, by reason.",
            &["source", "reason"],
        ),
        durable_offset,
        applied_offset,
        committed_offset,
        end_offset,
        lag_seconds: lag_seconds(make, stream),
        waiting: make.gauges(
            "pointd_source_waiting_messages",
            "Messages that wait in a queue, as its broker said last.",
            stream,
        ),
        state: make.gauges(
            "pointd_source_state",
            "1 for the state that a source is in, 0 for all others.",
            &["source", "state"],
        ),
        paused: make.gauges(
            "pointd_source_paused",
            "1 while fetching is paused: the log, the disk, applying or dead letters press.",
            &["source"],
        ),
        halted: make.gauges(
            "pointd_source_halted",
            "1 while a partition is stopped and needs an operator.",
            stream,
        ),
        unreadable: make.gauges(
            "pointd_source_unreadable",
            "1 while the broker again and again does not give out a partition.",
            stream,
        ),
        reconnects: make.counters(
            "pointd_source_reconnects_total",
            "Connections to the broker made again after a loss.",
            &["source"],
        ),
        pressure: make.gauges(
            "pointd_source_pressure",
            "1 while no source fetches, by reason.",
            &["reason"],
        ),
        blocked: make.gauges(
            "pointd_source_blocked",
            "1 while the broker says to the source that it blocks publishers.",
            &["source"],
        ),
        rebuilds: make.counters(
            "pointd_source_rebuilds_total",
            "Clients given up for a new one, because they stood still or failed for good.",
            &["source"],
        ),
    }
}
