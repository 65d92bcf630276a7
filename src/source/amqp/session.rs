//! One connection: from connecting to its end.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::{FutureExt, StreamExt};
use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, BasicCancelOptions};
use lapin::{Acker, Consumer};
use prometheus::IntCounter;

use super::deliveries::Deliveries;
use super::delivery::{item, stream_offset};
use super::link::Link;
use super::watch::Watch;
use super::{AmqpSettings, AmqpSource};
use crate::position::{Offset, Stream};
use crate::source::status::{State, StreamStatus};
use crate::source::{Batch, Redelivery, Wiring};

const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// Between two looks at the watermark, and two offers of a batch that found no room.
const TICK: Duration = Duration::from_millis(1);
/// Likewise while nothing is consumed.
const PAUSED_TICK: Duration = Duration::from_millis(20);
/// How long the next of a run of redeliveries is waited for.
const RUN_PAUSE: Duration = Duration::from_millis(250);

/// What goes on over all sessions.
#[derive(Default)]
pub struct Numbering {
    /// Of the last batch; one that was not taken gives its number back.
    pub batch: u64,
    /// Sessions so far: redeliveries of two of them are told apart.
    connection: u64,
    /// Of a stream: what follows the last delivery that was given out.
    pub next: Option<Offset>,
    /// A gap that an operator has accepted.
    pub accepted: Option<super::streams::StreamGap>,
    /// Whether the queue was looked at for a dead-letter exchange.
    asked: bool,
}

pub enum Ended {
    Shutdown,
    /// A message may not be passed: nothing that follows is acked.
    Halted,
    Lost {
        error: String,
        /// Whether anything was consumed: if not, the next attempt waits longer.
        had_run: bool,
    },
}

pub struct Session<'a> {
    pub(super) name: &'a str,
    pub(super) settings: &'a AmqpSettings,
    pub(super) wiring: &'a Wiring,
    pub(super) stream: &'a Arc<Stream>,
    pub(super) numbering: &'a mut Numbering,
    pub(super) status: Arc<StreamStatus>,
    received: IntCounter,
    /// Taken by the outlet and not acked yet, oldest first: the batch's last delivery. They
    /// belong to this connection's channel; the next one knows nothing of them.
    pub(super) given: VecDeque<(u64, Acker)>,
    pub(super) deliveries: Deliveries,
    /// Of a stream: what the next delivery's offset is at least.
    pub(super) expected: Option<Offset>,
    /// Of a stream that was never read: its first delivery says where it begins.
    pub(super) begins: bool,
    /// Why it begins anew, if it was read before.
    pub(super) begins_why: Option<String>,
    /// Whether the connection's run of redeliveries has come.
    had_run: bool,
    pub(super) refused_since: Option<Instant>,
    /// Deliveries of this session.
    pub(super) taken: u64,
    pub(super) watch: Watch,
}

impl<'a> Session<'a> {
    pub fn new(
        source: &'a AmqpSource,
        wiring: &'a Wiring,
        stream: &'a Arc<Stream>,
        numbering: &'a mut Numbering,
    ) -> Self {
        let labels = [source.name.as_str(), stream.name(), "-"];
        let settings = &source.settings;
        numbering.connection += 1;
        Session {
            name: &source.name,
            settings,
            wiring,
            stream,
            numbering,
            status: wiring.status.stream(stream),
            received: wiring.metrics.source.received.with_label_values(&labels),
            given: VecDeque::new(),
            deliveries: Deliveries::new(settings.batch_messages_max, settings.batch_bytes_max),
            expected: None,
            begins: false,
            begins_why: None,
            had_run: false,
            refused_since: None,
            taken: 0,
            watch: Watch::new(),
        }
    }

