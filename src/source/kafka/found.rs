//! What the discovery thread found, and partitions that begin.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::TryRecvError;
use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaResult;
use rdkafka::{Offset as KafkaOffset, TopicPartitionList};

use super::consume::Consume;
use super::discovery::{Finding, Found};
use super::epochs::Epochs;
use super::native;
use super::partitions::{Doubt, Partition, Phase};
use super::pending::{Entry, Index};
use super::place::{Gap, Halt, Place, Present, place};
use super::probe::seek_validated;
use crate::position::{Mark, Offset, Position, Stream};

/// The gap of a partition that was halted because its topic is another one.
fn changed(partition: &Partition, present: &Present) -> Option<Place> {
    let halt = partition.halt.as_ref()?;
    match halt.gap {
        Gap::OtherTopic { found, .. } if present.topic_id == Some(found) => Some(Place::Gap {
            stream: Arc::clone(&partition.stream),
            next: partition.next,
            epoch: partition.epoch(),
            gap: halt.gap.clone(),
        }),
        _ => None,
    }
}

const ASSIGN_RETRY_INTERVAL: Duration = Duration::from_secs(1);
/// So many failures one after the other are not a moment's.
const ASSIGN_FAILURES_MAX: u32 = 5;

impl Consume {
    pub(super) fn take_findings(&mut self) {
        let mut found = Vec::new();
        loop {
            match self.findings.try_recv() {
                // Told one by one, begun together.
                Ok(Finding::Partitions(more)) => found.extend(more),
                Ok(finding) => {
                    self.found(std::mem::take(&mut found));
                    self.take_finding(finding);
                }
                Err(TryRecvError::Empty) => return self.found(found),
                Err(TryRecvError::Disconnected) => {
                    self.found(found);
                    return self.lost_thread("asks the cluster");
                }
            }
        }
    }

    fn take_finding(&mut self, finding: Finding) {
        match finding {
            Finding::Partitions(found) => self.found(found),
            Finding::TopicChanged { topic, expected, found, partitions } => {
                self.topic_changed(&topic, expected, found, &partitions);
            }
            Finding::ClusterChanged { expected, found } => {
                self.cluster_changed(&expected, &found);
            }
            Finding::Missing(topics) => self.wiring.status.set_missing(topics),
            Finding::Refused(topics) => self.wiring.status.set_refused(topics),
            Finding::TopicGone(topic) => self.topic_gone(&topic),
            Finding::NotFound(not_found) => self.not_found(*not_found),
            Finding::Looked(answer) => self.looked(answer),
            Finding::NotLooked(unanswered) => self.not_looked(*unanswered),
            Finding::Reached { undecided } => self.reached(undecided),
            Finding::Unreachable(error) => self.unanswered(&error),
        }
    }

    /// All starts that are told at once go into one batch, so that they become durable together.
    fn found(&mut self, found: Vec<Found>) {
        let mut resumed = Vec::new();
        let unfound = self.take_unfound(&found);
        for Found { present, start } in found {
            let (low, high) = (Offset(present.low), Offset(present.high));
            let before = self.partitions.find(&present.topic, present.partition);
            let stream = Arc::new(Stream::Partition {
                source: self.name.clone(),
                cluster: present.cluster.clone(),
                topic: present.topic.clone(),
                topic_id: present.topic_id,
                partition: present.partition,
            });
            let place = self.place(before, &stream, &present);
            let is_here = |stream: &Arc<Stream>| {
                before.is_some_and(|index| self.partitions[index].stream == *stream)
            };
            let taken = self.claims.claim(&self.name, &present).err().filter(|_| !self.ephemeral);
            if let Some(other) = taken {
                let next = match place {
                    Place::Resume { next, .. } | Place::Gap { next, .. } => next,
                    Place::New => start,
                };
                let index = self.add(stream, Phase::Doubtful, next, high);
                self.halt(index, Halt { gap: Gap::ReadBy(other), beyond: None });
                continue;
            }
            match place {
                // It is being read, or halted for what it has in itself.
                Place::Resume { ref stream, .. } if is_here(stream) => {
                    resumed.extend(self.is_back(before));
                }
                Place::Resume { stream: known, next, epoch }
                    if self.gains_id(&known, &stream, next) =>
                {
                    self.go_on_with_id(stream, next, epoch, high);
                }
                Place::Resume { stream, next, epoch } => {
                    tracing::info!(source = self.name, %stream, %next, "partition resumed");
                    // The broker may have heard less. One that comes back may have been read
                    // further than the log has it.
                    let durable = self.wiring.outlet.durable(&stream);
                    let durable = durable.map_or(next, |durable| durable.min(next));
                    let index = self.add(stream, Phase::Running, next, high);
                    let partition = &mut self.partitions[index];
                    partition.show_durable(durable);
                    partition.durable = Some(durable);
                    partition.epochs = Epochs::resumed(next, epoch);
                    resumed.push(index);
                }
                Place::New => self.start(stream, start, high),
                // Who answered may lag behind; and how far back it was cut, the broker can tell.
                Place::Gap { stream, next, epoch, gap: Gap::Cut { .. } } => {
                    let index = self.add(stream, Phase::Doubtful, next, high);
                    let partition = &mut self.partitions[index];
                    partition.epochs = Epochs::resumed(next, epoch);
                    partition.doubt = Some(Doubt::Cut);
                    partition.show_end(high);
                }
                Place::Gap { stream: known, next, epoch, gap } => {
                    let index = self.found_gap(known, next, gap, stream, low, high);
                    if self.partitions[index].phase == Phase::Halted {
                        self.partitions[index].epochs = Epochs::resumed(next, epoch);
                    }
                }
            }
        }
        self.are_found(unfound);
        self.fetch(&resumed);
    }

