//! Apache Kafka, tormented.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use pointd::position::{Mark, Position};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::Headers;
use rdkafka::{Message, Offset, TopicPartitionList};

use super::publish::{Publisher, Text};
use super::{Daemon, Fault, PATIENCE, Repeats, ledger, meet};
use crate::brokers::kafka::Kafka;
use crate::brokers::proxy::Proxy;
use crate::brokers::until;
use crate::harness::pause_for;

const TOPIC: &str = "tormented";
const PARTITIONS: i32 = 3;
/// For one question to the broker.
const LOOK_LIMIT: Duration = Duration::from_secs(5);

struct World {
    kafka: Kafka,
    proxy: Proxy,
    daemon: Daemon,
    publisher: Publisher,
}

const FAULTS: &[Fault<World>] = &[
    ("kill -9 of the broker", |world| {
        world.kafka.kill_9();
        world.kafka.restart();
    }),
    ("an orderly restart of the broker", |world| {
        world.kafka.stop();
        world.kafka.restart();
    }),
    ("all connections closed", |world| world.proxy.cut()),
    ("no connection for a while", |world| {
        world.proxy.refuse(true);
        pause_for(Duration::from_millis(700));
        world.proxy.refuse(false);
    }),
    ("a half-open connection", |world| {
        world.proxy.stall(true);
        pause_for(Duration::from_secs(4));
        world.proxy.stall(false);
    }),
    ("half-open connections that are cut", |world| {
        world.proxy.stall(true);
        pause_for(Duration::from_millis(500));
        world.proxy.cut();
        world.proxy.stall(false);
    }),
    ("a slow line", |world| {
        world.proxy.throttle(20_000);
        pause_for(Duration::from_secs(1));
        world.proxy.throttle(0);
    }),
    ("more partitions", |world| {
        let partitions = world.publisher.control.partitions.load(Ordering::Relaxed) + 1;
        world.kafka.grow_topic(TOPIC, partitions as usize);
        world.publisher.control.partitions.store(partitions, Ordering::Relaxed);
    }),
    ("kill -9 of pointd", |world| world.daemon.kill_and_restart()),
    ("pointd frozen", |world| {
        world.daemon.pointd().freeze();
        pause_for(Duration::from_secs(1));
        world.daemon.pointd().thaw();
    }),
    ("offsets reset by an operator", |world| {
        let consumer: BaseConsumer =
            world.kafka.config().set("group.id", "tormented").create().unwrap();
        let mut list = TopicPartitionList::new();
        for partition in 0..PARTITIONS {
            list.add_partition_offset(TOPIC, partition, Offset::Offset(0)).unwrap();
        }
        // The coordinator is still being found, for one.
        until("the reset of the offsets", PATIENCE, || {
            consumer.commit(&list, rdkafka::consumer::CommitMode::Sync).is_ok()
        });
        world.daemon.kill_and_restart();
    }),
];

fn section(bootstrap: &str, repeats: Repeats) -> String {
    format!(
        "[[source]]\nname = \"s\"\ncollection = \"c\"\nmessage_id_window = {}\n[source.kafka]\n\
         brokers = \"{bootstrap}\"\ntopics = [\"{TOPIC}\"]\ngroup = \"tormented\"\n\
         commit_interval = \"100ms\"\nmetadata_interval = \"300ms\"\n\
         [source.kafka.properties]\n\"reconnect.backoff.max.ms\" = \"200\"\n\
         \"socket.timeout.ms\" = \"2000\"\n",
        repeats.window()
    )
}

/// Meets every fault, `rounds` times, and compares what was recorded and what is seen.
fn torment(rounds: usize, repeats: Repeats) {
    let proxy = Proxy::start(0);
    let Some(kafka) = Kafka::start_behind(&proxy, "faults of Apache Kafka") else { return };
    kafka.create_topic(TOPIC, PARTITIONS);
    let publisher = Publisher::kafka(&kafka, TOPIC, PARTITIONS, Text::Any);
    publisher.control.repeat_percent.store(repeats.percent(), Ordering::Relaxed);
    let daemon = Daemon::start(&section(&format!("127.0.0.1:{}", proxy.port()), repeats));
    let mut world = World { kafka, proxy, daemon, publisher };
    meet(&mut world, FAULTS, rounds, |world| &world.daemon);
    world.finish();
}

