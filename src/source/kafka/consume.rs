//! The thread that consumes: messages in, batches out.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender};
use rdkafka::Message;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::BorrowedMessage;
use rdkafka::types::RDKafkaErrorCode;

use super::accept::Accepting;
use super::busy::Busy;
use super::claims::Claims;
use super::closing::Closing;
use super::commit::Commits;
use super::discovery::Finding;
use super::halt::Away;
use super::partitions::{Doubt, Partitions, Phase};
use super::pending::{Index, Pending, Sealed};
use super::pressure::Intake;
use super::probe::{Question, is_damage};
use super::settings::KafkaSettings;
use super::unfound::Unfound;
use super::{Context, KafkaSource, native};
use crate::position::{Offset, Position, UnixMillis};
use crate::source::{Answer, Wiring};

/// How long to wait for the next message when there is nothing to do.
const POLL_TIMEOUT: Duration = Duration::from_millis(50);
/// Between two offers of a batch that found no room, and while a start becomes durable.
pub(super) const RETRY_INTERVAL: Duration = Duration::from_millis(1);
/// Enough for what was fetched ahead to be given out, so that the partition stands still.
const SUSPICIOUS_FOR: u32 = 20;
/// Messages taken before looking at anything else.
const MESSAGES_AT_ONCE: usize = 4096;

pub struct Consume {
    pub(super) name: String,
    pub(super) settings: KafkaSettings,
    pub(super) wiring: Wiring,
    /// Given up for a new one when it stands still or fails for good.
    pub(super) consumer: Arc<BaseConsumer<Context>>,
    pub(super) findings: Receiver<Finding>,
    pub(super) questions: Option<Sender<Question>>,
    pub(super) ephemeral: bool,
    pub(super) claims: Claims,
    pub(super) partitions: Partitions,
    /// By topic and number, those that cannot be found.
    pub(super) unfound: BTreeMap<(String, i32), Unfound>,
    /// Of what is not there: never found in this process, or gone.
    pub(super) positions: Vec<Position>,
    pub(super) pending: Pending,
    /// Sealed, and refused by a full outlet.
    pub(super) refused: Option<Sealed>,
    pub(super) intake: Intake,
    /// Since when the gate is closed.
    pub(super) held: Option<UnixMillis>,
    pub(super) batches: u64,
    pub(super) commits: Commits,
    pub(super) commit_error: Option<RDKafkaErrorCode>,
    /// While the cluster cannot be reached.
    pub(super) away: Option<Away>,
    /// Why nothing is found yet.
    pub(super) undecided: Option<String>,
    /// The broker refused an offset, without saying of which partition: for how many more
    /// statistics every partition that stands still is asked about.
    pub(super) suspicious: u32,
    pub(super) damage_told: Option<Instant>,
    pub(super) retries: Vec<(Instant, Index)>,
    pub(super) assign_failures: u32,
    /// Why the client must be given up.
    pub(super) broken: Option<String>,
    pub(super) rebuilt: Option<Instant>,
    /// Why it needs a new client and can have none, and since when.
    pub(super) stuck: Option<(String, UnixMillis)>,
    /// Whether one of its threads has ended.
    pub(super) lost: bool,
    /// Orders about gaps that are looked at once more.
    pub(super) orders: Vec<Accepting>,
    /// Who asked for what will be durable with a batch, and what will have been done then.
    pub(super) accepted: Vec<(u64, Answer, Vec<String>)>,
    pub(super) closing: Closing,
    /// What the thread that asks the cluster is at.
    pub(super) busy: Busy,
    /// Why nothing is heard of it, and since when that is told.
    pub(super) unheard: Option<(String, UnixMillis)>,
}

impl Consume {
    pub(super) fn new(
        source: KafkaSource,
        wiring: Wiring,
        consumer: Arc<BaseConsumer<Context>>,
        findings: Receiver<Finding>,
        questions: Sender<Question>,
        commits: Commits,
    ) -> Consume {
        let KafkaSource { name, settings, positions, identify, embedded, claims } = source;
        Consume {
            consumer,
            name,
            settings,
            wiring,
            commits,
            findings,
            questions: Some(questions),
            ephemeral: embedded.is_some(),
            claims,
            partitions: Partitions::default(),
            unfound: BTreeMap::new(),
            positions,
            pending: Pending::new(identify),
            refused: None,
            intake: Intake::default(),
            held: None,
            batches: 0,
            commit_error: None,
            away: None,
            undecided: None,
            suspicious: 0,
            damage_told: None,
            retries: Vec::new(),
            assign_failures: 0,
            broken: None,
            rebuilt: None,
            stuck: None,
            lost: false,
            orders: Vec::new(),
            accepted: Vec::new(),
            closing: Closing::default(),
            busy: Busy::default(),
            unheard: None,
        }
    }

