//! The partitions of a source: what is known of each, and finding one by its name.

use std::collections::BTreeMap;
use std::ops::{Index as At, IndexMut};
use std::sync::Arc;
use std::time::Instant;

use prometheus::{IntCounter, IntGauge};

use super::epochs::Epochs;
use super::pending::{Entry, Index};
use super::place::{Gap, Halt};
use crate::metrics::Metrics;
use crate::position::{Mark, Offset, Position, Stream, UnixMillis};
use crate::source::status::{Status, StreamState, StreamStatus};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Its start stands in this batch; it is fetched once that is durable.
    Starting {
        batch: u64,
    },
    Running,
    /// Not fetched until the discovery thread has looked whether something is missing.
    Doubtful,
    Halted,
}

/// Why the next message might not be the one that follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// Something could not be read, in a partition that the client does not name: a hole may
    /// be damage.
    Hole,
    /// Its leader is older than the one before had: the log was cut.
    Epoch,
    /// The log ends before our position.
    Cut,
}

/// A look at what a partition is halted for, before an operator's word about it counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LastLook {
    Due,
    Asked,
    Done,
    /// Why nobody could look.
    Failed(String),
}

pub struct Partition {
    pub stream: Arc<Stream>,
    pub phase: Phase,
    /// The offset after the last item given out.
    pub next: Offset,
    /// Of the leaders that had its messages.
    pub epochs: Epochs,
    /// Where it began, in this process.
    pub began: Offset,
    /// What its start is, while that is not durable.
    pub entry: Option<Entry>,
    pub doubt: Option<Doubt>,
    /// Why it is halted, and where it would go on.
    pub halt: Option<Halt>,
    /// When it was fetched anew because it stood still.
    pub refetched: Option<Instant>,
    /// Where it stands, and since when, as far as was noticed.
    pub stands: Option<(Offset, Instant)>,
    /// Whether the discovery thread was asked about it and has not answered.
    pub asked: bool,
    /// While an operator's word about it waits for that.
    pub last_look: Option<LastLook>,
    /// When it was last looked at, or could not be.
    pub looked_at: Option<Instant>,
    /// Whether the log was once found to end before our position: it must be found twice.
    pub found_cut: bool,
    /// What was passed last because nothing was there, while no message has come since.
    pub passed: Option<(Offset, Offset)>,
    /// How often in a row it could not be looked at, since when, and why.
    pub failures: u32,
    pub failing_since: Option<UnixMillis>,
    /// What may be committed.
    pub durable: Option<Offset>,
    /// What the broker was last asked to commit, if that has not failed.
    pub requested: Option<Offset>,
    /// The end as last told; lags behind `next` while fetches are on their way.
    end: Offset,
    received: u64,
    last_message: UnixMillis,
    status: Arc<StreamStatus>,
    gauges: Gauges,
}

/// Looked up once: finding a metric by its labels costs more than a message may.
struct Gauges {
    received: IntCounter,
    durable: IntGauge,
    committed: IntGauge,
    end: IntGauge,
    halted: IntGauge,
    unreadable: IntGauge,
}

impl Partition {
    pub fn new(
        stream: Arc<Stream>,
        phase: Phase,
        next: Offset,
        status: &Status,
        metrics: &Metrics,
    ) -> Self {
        let partition = stream.partition().unwrap_or_default().to_string();
        let labels = [stream.source(), stream.name(), partition.as_str()];
        let gauges = Gauges {
            durable: metrics.source.durable_offset.with_label_values(&labels),
            received: metrics.source.received.with_label_values(&labels),
            committed: metrics.source.committed_offset.with_label_values(&labels),
            end: metrics.source.end_offset.with_label_values(&labels),
            halted: metrics.source.halted.with_label_values(&labels),
            unreadable: metrics.source.unreadable.with_label_values(&labels),
        };
        gauges.halted.set(0);
        gauges.unreadable.set(0);
        // Of the same stream there may have been one before.
        let status = status.stream(&stream);
        status.set_state(StreamState::Running);
        Partition {
            status,
            stream,
            phase,
            next,
            epochs: Epochs::default(),
            began: next,
            entry: None,
            doubt: None,
            halt: None,
            refetched: None,
            stands: None,
            asked: false,
            last_look: None,
            looked_at: None,
            found_cut: false,
            passed: None,
            failures: 0,
            failing_since: None,
            durable: None,
            requested: None,
            end: Offset(0),
            received: 0,
            last_message: UnixMillis(0),
            gauges,
        }
    }

    pub fn topic(&self) -> &str {
        self.stream.name()
    }

    pub fn number(&self) -> i32 {
        self.stream.partition().unwrap_or_default()
    }

    pub fn count(&mut self, time: UnixMillis) {
        self.received += 1;
        self.last_message = time;
    }

    /// Makes what was counted visible; called once per batch.
    pub fn publish_count(&mut self) {
        let received = std::mem::take(&mut self.received);
        if received > 0 {
            self.show_readable();
            self.gauges.received.inc_by(received);
            self.status.received(received, self.last_message);
            self.status.set_received(self.next);
            self.set_end(self.next);
        }
    }

    /// The end never falls behind what was read: fetched ends are a moment old.
    pub fn set_end(&mut self, end: Offset) {
        self.end = end.max(self.next);
        self.gauges.end.set(self.end.0 as i64);
        self.status.set_end(self.end);
    }

    pub fn set_committed(&mut self, committed: Offset) {
        self.gauges.committed.set(committed.0 as i64);
        self.status.set_committed(committed);
    }

    /// Where the log has it, before anything more of it is there.
    pub fn show_durable(&self, durable: Offset) {
        self.gauges.durable.set(durable.0 as i64);
    }

