//! What the applier tells the metrics, with the labels of each stream looked up once a frame.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::catalog::{Catalog, Outcome};
use crate::metrics::{Metrics, stream_labels};
use crate::position::{Mark, Offset, Position, Stream};

pub struct Gauges {
    metrics: Metrics,
    /// Where this frame took each stream.
    moved: BTreeMap<Arc<Stream>, Offset>,
}

impl Gauges {
    pub fn new(metrics: &Metrics) -> Gauges {
        Gauges { metrics: metrics.clone(), moved: BTreeMap::new() }
    }

    /// Notes one record of the frame, and where it moved its stream. `letter` says whether it
    /// became a dead letter.
    pub fn record(&mut self, position: Option<&Position>, outcome: &Outcome, letter: bool) {
        if let Some(Position { stream, mark: Mark::Next(next), .. }) = position {
            match self.moved.get_mut(stream) {
                Some(known) => *known = *next,
                None => {
                    self.moved.insert(stream.clone(), *next);
                }
            }
        }
        if let (Outcome::Refused(refusal), true) = (outcome, letter) {
            let source = position.map_or("http", |position| position.stream.source());
            let labels = [source, refusal.reason.label()];
            self.metrics.source.dead_letters.with_label_values(&labels).inc();
        }
    }

    /// After a frame.
    pub fn publish(&mut self, catalog: &Catalog) {
        self.publish_offsets();
        self.metrics.wal.applied_seq.set(catalog.applied().0 as i64);
        let collection = &self.metrics.collection;
        collection.dead_letters.set(catalog.dead_letter_count() as i64);
        let counters = catalog.counters();
        for (kind, count) in [
            ("operations", counters.operations),
            ("duplicate", counters.duplicates),
            ("dead_letter", counters.dead_letters),
            ("refused", counters.refused),
            ("moved", counters.moved),
            ("start", counters.starts),
            ("redrive", counters.redrives),
            ("drop", counters.drops),
        ] {
            collection.applied_records.with_label_values(&[kind]).set(count as i64);
        }
    }

    fn publish_offsets(&mut self) {
        for (stream, next) in std::mem::take(&mut self.moved) {
            // Once a frame and not kept: a stream that goes takes its gauge with it, and the one
            // that comes back has a new one.
            let labels = stream_labels(&stream);
            let gauge = self.metrics.source.applied_offset.with_label_values(&labels.each());
            gauge.set(next.0 as i64);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_that_was_forgotten_and_comes_back_is_shown_again() {
        let stream = Arc::new(Stream::Partition {
            source: "s".into(),
            cluster: "c".into(),
            topic: "t".into(),
            topic_id: None,
            partition: 0,
        });
        let metrics = Metrics::new();
        let mut gauges = Gauges::new(&metrics);
        for next in [7, 8] {
            let position = Position::new(stream.clone(), Mark::Next(Offset(next)));
            gauges.record(Some(&position), &Outcome::Applied, false);
            gauges.publish_offsets();
            let labels = stream_labels(&stream);
            // Made anew at 0 if it was lost.
            let shown = metrics.source.applied_offset.with_label_values(&labels.each());
            assert_eq!(shown.get(), next as i64);
            metrics.source.forget(&stream);
        }
    }
}
