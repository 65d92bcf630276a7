//! What goes wrong: gaps, lost connections, refused commits.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::TopicPartitionList;
use rdkafka::consumer::Consumer;
use rdkafka::types::RDKafkaErrorCode;
use uuid::Uuid;

use super::consume::Consume;
use super::native::Place as Named;
use super::partitions::Phase;
use super::pending::Index;
use super::place::{Gap, gap_at};
use super::settings::GapPolicy;
use crate::position::{Offset, Stream, UnixMillis};
use crate::source::status::State;

/// A gap is looked at once, by the consuming thread: it must not wait for long.
const LOOK_TIMEOUT: Duration = Duration::from_secs(2);
/// Before fetching again where fetching failed and nothing is missing.
const FETCH_RETRY_INTERVAL: Duration = Duration::from_secs(1);

impl Consume {
    /// Stops one partition for good; the others go on.
    pub(super) fn halt(&mut self, index: Index, gap: &Gap) {
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
        self.tell_unfetched();
    }

    fn unfetch(&mut self, index: Index) {
        let partition = &self.partitions[index];
        let mut list = TopicPartitionList::new();
        list.add_partition(partition.topic(), partition.number());
        if let Err(error) = self.consumer.incremental_unassign(&list) {
            // What still comes is dropped, because of the partition's phase.
            tracing::debug!(source = self.name, %error, "partition was not assigned");
        }
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
        if self.settings.gap == GapPolicy::Skip && gap.can_skip() {
            tracing::warn!(source = self.name, %present, %low, "gap skipped: {gap}");
            return match gap {
                Gap::Lost { .. } => self.skip_to(known, low, high),
                _ => self.start(present, low, high),
            };
        }
        let index = self.add(known, Phase::Starting { batch: u64::MAX }, next, high);
        self.halt(index, gap);
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

    pub(super) fn failed(&mut self, place: Option<Named>, code: RDKafkaErrorCode, reason: &str) {
        use RDKafkaErrorCode::{
            AllBrokersDown, Authentication, AutoOffsetReset, BrokerTransportFailure, Fatal,
            OffsetOutOfRange, Resolve, SSL,
        };
        let index = place.as_ref().and_then(|at| self.partitions.find(&at.topic, at.partition));
        match (index, code) {
            (Some(index), AutoOffsetReset | OffsetOutOfRange) => self.out_of_range(index, reason),
            (_, AllBrokersDown | Authentication | Fatal | SSL) => self.unreachable(reason),
            // One broker of several, or one address of many: librdkafka connects again.
            (_, BrokerTransportFailure | Resolve) => {
                tracing::debug!(source = self.name, reason, "connection lost");
            }
            _ => tracing::warn!(source = self.name, ?place, %code, reason, "Kafka reports"),
        }
    }

    /// The broker refused our offset. What is really there decides.
    fn out_of_range(&mut self, index: Index, reason: &str) {
        let partition = &self.partitions[index];
        if partition.phase != Phase::Running {
            return;
        }
        let (topic, number, next) = (partition.topic(), partition.number(), partition.next);
        let ends = self.consumer.fetch_watermarks(topic, number, LOOK_TIMEOUT);
        let ends = ends
            .ok()
            .and_then(|(low, high)| Some((u64::try_from(low).ok()?, u64::try_from(high).ok()?)));
        let gap = ends.and_then(|(low, high)| gap_at(next, low, high));
        match (gap, ends) {
            (Some(gap), Some((low, high)))
                if self.settings.gap == GapPolicy::Skip && gap.can_skip() =>
            {
                tracing::warn!(
                    source = self.name,
                    topic,
                    partition = number,
                    low,
                    "gap skipped: {gap}"
                );
                self.unfetch(index);
                let stream = Arc::clone(&self.partitions[index].stream);
                self.skip_to(stream, Offset(low), Offset(high));
            }
            (Some(gap), _) => self.halt(index, &gap),
            (None, _) => {
                tracing::warn!(source = self.name, topic, partition = number, %next, reason,
                    "fetching failed though nothing is missing; trying again");
                self.unfetch(index);
                self.retries.push((Instant::now() + FETCH_RETRY_INTERVAL, index));
            }
        }
    }

    pub(super) fn retry_due(&mut self) {
        if self.retries.is_empty() {
            return;
        }
        let now = Instant::now();
        let (due, later) = self.retries.drain(..).partition::<Vec<_>, _>(|(at, _)| *at <= now);
        self.retries = later;
        let partitions = &self.partitions;
        let due: Vec<Index> = due
            .into_iter()
            .map(|(_, index)| index)
            .filter(|&index| partitions[index].phase == Phase::Running)
            .collect();
        self.fetch(&due);
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
        let was = self.wiring.status.state();
        if self.reconnecting {
            self.reconnecting = false;
            self.wiring.metrics.source.reconnects.with_label_values(&[&self.name]).inc();
            tracing::info!(source = self.name, "the cluster answers again");
        } else if !matches!(was, State::Starting | State::Running) {
            return;
        }
        let none = self.partitions.current().next().is_none();
        self.wiring.status.set_state(match (self.paused, none) {
            (true, _) => State::Paused,
            (false, true) => State::Starting,
            (false, false) => State::Running,
        });
    }

    /// Whose ends have to be asked for, because nothing of them is fetched.
    pub(super) fn tell_unfetched(&self) {
        let unfetched = self
            .partitions
            .current()
            .filter(|&index| self.paused || self.partitions[index].phase == Phase::Halted);
        let list = unfetched
            .map(|index| {
                let partition = &self.partitions[index];
                (partition.topic().to_owned(), partition.number())
            })
            .collect();
        if let Some(sender) = &self.unfetched
            && sender.try_send(list).is_err()
        {
            // Only the ends of these partitions will be old until the next change.
            tracing::debug!(source = self.name, "the discovery thread is busy");
        }
    }

    pub(super) fn commit(&mut self) {
        self.commits.advance(self.wiring.watermark.get(), &mut self.partitions);
        if let Err(error) = self.commits.commit(&self.consumer, &mut self.partitions) {
            self.commit_answered(error.rdkafka_error_code());
        }
    }

    pub(super) fn commit_answered(&mut self, refused: Option<RDKafkaErrorCode>) {
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
