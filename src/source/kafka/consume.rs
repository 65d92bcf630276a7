//! The thread that consumes: events in, batches out.

use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, TryRecvError};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaResult;
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Offset as KafkaOffset, TopicPartitionList};

use super::commit::Commits;
use super::discovery::{Discovery, Finding, Found, Unfetched};
use super::native::{self, Event, Events, Message};
use super::partitions::{Partition, Partitions, Phase};
use super::pending::{Index, Pending, Sealed};
use super::place::{Gap, Place};
use super::settings::KafkaSettings;
use super::{Context, KafkaSource, KafkaSourceError, log_librdkafka};
use crate::position::{Offset, Stream, UnixMillis};
use crate::source::Wiring;
use crate::source::status::State;

/// How long to wait for the next event when there is nothing to do.
const POLL_TIMEOUT: Duration = Duration::from_millis(50);
/// Between two offers of a batch that found no room, and while a start becomes durable.
const RETRY_INTERVAL: Duration = Duration::from_millis(1);
/// Pausing throws away what was fetched ahead, so it is for a stage that is stuck, not for
/// one that is merely slower than the broker.
const PAUSE_AFTER: Duration = Duration::from_millis(500);
/// Events taken before looking at anything else.
const EVENTS_AT_ONCE: usize = 4096;

pub struct Consume {
    pub(super) name: String,
    pub(super) settings: KafkaSettings,
    pub(super) wiring: Wiring,
    pub(super) consumer: Arc<BaseConsumer<Context>>,
    pub(super) events: Events<Context>,
    pub(super) findings: Receiver<Finding>,
    pub(super) unfetched: Option<Sender<Unfetched>>,
    pub(super) ephemeral: bool,
    pub(super) partitions: Partitions,
    pub(super) pending: Pending,
    /// Sealed, and refused by a full outlet.
    pub(super) refused: Option<Sealed>,
    pub(super) blocked_since: Option<Instant>,
    pub(super) paused: bool,
    pub(super) batches: u64,
    pub(super) commits: Commits,
    pub(super) commit_error: Option<RDKafkaErrorCode>,
    pub(super) reconnecting: bool,
    pub(super) retries: Vec<(Instant, Index)>,
}

pub fn spawn(source: KafkaSource, wiring: Wiring) -> Result<JoinHandle<()>, KafkaSourceError> {
    let KafkaSource { name, settings, positions, embedded } = source;
    let consumer: BaseConsumer<Context> = settings.client_config().create_with_context(Context)?;
    let consumer = Arc::new(consumer);
    let events = Events::new(&consumer)
        .ok_or_else(|| std::io::Error::other("the consumer has no event queue"))?;
    let (tell, findings) = crossbeam_channel::bounded(1024);
    let (unfetched, told) = crossbeam_channel::bounded(64);
    let discovery = Discovery {
        source: name.clone(),
        consumer: Arc::clone(&consumer),
        topics: settings.topics.clone(),
        start: settings.start,
        interval: settings.metadata_interval,
        positions,
        embedded: embedded.clone(),
        findings: tell,
        unfetched: told,
    };
    let consume = Consume {
        wiring,
        consumer,
        events,
        findings,
        unfetched: Some(unfetched),
        ephemeral: embedded.is_some(),
        partitions: Partitions::default(),
        pending: Pending::default(),
        refused: None,
        blocked_since: None,
        paused: false,
        batches: 0,
        commits: Commits::default(),
        commit_error: None,
        reconnecting: false,
        retries: Vec::new(),
        settings,
        name: name.clone(),
    };
    thread::Builder::new().name(format!("kafka-find-{name}")).spawn(move || discovery.run())?;
    Ok(thread::Builder::new().name(format!("kafka-{name}")).spawn(move || consume.run())?)
}

impl Consume {
    fn run(mut self) {
        let mut commit_due = Instant::now() + self.settings.commit_interval;
        while !self.wiring.shutdown.is_asked() {
            self.take_findings();
            self.begin_started();
            self.take_events();
            self.offer();
            if Instant::now() >= commit_due {
                self.commit();
                self.tell_ends();
                commit_due = Instant::now() + self.settings.commit_interval;
            }
        }
        self.stop();
    }

    /// Everything that is there, without waiting once there is something to give out.
    fn take_events(&mut self) {
        for _ in 0..EVENTS_AT_ONCE {
            if self.is_full() && !self.paused {
                // Nothing can be taken without dropping it; the broker's data waits in
                // librdkafka, whose memory is bounded.
                return;
            }
            let waiting = !self.pending.is_empty() || self.refused.is_some();
            let timeout = match (self.paused, waiting) {
                (true, _) => RETRY_INTERVAL * 10,
                (false, true) => Duration::ZERO,
                (false, false) => self.idle_timeout(),
            };
            match self.events.poll(timeout) {
                Some(event) => self.take(event),
                None => return,
            }
        }
    }

