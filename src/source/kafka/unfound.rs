//! Partitions that are there and cannot be found: without a leader, or with one that does not answer.
//! They are shown as those that cannot be read, and a read may wait for them.

use std::sync::Arc;

use super::consume::Consume;
use super::discovery::Found;
use super::place::Present;
use super::stalled::FAILURES_MAX;
use uuid::Uuid;

use crate::metrics::stream_labels;
use crate::position::{Stream, UnixMillis};
use crate::source::status::StreamState;

pub struct NotFound {
    pub cluster: String,
    pub topic: String,
    pub topic_id: Option<Uuid>,
    pub partition: i32,
    pub error: String,
}

/// Since when, and in how many rounds.
pub struct Unfound {
    stream: Arc<Stream>,
    since: UnixMillis,
    rounds: u32,
}

impl Consume {
    pub(super) fn not_found(&mut self, not_found: NotFound) {
        let NotFound { cluster, topic, topic_id, partition, error } = not_found;
        if let Some(index) = self.partitions.find(&topic, partition) {
            let partition = &mut self.partitions[index];
            // What was read is halted, and says so, unless it waits for this.
            if partition.waits_behind() {
                partition.failures = partition.failures.saturating_add(1);
                if partition.failures >= FAILURES_MAX {
                    partition.show_unreadable(error);
                }
            }
            return;
        }
        let known = self.positions.iter().rev().map(|position| &position.stream);
        let mut known = known.filter(|stream| {
            (stream.cluster(), stream.name(), stream.partition())
                == (&*cluster, &*topic, Some(partition))
        });
        let known = known.next().cloned();
        let unfound = self.unfound.entry((topic.clone(), partition)).or_insert_with(|| {
            let source = self.name.clone();
            let new = || Stream::Partition { source, cluster, topic, topic_id, partition };
            let stream = known.unwrap_or_else(|| Arc::new(new()));
            Unfound { stream, since: UnixMillis::now(), rounds: 0 }
        });
        unfound.rounds = unfound.rounds.saturating_add(1);
        let Unfound { stream, since, rounds } = unfound;
        let status = self.wiring.status.stream(stream);
        if *rounds < FAILURES_MAX {
            return;
        }
        if *rounds == FAILURES_MAX {
            tracing::error!(source = self.name, %stream, error,
                "the partition cannot be read; trying again");
        }
        let labels = stream_labels(stream);
        self.wiring.metrics.source.unreadable.with_label_values(&labels.each()).set(1);
        status.set_state(StreamState::Unreadable { since: *since, error });
    }

    pub(super) fn take_unfound(&mut self, found: &[Found]) -> Vec<Unfound> {
        let place = |present: &Present| (present.topic.clone(), present.partition);
        found.iter().filter_map(|found| self.unfound.remove(&place(&found.present))).collect()
    }

    /// What is shown of one that began as another stream goes.
    pub(super) fn are_found(&self, found: Vec<Unfound>) {
        for Unfound { stream, rounds, .. } in found {
            let index = self.partitions.find(stream.name(), stream.partition().unwrap_or_default());
            if index.is_none_or(|index| self.partitions[index].stream != stream) {
                self.wiring.status.remove(&stream);
            }
            if rounds >= FAILURES_MAX {
                tracing::info!(source = self.name, %stream, "it can be read again");
            }
        }
    }

    pub(super) fn forget_unfound(&mut self, is_meant: impl Fn(&str) -> bool) {
        let (status, metrics) = (&self.wiring.status, &self.wiring.metrics);
        self.unfound.retain(|(topic, _), unfound| {
            let goes = is_meant(topic);
            if goes {
                status.remove(&unfound.stream);
                metrics.source.forget(&unfound.stream);
            }
            !goes
        });
    }
}
