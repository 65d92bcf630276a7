//! Where a stream ends, asked now and then while it is read.
//!
//! The protocol has no question for it. A second consumer is given the stream's last chunk: what
//! follows the last message in it is the end. That shows also what nothing else does: a consumer
//! that the broker has lost without a word, and a stream made anew under it.
//!
//! Promise: an end that is told was the end some seconds ago, or less. No promise: that a stream
//! of which nothing is told is empty. Silence is no answer.

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use lapin::message::Delivery;
use lapin::options::BasicAckOptions;
use lapin::{Channel, Consumer};
use tokio::task::JoinHandle;

use super::delivery::stream_offset;
use super::link::{CONNECT_TIMEOUT, Link};
use super::session::Session;
use super::stream_start::StreamStart;
use super::streams::{END_MAX, END_PAUSE, SILENCE, looked};
use crate::position::Offset;

/// Between two looks: each costs a chunk.
const INTERVAL: Duration = Duration::from_secs(10);
/// After so long a look has found nothing: a chunk that comes more slowly tells no end.
const LOOK_MAX: Duration = Duration::from_secs(60);
/// Between two looks no more than this counts: the process may have stood still, and what came
/// meanwhile is not read yet.
const WAIT_MAX: Duration = Duration::from_millis(100);
/// So many looks in a row may find another end than was reached: the node that is asked may lag.
/// Connecting again is cheap, and looks at the stream from both ends.
const STRANGE_LOOKS_MAX: u32 = 3;

pub struct EndWatch {
    due: Instant,
    under_way: Option<JoinHandle<Option<Offset>>>,
    /// What was expected next at the last look.
    expected: Option<Offset>,
    strange_looks: u32,
    shown: Option<Offset>,
}

impl EndWatch {
    pub fn new() -> EndWatch {
        let (due, strange_looks) = (Instant::now(), 0);
        EndWatch { due, under_way: None, expected: None, strange_looks, shown: None }
    }

    /// What is wrong, if something is. `expected` is what follows the last delivery; `room` says
    /// that more could be delivered.
    fn judge(&mut self, end: Offset, expected: Offset, room: bool) -> Option<String> {
        let rests = self.expected.replace(expected) == Some(expected);
        let strange = rests && room && end != expected;
        self.strange_looks = if strange { self.strange_looks + 1 } else { 0 };
        if self.strange_looks < STRANGE_LOOKS_MAX {
            return None;
        }
        Some(match end > expected {
            true => {
                format!("the stream ends at {end}, and nothing from {expected} on is delivered")
            }
            false => format!("the stream ends at {end}, and {expected} was reached before"),
        })
    }
}

impl Session<'_> {
    /// Looks if it is time. An error ends the session: it is time to connect again.
    pub(super) async fn watch_end(&mut self, link: &Link) -> Result<(), String> {
        if let Some(look) = self.end_watch.under_way.take_if(|look| look.is_finished()) {
            // One that failed tells nothing: if the connection did, its consumer says so.
            if let Ok(Some(end)) = look.await {
                self.found_end(link, end)?;
            }
        }
        if self.end_watch.under_way.is_some() || Instant::now() < self.end_watch.due {
            return Ok(());
        }
        self.end_watch.due = Instant::now() + INTERVAL;
        let last = StreamStart::Last.argument();
        let (channel, mut consumer) = looked(link.look(self.settings, last)).await?;
        let reached = self.expected.unwrap_or_default();
        let pause = move |end| match end < Some(reached.max(Offset(1))) {
            true => SILENCE,
            false => END_PAUSE,
        };
        // A busy stream never pauses: there it is what was met after a while.
        let enough = move |end, took| end >= reached && took >= END_MAX;
        // Aside: what is delivered meanwhile does not wait for it.
        self.end_watch.under_way = Some(tokio::spawn(async move {
            let reading = read_to_end(&mut consumer, pause, enough);
            let end = tokio::time::timeout(LOOK_MAX, reading).await;
            seen(&channel).await;
            end.ok()?.ok()?
        }));
        Ok(())
    }

    fn found_end(&mut self, link: &Link, end: Offset) -> Result<(), String> {
        let Some(expected) = self.expected else {
            self.show_end(end);
            return Ok(());
        };
        self.show_end(end.max(expected));
        let room = link.consumer.is_some() && self.has_no_more();
        match self.end_watch.judge(end, expected, room) {
            Some(wrong) => Err(wrong),
            None => Ok(()),
        }
    }

    fn show_end(&mut self, end: Offset) {
        self.end_watch.shown = Some(end);
        self.status.set_end(end);
        let labels = [self.name, self.stream.name(), "-"];
        self.wiring.metrics.source.end_offset.with_label_values(&labels).set(end.0 as i64);
    }

    /// What follows a delivery is no further than the end.
    pub(super) fn passed(&mut self, next: Offset) {
        if self.end_watch.shown.is_some_and(|shown| shown < next) {
            self.show_end(next);
        }
    }
}

