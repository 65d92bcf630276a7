//! What goes wrong: gaps, lost connections, refused commits.

use std::sync::Arc;

use rdkafka::TopicPartitionList;
use rdkafka::consumer::Consumer;
use rdkafka::types::RDKafkaErrorCode;
use uuid::Uuid;

use super::consume::Consume;
use super::partitions::Phase;
use super::pending::Index;
use super::place::Gap;
use super::settings::GapPolicy;
use crate::position::{Offset, Stream, UnixMillis};
use crate::source::status::State;

impl Consume {
    /// Stops one partition for good; the others go on.
    fn halt(&mut self, index: Index, gap: &Gap) {
        let partition = &mut self.partitions[index];
        if partition.phase == Phase::Halted {
            return;
        }
        let fetched = partition.phase == Phase::Running;
        partition.halt(gap.to_string());
        tracing::error!(
            source = self.name,
            topic = partition.topic(),
            partition = partition.number(),
            next = %partition.next,
            "partition halted: {gap}. What to do: {}", gap.remedy()
        );
        if fetched {
            self.unfetch(index);
        }
    }

    pub(super) fn unfetch(&mut self, index: Index) {
        let partition = &self.partitions[index];
        let mut list = TopicPartitionList::new();
        list.add_partition(partition.topic(), partition.number());
        if let Err(error) = self.consumer.incremental_unassign(&list) {
            // What still comes is dropped, because of the partition's phase or its offset.
            tracing::debug!(source = self.name, %error, "partition was not assigned");
        }
    }

    fn skips(&self, gap: &Gap) -> bool {
        self.settings.gap == GapPolicy::Skip && gap.can_skip()
    }

    /// A partition found with a gap between our position and what is there.
    pub(super) fn found_gap(
        &mut self,
        known: Arc<Stream>,
        next: Offset,
        gap: &Gap,
        present: Arc<Stream>,
        low: Offset,
        high: Offset,
    ) {
        if !self.skips(gap) {
            let index = self.add(known, Phase::Starting { batch: u64::MAX }, next, high);
            return self.halt(index, gap);
        }
        tracing::warn!(source = self.name, %present, %low, "gap skipped: {gap}");
        match gap {
            Gap::Lost { .. } => self.skip_to(known, low, high),
            _ => self.start(present, low, high),
        }
    }

    /// A gap that opened while the partition was fetched.
    pub(super) fn running_gap(&mut self, index: Index, gap: &Gap, low: Offset, high: Offset) {
        if !self.skips(gap) {
            return self.halt(index, gap);
        }
        let stream = Arc::clone(&self.partitions[index].stream);
        tracing::warn!(source = self.name, %stream, %low, "gap skipped: {gap}");
        self.unfetch(index);
        self.skip_to(stream, low, high);
    }

    pub(super) fn topic_changed(&mut self, topic: &str, found: Uuid) {
        for index in self.partitions.of_topic(topic) {
            if let Stream::Partition { topic_id: Some(expected), .. } =
                *self.partitions[index].stream
            {
                self.halt(index, &Gap::OtherTopic { expected, found });
            }
        }
    }

    pub(super) fn unreachable(&mut self, error: &str) {
        if self.reconnecting {
            return;
        }
        self.reconnecting = true;
        tracing::warn!(source = self.name, error, "the cluster cannot be reached; trying again");
        let (since, error) = (UnixMillis::now(), error.to_owned());
        self.wiring.status.set_state(State::Reconnecting { since, error });
    }

    pub(super) fn reached(&mut self) {
        if self.reconnecting {
            self.reconnecting = false;
            self.wiring.metrics.source.reconnects.with_label_values(&[&self.name]).inc();
            tracing::info!(source = self.name, "the cluster answers again");
        }
        let none = self.partitions.current().next().is_none();
        match (self.paused, none) {
            (true, _) => self.wiring.status.pause(self.why_paused()),
            (false, true) => self.wiring.status.set_state(State::Starting),
            (false, false) => self.wiring.status.set_state(State::Running),
        }
    }

    pub(super) fn commit(&mut self) {
        self.commits.advance(self.wiring.watermark.get(), &mut self.partitions);
        if let Some(refused) = self.commits.answered(&mut self.partitions) {
            self.commit_answered(refused);
        }
        self.commits.commit(&mut self.partitions);
    }

    fn commit_answered(&mut self, refused: Option<RDKafkaErrorCode>) {
        if refused == self.commit_error {
            return;
        }
        self.commit_error = refused;
        let Some(code) = refused else {
            self.wiring.status.set_commit_error(None);
            tracing::info!(source = self.name, "offsets are committed again");
            return;
        };
        use RDKafkaErrorCode::{IllegalGeneration, RebalanceInProgress, UnknownMemberId};
        let group = &self.settings.group;
        let why = match code {
            IllegalGeneration | RebalanceInProgress | UnknownMemberId => format!(
                "{code}: somebody else is a member of group {group:?}; give this source a \
                 group of its own, or stop the other consumer"
            ),
            _ => code.to_string(),
        };
        // Consumption goes on: positions are ours, the committed offsets are for others.
        tracing::warn!(source = self.name, group, why, "offsets could not be committed");
        self.wiring.status.set_commit_error(Some(why));
    }
}
