//! RabbitMQ: one queue, over AMQP 0-9-1.
//!
//! Promise: a delivery is acked only when its batch is behind the watermark, and with it all
//! before it; deliveries come out in the order the broker gave them; a lost connection, a
//! closed channel and a cancelled consumer are all answered by connecting again.
//!
//! No promise: that a delivery comes once. What was not acked when a connection ended comes
//! again with `redelivered` set. A queue has no offsets, so a position is a fingerprint of the
//! message. A quorum queue counts deliveries and may drop a message that was redelivered too
//! often: give such a queue a dead-letter exchange.
//!
//! A stream's messages have offsets and stay: it is read from where the log stands, and a
//! position is an offset.
//!
//! When nothing more should be fetched, the consumer is given up and the connection kept. What
//! the broker has sent by then is given out and acked as ever: held, it would run into the
//! broker's patience with an ack that does not come; given back, into its count of deliveries.

mod access;
mod deliveries;
mod delivery;
mod link;
mod pause;
mod session;
mod settings;
mod stream_end;
mod stream_start;
mod streams;
mod take;
mod watch;

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rand::RngExt;

pub use access::{Access, AccessError};
pub use settings::{AmqpSettings, Declare, InvalidAmqpSettings, Url};
pub use stream_start::StreamStart;

use super::status::State;
use super::{HALTED_BEFORE, Wiring};
use crate::position::{Stream, UnixMillis};
use session::{Ended, Numbering, Session};

/// Between two tries to open the gate.
const GATE_INTERVAL: Duration = Duration::from_millis(100);

/// An AMQP source, ready to be started.
pub struct AmqpSource {
    /// Its name in the configuration.
    pub name: String,
    pub settings: AmqpSettings,
}

#[derive(Debug, thiserror::Error)]
pub enum AmqpSourceError {
    #[error(transparent)]
    Settings(#[from] InvalidAmqpSettings),
    #[error("the AMQP source's thread or runtime could not be started: {0}")]
    Thread(#[from] io::Error),
}

impl AmqpSource {
    /// Starts consuming on a thread of its own. The handle ends after shutdown was asked for
    /// and everything durable is acked, or the drain timeout has passed.
    pub fn spawn(self, wiring: Wiring) -> Result<JoinHandle<()>, AmqpSourceError> {
        self.settings.validate()?;
        let stream = Arc::new(Stream::Queue {
            source: self.name.clone(),
            cluster: self.settings.cluster()?,
            queue: self.settings.queue.clone(),
        });
        // A runtime of its own: a busy API cannot keep heartbeats and acks from being sent.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = thread::Builder::new().name(format!("amqp-{}", self.name));
        Ok(thread.spawn(move || runtime.block_on(self.run(&wiring, &stream)))?)
    }

    async fn run(self, wiring: &Wiring, stream: &Arc<Stream>) {
        let mut numbering = Numbering::default();
        let mut failures: u32 = 0;
        while !wiring.shutdown.is_asked() {
            if !self.pass_gate(wiring, &mut numbering).await {
                break;
            }
            let mut session = Session::new(&self, wiring, stream, &mut numbering);
            match session.run(failures).await {
                Ended::Shutdown => break,
                // At the top of the loop.
                Ended::Halted => failures = 0,
                Ended::Lost { error, had_run } => {
                    failures = if had_run { 0 } else { failures.saturating_add(1) };
                    if had_run {
                        numbering.lost = None;
                    }
                    self.lost(wiring, error, &mut numbering);
                    tokio::select! {
                        () = wiring.shutdown.asked() => break,
                        () = tokio::time::sleep(self.backoff(failures)) => {}
                    }
                }
            }
        }
        wiring.status.set_state(State::Stopped);
    }

    fn lost(&self, wiring: &Wiring, error: String, numbering: &mut Numbering) {
        let before = numbering.lost.take();
        let since = before.as_ref().map_or_else(UnixMillis::now, |(_, since)| *since);
        // Said once for as long as it stays the same.
        if before.is_none_or(|(before, _)| before != error) {
            tracing::warn!(
                source = self.name,
                queue = self.settings.queue,
                error,
                "the queue cannot be read; connecting again"
            );
        }
        numbering.lost = Some((error.clone(), since));
        wiring.status.set_state(State::Reconnecting { since, error });
    }

    /// Twice as long after each failure, and never in step with others who lost the same
    /// broker.
    fn backoff(&self, failures: u32) -> Duration {
        let longest = self.settings.reconnect_max;
        let wait = (longest / 100).saturating_mul(1 << failures.min(16)).min(longest);
        wait.mul_f64(rand::rng().random_range(0.5..=1.0))
    }

    /// Waits where a message may not be passed until an operator has decided. What was given
    /// out is forgotten, and comes again. False when shutdown was asked for.
    async fn pass_gate(&self, wiring: &Wiring, numbering: &mut Numbering) -> bool {
        if !wiring.gate.is_closed() {
            return true;
        }
        let (why, since) = (wiring.gate.why().unwrap_or_default(), UnixMillis::now());
        tracing::error!(source = self.name, why, "the source stands behind this message");
        wiring.status.set_state(State::Halted { why, since });
        numbering.next = None;
        if let Some(accepted) = numbering.accepted.take() {
            numbering.gap = Some(accepted.gap);
            let _ = accepted.answer.send(Err(HALTED_BEFORE.into()));
        }
        loop {
            if wiring.gate.reopen(numbering.batch) {
                tracing::info!(source = self.name, "the source goes on");
                wiring.status.starting("connecting");
                return true;
            }
            tokio::select! {
                () = wiring.shutdown.asked() => return false,
                () = tokio::time::sleep(GATE_INTERVAL) => {}
            }
        }
    }
}
