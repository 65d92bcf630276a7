//! Sends dead letters on, to a Kafka topic or an AMQP exchange, in the order of their seqs.
//!
//! ```text
//!  catalog ─▶ letters behind the cursor ─▶ target: confirm ─▶ cursor, fsynced (─▶ drop)
//! ```
//!
//! Promise: every letter that is kept long enough is confirmed by the target at least once; what
//! is sent is complete (key, value, headers, place and reason), or counted as not, and then never
//! dropped; a target that cannot be reached is tried again for ever, and nothing is held in memory
//! for it but one batch. No promise: that a letter is sent once. What was confirmed and not yet
//! noted when the process ended is sent again, as is, once, the rest of a batch of which one letter
//! failed. A letter that is redriven or dropped before its turn is not sent, and counted.
//!
//! The cursor is a file of its own, not in the log: it is about the target, and replaying the log
//! must not depend on it.

mod amqp;
mod cursor;
mod headers;
mod kafka;
mod settings;
mod status;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::runtime::Runtime;
use tokio::sync::watch;

use crate::catalog::{Catalog, DeadLetter};
use crate::metrics::Metrics;
use crate::position::Seq;
use crate::shutdown::Shutdown;

pub use cursor::{Cursor, CursorError};
pub use settings::{ForwardSettings, InvalidForwardSettings, Then};
pub use status::Status;

/// What is sent before the first confirm is waited for.
const BATCH_LETTERS_MAX: usize = 256;
const BATCH_BYTES_MAX: u64 = 8 << 20;
/// Letters dropped in one record.
const DROPS_MAX: usize = 10_000;
/// After a failure; twice as long after each further one.
const RETRY_FIRST: Duration = Duration::from_millis(250);
const RETRY_LAST: Duration = Duration::from_secs(30);
/// For the batch that is on its way when shutdown is asked for: noted, it is not sent again.
const LAST_BATCH_TIMEOUT: Duration = Duration::from_secs(5);

/// Drops letters through the log; ready when that is applied.
pub type DropLetters =
    Arc<dyn Fn(Vec<Seq>) -> BoxFuture<'static, Result<(), String>> + Send + Sync>;

/// What a forwarder is connected to.
pub struct Lines {
    pub catalog: Arc<Catalog>,
    pub cursor: Cursor,
    pub drop_letters: DropLetters,
    /// Raised when there may be something new.
    pub applied: watch::Receiver<Seq>,
    pub status: Arc<Status>,
    pub metrics: Metrics,
    pub shutdown: Shutdown,
}

pub struct Forwarder {
    settings: ForwardSettings,
    target: Target,
    lines: Lines,
    /// What was still to be sent when it was last looked at.
    waiting: BTreeSet<Seq>,
    /// Up to here nothing is kept that is still to be sent.
    passed: Seq,
    failures: u32,
    /// Letters of the next batch. After a failure one: of one that the target refuses, those behind
    /// it would arrive again at each attempt. Twice as many after each batch that went well.
    at_once: usize,
}

enum Target {
    Kafka(kafka::KafkaTarget),
    Amqp(Box<amqp::AmqpTarget>),
}

/// What a target made of a batch.
struct Published {
    /// How many of the first letters it confirmed, without a hole.
    confirmed: usize,
    /// Why not all.
    error: Option<String>,
}

impl Forwarder {
    /// Ready to [`Forwarder::run`].
    pub fn new(settings: ForwardSettings, lines: Lines) -> std::io::Result<Forwarder> {
        let target = match (&settings.kafka, &settings.amqp) {
            (Some(kafka), _) => Target::Kafka(kafka::KafkaTarget::new(kafka.clone())),
            (None, Some(amqp)) => Target::Amqp(Box::new(amqp::AmqpTarget::new(amqp.clone()))),
            (None, None) => return Err(std::io::Error::other("no target to forward to")),
        };
        let (waiting, passed) = (BTreeSet::new(), Seq(0));
        let (failures, at_once) = (0, BATCH_LETTERS_MAX);
        Ok(Forwarder { settings, target, lines, waiting, passed, failures, at_once })
    }

    /// The thread's life: ends soon after shutdown was asked for, with the batch that is on its way
    /// then if that does not take long.
    pub fn run(mut self, runtime: &Runtime) {
        runtime.block_on(async {
            let shutdown = self.lines.shutdown.clone();
            let mut following = std::pin::pin!(self.follow());
            tokio::select! {
                () = shutdown.asked() => {
                    if tokio::time::timeout(LAST_BATCH_TIMEOUT, following).await.is_err() {
                        tracing::warn!(
                            "the last dead letters were not confirmed in time: they are sent again \
                             after the next start"
                        );
                    }
                }
                () = &mut following => {}
            }
        });
        self.lines.status.stopped();
    }

    async fn follow(&mut self) {
        // What letters there were when there was nothing to do.
        let mut settled = None;
        let shutdown = self.lines.shutdown.clone();
        while !shutdown.is_asked() {
            // Marked as seen before it is looked at: what comes after wakes us.
            self.lines.applied.borrow_and_update();
            let changes = self.lines.catalog.dead_letter_changes();
            if settled == Some(changes) {
                tokio::select! {
                    () = shutdown.asked() => return,
                    // If the applier has ended, the process is about to.
                    raised = self.lines.applied.changed() => match raised {
                        Ok(()) => continue,
                        Err(_) => return,
                    },
                }
            }
            self.look();
            let step = self.step().await;
            if step.is_ok() {
                self.lines.metrics.letters.forward_failing.set(0);
            }
            match step {
                Ok(true) => {
                    self.failures = 0;
                    self.at_once = (2 * self.at_once).min(BATCH_LETTERS_MAX);
                }
                Ok(false) => {
                    self.failures = 0;
                    self.lines.status.idle();
                    settled = Some(changes);
                }
                Err(error) => self.failed(error).await,
            }
        }
    }