impl World {
    fn finish(mut self) {
        let count = self.publisher.stop();
        self.daemon.wait_for(count, "the end");
        let seen = ledger::seen(self.daemon.pointd());
        let letters = self.daemon.pointd().get("/dead-letters?limit=1")["result"]["total"].clone();
        self.daemon.kill();
        let published = published(&self.kafka, TOPIC);
        let records = ledger::records(&self.daemon.setup.data());
        let serials = ledger::serials(&records, |position| published[&place(position)]);
        ledger::assert_each_once(&serials, count);
        let model = ledger::replay(&serials);
        ledger::assert_same(&seen, &model.points);
        assert_eq!(letters.as_u64(), Some(model.refused));
        let (points, duplicates) = (seen.len(), ledger::duplicates(&records));
        eprintln!(
            "{count} messages, {points} points, {} dead letters, {duplicates} duplicates",
            model.refused
        );
    }
}

pub fn place(position: &Position) -> (i32, u64) {
    let Mark::Next(next) = &position.mark else { panic!("{position} has no offset") };
    (position.stream.partition().unwrap(), next.0 - 1)
}

/// The serial number of the message at each partition and offset, as the broker has it.
pub fn published(kafka: &Kafka, topic: &str) -> HashMap<(i32, u64), u64> {
    let mut config = kafka.config();
    config.set("group.id", "ledger").set("enable.partition.eof", "true");
    let consumer: BaseConsumer = config.create().unwrap();
    let (mut list, mut missing) = (TopicPartitionList::new(), HashSet::new());
    for (partition, (low, high)) in bounds(&consumer, topic) {
        list.add_partition_offset(topic, partition, Offset::Offset(low)).unwrap();
        if high > low {
            missing.insert(partition);
        }
    }
    consumer.assign(&list).unwrap();
    let (mut published, deadline) = (HashMap::new(), Instant::now() + PATIENCE);
    while !missing.is_empty() {
        assert!(Instant::now() < deadline, "{missing:?} unread");
        let message = match consumer.poll(LOOK_LIMIT) {
            Some(Ok(message)) => message,
            // Transaction markers may be all that is left.
            Some(Err(KafkaError::PartitionEOF(partition))) => {
                missing.remove(&partition);
                continue;
            }
            // A broker that has just been started may not answer at first.
            Some(Err(error)) => {
                eprintln!("{error}");
                continue;
            }
            None => continue,
        };
        let id = message.headers().unwrap().get(0).value.unwrap();
        let serial = std::str::from_utf8(id).unwrap().parse().unwrap();
        let (partition, offset) = (message.partition(), message.offset());
        published.insert((partition, offset as u64), serial);
    }
    published
}

/// The first offset of each partition, and the one after its last.
fn bounds(consumer: &BaseConsumer, topic: &str) -> Vec<(i32, (i64, i64))> {
    let mut bounds = Vec::new();
    until("the topic's bounds", PATIENCE, || {
        let Ok(metadata) = consumer.fetch_metadata(Some(topic), LOOK_LIMIT) else { return false };
        let partitions = metadata.topics()[0].partitions().iter().map(|partition| partition.id());
        let bounds_of =
            |id| consumer.fetch_watermarks(topic, id, LOOK_LIMIT).map(|found| (id, found));
        let found: KafkaResult<_> = partitions.map(bounds_of).collect();
        bounds = found.unwrap_or_default();
        !bounds.is_empty()
    });
    bounds
}

#[test]
fn no_fault_of_kafka_loses_or_repeats_a_message() {
    torment(1, Repeats::Window);
}

#[test]
fn no_fault_of_kafka_loses_or_repeats_a_message_that_has_an_offset_alone() {
    torment(1, Repeats::Never);
}

#[test]
#[ignore = "twenty times each fault: make soak"]
fn soak_faults_of_kafka() {
    torment(20, Repeats::Window);
}
