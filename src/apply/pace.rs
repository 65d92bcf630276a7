//! When a checkpoint is due, and when applying must wait for one.

use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, after, never};
use prometheus::IntGauge;

use super::{ApplierOptions, RETRY_AFTER};
use crate::catalog::{Catalog, CheckpointRequests, Checkpointed};
use crate::shutdown::Shutdown;

/// How often a wait looks whether the process is to stop.
const LOOK_EVERY: Duration = Duration::from_millis(100);

pub struct Pace {
    options: ApplierOptions,
    /// `None` once the maintenance thread has ended.
    checkpoints: Option<CheckpointRequests>,
    /// Log bytes that no checkpoint holds and none is writing.
    wal_bytes: u64,
    /// Log bytes that the running checkpoint holds; `None` if none is running.
    running: Option<u64>,
    failed_at: Option<Instant>,
    /// Asked for while one was running.
    wanted: bool,
    held: IntGauge,
    shutdown: Shutdown,
}

impl Pace {
    pub fn new(
        options: ApplierOptions,
        wal_bytes: u64,
        checkpoints: CheckpointRequests,
        held: IntGauge,
        shutdown: Shutdown,
    ) -> Pace {
        Pace {
            options,
            checkpoints: Some(checkpoints),
            wal_bytes,
            running: None,
            failed_at: None,
            wanted: false,
            held,
            shutdown,
        }
    }

    /// After a frame was applied: begins a checkpoint if one is due, and waits for one to end
    /// if memory has grown to twice what should have begun it.
    pub fn after_frame(&mut self, catalog: &Catalog, frame_bytes: u64) {
        self.wal_bytes += frame_bytes;
        self.begin_if_due(catalog);
        // At shutdown what is on its way is bounded already, and must be answered.
        while self.checkpoints.is_some() && self.is_over(catalog, 2) && !self.shutdown.is_asked() {
            self.held.set(1);
            self.wait(LOOK_EVERY);
            self.begin_if_due(catalog);
        }
        self.held.set(0);
    }

    /// Begins a checkpoint now; after the running one, if there is one.
    pub fn begin(&mut self, catalog: &Catalog) {
        self.wanted = self.running.is_some();
        if self.wanted {
            return;
        }
        let Some(checkpoints) = &self.checkpoints else { return };
        if checkpoints.ask(catalog.seal()) {
            self.running = Some(std::mem::take(&mut self.wal_bytes));
        } else {
            self.checkpoints = None;
        }
    }

    /// Begins a checkpoint if one is wanted, or due and none has just failed.
    pub fn begin_if_due(&mut self, catalog: &Catalog) {
        let rests = self.failed_at.is_some_and(|at| at.elapsed() < RETRY_AFTER);
        let due = self.is_over(catalog, 1) && !rests;
        if self.running.is_none() && (due || self.wanted) {
            self.begin(catalog);
        }
    }

    /// The end of the line: one more checkpoint, with everything in it.
    pub fn last(mut self, catalog: &Catalog) {
        while self.running.is_some() {
            self.wait(LOOK_EVERY);
        }
        self.begin(catalog);
    }

    /// Takes note of how the running checkpoint ended.
    pub fn ended(&mut self, checkpointed: Checkpointed) {
        let written = self.running.take().unwrap_or_default();
        match checkpointed {
            Checkpointed::Done(_) => self.failed_at = None,
            Checkpointed::Failed => {
                self.wal_bytes += written;
                self.failed_at = Some(Instant::now());
            }
        }
    }

    /// The maintenance thread has ended: there is nobody to make checkpoints.
    pub fn abandoned(&mut self) {
        self.checkpoints = None;
        self.running = None;
    }

    pub fn shutdown(&self) -> &Shutdown {
        &self.shutdown
    }

    pub fn done(&self) -> Receiver<Checkpointed> {
        self.checkpoints.as_ref().map_or_else(never, |checkpoints| checkpoints.done().clone())
    }

    /// When to look again after a checkpoint that failed, frames or not.
    pub fn retry(&self) -> Receiver<Instant> {
        let Some(failed_at) = self.failed_at.filter(|_| self.running.is_none()) else {
            return never();
        };
        after(RETRY_AFTER.saturating_sub(failed_at.elapsed()))
    }

    fn wait(&mut self, longest: Duration) {
        match self.done().recv_timeout(longest) {
            Ok(checkpointed) => self.ended(checkpointed),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => self.abandoned(),
        }
    }

    fn is_over(&self, catalog: &Catalog, times: u64) -> bool {
        self.wal_bytes >= self.options.checkpoint_wal_bytes.saturating_mul(times)
            || catalog.head_bytes() >= self.options.head_bytes_max.saturating_mul(times)
    }
}