/// What follows the last message that is shown, read until the broker is silent for `pause`, or what
/// was met, and after how long, is `enough`. `None` if nothing is shown.
pub(super) async fn read_to_end(
    consumer: &mut Consumer,
    pause: impl Fn(Option<Offset>) -> Duration,
    enough: impl Fn(Offset, Duration) -> bool,
) -> Result<Option<Offset>, String> {
    let told = |error: lapin::Error| error.to_string();
    let (mut end, mut clock) = (None, Clock::new());
    while let Some(next) = next_within(consumer, pause(end), &mut clock).await {
        let delivery = next.ok_or("the broker cancelled the consumer")?.map_err(told)?;
        end = stream_offset(&delivery).map(|offset| Offset(offset.0 + 1));
        if end.is_some_and(|end| enough(end, clock.ran())) {
            break;
        }
        // Credit for the rest of the chunk.
        delivery.acker.ack(BasicAckOptions::default()).await.map_err(told)?;
    }
    Ok(end)
}

/// `None` if nothing comes for `pause`.
async fn next_within(
    consumer: &mut Consumer,
    pause: Duration,
    clock: &mut Clock,
) -> Option<Option<lapin::Result<Delivery>>> {
    let began = clock.ran();
    while clock.ran() - began < pause {
        if let Ok(next) = tokio::time::timeout(WAIT_MAX, consumer.next()).await {
            return Some(next);
        }
    }
    None
}

/// Counts the time in which the process ran.
struct Clock {
    looked: Instant,
    ran: Duration,
}

impl Clock {
    fn new() -> Clock {
        Clock { looked: Instant::now(), ran: Duration::ZERO }
    }

    fn ran(&mut self) -> Duration {
        let looked = std::mem::replace(&mut self.looked, Instant::now());
        self.ran += (self.looked - looked).min(WAIT_MAX);
        self.ran
    }
}

/// The end of a look.
pub(super) async fn seen(channel: &Channel) {
    let closing = channel.close(200, "seen".into());
    let _ = tokio::time::timeout(CONNECT_TIMEOUT, closing).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_that_ends_elsewhere_than_was_reached_is_noticed() {
        let looks = |looks: &[(u64, u64, bool)]| {
            let mut watch = EndWatch::new();
            let judge = |(end, expected, room): &(u64, u64, bool)| {
                watch.judge(Offset(*end), Offset(*expected), *room)
            };
            looks.iter().filter_map(judge).collect::<Vec<_>>()
        };
        assert!(looks(&[(9, 9, true); 10]).is_empty(), "all is delivered");
        assert!(looks(&[(9, 5, false); 10]).is_empty(), "nothing more may be delivered");
        let read = [(20, 5, true), (20, 6, true), (20, 7, true), (20, 8, true), (20, 9, true)];
        assert!(looks(&read).is_empty(), "deliveries come");
        assert!(looks(&[(9, 5, true); 3]).is_empty(), "the first says only what is expected");
        assert!(looks(&[(9, 5, true); 4])[0].contains("from 5 on"));
        assert!(looks(&[(3, 5, true); 4])[0].contains("ends at 3"));
        let lagged = [(3, 5, true), (3, 5, true), (3, 5, true), (5, 5, true), (3, 5, true)];
        assert!(looks(&lagged).is_empty(), "a node that lagged");
    }
}