    fn idle_timeout(&self) -> Duration {
        let starting = self
            .partitions
            .current()
            .any(|index| matches!(self.partitions[index].phase, Phase::Starting { .. }));
        if starting || !self.findings.is_empty() { RETRY_INTERVAL } else { POLL_TIMEOUT }
    }

    pub(super) fn is_full(&self) -> bool {
        let settings = &self.settings;
        self.refused.is_some()
            && self.pending.is_full(settings.batch_messages_max, settings.batch_bytes_max)
    }

    pub(super) fn take(&mut self, event: Event) {
        match event {
            Event::Message(message) => self.message(&message),
            Event::EndOfPartition(place) => {
                let index = self.partitions.find(&place.topic, place.partition);
                let end = u64::try_from(place.offset).map(Offset);
                if let (Some(index), Ok(end)) = (index, end) {
                    self.end_of_partition(index, end);
                }
            }
            Event::Failed { place, code, reason } => self.failed(place, code, &reason),
            Event::Committed { error, offsets } => {
                let refused = self.commits.answered(error, &offsets, &mut self.partitions);
                self.commit_answered(refused);
            }
            Event::Log { level, text } => log_librdkafka(level, &text),
            Event::Other => {}
        }
    }

    fn message(&mut self, message: &Message) {
        let index = self.partitions.find_bytes(message.topic(), message.partition());
        let (Some(index), Ok(offset)) = (index, u64::try_from(message.offset())) else { return };
        let partition = &mut self.partitions[index];
        // Fetched before the partition was halted, or given out already before a resume.
        if partition.phase != Phase::Running || offset < partition.next.0 {
            return;
        }
        let epoch = message.leader_epoch();
        if epoch >= 0 {
            if epoch < partition.epoch {
                let gap = Gap::OldEpoch { expected: partition.epoch, found: epoch };
                return self.halt(index, &gap);
            }
            partition.epoch = epoch;
        }
        let time = u64::try_from(message.time()).map_or_else(|_| UnixMillis::now(), UnixMillis);
        partition.next = Offset(offset + 1);
        partition.count(time);
        self.pending.message(index, partition.next, time, message);
        let settings = &self.settings;
        if self.refused.is_none()
            && self.pending.is_full(settings.batch_messages_max, settings.batch_bytes_max)
        {
            self.offer();
        }
        if self.reconnecting {
            self.reached();
        }
    }

    fn end_of_partition(&mut self, index: Index, end: Offset) {
        let partition = &mut self.partitions[index];
        if partition.phase != Phase::Running {
            return;
        }
        if end > partition.next {
            partition.next = end;
            self.pending.moved(index, end);
        }
        partition.set_end(end);
    }

    /// Gives out what is waiting, as far as there is room.
    pub(super) fn offer(&mut self) {
        loop {
            let sealed = match self.refused.take() {
                Some(sealed) => sealed,
                None if self.pending.is_empty() => break,
                None => self.seal(),
            };
            let number = sealed.batch.number;
            if let Err(batch) = self.wiring.outlet.offer(sealed.batch) {
                self.refused = Some(Sealed { batch, nexts: sealed.nexts });
                return self.no_room();
            }
            self.commits.offered(number, sealed.nexts);
        }
        self.blocked_since = None;
        if self.paused {
            self.set_paused(false);
        }
    }

    fn seal(&mut self) -> Sealed {
        self.batches += 1;
        let partitions = &self.partitions;
        let sealed = self.pending.seal(self.batches, |index| &partitions[index].stream);
        for (index, _) in &sealed.nexts {
            self.partitions[*index].publish_count();
        }
        sealed
    }

    fn no_room(&mut self) {
        if !self.is_full() || self.paused {
            return;
        }
        let since = *self.blocked_since.get_or_insert_with(Instant::now);
        if since.elapsed() >= PAUSE_AFTER {
            self.set_paused(true);
        } else {
            thread::sleep(RETRY_INTERVAL);
        }
    }

    fn set_paused(&mut self, paused: bool) {
        let mut list = TopicPartitionList::new();
        for index in self.partitions.current() {
            if self.partitions[index].phase == Phase::Running {
                let partition = &self.partitions[index];
                list.add_partition(partition.topic(), partition.number());
            }
        }
        // Paused, librdkafka drops what it fetched ahead; resumed, it goes on after the last
        // message it gave us. Nothing else is paused, so nothing else is resumed.
        let done = if paused { self.consumer.pause(&list) } else { self.consumer.resume(&list) };
        if let Err(error) = done {
            tracing::warn!(source = self.name, %error, paused, "pause or resume failed");
            return;
        }
        self.paused = paused;
        self.wiring.metrics.source.paused.with_label_values(&[&self.name]).set(paused.into());
        self.wiring.status.set_state(if paused { State::Paused } else { State::Running });
        self.tell_unfetched();
    }

