//! When a checkpoint is due, and when applying must wait for one.

use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, after, never};
use prometheus::IntGauge;

use super::{ApplierOptions, RETRY_AFTER};
use crate::catalog::{Answer, Catalog, CheckpointRequests};
use crate::shutdown::Shutdown;

/// How often a wait looks whether the process is to stop.
const LOOK_EVERY: Duration = Duration::from_millis(100);

pub struct Pace {
    options: ApplierOptions,
    /// `None` once the maintenance thread has ended.
    checkpoints: Option<CheckpointRequests>,
    stage: Stage,
    /// Log bytes that no checkpoint holds and none is writing.
    wal_bytes: u64,
    failed_at: Option<Instant>,
    /// Asked for while one was running.
    asked: bool,
    held: IntGauge,
    shutdown: Shutdown,
}

/// Of the checkpoint.
#[derive(Clone, Copy, PartialEq)]
enum Stage {
    Idle,
    Wanted,
    /// It holds so many log bytes.
    Running(u64),
}

impl Pace {
    pub fn new(
        options: ApplierOptions,
        wal_bytes: u64,
        checkpoints: CheckpointRequests,
        held: IntGauge,
        shutdown: Shutdown,
    ) -> Pace {
        let (checkpoints, stage) = (Some(checkpoints), Stage::Idle);
        let (failed_at, asked) = (None, false);
        Pace { options, checkpoints, stage, wal_bytes, failed_at, asked, held, shutdown }
    }

    /// After a frame was applied: wants a checkpoint if one is due, and waits for one to end
    /// if memory has grown to twice what made it due.
    pub fn after_frame(&mut self, catalog: &Catalog, frame_bytes: u64) {
        self.wal_bytes += frame_bytes;
        self.want_if_due(catalog);
        // At shutdown what is on its way is bounded already, and must be answered.
        while self.checkpoints.is_some() && self.is_over(catalog, 2) && !self.shutdown.is_asked() {
            self.held.set(1);
            self.wait(catalog);
            self.want_if_due(catalog);
        }
        self.held.set(0);
    }

    /// A checkpoint now, due or not; after the running one, if there is one.
    pub fn ask(&mut self, catalog: &Catalog) {
        self.asked = true;
        self.want_if_due(catalog);
    }

    pub fn want_if_due(&mut self, catalog: &Catalog) {
        let rests = self.failed_at.is_some_and(|at| at.elapsed() < RETRY_AFTER);
        let due = self.asked || (!rests && self.is_over(catalog, 1));
        if self.stage == Stage::Idle && due {
            self.want();
        }
    }

    fn want(&mut self) {
        self.asked = false;
        match &self.checkpoints {
            Some(checkpoints) if checkpoints.want() => self.stage = Stage::Wanted,
            _ => self.abandoned(),
        }
    }

    /// Takes what the maintenance thread says. Between two records.
    pub fn answer(&mut self, catalog: &Catalog, answer: Answer) {
        let held = match self.stage {
            Stage::Running(bytes) => bytes,
            _ => 0,
        };
        match answer {
            Answer::Ready => {
                let given = self.checkpoints.as_ref().is_some_and(|it| it.give(catalog.seal()));
                match given {
                    true => self.stage = Stage::Running(std::mem::take(&mut self.wal_bytes)),
                    false => self.abandoned(),
                }
            }
            Answer::Done(_) => {
                self.stage = Stage::Idle;
                self.failed_at = None;
            }
            Answer::Failed => {
                self.stage = Stage::Idle;
                self.wal_bytes += held;
                self.failed_at = Some(Instant::now());
            }
        }
    }

    /// The maintenance thread has ended: there is nobody to make checkpoints.
    pub fn abandoned(&mut self) {
        self.checkpoints = None;
        self.stage = Stage::Idle;
    }

    /// The end of the line: one more checkpoint, with everything in it. Returns when it is
    /// given; the maintenance thread ends after it.
    pub fn last(mut self, catalog: &Catalog) {
        while matches!(self.stage, Stage::Running(_)) {
            self.wait(catalog);
        }
        if self.stage == Stage::Idle {
            self.want();
        }
        while self.stage == Stage::Wanted {
            self.wait(catalog);
        }
    }

    pub fn shutdown(&self) -> &Shutdown {
        &self.shutdown
    }

    pub fn answers(&self) -> Receiver<Answer> {
        self.checkpoints.as_ref().map_or_else(never, |checkpoints| checkpoints.answers().clone())
    }

    /// When to look again after a checkpoint that failed, frames or not.
    pub fn retry(&self) -> Receiver<Instant> {
        match self.failed_at {
            Some(at) if self.stage == Stage::Idle => {
                after(RETRY_AFTER.saturating_sub(at.elapsed()))
            }
            _ => never(),
        }
    }

    pub fn rested(&mut self) {
        self.failed_at = None;
    }

    fn wait(&mut self, catalog: &Catalog) {
        match self.answers().recv_timeout(LOOK_EVERY) {
            Ok(answer) => self.answer(catalog, answer),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => self.abandoned(),
        }
    }

    fn is_over(&self, catalog: &Catalog, times: u64) -> bool {
        self.wal_bytes >= self.options.checkpoint_wal_bytes.saturating_mul(times)
            || catalog.head_bytes() >= self.options.head_bytes_max.saturating_mul(times)
    }
}
