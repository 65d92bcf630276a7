//! What becomes of dead letters.

use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec};

use super::Make;

pub struct LetterMetrics {
    pub kept: IntGaugeVec,
    pub bytes: IntGauge,
    pub count_max: IntGauge,
    pub bytes_max: IntGauge,
    pub redriven: IntCounterVec,
    pub dropped: IntCounterVec,
    pub forwarded: IntCounter,
    pub forward_incomplete: IntCounter,
    pub forward_skipped: IntCounter,
    pub forward_failures: IntCounter,
    pub forward_pending: IntGauge,
    pub forward_failing: IntGauge,
}

pub(super) fn letters(make: &Make<'_>) -> LetterMetrics {
    LetterMetrics {
        kept: make.gauges(
            "pointd_dead_letters_kept",
            "Dead letters kept, by source and reason.",
            &["source", "reason"],
        ),
        bytes: make.gauge(
            "pointd_dead_letter_bytes",
            "What the dead letters that are kept take, as their bound counts it.",
        ),
        count_max: make.gauge(
            "pointd_dead_letters_max",
            "The bound of the dead letters kept: storage.dead_letters_max.",
        ),
        bytes_max: make.gauge(
            "pointd_dead_letter_bytes_max",
            "The bound of their bytes: storage.dead_letter_bytes_max.",
        ),
        redriven: make.counters(
            "pointd_dead_letters_redriven_total",
            "Attempts at dead letters, by what came of them (applied, refused).",
            &["source", "outcome"],
        ),
        dropped: make.counters(
            "pointd_dead_letters_dropped_total",
            "Dead letters that were dropped.",
            &["source"],
        ),
        forwarded: make.counter(
            "pointd_dead_letters_forwarded_total",
            "Dead letters that the forwarding target has confirmed, repetitions included.",
        ),
        forward_incomplete: make.counter(
            "pointd_dead_letters_forward_incomplete_total",
            "Dead letters that were forwarded without a part that the target has no place for. \
             They are not dropped after that.",
        ),
        forward_skipped: make.counter(
            "pointd_dead_letters_forward_skipped_total",
            "Dead letters that were redriven or dropped before they were forwarded.",
        ),
        forward_failures: make.counter(
            "pointd_dead_letters_forward_failures_total",
            "Attempts at forwarding that failed. Each is repeated.",
        ),
        forward_pending: make.gauge(
            "pointd_dead_letters_forward_pending",
            "Dead letters that are still to be forwarded.",
        ),
        forward_failing: make.gauge(
            "pointd_dead_letters_forward_failing",
            "1 from an attempt at forwarding that failed to the next one that did not.",
        ),
    }
}
