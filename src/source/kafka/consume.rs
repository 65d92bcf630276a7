//! The thread that consumes: messages in, batches out.

use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::BorrowedMessage;
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Message, TopicPartitionList};

use super::commit::Commits;
use super::discovery::{Discovery, Finding};
use super::partitions::{Partitions, Phase};
use super::pending::{Index, Pending, Sealed};
use super::probe::Question;
use super::settings::KafkaSettings;
use super::{Context, KafkaSource, KafkaSourceError};
use crate::position::{Offset, UnixMillis};
use crate::source::status::State;
use crate::source::{Pressure, Wiring};

/// How long to wait for the next message when there is nothing to do.
const POLL_TIMEOUT: Duration = Duration::from_millis(50);
/// Between two offers of a batch that found no room, and while a start becomes durable.
const RETRY_INTERVAL: Duration = Duration::from_millis(1);
/// Pausing throws away what was fetched ahead, so it is for a stage that is stuck, not for
/// one that is merely slower than the broker.
const PAUSE_AFTER: Duration = Duration::from_millis(500);
/// Enough for what was fetched ahead to be given out, so that the partition stands still.
const SUSPICIOUS_FOR: u32 = 20;
/// Messages taken before looking at anything else.
const MESSAGES_AT_ONCE: usize = 4096;

pub struct Consume {
    pub(super) name: String,
    pub(super) settings: KafkaSettings,
    pub(super) wiring: Wiring,
    pub(super) consumer: Arc<BaseConsumer<Context>>,
    pub(super) findings: Receiver<Finding>,
    pub(super) questions: Option<Sender<Question>>,
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
    /// The broker refused an offset, without saying of which partition: for how many more
    /// statistics every partition that stands still is asked about.
    pub(super) suspicious: u32,
    pub(super) retries: Vec<(Instant, Index)>,
}

pub fn spawn(source: KafkaSource, wiring: Wiring) -> Result<JoinHandle<()>, KafkaSourceError> {
    let KafkaSource { name, settings, positions, embedded } = source;
    let consumer: BaseConsumer<Context> =
        settings.client_config().create_with_context(Context::default())?;
    let consumer = Arc::new(consumer);
    let (tell, findings) = crossbeam_channel::bounded(1024);
    let (questions, asked) = crossbeam_channel::bounded(64);
    let discovery = Discovery {
        source: name.clone(),
        consumer: Arc::clone(&consumer),
        settings: settings.clone(),
        positions,
        embedded: embedded.clone(),
        findings: tell,
        questions: asked,
    };
    let consume = Consume {
        name: name.clone(),
        settings,
        wiring,
        commits: Commits::start(&name, &consumer)?,
        consumer,
        findings,
        questions: Some(questions),
        ephemeral: embedded.is_some(),
        partitions: Partitions::default(),
        pending: Pending::default(),
        refused: None,
        blocked_since: None,
        paused: false,
        batches: 0,
        commit_error: None,
        reconnecting: false,
        suspicious: 0,
        retries: Vec::new(),
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
            self.take_messages();
            self.offer();
            self.take_ends();
            // The embedded broker answers no commit, and nobody looks at its lag.
            if !self.ephemeral && Instant::now() >= commit_due {
                self.commit();
                commit_due = Instant::now() + self.settings.commit_interval;
            }
        }
        self.stop();
    }

    /// Everything that is there, without waiting once there is something to give out.
    fn take_messages(&mut self) {
        let consumer = Arc::clone(&self.consumer);
        for _ in 0..MESSAGES_AT_ONCE {
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
            match consumer.poll(timeout) {
                Some(Ok(message)) => self.message(&message),
                Some(Err(error)) => self.failed(&error),
                None => return,
            }
        }
    }

    fn idle_timeout(&self) -> Duration {
        let starting = self
            .partitions
            .current()
            .any(|index| matches!(self.partitions[index].phase, Phase::Starting { .. }));
        if starting { RETRY_INTERVAL } else { POLL_TIMEOUT }
    }

    pub(super) fn is_full(&self) -> bool {
        self.refused.is_some() && self.is_batch()
    }

    fn is_batch(&self) -> bool {
        let settings = &self.settings;
        self.pending.is_full(settings.batch_messages_max, settings.batch_bytes_max)
    }

    fn message(&mut self, message: &BorrowedMessage<'_>) {
        let index = self.partitions.find(message.topic(), message.partition());
        let (Some(index), Ok(offset)) = (index, u64::try_from(message.offset())) else { return };
        let partition = &mut self.partitions[index];
        // Fetched before the partition was halted, or given out already before a resume.
        if partition.phase != Phase::Running || offset < partition.next.0 {
            return;
        }
        let time = message.timestamp().to_millis().and_then(|millis| u64::try_from(millis).ok());
        let time = time.map_or_else(UnixMillis::now, UnixMillis);
        partition.next = Offset(offset + 1);
        partition.count(time);
        self.pending.message(index, partition.next, time, message);
        if self.refused.is_none() && self.is_batch() {
            self.offer();
        }
        if self.reconnecting {
            self.reached();
        }
    }

    fn failed(&mut self, error: &KafkaError) {
        use RDKafkaErrorCode::{
            AllBrokersDown, Authentication, AutoOffsetReset, BrokerTransportFailure, Fatal,
            OffsetOutOfRange, Resolve, SSL,
        };
        let reason = self.consumer.context().reason();
        match error.rdkafka_error_code() {
            // Which partition it was shows when all are looked at.
            Some(AutoOffsetReset | OffsetOutOfRange) => self.suspicious = SUSPICIOUS_FOR,
            Some(AllBrokersDown | Authentication | Fatal | SSL) => self.unreachable(&reason),
            // One broker of several, or one address of many: librdkafka connects again.
            Some(BrokerTransportFailure | Resolve) => {
                tracing::debug!(source = self.name, reason, "connection lost");
            }
            _ => tracing::warn!(source = self.name, %error, reason, "Kafka reports"),
        }
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

    pub(super) fn why_paused(&self) -> Pressure {
        self.wiring.outlet.pressure().unwrap_or(Pressure::QueueFull)
    }

    /// Paused, librdkafka drops what it fetched ahead; resumed, it goes on after the last
    /// message it gave us. Only what was paused is resumed: others would be rewound.
    fn set_paused(&mut self, paused: bool) {
        let mut list = TopicPartitionList::new();
        for index in self.partitions.current() {
            let partition = &self.partitions[index];
            if partition.phase == Phase::Running {
                list.add_partition(partition.topic(), partition.number());
            }
        }
        let done = if paused { self.consumer.pause(&list) } else { self.consumer.resume(&list) };
        if let Err(error) = done {
            tracing::warn!(source = self.name, %error, paused, "pause or resume failed");
            return;
        }
        self.paused = paused;
        self.wiring.metrics.source.paused.with_label_values(&[&self.name]).set(paused.into());
        match paused {
            true => self.wiring.status.pause(self.why_paused()),
            false => self.wiring.status.set_state(State::Running),
        }
    }
}