    /// `before` is what is known under that name, `stream` what is there.
    fn place(&self, before: Option<Index>, stream: &Arc<Stream>, present: &Present) -> Place {
        let Some(before) = before.map(|index| &self.partitions[index]) else {
            return place(&self.positions, present, self.ephemeral);
        };
        // A stream that began without an id: that it changed, only this process knows.
        if let Some(place) = changed(before, present) {
            return place;
        }
        let mut known = vec![before.position()];
        // Where this cluster's stood before another one was read, the log has.
        if before.stream.cluster() != stream.cluster()
            && let Some(next) = self.wiring.outlet.durable(stream)
        {
            known.push(Position::new(Arc::clone(stream), Mark::Next(next)));
        }
        place(&known, present, self.ephemeral)
    }

    /// One that is halted because another cluster answered, and now its own does again.
    fn is_back(&mut self, index: Option<Index>) -> Option<Index> {
        let index = index?;
        let partition = &mut self.partitions[index];
        let halt = partition.halt.as_ref()?;
        if !matches!(halt.gap, Gap::OtherCluster { .. }) {
            return None;
        }
        tracing::info!(source = self.name, stream = %partition.stream, next = %partition.next,
            "its own cluster answers again: partition resumed");
        partition.show_readable();
        partition.run();
        Some(index)
    }

    pub(super) fn add(
        &mut self,
        stream: Arc<Stream>,
        phase: Phase,
        next: Offset,
        end: Offset,
    ) -> Index {
        if let (topic, Some(number)) = (stream.name(), stream.partition())
            && let Some(before) = self.partitions.find(topic, number)
            && self.partitions[before].stream != stream
        {
            self.wiring.status.remove(&self.partitions[before].stream);
        }
        let (status, metrics) = (&self.wiring.status, &self.wiring.metrics);
        let mut partition = Partition::new(stream, phase, next, status, metrics);
        partition.set_end(end);
        self.partitions.add(partition)
    }

    /// A stream that had no position.
    fn start(&mut self, stream: Arc<Stream>, start: Offset, end: Offset) {
        if self.ephemeral {
            tracing::debug!(source = self.name, %stream, %start, "partition starts");
        } else {
            tracing::info!(source = self.name, %stream, %start, "partition starts");
        }
        let entry = Entry::Start { forget_others: self.ephemeral, why: None };
        let _index = self.enter(stream, start, end, entry);
    }

    /// Puts where a stream begins or goes on into the next batch; fetching begins when that is
    /// durable.
    pub(super) fn enter(
        &mut self,
        stream: Arc<Stream>,
        next: Offset,
        end: Offset,
        entry: Entry,
    ) -> Index {
        // What is put into `pending` now is given out with the next batch that is sealed.
        let batch = self.batches + 1;
        let index = self.add(stream, Phase::Starting { batch }, next, end);
        self.partitions[index].entry = Some(entry.clone());
        self.pending.enter(index, next, None, entry);
        index
    }

