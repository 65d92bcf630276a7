//! The orderly end: nothing new is fetched, what was given out becomes durable, what is
//! durable is committed, and the client goes.

use std::thread;
use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer;

use super::closing;
use super::commit::is_transient;
use super::consume::Consume;
use crate::source::status::State;

const POLL_TIMEOUT: Duration = Duration::from_millis(2);
/// How long a commit is tried that was refused before the end already.
const REFUSED_TIMEOUT: Duration = Duration::from_secs(1);
/// Dropping a librdkafka consumer can hang (its issue #4884).
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

impl Consume {
    pub(super) fn stop(mut self) {
        let deadline = Instant::now() + self.wiring.drain_timeout;
        // Ends the discovery thread after its current request.
        self.questions = None;
        // Messages not given out yet will be read again; they were never acknowledged.
        if let Err(error) = self.consumer.unassign() {
            tracing::debug!(source = self.name, %error, "unassign");
        }
        while Instant::now() < deadline && !self.wiring.watermark.is_ended() {
            self.commits.advance(self.wiring.watermark.get(), &mut self.partitions);
            if self.commits.all_durable() {
                break;
            }
            self.consumer.poll(POLL_TIMEOUT);
        }
        // Refused again and again, it may be answered late or never.
        let deadline = match self.commit_error {
            Some(_) => deadline.min(Instant::now() + REFUSED_TIMEOUT),
            None => deadline,
        };
        // Once more: the watermark may have risen for the last time just before it ended.
        while !self.ephemeral && Instant::now() < deadline {
            let refused = self.commit();
            // Others will see less of what was read; positions are ours.
            let is_refused = refused.is_some_and(|code| !is_transient(code));
            if is_refused || self.commits.all_committed(&self.partitions) {
                break;
            }
            self.consumer.poll(POLL_TIMEOUT);
        }
        if !self.commits.all_durable() {
            tracing::warn!(
                source = self.name,
                "stopped before everything read was durable; the rest will be read again"
            );
        }
        self.wiring.status.set_state(State::Stopped);
        self.close();
    }

    fn close(self) {
        let Consume { name, consumer, findings, commits, .. } = self;
        // A thread that waits to be heard would keep the consumer.
        drop((findings, commits));
        let (done, closed) = crossbeam_channel::bounded::<()>(1);
        let closing = thread::Builder::new().name(format!("kafka-close-{name}"));
        let closing = closing::on(closing, consumer, move |consumer| {
            drop(consumer);
            drop(done);
        });
        let closed = closed.recv_timeout(CLOSE_TIMEOUT);
        if closing.is_err() || closed == Err(crossbeam_channel::RecvTimeoutError::Timeout) {
            tracing::warn!(source = name, "the Kafka client did not close in time; left behind");
        }
    }
}