    /// Its end may lie before its position.
    pub fn show_end(&self, end: Offset) {
        self.gauges.end.set(end.0 as i64);
        self.status.set_end(end);
    }

    /// Until what is there now is found, which it goes on to by itself.
    pub fn wait_behind(&mut self, halt: Halt) {
        self.phase = Phase::Halted;
        self.halt = Some(halt);
    }

    /// Whether it goes on by itself once what is there now is found.
    pub fn waits_behind(&self) -> bool {
        self.phase == Phase::Halted && self.gauges.halted.get() == 0
    }

    pub fn halt(&mut self, halt: Halt) {
        self.phase = Phase::Halted;
        self.failing_since = None;
        self.gauges.unreadable.set(0);
        self.gauges.halted.set(1);
        self.status.set_state(StreamState::Halted { why: halt.gap.to_string() });
        self.halt = Some(halt);
    }

    pub fn run(&mut self) {
        self.phase = Phase::Running;
        self.halt = None;
        self.doubt = None;
        self.entry = None;
        self.stands = None;
        self.refetched = None;
        self.found_cut = false;
        self.passed = None;
        self.gauges.halted.set(0);
        if self.failing_since.is_none() {
            self.status.set_state(StreamState::Running);
        }
    }

    /// Nothing is between its next offset and `to`.
    pub fn pass(&mut self, to: Offset) {
        let from = match self.passed {
            Some((from, passed)) if passed == self.next => from,
            _ => self.next,
        };
        self.passed = Some((from, to));
        self.next = to;
        self.epochs.passed(to);
    }

    /// Of the leader that had the last message, where nothing stands between that and `next`.
    pub fn epoch(&self) -> Option<i32> {
        self.epochs.at(self.next)
    }

    /// Whether it is halted because its log was cut.
    pub fn is_cut(&self) -> bool {
        let halt = self.halt.as_ref();
        halt.is_some_and(|halt| matches!(halt.gap, Gap::Cut { .. } | Gap::Rewritten { .. }))
    }

    /// Whether its halt would not be found again if it were read on from `next`.
    pub fn stays_halted(&self, next: Offset) -> bool {
        self.halt.as_ref().is_some_and(|halt| match halt.gap {
            Gap::OtherTopic { .. } | Gap::OtherCluster { .. } | Gap::ReadBy(_) => true,
            // What stands from there on would be passed over in silence.
            Gap::Rewritten { at, .. } | Gap::Cut { high: at, .. } => at < next.0,
            Gap::Lost { .. } | Gap::Damaged { .. } => false,
        })
    }

    /// Whether this was passed because nothing was there.
    pub fn was_passed(&self, offset: Offset) -> bool {
        self.passed.is_some_and(|(from, to)| (from..to).contains(&offset))
    }

    /// It cannot be read; it goes on by itself once it can.
    pub fn show_unreadable(&mut self, error: String) {
        let since = *self.failing_since.get_or_insert_with(UnixMillis::now);
        self.gauges.unreadable.set(1);
        self.status.set_state(StreamState::Unreadable { since, error });
    }

    /// It was looked at, or it delivers. Whether it could not be read before.
    pub fn show_readable(&mut self) -> bool {
        self.failures = 0;
        let failed = self.failing_since.take().is_some();
        if failed {
            self.gauges.unreadable.set(0);
            self.status.set_state(StreamState::Running);
        }
        failed
    }

    /// Where a log stands that has all that was given out.
    pub fn position(&self) -> Position {
        let position = Position::new(Arc::clone(&self.stream), Mark::Next(self.next));
        Position { leader_epoch: self.epoch(), ..position }
    }
}

#[derive(Default)]
pub struct Partitions {
    all: Vec<Partition>,
    /// By topic and partition number.
    topics: BTreeMap<String, Vec<Option<Index>>>,
}

impl Partitions {
    /// A partition that was there before under the same name gives way to the new one.
    pub fn add(&mut self, partition: Partition) -> Index {
        let index = Index(self.all.len());
        let slot = usize::try_from(partition.number()).unwrap_or_default();
        let slots = self.topics.entry(partition.topic().to_owned()).or_default();
        if slots.len() <= slot {
            slots.resize(slot + 1, None);
        }
        slots[slot] = Some(index);
        self.all.push(partition);
        index
    }

    pub fn find(&self, topic: &str, partition: i32) -> Option<Index> {
        *self.topics.get(topic)?.get(usize::try_from(partition).ok()?)?
    }

    /// What took this one's place and is the same stream.
    pub fn heir(&self, index: Index) -> Option<Index> {
        let partition = &self[index];
        let heir = self.find(partition.topic(), partition.number())?;
        (heir != index && self[heir].stream == partition.stream).then_some(heir)
    }

    pub fn of_topic(&self, topic: &str) -> Vec<Index> {
        self.topics.get(topic).into_iter().flatten().flatten().copied().collect()
    }

    /// It is no longer there. Its index stays good for what was given out.
    pub fn remove(&mut self, index: Index) {
        let topic = self.all[index.0].topic();
        let Some(slots) = self.topics.get_mut(topic) else { return };
        for slot in slots.iter_mut().filter(|slot| **slot == Some(index)) {
            *slot = None;
        }
        if slots.iter().all(Option::is_none) {
            self.topics.remove(topic);
        }
    }

    /// Those in use, not those that gave way.
    pub fn current(&self) -> impl Iterator<Item = Index> + '_ {
        self.topics.values().flatten().flatten().copied()
    }
}

impl At<Index> for Partitions {
    type Output = Partition;

    fn index(&self, index: Index) -> &Partition {
        &self.all[index.0]
    }
}

impl IndexMut<Index> for Partitions {
    fn index_mut(&mut self, index: Index) -> &mut Partition {
        &mut self.all[index.0]
    }
}
