//! A client that stands still or has failed for good is given up for a new one.

use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer;

use super::client::new_consumer;
use super::closing::LEFT_BEHIND_MAX;
use super::consume::Consume;
use super::partitions::Phase;
use super::pending::Index;
use crate::position::UnixMillis;

/// Between two new clients: one that fails at once must not make them without end.
const REBUILD_INTERVAL: Duration = Duration::from_secs(5);
/// Every request of the thread that asks the cluster ends long before.
const UNHEARD_AFTER: Duration = Duration::from_secs(60);

impl Consume {
    pub(super) fn rebuild_if_broken(&mut self) {
        if self.broken.is_none()
            || self.rebuilt.is_some_and(|rebuilt| rebuilt.elapsed() < REBUILD_INTERVAL)
        {
            return;
        }
        let why = self.broken.take().unwrap_or_default();
        self.rebuilt = Some(Instant::now());
        if self.closing.is_full() {
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
                self.closing.aside(&self.name, old, |old| {
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

    /// A call of librdkafka's may never return. What is assigned is read on, and nothing new is
    /// found: no partition, no gap.
    pub(super) fn watch_asker(&mut self) {
        let is_unheard = self.busy.how_long().is_some_and(|time| time >= UNHEARD_AFTER);
        if is_unheard == self.unheard.is_some() {
            return;
        }
        self.unheard = is_unheard.then(|| {
            let why = format!(
                "the thread that asks the cluster has not come back from the Kafka client for {} s: \
                 restart the daemon",
                UNHEARD_AFTER.as_secs()
            );
            (why, UnixMillis::now())
        });
        match &self.unheard {
            Some((why, _)) => tracing::error!(source = self.name, "{why}"),
            None => tracing::info!(source = self.name, "the cluster is asked again"),
        }
        self.show_state();
    }
}
