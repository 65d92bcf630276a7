//! The orderly end: nothing new is fetched, what was given out becomes durable, what is
//! durable is committed, and the client goes.

use std::thread;
use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer;

use super::consume::Consume;
use crate::source::status::State;

const POLL_TIMEOUT: Duration = Duration::from_millis(2);
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
        // Once more: the watermark may have risen for the last time just before it ended.
        while !self.ephemeral && Instant::now() < deadline {
            self.commit();
            if self.commits.all_committed(&self.partitions) {
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
        let closing = closing.spawn(move || {
            drop(consumer);
            drop(done);
        });
        let closed = closed.recv_timeout(CLOSE_TIMEOUT);
        if closing.is_err() || closed == Err(crossbeam_channel::RecvTimeoutError::Timeout) {
            tracing::warn!(source = name, "the Kafka client did not close in time; left behind");
        }
    }
}