    /// `attempt` chooses the node.
    pub async fn run(&mut self, attempt: u32) -> Ended {
        let connected = tokio::select! {
            () = self.wiring.shutdown.asked() => return Ended::Shutdown,
            connected = Link::open(self.settings, self.name, attempt) => connected,
        };
        let mut link = match connected {
            Ok(link) => link,
            Err(error) => return Ended::Lost { error: error.to_string(), had_run: false },
        };
        if matches!(self.wiring.status.state(), State::Reconnecting { .. }) {
            self.wiring.metrics.source.reconnects.with_label_values(&[self.name]).inc();
        }
        tracing::info!(source = self.name, queue = self.settings.queue, "connected");
        self.warn_of_limit(&link).await;
        self.wiring.status.set_state(State::Running);
        let ended = match self.serve(&mut link).await {
            Ok(ended) => ended,
            Err(error) => Ended::Lost { error, had_run: true },
        };
        self.show_paused(false);
        self.show_blocked(false);
        if matches!(ended, Ended::Shutdown) {
            self.drain(&link).await;
        }
        if !matches!(ended, Ended::Lost { .. }) {
            let closing = link.connection.close(200, "done".into());
            // A close that gets no answer ends with the socket.
            let _ = tokio::time::timeout(CLOSE_TIMEOUT, closing).await;
        }
        ended
    }

    /// Once: from RabbitMQ 4.0 on a quorum queue drops what was delivered twenty times.
    async fn warn_of_limit(&mut self, link: &Link) {
        if std::mem::replace(&mut self.numbering.asked, true) || self.settings.is_stream() {
            return;
        }
        match link.lacks_dead_letter_exchange(self.settings).await {
            Ok(Some(true)) => tracing::warn!(
                source = self.name,
                queue = self.settings.queue,
                "a quorum queue without x-dead-letter-exchange: the broker drops what it has \
                 delivered too often. Give it one (a policy's is not seen here)"
            ),
            Ok(_) => {}
            Err(error) => tracing::debug!(source = self.name, %error, "dead-letter exchange"),
        }
    }

    async fn serve(&mut self, link: &mut Link) -> Result<Ended, String> {
        loop {
            self.ack().await?;
            self.offer();
            if self.wiring.gate.is_closed() {
                return Ok(Ended::Halted);
            }
            if self.wiring.shutdown.is_asked() {
                return Ok(Ended::Shutdown);
            }
            self.answer_orders();
            self.show_blocked(link.connection.status().blocked());
            self.watch(link).await?;
            let why = self.pressure();
            let Some(mut consumer) = link.consumer.take() else {
                if !self.resume(link, why).await? {
                    self.alive(link)?;
                    tokio::time::sleep(PAUSED_TICK).await;
                }
                continue;
            };
            match why {
                Some(why) => self.pause(link, consumer, why).await?,
                None => {
                    let taken = self.take_some(&mut consumer).await;
                    link.consumer = Some(consumer);
                    taken?;
                }
            }
        }
    }

