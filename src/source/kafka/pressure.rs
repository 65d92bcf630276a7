//! What stops the intake for a while: a queue that is full, an applier that is behind, a closed
//! gate.

use std::thread;
use std::time::{Duration, Instant};

use rdkafka::TopicPartitionList;
use rdkafka::consumer::Consumer;

use super::consume::{Consume, RETRY_INTERVAL};
use super::partitions::Phase;
use super::pending::Index;
use crate::position::{Mark, UnixMillis};
use crate::source::Pressure;
use crate::source::status::State;

/// Pausing throws away what was fetched ahead, so it is for a stage that is stuck, not for
/// one that is merely slower than the broker.
const PAUSE_AFTER: Duration = Duration::from_millis(500);
/// For so long nothing must have stood in the way before it resumes: else it would throw away
/// what it fetches again and again.
const RESUME_AFTER: Duration = Duration::from_millis(200);
/// How often a closed gate is tried.
const GATE_INTERVAL: Duration = Duration::from_millis(100);

/// Whether anything is fetched, and since when something stands in the way.
#[derive(Default)]
pub struct Intake {
    pub paused: bool,
    pub blocked_since: Option<Instant>,
    relieved_since: Option<Instant>,
    /// Since when the outlet's queue is as full as it should be.
    full_since: Option<Instant>,
}

impl Consume {
    pub(super) fn no_room(&mut self) {
        self.intake.relieved_since = None;
        if !self.is_full() || self.intake.paused {
            return;
        }
        let since = *self.intake.blocked_since.get_or_insert_with(Instant::now);
        if since.elapsed() >= PAUSE_AFTER {
            self.set_paused(true);
        } else {
            thread::sleep(RETRY_INTERVAL);
        }
    }

    pub(super) fn why_paused(&self) -> Pressure {
        self.wiring.outlet.pressure().unwrap_or(Pressure::QueueFull)
    }

    /// Pauses where the outlet asks for it, and resumes once nothing has stood in the way for a
    /// while.
    pub(super) fn yield_to_pressure(&mut self) {
        let pressure = self.wiring.outlet.pressure();
        match (self.intake.paused, pressure) {
            (false, Some(Pressure::QueueFull)) => {
                let since = *self.intake.full_since.get_or_insert_with(Instant::now);
                if since.elapsed() >= PAUSE_AFTER {
                    self.set_paused(true);
                }
            }
            (false, Some(_)) => self.set_paused(true),
            (false, None) => self.intake.full_since = None,
            (true, Some(_)) => {
                self.intake.relieved_since = None;
                self.show_state();
            }
            (true, None) if self.refused.is_some() => {}
            (true, None) => {
                let since = *self.intake.relieved_since.get_or_insert_with(Instant::now);
                if since.elapsed() >= RESUME_AFTER {
                    self.set_paused(false);
                }
            }
        }
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
        self.intake = Intake { paused, ..Intake::default() };
        self.show_paused();
        self.show_state();
    }

    fn show_paused(&self) {
        let gauge = self.wiring.metrics.source.paused.with_label_values(&[&self.name]);
        gauge.set(self.intake.paused.into());
    }

    /// Whether the gate is closed. Then nothing is fetched, and what was given out is forgotten:
    /// whoever closed it takes none of it.
    pub(super) fn is_held(&mut self) -> bool {
        if self.held.is_none() && !self.wiring.gate.is_closed() {
            return false;
        }
        if self.held.is_none() {
            self.hold();
        }
        if self.wiring.gate.reopen(self.batches) {
            self.release();
            return false;
        }
        // Nothing is assigned: this only lets the client speak.
        let _ = self.consumer.poll(GATE_INTERVAL);
        true
    }

    fn hold(&mut self) {
        let why = self.wiring.gate.why().unwrap_or_default();
        tracing::error!(source = self.name, why, "halted until an operator decides");
        if let Err(error) = self.consumer.unassign() {
            tracing::debug!(source = self.name, %error, "unassign");
        }
        self.pending.clear();
        if self.refused.take().is_some() {
            // Nobody has seen its number.
            self.batches -= 1;
        }
        // What is durable already is committed all the same.
        self.commits.advance(self.wiring.watermark.get(), &mut self.partitions);
        self.commits.forget();
        self.forget_accepted();
        self.retries.clear();
        self.intake = Intake::default();
        self.show_paused();
        let since = UnixMillis::now();
        self.held = Some(since);
        self.wiring.status.set_state(State::Halted { why, since });
    }

    /// Goes on from where the log stands.
    fn release(&mut self) {
        self.held = None;
        tracing::info!(source = self.name, "goes on from where the log stands");
        let current: Vec<Index> = self.partitions.current().collect();
        let mut running = Vec::new();
        for index in current {
            let partition = &mut self.partitions[index];
            if let (Phase::Starting { .. }, Some(entry)) = (partition.phase, &partition.entry) {
                self.pending.enter(index, partition.next, partition.epoch(), entry.clone());
                partition.phase = Phase::Starting { batch: self.batches + 1 };
                continue;
            }
            let durable = self.wiring.outlet.durable(&partition.stream);
            partition.next = durable.unwrap_or(partition.began);
            partition.durable = durable.or(partition.durable);
            partition.epochs.back_to(partition.next);
            if !partition.stays_halted(partition.next) {
                // Any other gap is found again from there.
                partition.run();
                running.push(index);
            }
        }
        // What is not there now may come back, and was voided too.
        for position in &mut self.positions {
            let durable = self.wiring.outlet.durable(&position.stream).map(Mark::Next);
            if let Some(durable) = durable.filter(|durable| *durable != position.mark) {
                (position.mark, position.leader_epoch) = (durable, None);
            }
        }
        self.fetch(&running);
        self.show_state();
    }
}
