//! One connection: from connecting to its end.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::{FutureExt, StreamExt};

use lapin::message::Delivery;
use lapin::options::{
    BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicQosOptions, QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Acker, Channel, Connection, ConnectionProperties, Consumer};
use prometheus::IntCounter;

use super::delivery::item;
use super::settings::Declare;
use super::{AmqpSettings, AmqpSource};
use crate::position::{Stream, UnixMillis};
use crate::source::status::{State, StreamStatus};
use crate::source::{Batch, Item, Pressure, What, Wiring};

/// A broker that accepts a connection and then says nothing.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// Between two looks at the watermark, and two offers of a batch that found no room.
const TICK: Duration = Duration::from_millis(1);
/// How long the next of a run of redeliveries is waited for.
const RUN_PAUSE: Duration = Duration::from_millis(250);
/// The broker's patience with a delivery that is not acked is 30 minutes by default.
const BLOCKED_MAX: Duration = Duration::from_secs(60);

/// Batch numbers go on over all sessions: a batch that was not taken gives its number back.
#[derive(Default)]
pub struct Numbering {
    batch: u64,
    /// Sessions so far: redeliveries of two of them are told apart.
    connection: u64,
}

impl Numbering {
    pub fn last(&self) -> u64 {
        self.batch
    }
}

pub enum Ended {
    Shutdown,
    /// There was no room for too long.
    Blocked,
    Lost {
        error: String,
        /// Whether anything was consumed: if not, the next attempt waits longer.
        had_run: bool,
    },
}

pub struct Session<'a> {
    name: &'a str,
    settings: &'a AmqpSettings,
    wiring: &'a Wiring,
    stream: &'a Arc<Stream>,
    numbering: &'a mut Numbering,
    status: Arc<StreamStatus>,
    received: IntCounter,
    /// Taken by the outlet and not acked yet, oldest first: the batch's last delivery. They
    /// belong to this connection's channel; the next one knows nothing of them.
    given: VecDeque<(u64, Acker)>,
    items: Vec<Item>,
    items_bytes: usize,
    last_acker: Option<Acker>,
    blocked_since: Option<Instant>,
}

struct Link {
    connection: Connection,
    channel: Channel,
    consumer: Consumer,
}

impl<'a> Session<'a> {
    pub fn new(
        source: &'a AmqpSource,
        wiring: &'a Wiring,
        stream: &'a Arc<Stream>,
        numbering: &'a mut Numbering,
    ) -> Self {
        let labels = [source.name.as_str(), stream.name(), "-"];
        numbering.connection += 1;
        Session {
            name: &source.name,
            settings: &source.settings,
            wiring,
            stream,
            numbering,
            status: wiring.status.stream(stream),
            received: wiring.metrics.source.received.with_label_values(&labels),
            given: VecDeque::new(),
            items: Vec::new(),
            items_bytes: 0,
            last_acker: None,
            blocked_since: None,
        }
    }

