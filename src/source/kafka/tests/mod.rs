//! The consuming thread alone, turn by turn: what the discovery thread would tell it, a test
//! tells, and messages come from librdkafka's own broker.

mod asking;
mod cuts;
mod gone;
mod headers;
mod ids;
mod mended;
mod paused;
mod state;
mod stuck;
mod unfound;
mod voided;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender};
use rdkafka::ClientConfig;
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::types::RDKafkaErrorCode;
use uuid::Uuid;

use super::client::new_consumer;
use super::commit::Commits;
use super::consume::Consume;
use super::discovery::{Finding, Found};
use super::partitions::Partition;
use super::place::{Gap, Present};
use super::probe::{Answer, Between, Question, Unanswered};
use super::{Claims, KafkaSource};
use crate::metrics::Metrics;
use crate::position::{Mark, Offset, Position, Stream};
use crate::shutdown::Shutdown;
use crate::source::embedded::{EmbeddedBroker, EmbeddedSettings};
use crate::source::status::{Kind, StreamReport};
use crate::source::{
    Batch, GapPolicy, Gate, Item, Order, Outlet, Pressure, Status, Watermark, What, Wiring,
};

const LIMIT: Duration = Duration::from_secs(60);
const CLUSTER: &str = "a cluster";
const ID: Uuid = Uuid::from_u128(1);
const OTHER_ID: Uuid = Uuid::from_u128(2);

/// Takes everything, and makes it durable at once or not at all.
struct Kept {
    items: Mutex<Vec<(u64, Item)>>,
    /// Which batches became durable.
    durable: Mutex<BTreeSet<u64>>,
    at_once: AtomicBool,
    pressure: Mutex<Option<Pressure>>,
    watermark: Watermark,
    gate: Gate,
}

impl Outlet for Kept {
    fn offer(&self, batch: Batch) -> Result<(), Batch> {
        if self.at_once.load(Ordering::Relaxed) && !self.gate.refuses(batch.number) {
            self.durable.lock().unwrap().insert(batch.number);
            self.watermark.raise(batch.number);
        }
        let numbered = batch.items.into_iter().map(|item| (batch.number, item));
        self.items.lock().unwrap().extend(numbered);
        Ok(())
    }

    fn pressure(&self) -> Option<Pressure> {
        *self.pressure.lock().unwrap()
    }

    fn durable(&self, stream: &Stream) -> Option<Offset> {
        let (items, durable) = (self.items.lock().unwrap(), self.durable.lock().unwrap());
        let mut of_stream = items.iter().filter(|(_, item)| *item.position.stream == *stream);
        let (_, last) = of_stream.rfind(|(number, _)| durable.contains(number))?;
        Some(next_of(&last.position))
    }
}

fn next_of(position: &Position) -> Offset {
    match &position.mark {
        Mark::Next(next) => *next,
        Mark::Fingerprint(_) => panic!("a partition's position has an offset: {position}"),
    }
}

struct World {
    /// Dropped before its broker.
    consume: Consume,
    broker: EmbeddedBroker,
    /// What the discovery thread tells.
    tell: Option<Sender<Finding>>,
    /// What it is asked.
    asked: Receiver<Question>,
    kept: Arc<Kept>,
    orders: Sender<Order>,
    claims: Claims,
}

impl World {
    /// Nothing of it is found yet.
    fn new(partitions: u16) -> World {
        let settings = EmbeddedSettings { partitions, ..EmbeddedSettings::default() };
        let broker = EmbeddedBroker::start(&settings).unwrap();
        let mut settings = broker.source_settings("group");
        settings.gap = GapPolicy::Halt;
        let (watermark, gate) = (Watermark::default(), Gate::default());
        let kept = Arc::new(Kept {
            items: Mutex::default(),
            durable: Mutex::default(),
            at_once: AtomicBool::new(true),
            pressure: Mutex::default(),
            watermark: watermark.clone(),
            gate: gate.clone(),
        });
        let (orders, taken) = crossbeam_channel::bounded(4);
        let wiring = Wiring {
            outlet: kept.clone(),
            watermark,
            gate,
            orders: taken,
            status: Status::new("test", Kind::Kafka),
            metrics: Metrics::new(),
            shutdown: Shutdown::new(),
            drain_timeout: Duration::from_secs(1),
        };
        let commits = Commits::start("test", &new_consumer(&settings).unwrap()).unwrap();
        let (tell, findings) = crossbeam_channel::bounded(16);
        let (questions, asked) = crossbeam_channel::bounded(16);
        let claims = Claims::default();
        let (positions, claimed) = (Vec::new(), claims.clone());
        let name = "test".to_owned();
        let (identify, embedded) = (false, None);
        let consumer = new_consumer(&settings).unwrap();
        let source = KafkaSource { name, settings, positions, identify, embedded, claims: claimed };
        let consume = Consume::new(source, wiring, consumer, findings, questions, commits);
        World { consume, broker, tell: Some(tell), asked, kept, orders, claims }
    }

    /// With so many messages in each partition, all of them taken.
    fn having_read(partitions: u16, messages: u32) -> World {
        let mut world = World::new(partitions);
        for partition in 0..partitions.into() {
            world.publish(partition, 0..messages);
            world.found(CLUSTER, ID, partition, messages.into());
        }
        let count = usize::from(partitions) * messages as usize;
        world.turn_until("the messages", |world| world.values().len() == count);
        world
    }