    pub(super) fn run(mut self) {
        let mut commit_due = Instant::now() + self.settings.commit_interval;
        // One that ends by itself ends the daemon.
        while !self.wiring.shutdown.is_asked() && !self.lost {
            self.turn();
            // The embedded broker answers no commit, and nobody looks at its lag.
            if !self.ephemeral && Instant::now() >= commit_due {
                self.commit();
                commit_due = Instant::now() + self.settings.commit_interval;
            }
        }
        self.stop();
    }

    /// One turn of everything but commits; false while the gate is closed.
    pub(super) fn turn(&mut self) -> bool {
        self.take_orders();
        if self.is_held() {
            return false;
        }
        self.take_findings();
        self.watch_asker();
        self.begin_started();
        self.take_messages();
        self.offer();
        self.yield_to_pressure();
        self.take_ends();
        self.rebuild_if_broken();
        true
    }

    /// Everything that is there, without waiting once there is something to give out.
    fn take_messages(&mut self) {
        let consumer = Arc::clone(&self.consumer);
        for _ in 0..MESSAGES_AT_ONCE {
            if self.is_full() && !self.intake.paused {
                // Nothing can be taken without dropping it; the broker's data waits in
                // librdkafka, whose memory is bounded.
                return;
            }
            let waiting = !self.pending.is_empty() || self.refused.is_some();
            let timeout = match (self.intake.paused, waiting) {
                (true, _) => RETRY_INTERVAL * 10,
                (false, true) => Duration::ZERO,
                (false, false) => self.idle_timeout(),
            };
            match consumer.poll(timeout) {
                Some(Ok(message)) => self.message(&message),
                Some(Err(error)) => self.failed(&error),
                None => return,
            }
            if self.wiring.gate.is_closed() {
                return;
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
        if partition.phase != Phase::Running {
            return;
        }
        if offset < partition.next.0 {
            if partition.was_passed(Offset(offset)) {
                self.go_back(index, Offset(offset));
            }
            return;
        }
        partition.passed = None;
        let epoch = native::leader_epoch(message);
        if epoch.is_some_and(|epoch| partition.epochs.is_older(epoch)) {
            return self.doubt(index, Doubt::Epoch);
        }
        if partition.doubt.take().is_some() && offset > partition.next.0 {
            return self.doubt(index, Doubt::Hole);
        }
        let time = message.timestamp().to_millis().and_then(|millis| u64::try_from(millis).ok());
        let time = time.map_or_else(UnixMillis::now, UnixMillis);
        let next = Offset(offset + 1);
        if let Err(code) = self.pending.message(index, next, epoch, time, message) {
            self.damaged_somewhere(code, "the headers of a message");
            return self.doubt(index, Doubt::Hole);
        }
        partition.next = next;
        partition.epochs.took(next, epoch);
        partition.count(time);
        if self.refused.is_none() && self.is_batch() {
            self.offer();
        }
        if self.away.is_some() {
            self.delivered();
        }
    }

    pub(super) fn failed(&mut self, error: &KafkaError) {
        use RDKafkaErrorCode::{
            AllBrokersDown, Authentication, AutoOffsetReset, BrokerTransportFailure, Fatal,
            LogTruncation, OffsetOutOfRange, Resolve, SSL, SaslAuthenticationFailed,
        };
        let reason = self.consumer.context().reason();
        match error.rdkafka_error_code() {
            // Which partition it was shows when all are looked at.
            Some(AutoOffsetReset | LogTruncation | OffsetOutOfRange) => {
                self.suspicious = SUSPICIOUS_FOR;
            }
            Some(code) if is_damage(code) => self.damaged_somewhere(code, &reason),
            Some(Fatal) => self.broken = Some(reason),
            _ if matches!(error, KafkaError::MessageConsumptionFatal(_)) => {
                self.broken = Some(error.to_string());
            }
            Some(AllBrokersDown) => self.unreachable(&reason),
            // One broker of several, or one address of many: librdkafka connects again, and the
            // others deliver. If there is no other, the thread that asks says so.
            Some(
                Authentication | BrokerTransportFailure | Resolve | SSL | SaslAuthenticationFailed,
            ) => {
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
        self.intake.blocked_since = None;
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
}
