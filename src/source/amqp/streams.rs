//! RabbitMQ's streams: a queue whose messages have offsets and stay.
//!
//! A stream is read from where the log stands. Before that it is looked at from both ends: what
//! is missing at its beginning, and a stream that was made anew under its old name, show in no
//! other way. Silence is no answer: an idle broker and a slow one are alike.
//!
//! The broker keeps notes of its own between the messages, so offsets may have holes. A hole is a
//! loss only if the stream begins behind it by now.

use std::time::Duration;

use futures_util::StreamExt;
use lapin::message::Delivery;
use lapin::types::AMQPValue;
use prometheus::IntGauge;

use super::link::{CONNECT_TIMEOUT, Link};
use super::session::Session;
use super::stream_end::{read_to_end, seen};
use super::stream_start::StreamStart;
use crate::position::{Mark, Offset, Position};
use crate::source::GapPolicy;
use crate::source::status::{State, StreamState, StreamStatus};
use crate::source::{Answer, Batch, Item, Order, What};

/// So long nothing comes at the end of a stream that is only asked for where to begin.
pub(super) const END_PAUSE: Duration = Duration::from_secs(1);
/// So long nothing comes where a decision hangs on it.
pub(super) const SILENCE: Duration = Duration::from_secs(5);
/// After so long the end is where it was met last: a busy stream never pauses.
pub(super) const END_MAX: Duration = Duration::from_secs(2);
/// Between two looks for an operator's decision.
const HALTED_TICK: Duration = Duration::from_millis(50);

/// Why the next message cannot be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StreamGap {
    #[error("messages from offset {0} on are gone: the stream begins at {1}")]
    Retention(Offset, Offset),
    #[error("our next offset is {0}, but the stream ends at {1}: it was deleted and made anew")]
    Anew(Offset, Offset),
}

/// A hole before a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Jump {
    expected: Offset,
    came: Offset,
}

/// What a position says of a stream; `None` for a queue.
pub fn next_of(item: &Item) -> Option<Offset> {
    match item.position.mark {
        Mark::Next(next) => Some(next),
        Mark::Fingerprint(_) => None,
    }
}