    fn publish(&self, partition: i32, values: std::ops::Range<u32>) {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", self.broker.bootstrap());
        let producer: BaseProducer = config.create().unwrap();
        for value in values.map(|value| value.to_string()) {
            let record = BaseRecord::<(), String>::to(self.broker.topic()).partition(partition);
            producer.send(record.payload(&value)).map_err(|(error, _)| error).unwrap();
        }
        producer.flush(LIMIT).unwrap();
    }

    fn tell(&self, finding: Finding) {
        self.tell.as_ref().unwrap().send(finding).unwrap();
    }

    /// The discovery thread finds the partition, with a log from 0 to `high`.
    fn found(&self, cluster: &str, id: impl Into<Option<Uuid>>, partition: i32, high: u64) {
        let present = Present {
            cluster: cluster.into(),
            topic: self.broker.topic().into(),
            topic_id: id.into(),
            partition,
            low: 0,
            high,
        };
        self.tell(Finding::Partitions(vec![Found { present, start: Offset(0) }]));
    }

    /// What the discovery thread answers about the partition where it stands.
    fn answer(&self, partition: i32, high: u64, between: Between) -> Answer {
        let found = self.partition(partition);
        let question = Question {
            topic: found.topic().into(),
            partition,
            next: found.next,
            epoch: found.epoch(),
            suspect: true,
            ends_only: false,
        };
        Answer { question, low: 0, high, between }
    }

    fn turn_until(&mut self, what: &str, done: impl Fn(&World) -> bool) {
        let deadline = Instant::now() + LIMIT;
        while !done(self) {
            assert!(Instant::now() < deadline, "waited in vain: {what}");
            self.consume.turn();
        }
    }

    fn partition(&self, partition: i32) -> &Partition {
        let index = self.consume.partitions.find(self.broker.topic(), partition).unwrap();
        &self.consume.partitions[index]
    }

    fn partition_mut(&mut self, partition: i32) -> &mut Partition {
        let index = self.consume.partitions.find(self.broker.topic(), partition).unwrap();
        &mut self.consume.partitions[index]
    }

    fn gap(&self, partition: i32) -> Option<Gap> {
        self.partition(partition).halt.as_ref().map(|halt| halt.gap.clone())
    }

    /// Says that the gap is accepted, and gives what was answered.
    fn accept(&mut self) -> Vec<String> {
        let (answer, answered) = crossbeam_channel::bounded(1);
        self.orders.send(Order::AcceptGap { topic: None, partition: None, answer }).unwrap();
        self.turn_until("an answer", |_| !answered.is_empty());
        answered.recv().unwrap().unwrap()
    }

    /// Likewise, of one partition, which is looked at once more before: what is seen then.
    fn accept_seeing(&mut self, high: u64, between: KafkaResult<Between>) -> String {
        while self.asked.try_recv().is_ok() {}
        self.partition_mut(0).asked = false;
        let (answer, answered) = crossbeam_channel::bounded(1);
        let topic = Some(self.broker.topic().to_owned());
        self.orders.send(Order::AcceptGap { topic, partition: Some(0), answer }).unwrap();
        self.turn_until("the question", |world| !world.asked.is_empty());
        assert!(answered.is_empty(), "nobody has looked");
        let question = self.asked.recv().unwrap();
        assert!(question.suspect && !question.ends_only, "{question:?}");
        let finding = match between {
            Ok(between) => Finding::Looked(Answer { question, low: 0, high, between }),
            Err(error) => {
                Finding::NotLooked(Box::new(Unanswered { question, high: Some(high), error }))
            }
        };
        self.tell(finding);
        self.turn_until("an answer", |_| !answered.is_empty());
        answered.recv().unwrap().unwrap().remove(0)
    }

    fn items(&self) -> Vec<(u64, Item)> {
        self.kept.items.lock().unwrap().clone()
    }

    /// Partition and value of every message given out.
    fn values(&self) -> Vec<(i32, u32)> {
        let message = |(_, item): (u64, Item)| match item.what {
            What::Message(delivery) => {
                let value = String::from_utf8(delivery.value.unwrap().to_vec()).unwrap();
                Some((item.position.stream.partition().unwrap(), value.parse().unwrap()))
            }
            What::Moved { .. } | What::Start { .. } => None,
        };
        self.items().into_iter().filter_map(message).collect()
    }

    fn streams(&self) -> Vec<StreamReport> {
        self.consume.wiring.status.report().streams
    }

    /// Closes the gate, and opens it again once the source has noticed.
    fn halt_and_go_on(&mut self) {
        self.kept.gate.close("a bad message");
        self.turn_until("the halt", |world| world.consume.held.is_some());
        self.kept.gate.release();
        self.turn_until("the release", |world| world.consume.held.is_none());
    }

    /// How often the client was given up for a new one.
    fn rebuilds(&self) -> u64 {
        self.consume.wiring.metrics.source.rebuilds.with_label_values(&["test"]).get()
    }

    /// Presses until it is paused, or presses no more.
    fn set_paused(&mut self, paused: bool) {
        *self.kept.pressure.lock().unwrap() = paused.then_some(Pressure::ApplierBehind);
        self.turn_until("pause or resume", |world| world.consume.intake.paused == paused);
    }

    fn set_durable(&self, at_once: bool) {
        self.kept.at_once.store(at_once, Ordering::Relaxed);
    }
}

fn of_partition(partition: i32, values: std::ops::Range<u32>) -> Vec<(i32, u32)> {
    values.map(|value| (partition, value)).collect()
}