    fn take_findings(&mut self) {
        loop {
            match self.findings.try_recv() {
                Ok(Finding::Partitions(found)) => self.found(found),
                Ok(Finding::TopicChanged { topic, found }) => self.topic_changed(&topic, found),
                Ok(Finding::End { topic, partition, high }) => {
                    if let Some(index) = self.partitions.find(&topic, partition) {
                        self.partitions[index].set_end(Offset(high));
                    }
                }
                Ok(Finding::Reached) => self.reached(),
                Ok(Finding::Unreachable(error)) => self.unreachable(&error),
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => return,
            }
        }
    }

    /// All starts of a topic go into one batch, so that they become durable together.
    fn found(&mut self, found: Vec<Found>) {
        let mut resumed = Vec::new();
        for Found { present, place, start } in found {
            let stream = || {
                Arc::new(Stream::Partition {
                    source: self.name.clone(),
                    cluster: present.cluster.clone(),
                    topic: present.topic.clone(),
                    topic_id: present.topic_id,
                    partition: present.partition,
                })
            };
            let high = Offset(present.high);
            match place {
                Place::Resume { stream, next } => {
                    let index = self.add(stream, Phase::Running, next, high);
                    // Durable by definition; the broker may have heard less.
                    self.partitions[index].durable = Some(next);
                    tracing::info!(source = self.name, topic = present.topic,
                        partition = present.partition, %next, "partition resumed");
                    resumed.push(index);
                }
                Place::New => {
                    let stream = stream();
                    self.start(stream, start, high);
                }
                Place::Gap { stream: known, next, gap } => {
                    let stream = stream();
                    self.found_gap(known, next, &gap, stream, Offset(present.low), high);
                }
            }
        }
        self.fetch(&resumed);
    }

    pub(super) fn add(
        &mut self,
        stream: Arc<Stream>,
        phase: Phase,
        next: Offset,
        end: Offset,
    ) -> Index {
        let (status, metrics) = (&self.wiring.status, &self.wiring.metrics);
        let mut partition = Partition::new(stream, phase, next, status, metrics);
        partition.set_end(end);
        self.partitions.add(partition)
    }

    /// Puts the start of a new stream into the next batch; fetching begins when that is
    /// durable.
    pub(super) fn start(&mut self, stream: Arc<Stream>, start: Offset, end: Offset) {
        tracing::info!(source = self.name, %stream, %start, "partition starts");
        let index = self.add_starting(stream, start, end);
        self.pending.start(index, start, self.ephemeral);
    }

    /// As `start`, for a stream that has a position: it moves to `low`.
    pub(super) fn skip_to(&mut self, stream: Arc<Stream>, low: Offset, end: Offset) {
        let index = self.add_starting(stream, low, end);
        self.pending.moved(index, low);
    }

    fn add_starting(&mut self, stream: Arc<Stream>, next: Offset, end: Offset) -> Index {
        // What is put into `pending` now is given out with the next batch that is sealed.
        let batch = self.batches + 1;
        self.add(stream, Phase::Starting { batch }, next, end)
    }

    fn begin_started(&mut self) {
        let watermark = self.wiring.watermark.get();
        self.commits.advance(watermark, &mut self.partitions);
        let due: Vec<Index> = self
            .partitions
            .current()
            .filter(|&index| {
                matches!(self.partitions[index].phase,
                    Phase::Starting { batch } if batch <= watermark)
            })
            .collect();
        for &index in &due {
            self.partitions[index].phase = Phase::Running;
        }
        self.fetch(&due);
        self.retry_due();
    }

    /// Begins to fetch partitions from their next offset.
    pub(super) fn fetch(&mut self, indexes: &[Index]) {
        if indexes.is_empty() {
            return;
        }
        if let Err(error) = self.assign(indexes) {
            tracing::warn!(source = self.name, %error, "partitions not assigned; trying again");
            let due = Instant::now() + Duration::from_secs(1);
            self.retries.extend(indexes.iter().map(|&index| (due, index)));
        }
    }

    fn assign(&self, indexes: &[Index]) -> KafkaResult<()> {
        let mut list = TopicPartitionList::with_capacity(indexes.len());
        for &index in indexes {
            let partition = &self.partitions[index];
            let next = i64::try_from(partition.next.0).unwrap_or(i64::MAX);
            let next = KafkaOffset::Offset(next);
            list.add_partition_offset(partition.topic(), partition.number(), next)?;
        }
        self.consumer.incremental_assign(&list)?;
        if self.paused { self.consumer.pause(&list) } else { Ok(()) }
    }

    /// Ends as the last fetches told them; no request is made.
    fn tell_ends(&mut self) {
        let running: Vec<Index> = self
            .partitions
            .current()
            .filter(|&index| self.partitions[index].phase == Phase::Running)
            .collect();
        for index in running {
            let partition = &mut self.partitions[index];
            let known = native::known_ends(&self.consumer, partition.topic(), partition.number());
            if let Some((_, high)) = known {
                partition.set_end(Offset(high));
            }
        }
    }
}
