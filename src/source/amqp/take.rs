//! What the broker delivers, taken as it comes: runs of redeliveries whole.

use std::time::{Duration, Instant};

use futures_util::{FutureExt, StreamExt};
use lapin::message::Delivery;
use lapin::options::BasicQosOptions;
use lapin::{Acker, Consumer};

use super::delivery::{has_offset, item, stream_offset};
use super::link::Link;
use super::session::{PAUSED_TICK, Session, TICK};
use crate::source::{Item, Redelivery};

/// How long the next of a run of redeliveries is waited for, before the broker is asked whether
/// anything is still on its way.
const RUN_PAUSE: Duration = Duration::from_secs(2);
/// However it trickles: what another consumer gives back is flagged like a run.
const RUN_MAX: Duration = Duration::from_secs(60);
/// Between two looks no more than this is a pause: the process may have stood still, and what came
/// meanwhile is not read yet.
const LOOK_MAX: Duration = Duration::from_millis(100);

/// A run of redeliveries that is not over. Only the whole of it can be compared with the log's
/// end, so none of it is given out before.
pub struct Run {
    began: Instant,
    looked: Instant,
    /// How long nothing came, though nothing held the broker back.
    paused: Duration,
    /// How much had come at the last look.
    seen: u16,
    count: u16,
    /// Whether the broker has answered since the last of it came.
    asked: bool,
}

/// How a run ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RunEnd {
    /// Nothing more of it seems to come.
    Paused,
    /// No more of it can be taken.
    Cut,
}

impl Run {
    fn new(now: Instant) -> Run {
        Run { began: now, looked: now, paused: Duration::ZERO, seen: 0, count: 1, asked: false }
    }

    /// `held_back`: what is not acked yet takes of the prefetch.
    fn end(&mut self, now: Instant, prefetch: u16, held_back: bool) -> Option<RunEnd> {
        let looked = std::mem::replace(&mut self.looked, now);
        let has_more = std::mem::replace(&mut self.seen, self.count) != self.count;
        self.asked &= !has_more;
        self.paused = match held_back || has_more {
            true => Duration::ZERO,
            false => self.paused + (now - looked).min(LOOK_MAX),
        };
        if self.count >= prefetch || now - self.began > RUN_MAX {
            return Some(RunEnd::Cut);
        }
        (self.paused > RUN_PAUSE).then_some(RunEnd::Paused)
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
                return Err(self.unfit("the queue is no stream: leave `stream` out, and restart"));
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
            Some(run) if again => run.count = run.count.saturating_add(1),
            Some(_) => self.end_run(false),
            None => {}
        }
        self.deliveries.push(item, bytes, acker);
        Ok(())
    }

    /// `cut`: more of it may come.
    pub(super) fn end_run(&mut self, cut: bool) {
        if self.run.take().is_some() {
            self.deliveries.end_run(cut);
        }
    }

    pub(super) async fn end_run_in_time(&mut self, link: &Link) -> Result<(), String> {
        let held_back = !self.given.is_empty() || self.deliveries.has_whole();
        let prefetch = self.settings.prefetch;
        let Some(run) = &mut self.run else { return Ok(()) };
        match run.end(Instant::now(), prefetch, held_back) {
            None => {}
            Some(RunEnd::Cut) => self.end_run(true),
            Some(RunEnd::Paused) if run.asked => self.end_run(false),
            Some(RunEnd::Paused) => {
                // The answer comes behind all that the broker has sent: a slow line is no end.
                let left = RUN_MAX.saturating_sub(run.began.elapsed());
                let asking = link.channel.basic_qos(prefetch, BasicQosOptions::default());
                match tokio::time::timeout(left, asking).await {
                    Ok(answered) => answered.map_err(|error| error.to_string())?,
                    Err(_) => {
                        self.end_run(true);
                        return Ok(());
                    }
                }
                run.asked = true;
                run.paused = RUN_PAUSE.saturating_sub(LOOK_MAX);
            }
        }
        Ok(())
    }

    /// Before the first delivery of a plain queue is given out that looks like a stream's: a
    /// stream read as a queue would be read from its end each time.
    pub(super) async fn settle_doubt(&mut self, link: &Link) -> Result<(), String> {
        if std::mem::take(&mut self.doubt) && link.may_be_stream(self.settings).await? {
            return Err(self.unfit("the queue is a stream: set `stream = true`, and restart"));
        }
        Ok(())
    }

    /// The queue is not what it is configured as, so nothing is consumed any more: what was
    /// delivered goes back with the connection, and each time it does is counted.
    fn unfit(&mut self, why: &'static str) -> String {
        self.numbering.unfit = Some(why);
        why.into()
    }

    /// Whether everything that was delivered is acked.
    pub(super) fn has_no_more(&self) -> bool {
        self.given.is_empty() && self.deliveries.is_empty()
    }

    fn item(&self, delivery: Delivery) -> Item {
        let connection = self.numbering.connection;
        let came = Redelivery { connection, again: delivery.redelivered, cut: false };
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
        let mut now = began;
        let mut run = Run::new(began);
        // Every tenth of a second.
        let mut looks = |run: &mut Run, count: u32, held_back| {
            (0..count).find_map(|_| {
                now += LOOK_MAX;
                run.end(now, 10, held_back)
            })
        };
        assert_eq!(looks(&mut run, 15, false), None);
        assert_eq!(looks(&mut run, 50, true), None, "what is not acked takes of the prefetch");
        assert_eq!(looks(&mut run, 15, false), None);
        run.count += 1;
        assert_eq!(looks(&mut run, 20, false), None, "another one came");
        assert_eq!(looks(&mut run, 2, false), Some(RunEnd::Paused));
        assert_eq!(looks(&mut run, 600, true), Some(RunEnd::Cut), "it took too long");
        assert_eq!(Run::new(began).end(began, 1, false), Some(RunEnd::Cut), "room for no more");
    }

    #[test]
    fn a_process_that_stood_still_has_not_waited() {
        let began = Instant::now();
        let mut run = Run::new(began);
        assert_eq!(run.end(began, 10, false), None);
        assert_eq!(run.end(began + Duration::from_secs(50), 10, false), None);
    }
}