impl Session<'_> {
    pub(super) fn push_of_stream(&mut self, offset: Offset, delivery: Delivery) {
        let (bytes, acker) = (delivery.data.len(), delivery.acker.clone());
        if self.ending.is_some() {
            return;
        }
        if std::mem::take(&mut self.begins) {
            tracing::info!(source = self.name, %offset, "the stream is read from here on");
            self.keep(self.start(offset, None), 0, acker.clone());
        }
        let mut item = super::delivery::item_of_stream(self.stream, offset, delivery);
        let expected = self.expected.unwrap_or(offset);
        if offset < expected {
            // The broker begins with the chunk that has the offset. Its ack is another's.
            item.what = What::Moved { why: None };
        } else {
            if offset > expected {
                self.jump.get_or_insert(Jump { expected, came: offset });
            }
            self.expected = Some(Offset(offset.0 + 1));
        }
        self.keep(item, bytes, acker);
    }

    /// Looks at a hole, before what is behind it is given out.
    pub(super) async fn settle_jump(&mut self, link: &Link) -> Result<(), String> {
        let Some(Jump { expected, came }) = self.jump.take() else { return Ok(()) };
        let first = self.first(link).await?.ok_or("no answer to where the stream begins")?;
        if first <= expected {
            tracing::debug!(source = self.name, %expected, %came, "a hole between messages");
            return Ok(());
        }
        // What came before it is given out, and then the gap is judged as one at the beginning.
        self.deliveries.cut(|item| next_of(item).is_none_or(|next| next <= expected));
        self.ending = Some(StreamGap::Retention(expected, first).to_string());
        Ok(())
    }

    fn start(&self, offset: Offset, why: Option<String>) -> Item {
        let position = Position::new(self.stream.clone(), Mark::Next(offset));
        Item { position, what: What::Start { forget_others: false, why } }
    }

    /// Where to read from. Waits for an operator where that is to be decided.
    pub(super) async fn place(&mut self, link: &Link) -> Result<AMQPValue, String> {
        let known = self.numbering.next.or_else(|| self.wiring.outlet.durable(self.stream));
        let Some(next) = known else { return self.begin(link).await };
        self.expected = Some(next);
        // Met once it stays: a stream that was made anew may have grown beyond our offset by now.
        let met = match self.numbering.gap {
            Some(gap) => Some(gap),
            None => self.gap(link, next).await?,
        };
        let Some(gap) = met else { return Ok(StreamStart::At(next).argument()) };
        self.numbering.gap = Some(gap);
        let (why, answer) = match self.settings.gap {
            GapPolicy::Skip => (format!("skipped, as configured: {gap}"), None),
            GapPolicy::Halt => {
                let answer = self.accepted(gap).await;
                (format!("accepted by an operator: {gap}"), Some(answer))
            }
        };
        // After the wait, in which more may have gone.
        let first = self.first(link).await?.ok_or("no answer to where the stream begins")?;
        self.go_beyond(gap, first, why, answer).await;
        Ok(StreamStart::At(first).argument())
    }

    /// Where to read a stream from that was never read.
    async fn begin(&mut self, link: &Link) -> Result<AMQPValue, String> {
        let start = self.settings.start;
        if !matches!(start, StreamStart::Next | StreamStart::Last) {
            self.begins = true;
            return Ok(start.argument());
        }
        // Of what stays silent everything is read: too much, and nothing is missed.
        let last = StreamStart::Last;
        let end = match self.end(link, last, END_PAUSE, None).await? {
            None => self.end(link, last, SILENCE, None).await?,
            Some(end) => Some(end),
        };
        if start == StreamStart::Last && end.is_some() {
            // There is a last chunk: its first message says where.
            self.begins = true;
            return Ok(start.argument());
        }
        // Decided once, or what comes before the first delivery would be missed by the next
        // connection.
        let end = end.unwrap_or_default();
        tracing::info!(source = self.name, offset = %end, "the stream is read from here on");
        self.begin_at(end, None).await;
        Ok(StreamStart::At(end).argument())
    }

    /// Goes on at `first`, behind the gap. Whoever accepted it is answered when that is in the
    /// log.
    async fn go_beyond(
        &mut self,
        gap: StreamGap,
        first: Offset,
        why: String,
        answer: Option<Answer>,
    ) {
        tracing::warn!(source = self.name, %first, why, "going on behind a gap");
        let number = self.begin_at(first, Some(why)).await;
        self.numbering.gap = None;
        let done = format!("{gap}: goes on at offset {first}");
        self.numbering.accepted = answer.map(|answer| Accepted { number, gap, answer, done });
    }

    /// Gives out that the stream begins here; in the batch whose number is returned.
    async fn begin_at(&mut self, first: Offset, why: Option<String>) -> u64 {
        let number = self.numbering.batch + 1;
        let items = vec![self.start(first, why)];
        let mut offered = self.wiring.outlet.offer(Batch { number, items });
        while let Err(batch) = offered {
            tokio::time::sleep(HALTED_TICK).await;
            offered = self.wiring.outlet.offer(batch);
        }
        self.numbering.batch = number;
        self.numbering.next = Some(first);
        self.expected = Some(first);
        number
    }

    /// What is missing where we stand.
    async fn gap(&self, link: &Link, next: Offset) -> Result<Option<StreamGap>, String> {
        let first = self.first(link).await?;
        if let Some(first) = first.filter(|first| *first > next) {
            return Ok(Some(StreamGap::Retention(next, first)));
        }
        if next == Offset(0) {
            return Ok(None);
        }
        // Our last message is still there, or what came after it.
        let ours = StreamStart::At(Offset(next.0 - 1));
        if self.end(link, ours, END_PAUSE, Some(next)).await? >= Some(next) {
            return Ok(None);
        }
        let end = self.end(link, StreamStart::Last, SILENCE, Some(next)).await?;
        match (first, end) {
            (_, Some(end)) if end >= next => Ok(None),
            (Some(_), Some(end)) => Ok(Some(StreamGap::Anew(next, end))),
            _ => Err(format!(
                "the stream shows no message, though offset {next} was reached: it is slow, or was \
                 made anew and is empty"
            )),
        }
    }

    /// The first offset that the broker has. `None` if it says nothing.
    async fn first(&self, link: &Link) -> Result<Option<Offset>, String> {
        let told = |error: lapin::Error| error.to_string();
        let first = StreamStart::First.argument();
        let (channel, mut consumer) = looked(link.look(self.settings, first)).await?;
        let found = match tokio::time::timeout(SILENCE, consumer.next()).await {
            Ok(Some(delivery)) => super::delivery::stream_offset(&delivery.map_err(told)?),
            Ok(None) => return Err("the broker cancelled the consumer".into()),
            Err(_) => None,
        };
        seen(&channel).await;
        Ok(found)
    }

    /// What follows the last offset that the broker shows, read from `from` on until it is
    /// silent for `pause`, or `enough` is reached. `None` if it shows nothing.
    async fn end(
        &self,
        link: &Link,
        from: StreamStart,
        pause: Duration,
        enough: Option<Offset>,
    ) -> Result<Option<Offset>, String> {
        let (channel, mut consumer) = looked(link.look(self.settings, from.argument())).await?;
        let met = |end, took| match enough {
            Some(enough) => end >= enough,
            None => took >= END_MAX,
        };
        let end = read_to_end(&mut consumer, |_| pause, met).await?;
        seen(&channel).await;
        Ok(end)
    }

    /// Halts until an operator accepts the gap, and gives whom to answer.
    async fn accepted(&self, gap: StreamGap) -> Answer {
        tracing::error!(
            source = self.name, %gap,
            "stream halted. Publish again what is missing if it matters, then accept the gap, or \
             set `gap = \"skip\"` and restart"
        );
        // An order from before was not given for this gap.
        self.answer_orders();
        // The broker is there: what stands is the stream.
        self.wiring.status.set_state(State::Running);
        let _shown = Halted::show(self, gap);
        loop {
            let Ok(Order::AcceptGap { topic, partition, answer }) = self.wiring.orders.try_recv()
            else {
                tokio::time::sleep(HALTED_TICK).await;
                continue;
            };
            let queue = &self.settings.queue;
            if partition.is_none() && topic.is_none_or(|topic| topic == *queue) {
                return answer;
            }
            let why = format!("what is halted is the stream `{queue}`, which has no partitions");
            let _ = answer.send(Err(why));
        }
    }
}

/// An operator's decision on its way into the log.
pub struct Accepted {
    /// The batch it is in.
    pub number: u64,
    pub gap: StreamGap,
    pub answer: Answer,
    pub done: String,
}

/// Shows that the stream is halted for as long as it is, which may end with the connection.
struct Halted<'a> {
    status: &'a StreamStatus,
    gauge: IntGauge,
}

impl Halted<'_> {
    fn show<'a>(session: &'a Session<'_>, gap: StreamGap) -> Halted<'a> {
        let labels = [session.name, session.stream.name(), "-"];
        let gauge = session.wiring.metrics.source.halted.with_label_values(&labels);
        gauge.set(1);
        session.status.set_state(StreamState::Halted { why: gap.to_string() });
        Halted { status: &session.status, gauge }
    }
}

impl Drop for Halted<'_> {
    fn drop(&mut self) {
        self.gauge.set(0);
        self.status.set_state(StreamState::Running);
    }
}

pub(super) async fn looked<T>(look: impl Future<Output = lapin::Result<T>>) -> Result<T, String> {
    let looked = tokio::time::timeout(CONNECT_TIMEOUT, look).await;
    looked.map_err(|_| "no answer to a look at the stream")?.map_err(|error| error.to_string())
}
