//! A client that stands still or has failed for good is given up for a new one.

use std::thread;
use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer;

use super::client::new_consumer;
use super::consume::Consume;
use super::partitions::Phase;
use super::pending::Index;
use crate::position::UnixMillis;

/// Between two new clients: one that fails at once must not make them without end.
const REBUILD_INTERVAL: Duration = Duration::from_secs(5);
/// Clients that do not close (librdkafka's issue #4884) keep their memory: with so many of them
/// left behind, no further one is made.
const LEFT_BEHIND_MAX: usize = 8;

impl Consume {
    pub(super) fn rebuild_if_broken(&mut self) {
        if self.broken.is_none()
            || self.rebuilt.is_some_and(|rebuilt| rebuilt.elapsed() < REBUILD_INTERVAL)
        {
            return;
        }
        let why = self.broken.take().unwrap_or_default();
        self.rebuilt = Some(Instant::now());
        self.closing.retain(|closing| !closing.is_finished());
        if self.closing.len() >= LEFT_BEHIND_MAX {
            let told = format!(
                "a new client is needed ({why}), but the last {LEFT_BEHIND_MAX} have not closed: \
                 restart the daemon"
            );
            self.broken = Some(why);
            if self.stuck.is_none() {
                tracing::error!(source = self.name, "{told}");
                self.stuck = Some((told, UnixMillis::now()));
            }
            return self.show_state();
        }
        match new_consumer(&self.settings) {
            Ok(consumer) => {
                tracing::warn!(
                    source = self.name,
                    why,
                    "the Kafka client is given up for a new one"
                );
                let old = std::mem::replace(&mut self.consumer, consumer);
                self.close_aside(move || {
                    // What it still has is fetched again; its answer is of no use.
                    let _ = old.unassign();
                    drop(old);
                });
            }
            Err(error) => {
                tracing::warn!(source = self.name, why, %error, "no new Kafka client; trying again");
                self.broken = Some(why);
                return;
            }
        }
        if self.stuck.take().is_some() {
            self.show_state();
        }
        self.wiring.metrics.source.rebuilds.with_label_values(&[&self.name]).inc();
        self.retries.clear();
        self.assign_failures = 0;
        let running: Vec<Index> = self
            .partitions
            .current()
            .filter(|&index| self.partitions[index].phase == Phase::Running)
            .collect();
        for &index in &running {
            self.partitions[index].run();
        }
        self.fetch(&running);
    }

    fn close_aside(&mut self, close: impl FnOnce() + Send + 'static) {
        let closing = thread::Builder::new().name(format!("kafka-close-{}", self.name));
        match closing.spawn(close) {
            Ok(closing) => self.closing.push_back(closing),
            Err(error) => tracing::warn!(source = self.name, %error, "no thread to close a client"),
        }
    }
}