    /// Whether `known`, which has no id, is to go on under the id that its topic is found to have.
    /// Only where all that was given out of it is durable: what is made void is read again under
    /// the stream that it came from.
    fn gains_id(&self, known: &Stream, found: &Stream, next: Offset) -> bool {
        let id = |stream: &Stream| match stream {
            Stream::Partition { topic_id, .. } => *topic_id,
            Stream::Queue { .. } => None,
        };
        let gains = id(known).is_none() && id(found).is_some();
        gains && self.wiring.outlet.durable(known) == Some(next)
    }

    /// Goes on at the same offset, as a stream with an id: without one in the log, a topic that is
    /// made anew later would be taken for this one.
    fn go_on_with_id(
        &mut self,
        stream: Arc<Stream>,
        next: Offset,
        epoch: Option<i32>,
        end: Offset,
    ) {
        let why = format!("the topic's id is known now; nothing else changes at {next}");
        tracing::info!(source = self.name, %stream, %next, why, "partition resumed");
        let batch = self.batches + 1;
        let index = self.add(stream, Phase::Starting { batch }, next, end);
        let entry = Entry::Start { forget_others: false, why: Some(why) };
        let partition = &mut self.partitions[index];
        partition.show_durable(next);
        partition.durable = Some(next);
        partition.epochs = Epochs::resumed(next, epoch);
        partition.entry = Some(entry.clone());
        self.pending.enter(index, next, epoch, entry);
    }

    pub(super) fn begin_started(&mut self) {
        let watermark = self.wiring.watermark.get();
        self.commits.advance(watermark, &mut self.partitions);
        self.answer_accepted();
        let due: Vec<Index> = self
            .partitions
            .current()
            .filter(|&index| {
                matches!(self.partitions[index].phase,
                    Phase::Starting { batch } if batch <= watermark)
            })
            .collect();
        for &index in &due {
            self.partitions[index].run();
        }
        self.fetch(&due);
        self.retry_due();
        self.ask_about_doubtful();
    }

    /// Begins to fetch partitions from their next offset. A client that is to be given up is
    /// assigned nothing more: the next one is, all that runs.
    pub(super) fn fetch(&mut self, indexes: &[Index]) {
        if indexes.is_empty() || self.broken.is_some() {
            return;
        }
        match self.assign(indexes) {
            Ok(()) => self.assign_failures = 0,
            Err(error) => {
                tracing::warn!(source = self.name, %error, "partitions not assigned; trying again");
                for &index in indexes {
                    self.unfetch(index);
                }
                let due = Instant::now() + ASSIGN_RETRY_INTERVAL;
                self.retries.extend(indexes.iter().map(|&index| (due, index)));
                self.assign_failures += 1;
                if self.assign_failures >= ASSIGN_FAILURES_MAX {
                    self.broken = Some(format!("partitions could not be assigned: {error}"));
                }
            }
        }
    }

    fn assign(&self, indexes: &[Index]) -> KafkaResult<()> {
        let mut list = TopicPartitionList::with_capacity(indexes.len());
        let mut validated = TopicPartitionList::new();
        for &index in indexes {
            let partition = &self.partitions[index];
            let (topic, number) = (partition.topic(), partition.number());
            let next = KafkaOffset::Offset(i64::try_from(partition.next.0).unwrap_or(i64::MAX));
            list.add_partition_offset(topic, number, next)?;
            if let Some(epoch) = partition.epoch() {
                validated.add_partition_offset(topic, number, next)?;
                native::set_leader_epoch(&mut validated, topic, number, epoch);
            }
        }
        self.consumer.incremental_assign(&list)?;
        // One that was given up while it was paused is paused still: the client forgets that with
        // itself only. Before the seek: what is resumed begins where it was assigned.
        if !self.intake.paused {
            self.consumer.resume(&list)?;
        }
        if validated.count() > 0 {
            seek_validated(&self.consumer, &validated)?;
        }
        if self.intake.paused { self.consumer.pause(&list) } else { Ok(()) }
    }

    fn retry_due(&mut self) {
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
            .filter(|&index| {
                partitions[index].phase == Phase::Running
                    && partitions.current().any(|current| current == index)
            })
            .collect();
        self.fetch(&due);
    }
}
