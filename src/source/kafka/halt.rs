//! What goes wrong: gaps, lost connections, refused commits.

use std::collections::BTreeSet;
use std::sync::Arc;

use rdkafka::TopicPartitionList;
use rdkafka::consumer::Consumer;
use rdkafka::types::RDKafkaErrorCode;
use uuid::Uuid;

use super::commit::Gone;
use super::consume::Consume;
use super::partitions::Phase;
use super::pending::Index;
use super::place::{Beyond, Gap, Halt};
use crate::position::{Offset, Stream, UnixMillis};
use crate::source::GapPolicy;
use crate::source::status::State;

impl Consume {
    /// Stops one partition; the others go on.
    pub(super) fn halt(&mut self, index: Index, halt: Halt) {
        let partition = &mut self.partitions[index];
        if partition.halt.as_ref() == Some(&halt) {
            return;
        }
        // One that starts is not fetched yet, and one in doubt no more.
        let fetched = partition.phase == Phase::Running;
        let gap = &halt.gap;
        tracing::error!(
            source = self.name,
            topic = partition.topic(),
            partition = partition.number(),
            next = %partition.next,
            "partition halted: {gap}. What to do: {}", gap.remedy()
        );
        partition.halt(halt);
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
        gap: Gap,
        present: Arc<Stream>,
        low: Offset,
        end: Offset,
    ) -> Index {
        let beyond = match gap {
            Gap::OtherTopic { .. } | Gap::OtherCluster { .. } => {
                Beyond { stream: present, next: low, end, starts: true }
            }
            _ => Beyond::of(&gap, &known, end),
        };
        // A topic that was made anew while it was read.
        let before = self.partitions.find(known.name(), known.partition().unwrap_or_default());
        if let Some(before) = before
            && self.partitions[before].phase == Phase::Running
        {
            self.unfetch(before);
        }
        if self.skips(&gap) {
            return self.go_beyond(beyond, format!("skipped, as configured: {gap}"));
        }
        let index = self.add(known, Phase::Doubtful, next, next);
        self.partitions[index].show_end(end);
        self.halt(index, Halt { gap, beyond: Some(beyond) });
        index
    }

    /// A gap that opened while the partition was read.
    pub(super) fn running_gap(&mut self, index: Index, gap: &Gap, end: Offset) {
        let beyond = Beyond::of(gap, &self.partitions[index].stream, end);
        if self.skips(gap) {
            if self.partitions[index].phase == Phase::Running {
                self.unfetch(index);
            }
            self.go_beyond(beyond, format!("skipped, as configured: {gap}"));
            return;
        }
        self.partitions[index].show_end(end);
        self.halt(index, Halt { gap: gap.clone(), beyond: Some(beyond) });
    }

    /// Stops at once; its partitions are found anew.
    pub(super) fn topic_changed(
        &mut self,
        topic: &str,
        expected: Uuid,
        found: Uuid,
        partitions: &BTreeSet<i32>,
    ) {
        for index in self.partitions.of_topic(topic) {
            // The topic now has fewer.
            if !partitions.contains(&self.partitions[index].number()) {
                self.let_go(index);
                continue;
            }
            let expected = match *self.partitions[index].stream {
                Stream::Partition { topic_id: Some(expected), .. } => expected,
                _ => expected,
            };
            if expected != found {
                self.halt(index, Halt { gap: Gap::OtherTopic { expected, found }, beyond: None });
            }
        }
    }

    /// Stops everything at once; what the other cluster has is found anew. Where this client is
    /// connected to nobody knows: what it fetched could be the one's under the other's offsets.
    pub(super) fn cluster_changed(&mut self, expected: &str, found: &str) {
        let current: Vec<Index> = self.partitions.current().collect();
        for index in current {
            if self.partitions[index].stream.cluster() != found {
                let (expected, found) = (expected.to_owned(), found.to_owned());
                self.halt(index, Halt { gap: Gap::OtherCluster { expected, found }, beyond: None });
            }
        }
        self.broken = Some(format!("the cluster was {expected:?} and is {found:?}"));
    }

    /// What is not there is not shown. Its position stays, in the log and here: should a topic of
    /// that name come again, it is a gap.
    pub(super) fn topic_gone(&mut self, topic: &str) {
        tracing::warn!(source = self.name, topic, "the topic is gone: its partitions are let go");
        for index in self.partitions.of_topic(topic) {
            self.let_go(index);
        }
    }

    fn let_go(&mut self, index: Index) {
        let partition = &self.partitions[index];
        let (phase, position) = (partition.phase, partition.position());
        if phase == Phase::Running {
            self.unfetch(index);
        }
        let partition = &self.partitions[index];
        let halt = partition.halt.as_ref();
        let is_read_by_another = halt.is_some_and(|halt| matches!(halt.gap, Gap::ReadBy(_)));
        self.partitions.remove(index);
        self.wiring.status.remove(&position.stream);
        self.wiring.metrics.source.forget(&position.stream);
        // Of one that has not begun, or that another source reads, there is nothing to keep.
        if !matches!(phase, Phase::Starting { .. }) && !is_read_by_another {
            // As in the log: a topic of that name that was here before this one was given up.
            self.positions.retain(|known| {
                let (known, gone) = (&known.stream, &position.stream);
                (known.cluster(), known.name(), known.partition())
                    != (gone.cluster(), gone.name(), gone.partition())
            });
            self.positions.push(position);
        }
    }

    /// A thread of the source has ended, which it never does by itself: so does the source.
    pub(super) fn lost_thread(&mut self, does: &str) {
        if !std::mem::replace(&mut self.lost, true) {
            tracing::error!(source = self.name, "the thread that {does} has ended");
        }
    }

    /// Where a new source begins is decided for all of its partitions at once.
    pub(super) fn undecided(&mut self, why: &str) {
        if !self.reconnecting {
            self.wiring.status.pause(why);
        }
    }

    pub(super) fn unreachable(&mut self, error: &str) {
        if self.reconnecting {
            // What explains it may come later than what follows from it.
            if let State::Reconnecting { since, error: told } = self.wiring.status.state()
                && told != error
            {
                tracing::debug!(source = self.name, error, "the cluster cannot be reached");
                self.wiring.status.set_state(State::Reconnecting { since, error: error.into() });
            }
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
            self.consumer.context().forget_reason();
            self.wiring.metrics.source.reconnects.with_label_values(&[&self.name]).inc();
            tracing::info!(source = self.name, "the cluster answers again");
        }
        self.show_state();
    }

    pub(super) fn show_state(&self) {
        if let Some((why, since)) = &self.stuck {
            let (why, since) = (why.clone(), *since);
            return self.wiring.status.set_state(State::Halted { why, since });
        }
        let none = self.partitions.current().next().is_none();
        match (self.intake.paused, none) {
            (true, _) => self.wiring.status.pause(self.why_paused()),
            (false, true) => self.wiring.status.starting(self.awaited()),
            (false, false) => self.wiring.status.set_state(State::Running),
        }
    }

    /// Gives what the broker refuses, where it has just answered so.
    pub(super) fn commit(&mut self) -> Option<RDKafkaErrorCode> {
        self.commits.advance(self.wiring.watermark.get(), &mut self.partitions);
        let mut refusal = None;
        match self.commits.answered(&mut self.partitions) {
            Ok(Some(refused)) => {
                refusal = refused;
                self.commit_answered(refused);
            }
            Ok(None) => {}
            Err(Gone) => self.lost_thread("commits"),
        }
        self.commits.commit(&mut self.partitions);
        refusal
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
