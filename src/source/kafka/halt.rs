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

/// Why the cluster counts as away.
pub struct Away {
    since: UnixMillis,
    error: String,
    /// Whether the thread that asks it got no answer. What was fetched before says nothing then.
    is_unanswered: bool,
}

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
        expected: Option<Uuid>,
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
                Stream::Partition { topic_id: Some(expected), .. } => Some(expected),
                _ => expected,
            };
            if let Some(expected) = expected.filter(|expected| *expected != found) {
                self.stop_for(index, Gap::OtherTopic { expected, found });
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
                self.stop_for(index, Gap::OtherCluster { expected, found });
            }
        }
        self.forget_unfound(|_| true);
        self.broken = Some(format!("the cluster was {expected:?} and is {found:?}"));
    }

    /// Behind this gap nothing is found yet. Where it is skipped once that is, nobody need be called.
    fn stop_for(&mut self, index: Index, gap: Gap) {
        let skips = self.skips(&gap);
        let halt = Halt { gap, beyond: None };
        if !skips || self.partitions[index].phase == Phase::Halted {
            return self.halt(index, halt);
        }
        let partition = &mut self.partitions[index];
        let fetched = partition.phase == Phase::Running;
        tracing::info!(source = self.name, stream = %partition.stream, next = %partition.next,
            "nothing more is read of it, and what is there now is gone on to: {}", halt.gap);
        partition.wait_behind(halt);
        if fetched {
            self.unfetch(index);
        }
    }

    /// What is not there is not shown. Its position stays, in the log and here: should a topic of
    /// that name come again, it is a gap.
    pub(super) fn topic_gone(&mut self, topic: &str) {
        tracing::warn!(source = self.name, topic, "the topic is gone: its partitions are let go");
        for index in self.partitions.of_topic(topic) {
            self.let_go(index);
        }
        self.forget_unfound(|unfound| unfound == topic);
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

    pub(super) fn unreachable(&mut self, error: &str) {
        match &mut self.away {
            Some(away) if away.error == error => return,
            // What explains it may come later than what follows from it.
            Some(away) => {
                tracing::debug!(source = self.name, error, "the cluster cannot be reached");
                error.clone_into(&mut away.error);
            }
            None => {
                tracing::warn!(
                    source = self.name,
                    error,
                    "the cluster cannot be reached; trying again"
                );
                let since = UnixMillis::now();
                self.away = Some(Away { since, error: error.to_owned(), is_unanswered: false });
            }
        }
        self.show_state();
    }

    /// The thread that asks the cluster got no answer.
    pub(super) fn unanswered(&mut self, error: &str) {
        self.unreachable(error);
        if let Some(away) = &mut self.away {
            away.is_unanswered = true;
        }
    }

    /// A message came.
    pub(super) fn delivered(&mut self) {
        if self.away.as_ref().is_some_and(|away| !away.is_unanswered) {
            self.is_there();
        }
    }

    /// The cluster answered. `undecided`: why nothing is found yet all the same.
    pub(super) fn reached(&mut self, undecided: Option<String>) {
        self.undecided = undecided;
        self.is_there();
    }

    fn is_there(&mut self) {
        if self.away.take().is_some() {
            self.consumer.context().forget_reason();
            self.wiring.metrics.source.reconnects.with_label_values(&[&self.name]).inc();
            tracing::info!(source = self.name, "the cluster answers again");
        }
        self.show_state();
    }

    pub(super) fn show_state(&self) {
        let status = &self.wiring.status;
        if let Some((why, since)) = self.stuck.as_ref().or(self.unheard.as_ref()) {
            let (why, since) = (why.clone(), *since);
            return status.set_state(State::Halted { why, since });
        }
        if let Some(Away { since, error, .. }) = &self.away {
            let (since, error) = (*since, error.clone());
            return status.set_state(State::Reconnecting { since, error });
        }
        if self.intake.paused {
            return status.pause(self.why_paused());
        }
        match (self.partitions.current().next(), &self.undecided) {
            (Some(_), _) => status.set_state(State::Running),
            (None, Some(why)) => status.pause(why),
            (None, None) => status.starting(self.awaited()),
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