    /// Waits for the next delivery, and takes what has come with it.
    async fn take_some(&mut self, consumer: &mut Consumer) -> Result<(), String> {
        if !self.deliveries.is_empty() {
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
                self.take(delivery, Some(consumer)).await?;
                while !self.deliveries.is_full() {
                    let Some(delivery) = consumer.next().now_or_never() else { break };
                    self.take(delivery, Some(consumer)).await?;
                }
                Ok(())
            }
        }
    }

    /// The broker's cancel is a `None`, a lost channel an error: both end the session. With the
    /// first redelivery of the connection all that follow it are taken.
    pub(super) async fn take(
        &mut self,
        delivery: Option<lapin::Result<Delivery>>,
        consumer: Option<&mut Consumer>,
    ) -> Result<(), String> {
        let delivery = delivered(delivery)?;
        self.taken += 1;
        if !delivery.redelivered || self.had_run || self.settings.is_stream() {
            return self.push(delivery);
        }
        self.had_run = true;
        let (bytes, acker) = (delivery.data.len(), delivery.acker.clone());
        self.deliveries.begin_run(self.item(delivery), bytes, acker);
        let Some(consumer) = consumer else { return Ok(()) };
        for _ in 1..self.settings.prefetch {
            let next = tokio::time::timeout(RUN_PAUSE, consumer.next()).await;
            // The broker sends a run in one go: a pause is its end.
            let Ok(next) = next else { break };
            let next = delivered(next)?;
            let again = next.redelivered;
            self.push(next)?;
            if !again {
                break;
            }
        }
        self.deliveries.end_run();
        Ok(())
    }

    /// Whether everything that was delivered is acked.
    pub(super) fn has_no_more(&self) -> bool {
        self.given.is_empty() && self.deliveries.is_empty()
    }

    fn item(&self, delivery: Delivery) -> crate::source::Item {
        let connection = self.numbering.connection;
        let came = Redelivery { connection, again: delivery.redelivered };
        item(self.stream, came, delivery)
    }

    fn push(&mut self, delivery: Delivery) -> Result<(), String> {
        match (stream_offset(&delivery), self.settings.is_stream()) {
            (None, false) => {
                let (bytes, acker) = (delivery.data.len(), delivery.acker.clone());
                self.deliveries.push(self.item(delivery), bytes, acker);
                Ok(())
            }
            (Some(offset), true) => {
                self.push_of_stream(offset, delivery);
                Ok(())
            }
            (Some(_), false) => Err("the queue is a stream: set `stream = true`".into()),
            (None, true) => Err("the queue is no stream: leave `stream` out".into()),
        }
    }

    /// Of a stream, after what came before it was dealt with.
    pub(super) fn keep(&mut self, item: crate::source::Item, bytes: usize, acker: Acker) {
        self.deliveries.push(item, bytes, acker);
    }

    fn offer(&mut self) {
        while let Some(mut taken) = self.deliveries.pop() {
            let (count, last) = (taken.items.len() as u64, taken.last_time());
            let next = taken.items.last().and_then(super::streams::next_of);
            let number = self.numbering.batch + 1;
            let items = std::mem::take(&mut taken.items);
            match self.wiring.outlet.offer(Batch { number, items }) {
                Ok(()) => {
                    self.numbering.batch = number;
                    self.numbering.next = next.or(self.numbering.next);
                    self.received.inc_by(count);
                    self.status.received(count, last);
                    self.given.push_back((number, taken.acker));
                    self.refused_since = None;
                }
                Err(batch) => {
                    taken.items = batch.items;
                    self.deliveries.give_back(taken);
                    self.refused_since.get_or_insert_with(Instant::now);
                    return;
                }
            }
        }
    }

    /// Acks the last delivery of the newest durable batch, and with it all before it.
    async fn ack(&mut self) -> Result<(), String> {
        let watermark = self.wiring.watermark.get();
        let mut durable = None;
        while self.given.front().is_some_and(|(number, _)| *number <= watermark) {
            durable = self.given.pop_front();
        }
        let Some((_, acker)) = durable else { return Ok(()) };
        // `Ok(false)`: its channel is gone, and the broker will deliver again.
        let acked = acker.ack(BasicAckOptions { multiple: true }).await;
        acked.map(|_| ()).map_err(|error| error.to_string())
    }

    /// No more deliveries; acks for what becomes durable. What was not given out goes back to
    /// the queue with the connection.
    async fn drain(&mut self, link: &Link) {
        self.deliveries.clear();
        let deadline = Instant::now() + self.wiring.drain_timeout;
        if let Some(consumer) = &link.consumer {
            let cancelling =
                link.channel.basic_cancel(consumer.tag(), BasicCancelOptions::default());
            if let Ok(Err(error)) = tokio::time::timeout(CLOSE_TIMEOUT, cancelling).await {
                tracing::debug!(source = self.name, %error, "cancel");
            }
        }
        while !self.given.is_empty() && Instant::now() < deadline {
            // Read before the ack: it may rise for the last time just before it ends.
            let ended = self.wiring.watermark.is_ended();
            if let Err(error) = self.ack().await {
                tracing::warn!(
                    source = self.name,
                    error,
                    "the last ack failed; the broker will deliver again"
                );
                return;
            }
            if ended {
                break;
            }
            tokio::time::sleep(TICK).await;
        }
        if !self.given.is_empty() {
            tracing::warn!(
                source = self.name,
                "stopped before everything read was durable; the rest will be delivered again"
            );
        }
    }
}

fn delivered(delivery: Option<lapin::Result<Delivery>>) -> Result<Delivery, String> {
    match delivery {
        Some(Ok(delivery)) => Ok(delivery),
        Some(Err(error)) => Err(error.to_string()),
        None => Err("the broker cancelled the consumer".into()),
    }
}
