//! What the broker delivers, taken as it comes: runs of redeliveries whole.

use std::time::{Duration, Instant};

use futures_util::{FutureExt, StreamExt};
use lapin::message::Delivery;
use lapin::{Acker, Consumer};

use super::delivery::{has_offset, item, stream_offset};
use super::link::Link;
use super::session::{PAUSED_TICK, Session, TICK};
use crate::source::{Item, Redelivery};

/// How long the next of a run of redeliveries is waited for. The broker sends a run in one go, as
/// far as there is room for it.
const RUN_PAUSE: Duration = Duration::from_secs(2);
/// However it trickles: what another consumer gives back is flagged like a run.
const RUN_MAX: Duration = Duration::from_secs(60);

/// A run of redeliveries that is not over. Only the whole of it can be compared with the log's
/// end, so none of it is given out before.
pub struct Run {
    began: Instant,
    /// When the last of it came, or something still held the broker back.
    last: Instant,
    count: u16,
}

impl Run {
    fn new(now: Instant) -> Run {
        Run { began: now, last: now, count: 1 }
    }

    /// `held_back`: what is not acked yet takes of the prefetch.
    fn is_over(&mut self, now: Instant, prefetch: u16, held_back: bool) -> bool {
        if held_back {
            self.last = now;
        }
        self.count >= prefetch || now - self.last > RUN_PAUSE || now - self.began > RUN_MAX
    }
}

impl Session<'_> {
    /// Waits for the next delivery, and takes what has come with it.
    pub(super) async fn take_some(&mut self, consumer: &mut Consumer) -> Result<(), String> {
        if self.deliveries.has_whole() {
            // No room: what is in flight is bounded by `prefetch`.
            tokio::time::sleep(TICK).await;
            return Ok(());
        }
        let shutdown = self.wiring.shutdown.clone();
        tokio::select! {
            () = shutdown.asked() => Ok(()),
            // Pressure and orders are looked at though nothing is delivered.
            () = tokio::time::sleep(if self.given.is_empty() { PAUSED_TICK } else { TICK }) => Ok(()),
            delivery = consumer.next() => {
                self.take(delivery)?;
                while !self.deliveries.is_full() {
                    let Some(delivery) = consumer.next().now_or_never() else { break };
                    self.take(delivery)?;
                }
                Ok(())
            }
        }
    }

    /// The broker's cancel is a `None`, a lost channel an error: both end the session. With the
    /// first redelivery of the connection its run begins.
    pub(super) fn take(&mut self, delivery: Option<lapin::Result<Delivery>>) -> Result<(), String> {
        let delivery = delivered(delivery)?;
        self.taken += 1;
        if self.settings.is_stream() {
            let Some(offset) = stream_offset(&delivery) else {
                return Err("the queue is no stream: leave `stream` out".into());
            };
            self.push_of_stream(offset, delivery);
            return Ok(());
        }
        // A stream gives one with everything; a publisher may have set one.
        self.doubt |= self.taken == 1 && has_offset(&delivery);
        let (bytes, acker) = (delivery.data.len(), delivery.acker.clone());
        let again = delivery.redelivered;
        let item = self.item(delivery);
        if again && !self.had_run {
            self.had_run = true;
            self.run = Some(Run::new(Instant::now()));
            self.deliveries.begin_run(item, bytes, acker);
            return Ok(());
        }
        match &mut self.run {
            Some(run) if again => {
                run.last = Instant::now();
                run.count = run.count.saturating_add(1);
            }
            Some(_) => self.end_run(),
            None => {}
        }
        self.deliveries.push(item, bytes, acker);
        Ok(())
    }

    pub(super) fn end_run(&mut self) {
        self.run = None;
        self.deliveries.end_run();
    }

    pub(super) fn end_run_in_time(&mut self) {
        let held_back = !self.given.is_empty() || self.deliveries.has_whole();
        let prefetch = self.settings.prefetch;
        let Some(run) = &mut self.run else { return };
        if run.is_over(Instant::now(), prefetch, held_back) {
            self.end_run();
        }
    }

    /// Before the first delivery of a plain queue is given out that looks like a stream's: a
    /// stream read as a queue would be read from its end each time.
    pub(super) async fn settle_doubt(&mut self, link: &Link) -> Result<(), String> {
        if std::mem::take(&mut self.doubt) && link.may_be_stream(self.settings).await? {
            return Err("the queue is a stream: set `stream = true`".into());
        }
        Ok(())
    }

    /// Whether everything that was delivered is acked.
    pub(super) fn has_no_more(&self) -> bool {
        self.given.is_empty() && self.deliveries.is_empty()
    }

    fn item(&self, delivery: Delivery) -> Item {
        let connection = self.numbering.connection;
        let came = Redelivery { connection, again: delivery.redelivered };
        item(self.stream, came, delivery)
    }

    /// Of a stream, after what came before it was dealt with.
    pub(super) fn keep(&mut self, item: Item, bytes: usize, acker: Acker) {
        self.deliveries.push(item, bytes, acker);
    }
}

fn delivered(delivery: Option<lapin::Result<Delivery>>) -> Result<Delivery, String> {
    match delivery {
        Some(Ok(delivery)) => Ok(delivery),
        Some(Err(error)) => Err(error.to_string()),
        None => Err("the broker cancelled the consumer".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_waits_while_it_is_held_back_but_not_for_ever() {
        let began = Instant::now();
        let after = |seconds| began + Duration::from_secs(seconds);
        let mut run = Run::new(began);
        assert!(!run.is_over(after(1), 10, false));
        assert!(!run.is_over(after(5), 10, true), "what is not acked takes of the prefetch");
        assert!(!run.is_over(after(7), 10, false));
        assert!(run.is_over(after(8), 10, false), "a pause is its end");
        assert!(run.is_over(after(61), 10, true));
        assert!(Run::new(began).is_over(began, 1, false), "more is not delivered before an ack");
    }
}
