//! One connection: from connecting to its end.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lapin::Acker;
use lapin::options::{BasicAckOptions, BasicCancelOptions};
use prometheus::IntCounter;

use super::deliveries::Deliveries;
use super::link::{CONNECT_TIMEOUT, Link};
use super::stream_end::EndWatch;
use super::streams::Jump;
use super::take::Run;
use super::watch::{Others, Watch, lost};
use super::{AmqpSettings, AmqpSource};
use crate::position::{Offset, Stream};
use crate::source::status::{State, StreamStatus};
use crate::source::{Batch, Wiring};

const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// Between two looks at the watermark, and two offers of a batch that found no room.
pub(super) const TICK: Duration = Duration::from_millis(1);
/// Likewise while nothing is consumed.
pub(super) const PAUSED_TICK: Duration = Duration::from_millis(20);
/// A session that consumed for so long had a connection that was well.
const WELL_AFTER: Duration = Duration::from_secs(60);

/// What goes on over all sessions.
#[derive(Default)]
pub struct Numbering {
    /// Of the last batch; one that was not taken gives its number back.
    pub batch: u64,
    /// Sessions so far: redeliveries of two of them are told apart.
    pub(super) connection: u64,
    /// Of a stream: what follows the last delivery that was given out.
    pub next: Option<Offset>,
    /// Of a stream: a gap that nobody has decided about.
    pub(super) gap: Option<super::streams::StreamGap>,
    /// A gap that an operator has accepted, until that is in the log.
    pub(super) accepted: Option<super::streams::Accepted>,
    /// Why it is of no use to consume.
    pub(super) unfit: Option<&'static str>,
    pub(super) others: Others,
    /// Whether the queue was looked at for a dead-letter exchange.
    asked: bool,
    /// What the connection was lost for last, and since when, until one is well again.
    pub(super) lost: Option<(String, crate::position::UnixMillis)>,
}

pub enum Ended {
    Shutdown,
    /// A message may not be passed: nothing that follows is acked.
    Halted,
    Lost {
        error: String,
        /// Whether something was acked, or consumed for a while: if not, the next attempt waits longer.
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
    /// Of a stream: what the next delivery's offset is, unless there is a hole.
    pub(super) expected: Option<Offset>,
    /// Of a stream: a hole that nobody has looked at yet.
    pub(super) jump: Option<Jump>,
    /// What ends the session when everything taken is given out.
    pub(super) ending: Option<String>,
    /// Of a stream that was never read: its first delivery says where it begins.
    pub(super) begins: bool,
    /// Whether the connection's run of redeliveries has come.
    pub(super) had_run: bool,
    pub(super) run: Option<Run>,
    /// Whether the queue may be a stream that is not called one.
    pub(super) doubt: bool,
    has_acked: bool,
    pub(super) consuming_since: Option<Instant>,
    /// When the consumer at hand was made, and the deliveries of this session by then.
    pub(super) resumed: Option<(Instant, u64)>,
    pub(super) refused_since: Option<Instant>,
    /// Deliveries of this session.
    pub(super) taken: u64,
    pub(super) watch: Watch,
    /// Of a stream.
    pub(super) end_watch: EndWatch,
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
        numbering.others.connected();
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
            jump: None,
            ending: None,
            begins: false,
            had_run: false,
            run: None,
            doubt: false,
            has_acked: false,
            consuming_since: None,
            resumed: None,
            refused_since: None,
            taken: 0,
            watch: Watch::new(),
            end_watch: EndWatch::new(),
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
        let shutdown = self.wiring.shutdown.clone();
        tokio::select! {
            () = shutdown.asked() => {}
            () = self.warn_of_limit(&link) => {}
        }
        let lost = lost(link.connection.status().clone(), link.channel.status().clone());
        let served = tokio::select! {
            served = self.serve(&mut link) => served,
            () = lost => Err("the connection or its channel was lost without a word".into()),
        };
        let ended = match served {
            Ok(ended) => ended,
            Err(error) => Ended::Lost { error, had_run: self.was_well() },
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

    fn was_well(&self) -> bool {
        self.has_acked || self.consuming_since.is_some_and(|since| since.elapsed() > WELL_AFTER)
    }

    /// Once: from RabbitMQ 4.0 on a quorum queue drops what was delivered twenty times.
    async fn warn_of_limit(&mut self, link: &Link) {
        if std::mem::replace(&mut self.numbering.asked, true) || self.settings.is_stream() {
            return;
        }
        let asking = link.lacks_dead_letter_exchange(self.settings);
        let Ok(lacks) = tokio::time::timeout(CONNECT_TIMEOUT, asking).await else { return };
        match lacks {
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
            self.answer_accepted();
            self.settle_doubt(link).await?;
            self.settle_jump(link).await?;
            self.end_run_in_time(link).await?;
            self.offer();
            if self.deliveries.is_empty()
                && let Some(error) = self.ending.take()
            {
                return Err(error);
            }
            if self.wiring.gate.is_closed() {
                return Ok(Ended::Halted);
            }
            if self.wiring.shutdown.is_asked() {
                return Ok(Ended::Shutdown);
            }
            self.answer_orders();
            self.show_blocked(link.connection.status().blocked());
            self.watch(link).await?;
            // A run that is cut short is not recognised, and it is bounded.
            let why = self.pressure().filter(|_| self.run.is_none() && !self.awaits_the_first());
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
                    if let Some(next) = next {
                        self.status.set_received(next);
                        self.passed(next);
                    }
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
        let acking = acker.ack(BasicAckOptions { multiple: true });
        let acked = tokio::time::timeout(CONNECT_TIMEOUT, acking).await;
        let acked = acked.map_err(|_| "an ack could not be sent")?;
        self.has_acked |= acked.map_err(|error| error.to_string())?;
        Ok(())
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
            let left = deadline.saturating_duration_since(Instant::now());
            let acked = tokio::time::timeout(left, self.ack()).await;
            if let Err(error) = acked.unwrap_or_else(|_| Err("no time was left for it".into())) {
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