    /// Behind it are the letters that may still have to be sent.
    fn behind(&self) -> Seq {
        self.lines.cursor.seq().max(self.passed)
    }

    /// Sends one batch, notes it, drops it if so configured. False if there was nothing to do.
    async fn step(&mut self) -> Result<bool, String> {
        let wanted = |letter: &DeadLetter| self.settings.wants(letter.source());
        let (catalog, count) = (&self.lines.catalog, self.at_once);
        let batch = catalog.dead_letters_after(self.behind(), count, BATCH_BYTES_MAX, &wanted);
        if !batch.is_empty() {
            self.lines.status.forwarding();
            let (lines, behind) = (&self.lines, self.behind());
            let told = |error: &str| {
                lines.failing(error);
                lines.show_pending(lines.catalog.dead_letter_seqs_after(behind, &wanted).len());
            };
            let published = self.target.publish(&batch, &told).await;
            self.count(&batch[..published.confirmed]);
            if let Some(last) = batch[..published.confirmed].last() {
                self.lines.cursor.advance(last.seq);
                self.lines.status.set_cursor(last.seq);
            }
            // Noted although something failed behind it.
            self.lines.cursor.save().map_err(|error| error.to_string())?;
            if let Some(error) = published.error {
                return Err(error);
            }
        } else {
            self.lines.cursor.save().map_err(|error| error.to_string())?;
        }
        let dropped = self.drop_forwarded().await?;
        Ok(!batch.is_empty() || dropped)
    }

    async fn drop_forwarded(&self) -> Result<bool, String> {
        if self.settings.then != Then::Drop {
            return Ok(false);
        }
        let cursor = self.lines.cursor.seq();
        let done = |letter: &DeadLetter| {
            letter.seq <= cursor
                && self.settings.wants(letter.source())
                // The rest of it is nowhere else.
                && self.target.takes_whole(letter)
        };
        let letters = self.lines.catalog.dead_letters_after(Seq(0), DROPS_MAX, u64::MAX, &done);
        if letters.is_empty() {
            return Ok(false);
        }
        let seqs = letters.iter().map(|letter| letter.seq).collect();
        (self.lines.drop_letters)(seqs).await?;
        Ok(true)
    }

    fn count(&self, confirmed: &[Arc<DeadLetter>]) {
        let metrics = &self.lines.metrics.letters;
        metrics.forwarded.inc_by(confirmed.len() as u64);
        let incomplete = confirmed.iter().filter(|letter| !self.target.takes_whole(letter));
        metrics.forward_incomplete.inc_by(incomplete.count() as u64);
    }

    /// Counts what is still to be sent, and what went without having been.
    fn look(&mut self) {
        let cursor = self.lines.cursor.seq();
        let wanted = |letter: &DeadLetter| self.settings.wants(letter.source());
        // Read first: every letter up to here is there to be found.
        let applied = self.lines.catalog.applied();
        let now = self.lines.catalog.dead_letter_seqs_after(self.behind(), &wanted);
        if now.is_empty() {
            self.passed = applied;
        }
        let left = |seq: &&Seq| **seq > cursor && !now.contains(*seq);
        let skipped = self.waiting.iter().filter(left).count();
        self.lines.metrics.letters.forward_skipped.inc_by(skipped as u64);
        self.lines.show_pending(now.len());
        self.waiting = now;
    }

    async fn failed(&mut self, error: String) {
        self.lines.failing(&error);
        let wait = RETRY_FIRST.saturating_mul(1 << self.failures.min(16)).min(RETRY_LAST);
        self.failures = self.failures.saturating_add(1);
        self.at_once = 1;
        let shutdown = self.lines.shutdown.clone();
        tokio::select! {
            () = shutdown.asked() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
}

impl Lines {
    /// Counted, and told once.
    fn failing(&self, error: &str) {
        self.metrics.letters.forward_failures.inc();
        self.metrics.letters.forward_failing.set(1);
        if self.status.failing(error) {
            tracing::warn!(error, "dead letters cannot be forwarded; trying again");
        }
    }

    fn show_pending(&self, letters: usize) {
        self.metrics.letters.forward_pending.set(letters as i64);
        self.status.set_pending(letters);
    }
}

impl Target {
    /// `told` of what fails for now, and is waited for.
    async fn publish(&mut self, letters: &[Arc<DeadLetter>], told: &dyn Fn(&str)) -> Published {
        match self {
            Target::Kafka(kafka) => kafka.publish(letters).await,
            Target::Amqp(amqp) => amqp.publish(letters, told).await,
        }
    }

    /// Whether everything of the letter arrives.
    fn takes_whole(&self, letter: &DeadLetter) -> bool {
        match self {
            Target::Kafka(_) => kafka::takes_whole(letter),
            Target::Amqp(_) => amqp::takes_whole(letter),
        }
    }
}
