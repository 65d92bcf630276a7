//! When nothing more should be fetched, and when again.

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use lapin::Consumer;
use lapin::options::BasicCancelOptions;

use super::link::{CONNECT_TIMEOUT, Link};
use super::session::Session;
use super::streams::Accepted;
use crate::source::status::State;
use crate::source::{Order, Pressure};

/// How long a batch may be refused before nothing more is fetched.
const REFUSED_MAX: Duration = Duration::from_secs(1);
/// How long a consumer waits for its first delivery until it may be given up.
const FIRST_MAX: Duration = Duration::from_secs(1);

impl Session<'_> {
    /// What crosses a cancel on its way to the channel, a quorum queue takes back and counts as
    /// delivered. The next consumer is sent that first: given up before it comes, it would have the
    /// same messages counted again and again, up to their delivery limit.
    pub(super) fn awaits_the_first(&self) -> bool {
        let first =
            |(since, taken): (Instant, u64)| self.taken == taken && since.elapsed() < FIRST_MAX;
        self.resumed.is_some_and(first)
    }

    pub(super) fn pressure(&self) -> Option<Pressure> {
        let refused = self.refused_since.is_some_and(|since| since.elapsed() > REFUSED_MAX);
        self.wiring.outlet.pressure().or(refused.then_some(Pressure::QueueFull))
    }

    /// A connection on which nothing is consumed tells nobody that it is lost.
    pub(super) fn alive(&self, link: &Link) -> Result<(), String> {
        let (connection, channel) = (link.connection.status(), link.channel.status());
        match connection.connected() && channel.connected() {
            true => Ok(()),
            false => {
                Err("the connection or its channel was lost while nothing was consumed".into())
            }
        }
    }

    /// Has the broker send nothing more. What it has sent is taken, to be given out and acked as
    /// if nothing were: held or given back, it would be counted as delivered once more. What a
    /// quorum queue has not handed to the channel by then it takes back, and counts.
    pub(super) async fn pause(
        &mut self,
        link: &Link,
        mut consumer: Consumer,
        why: Pressure,
    ) -> Result<(), String> {
        tracing::warn!(source = self.name, %why, "the consumer is given up until that is over");
        self.resumed = None;
        self.wiring.status.pause(why);
        self.show_paused(true);
        let cancelling = link.channel.basic_cancel(consumer.tag(), BasicCancelOptions::default());
        let mut cancelling = std::pin::pin!(cancelling);
        let mut is_cancelled = false;
        // The answer comes behind what was sent before, be the line as slow as it may.
        loop {
            tokio::select! {
                cancelled = &mut cancelling, if !is_cancelled => {
                    cancelled.map_err(|error| error.to_string())?;
                    is_cancelled = true;
                }
                delivery = consumer.next() => match delivery {
                    Some(delivery) => self.take(Some(delivery))?,
                    None => break,
                },
                () = tokio::time::sleep(CONNECT_TIMEOUT) => return Err("no answer to a cancel".into()),
            }
        }
        self.end_run(true);
        Ok(())
    }

    /// Consumes, if nothing speaks against it and all that was taken is acked.
    pub(super) async fn resume(
        &mut self,
        link: &mut Link,
        why: Option<Pressure>,
    ) -> Result<bool, String> {
        if let Some(why) = why {
            self.wiring.status.pause(why);
            self.show_paused(true);
            return Ok(false);
        }
        if !self.deliveries.is_empty() || !self.given.is_empty() {
            return Ok(false);
        }
        if let Some(why) = self.numbering.unfit {
            return Err(why.into());
        }
        let offset = match self.settings.is_stream() {
            true => {
                let shutdown = self.wiring.shutdown.clone();
                let placed = tokio::select! {
                    () = shutdown.asked() => None,
                    placed = self.place(link) => Some(placed?),
                };
                // Shutdown came first.
                let Some(offset) = placed else { return Ok(false) };
                Some(offset)
            }
            false => None,
        };
        let consuming = link.consume(self.settings, offset);
        let consuming = tokio::time::timeout(CONNECT_TIMEOUT, consuming).await;
        let consuming = consuming.map_err(|_| "no answer to a consume")?;
        link.consumer = Some(consuming.map_err(|error| error.to_string())?);
        self.consuming_since.get_or_insert_with(Instant::now);
        self.resumed = Some((Instant::now(), self.taken));
        tracing::info!(source = self.name, queue = self.settings.queue, "consuming");
        self.wiring.status.set_state(State::Running);
        self.show_paused(false);
        Ok(true)
    }

    /// Answers who asked for what is now in the log.
    pub(super) fn answer_accepted(&mut self) {
        let watermark = self.wiring.watermark.get();
        let accepted = self.numbering.accepted.take_if(|accepted| accepted.number <= watermark);
        if let Some(Accepted { answer, done, .. }) = accepted {
            // Who asked may have stopped waiting.
            let _ = answer.send(Ok(vec![done]));
        }
    }

    pub(super) fn answer_orders(&self) {
        while let Ok(Order::AcceptGap { answer, .. }) = self.wiring.orders.try_recv() {
            let _ = answer.send(Err(format!("source `{}` is not halted at a gap", self.name)));
        }
    }

    pub(super) fn show_paused(&self, paused: bool) {
        self.wiring.metrics.source.paused.with_label_values(&[self.name]).set(paused.into());
    }

    pub(super) fn show_blocked(&self, blocked: bool) {
        self.wiring.status.set_blocked(blocked);
        self.wiring.metrics.source.blocked.with_label_values(&[self.name]).set(blocked.into());
    }
}