    /// `attempt` chooses the node.
    pub async fn run(&mut self, attempt: u32) -> Ended {
        let connecting = tokio::time::timeout(CONNECT_TIMEOUT, self.connect(attempt));
        let connected = tokio::select! {
            () = self.wiring.shutdown.asked() => return Ended::Shutdown,
            connected = connecting => connected,
        };
        let mut link = match connected {
            Ok(Ok(link)) => link,
            Ok(Err(error)) => return Ended::Lost { error: error.to_string(), had_run: false },
            Err(_) => {
                let error = format!("no answer within {CONNECT_TIMEOUT:?}");
                return Ended::Lost { error, had_run: false };
            }
        };
        if matches!(self.wiring.status.state(), State::Reconnecting { .. }) {
            self.wiring.metrics.source.reconnects.with_label_values(&[self.name]).inc();
        }
        tracing::info!(source = self.name, queue = self.settings.queue, "consuming");
        self.wiring.status.set_state(State::Running);
        let ended = match self.consume(&mut link.consumer).await {
            Ok(ended) => ended,
            Err(error) => Ended::Lost { error, had_run: true },
        };
        self.set_blocked(false);
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

    async fn connect(&self, attempt: u32) -> Result<Link, lapin::Error> {
        let addresses = self.settings.addresses().unwrap_or_default();
        let node = attempt as usize % addresses.len().max(1);
        let Some(address) = addresses.into_iter().nth(node) else {
            return Err(
                lapin::ErrorKind::InvalidConnectionState(lapin::ConnectionState::Initial).into()
            );
        };
        let properties = ConnectionProperties::default()
            .with_connection_name(format!("pointd source {}", self.name).into());
        let connection = Connection::connect_uri(address, properties).await?;
        let channel = connection.create_channel().await?;
        self.declare(&channel).await?;
        channel.basic_qos(self.settings.prefetch, BasicQosOptions::default()).await?;
        let consumer = channel
            .basic_consume(
                self.settings.queue.as_str().into(),
                "".into(),
                BasicConsumeOptions::default(),
                FieldTable::default(),
            )
            .await?;
        Ok(Link { connection, channel, consumer })
    }

    async fn declare(&self, channel: &Channel) -> Result<(), lapin::Error> {
        let mut arguments = FieldTable::default();
        let passive = self.settings.declare == Declare::Passive;
        if self.settings.declare == Declare::Quorum {
            arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
        }
        let options =
            QueueDeclareOptions { passive, durable: !passive, ..QueueDeclareOptions::default() };
        channel.queue_declare(self.settings.queue.as_str().into(), options, arguments).await?;
        Ok(())
    }

    async fn consume(&mut self, consumer: &mut Consumer) -> Result<Ended, String> {
        self.take_run(consumer).await?;
        loop {
            self.ack().await?;
            self.offer();
            if self.wiring.shutdown.is_asked() {
                return Ok(Ended::Shutdown);
            }
            if !self.items.is_empty() {
                // No room: what is in flight is bounded by `prefetch`.
                if self.blocked_since.is_some_and(|since| since.elapsed() > BLOCKED_MAX) {
                    return Ok(Ended::Blocked);
                }
                tokio::time::sleep(TICK).await;
                continue;
            }
            tokio::select! {
                () = self.wiring.shutdown.asked() => return Ok(Ended::Shutdown),
                () = tokio::time::sleep(TICK), if !self.given.is_empty() => {}
                delivery = consumer.next() => {
                    self.take(delivery)?;
                    self.take_waiting(consumer)?;
                }
            }
        }
    }

    /// Takes what the broker delivers again after a lost connection as one batch, however many
    /// they are (`prefetch` at most): only the whole run can be compared with the log's end.
    async fn take_run(&mut self, consumer: &mut Consumer) -> Result<(), String> {
        while self.items.len() < usize::from(self.settings.prefetch) {
            let next = tokio::time::timeout(RUN_PAUSE, consumer.next()).await;
            // The broker sends a run in one go: a pause is its end.
            let Ok(delivery) = next else { break };
            self.take(delivery)?;
            let again = |item: &Item| match &item.what {
                What::Message(delivery) => delivery.redelivered.is_some(),
                What::Moved { .. } | What::Start { .. } => false,
            };
            if !self.items.last().is_some_and(again) {
                break;
            }
        }
        Ok(())
    }

    /// The broker's cancel is a `None`, a lost channel an error: both end the session.
    fn take(&mut self, delivery: Option<lapin::Result<Delivery>>) -> Result<(), String> {
        let delivery = match delivery {
            Some(Ok(delivery)) => delivery,
            Some(Err(error)) => return Err(error.to_string()),
            None => return Err("the broker cancelled the consumer".into()),
        };
        self.items_bytes += delivery.data.len();
        self.last_acker = Some(delivery.acker.clone());
        self.items.push(item(self.stream, self.numbering.connection, delivery));
        Ok(())
    }

    /// What has arrived already.
    fn take_waiting(&mut self, consumer: &mut Consumer) -> Result<(), String> {
        while self.items.len() < self.settings.batch_messages_max
            && self.items_bytes < self.settings.batch_bytes_max
        {
            match consumer.next().now_or_never() {
                Some(delivery) => self.take(delivery)?,
                None => break,
            }
        }
        Ok(())
    }

    fn offer(&mut self) {
        if self.items.is_empty() {
            return;
        }
        let items = std::mem::take(&mut self.items);
        let (count, last) = (items.len() as u64, last_time(&items));
        let number = self.numbering.batch + 1;
        match self.wiring.outlet.offer(Batch { number, items }) {
            Ok(()) => {
                self.numbering.batch = number;
                self.items_bytes = 0;
                self.received.inc_by(count);
                self.status.received(count, last);
                self.given.extend(self.last_acker.take().map(|acker| (number, acker)));
                self.set_blocked(false);
            }
            Err(batch) => {
                self.items = batch.items;
                self.set_blocked(true);
            }
        }
    }

    fn set_blocked(&mut self, blocked: bool) {
        if blocked == self.blocked_since.is_some() {
            return;
        }
        self.blocked_since = blocked.then(Instant::now);
        self.wiring.metrics.source.paused.with_label_values(&[self.name]).set(blocked.into());
        match blocked {
            true => {
                let why = self.wiring.outlet.pressure().unwrap_or(Pressure::QueueFull);
                self.wiring.status.pause(why);
            }
            false => self.wiring.status.set_state(State::Running),
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
        self.items.clear();
        let deadline = Instant::now() + self.wiring.drain_timeout;
        let cancelling =
            link.channel.basic_cancel(link.consumer.tag(), BasicCancelOptions::default());
        if let Ok(Err(error)) = tokio::time::timeout(CLOSE_TIMEOUT, cancelling).await {
            tracing::debug!(source = self.name, %error, "cancel");
        }
        while !self.given.is_empty() && Instant::now() < deadline {
            // Read before the ack: it may rise for the last time just before it ends.
            let ended = self.wiring.watermark.is_ended();
            if let Err(error) = self.ack().await {
                tracing::warn!(
                    source = self.name,
                    error,
                    "the last ack failed; \
                    the broker will deliver again"
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
                "stopped before everything read was durable; \
                the rest will be delivered again"
            );
        }
    }
}

fn last_time(items: &[Item]) -> UnixMillis {
    match items.last().map(|item| &item.what) {
        Some(What::Message(delivery)) => delivery.time,
        _ => UnixMillis::now(),
    }
}
