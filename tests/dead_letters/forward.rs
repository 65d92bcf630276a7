//! Letters are sent on, in order, whole, at least once: the target is away at first, and the
//! daemon is killed in between.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use lapin::options::{BasicAckOptions, BasicConsumeOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Connection, ConnectionProperties};
use rdkafka::admin::{AdminOptions, NewTopic, TopicReplication};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Header, Headers, Message, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use super::{command, kafka_source, letters};
use crate::brokers::kafka::Kafka;
use crate::brokers::rabbitmq::RabbitMq;
use crate::brokers::until;
use crate::harness::{PATIENCE, Pointd, Setup};

/// More than a few batches.
const COUNT: usize = 900;
const LONG: Duration = Duration::from_secs(180);

/// A letter as the target has it.
pub struct Sent {
    pub value: Vec<u8>,
    key: Option<Vec<u8>>,
    pub headers: BTreeMap<String, Vec<u8>>,
    pub time_unix_ms: u64,
}

/// Poison with a key and headers, of which one is not text.
fn poison(kafka: &Kafka, topic: &str) {
    let producer = kafka.producer();
    for at in 0..COUNT {
        let (key, value) = (format!("key {at}"), format!("poison {at}"));
        let header = |key, value| Header { key, value: Some(value) };
        let headers = OwnedHeaders::new()
            .insert(header("trace", &b"\xff\x00\x01"[..]))
            .insert(header("content-type", b"application/json"));
        let record = BaseRecord::to(topic).partition(0).key(&key).payload(&value).headers(headers);
        producer.send(record).map_err(|(error, _)| error).unwrap();
        producer.poll(Duration::ZERO);
    }
    producer.flush(PATIENCE).unwrap();
}

pub fn forwarding(pointd: &Pointd) -> serde_json::Value {
    pointd.get("/dead-letters?limit=1")["result"]["forwarding"].clone()
}

pub fn total(pointd: &Pointd) -> u64 {
    pointd.get("/dead-letters?limit=1")["result"]["total"].as_u64().unwrap()
}

/// The daemon meets a target that is away, is killed, meets it back, and is killed again.
fn through_it_all(setup: &Setup, target_is_back: impl FnOnce()) -> Pointd {
    let pointd = setup.start();
    pointd.wait_until("the letters", PATIENCE, |pointd| total(pointd) == COUNT as u64);
    // It is counted at each attempt, so the last ones show at the next.
    pointd.wait_until("the failure", LONG, |pointd| {
        let shown = forwarding(pointd);
        shown["state"] == "failing" && shown["pending"] == COUNT
    });
    let shown = forwarding(&pointd);
    assert_eq!(
        (shown["pending"].as_u64(), shown["cursor"].as_u64()),
        (Some(COUNT as u64), Some(0))
    );
    assert!(shown["error"].as_str().is_some_and(|error| !error.is_empty()), "{shown}");
    told(&pointd);
    pointd.kill_9();
    let pointd = setup.start();
    target_is_back();
    pointd.wait_until("the first", LONG, |pointd| forwarding(pointd)["cursor"] != 0);
    pointd.kill_9();
    let pointd = setup.start();
    pointd.wait_until("the last", LONG, |pointd| {
        let shown = forwarding(pointd);
        shown["pending"] == 0 && shown["state"] == "idle"
    });
    assert_eq!(pointd.metric("pointd_dead_letters_forward_pending"), Some(0.0));
    assert_eq!(pointd.metric("pointd_dead_letters_forward_failing"), Some(0.0));
    pointd
}

/// That forwarding fails is told where it belongs, and stops nothing else.
fn told(pointd: &Pointd) {
    assert!(forwarding(pointd)["failing_since"].as_u64().is_some_and(|since| since > 0));
    assert!(pointd.metric("pointd_dead_letters_forward_failures_total") >= Some(1.0));
    assert_eq!(pointd.metric("pointd_dead_letters_forward_failing"), Some(1.0));
    assert_eq!(pointd.get_status("/readyz"), Some(200));
    // It may have paused for a moment, behind so many.
    pointd.wait_until("the source to run", PATIENCE, |pointd| {
        pointd.get("/sources")["result"]["sources"][0]["state"] == "running"
    });
}

/// Each at least once; the first time each, in order; each whole.
fn assert_complete(sent: &[Sent]) {
    let mut next = 0;
    for letter in sent {
        let value = String::from_utf8(letter.value.clone()).unwrap();
        let at: usize = value.strip_prefix("poison ").unwrap().parse().unwrap();
        assert!(at <= next, "{at} came before {next}");
        next = next.max(at + 1);
        let header = |name: &str| {
            let value = letter.headers.get(name).unwrap_or_else(|| panic!("no {name}"));
            String::from_utf8_lossy(value).into_owned()
        };
        assert_eq!(letter.headers["trace"], b"\xff\x00\x01");
        assert_eq!(letter.key.as_deref(), Some(format!("key {at}").as_bytes()));
        assert_eq!(header("__connect.errors.partition"), "0");
        assert_eq!(header("__connect.errors.offset"), at.to_string());
        assert_eq!(header("__connect.errors.connector.name"), "s");
        assert_eq!(header("__connect.errors.stage"), "VALUE_CONVERTER");
        assert_eq!(header("__connect.errors.exception.class.name"), "pointd.not_json");
        assert!(header("__connect.errors.exception.message").contains("expected"));
        assert!(header("pointd.seq").parse::<u64>().unwrap() > at as u64);
    }
    assert_eq!(next, COUNT);
}

#[test]
fn letters_reach_a_kafka_topic() {
    let Some(kafka) = Kafka::shared("forwarding to Kafka") else { return };
    let mut target = Kafka::start("forwarding to Kafka").unwrap();
    kafka.create_topic("sick", 1);
    target.create_topic("dead", 1);
    let setup = Setup::new();
    let bootstrap = target.bootstrap();
    let configure = |properties: &str| {
        let target = format!(
            "[dead_letters.forward.kafka]\nbrokers = \"{bootstrap}\"\ntopic = \"dead\"\n\
             [dead_letters.forward.kafka.properties]\n{properties}"
        );
        setup.configure(&kafka_source(kafka, "sick", "", &target));
    };
    configure("\"message.timeout.ms\" = \"3000\"\n");
    poison(kafka, "sick");
    target.stop();
    let pointd = through_it_all(&setup, || target.restart());
    let sent = of_topic(&bootstrap, "dead");
    assert_complete(&sent);
    for letter in &sent {
        assert_eq!(letter.headers["__connect.errors.topic"], b"sick");
        assert_eq!(letter.headers["content-type"], b"application/json");
    }
    // They stay, and are not sent again at the next start.
    assert_eq!(total(&pointd), COUNT as u64);
    assert!(pointd.terminate().success());
    // From here on each is counted: a broker that is slow is no reason to send one twice.
    configure("");
    let pointd = setup.start();
    pointd.wait_until("nothing to do", PATIENCE, |pointd| forwarding(pointd)["state"] == "idle");
    kafka.publish("sick", 0, ["poison 900"]);
    pointd.wait_until("one more", PATIENCE, |pointd| {
        pointd.metric("pointd_dead_letters_forwarded_total") == Some(1.0)
    });
    assert_eq!(of_topic(&bootstrap, "dead").len(), sent.len() + 1);
}

pub fn of_topic(bootstrap: &str, topic: &str) -> Vec<Sent> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", bootstrap).set("group.id", "reader");
    let consumer: BaseConsumer = config.create().unwrap();
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, 0, Offset::Beginning).unwrap();
    consumer.assign(&list).unwrap();
    let (mut end, look) = (None, Duration::from_secs(5));
    until("the topic's end", PATIENCE, || {
        end = consumer.fetch_watermarks(topic, 0, look).ok();
        end.is_some()
    });
    let (end, mut sent, deadline) = (end.unwrap().1, Vec::new(), Instant::now() + LONG);
    while sent.len() < end as usize {
        assert!(Instant::now() < deadline, "{} of {end} letters were read", sent.len());
        let Some(Ok(message)) = consumer.poll(look) else { continue };
        let headers = message.headers().unwrap();
        let headers = headers.iter().map(|it| (it.key.to_owned(), it.value.unwrap().to_vec()));
        sent.push(Sent {
            value: message.payload().unwrap().to_vec(),
            key: message.key().map(<[u8]>::to_vec),
            headers: headers.collect(),
            time_unix_ms: message.timestamp().to_millis().unwrap() as u64,
        });
    }
    sent
}

/// The fourth of seven is larger than the topic takes. Nothing behind it is sent while it waits, and
/// nothing is sent twice on the way.
#[test]
fn a_letter_that_the_target_refuses_holds_up_those_behind_it_until_it_is_dropped() {
    let Some(kafka) = Kafka::shared("a letter that a topic refuses") else { return };
    kafka.create_topic("large", 1);
    let created = kafka.admin(async |admin| {
        let topic = NewTopic::new("narrow", 1, TopicReplication::Fixed(1));
        let topic = topic.set("max.message.bytes", "5000");
        admin.create_topics([&topic], &AdminOptions::new()).await
    });
    created.unwrap().remove(0).unwrap();
    let setup = Setup::new();
    let bootstrap = kafka.bootstrap();
    setup.configure(&kafka_source(
        kafka,
        "large",
        "",
        &format!(
            "[dead_letters.forward.kafka]\nbrokers = \"{bootstrap}\"\ntopic = \"narrow\"\n\
             [dead_letters.forward.kafka.properties]\n\"compression.type\" = \"none\"\n"
        ),
    ));
    let value = |at: usize| format!("poison {at}{}", " ".repeat(if at == 3 { 9000 } else { 0 }));
    kafka.publish("large", 0, (0..7).map(value));
    let pointd = setup.start();
    pointd.wait_until("the letters", PATIENCE, |pointd| total(pointd) == 7);
    let seqs: Vec<u64> =
        letters(&pointd).iter().map(|letter| letter["seq"].as_u64().unwrap()).collect();
    pointd.wait_until("the large one", LONG, |pointd| forwarding(pointd)["cursor"] == seqs[2]);
    let failures = |it: &Pointd| it.metric("pointd_dead_letters_forward_failures_total").unwrap();
    let before = failures(&pointd);
    pointd.wait_until("three more attempts", LONG, |it| failures(it) >= before + 3.0);
    let shown = forwarding(&pointd);
    let names = format!("dead letter {}:", seqs[3]);
    assert!(shown["error"].as_str().is_some_and(|error| error.contains(&names)), "{shown}");
    assert_eq!((&shown["cursor"], shown["pending"].as_u64()), (&seqs[2].into(), Some(4)));
    told(&pointd);
    let sent = || -> Vec<String> {
        let sent = of_topic(&bootstrap, "narrow").into_iter();
        sent.map(|letter| String::from_utf8(letter.value).unwrap()).collect()
    };
    assert_eq!(sent(), [value(0), value(1), value(2)]);
    let dropped = command(&pointd, &["drop", &seqs[3].to_string()]);
    assert!(dropped.well, "{}{}", dropped.out, dropped.error);
    pointd.wait_until("the rest", LONG, |pointd| forwarding(pointd)["state"] == "idle");
    assert_eq!(sent(), [0, 1, 2, 4, 5, 6].map(value));
    assert_eq!(pointd.metric("pointd_dead_letters_forward_failing"), Some(0.0));
    assert_eq!(pointd.metric("pointd_dead_letters_forward_skipped_total"), Some(1.0));
    assert_eq!(pointd.metric("pointd_dead_letters_forwarded_total"), Some(6.0));
}

/// Each stop meets a batch on its way, or nearly so.
#[test]
fn a_stop_in_between_has_no_letter_sent_twice() {
    let Some(kafka) = Kafka::shared("stops while letters are forwarded") else { return };
    kafka.create_topic("weak", 1);
    kafka.create_topic("once", 1);
    let setup = Setup::new();
    let bootstrap = kafka.bootstrap();
    let target =
        format!("[dead_letters.forward.kafka]\nbrokers = \"{bootstrap}\"\ntopic = \"once\"\n");
    setup.configure(&kafka_source(kafka, "weak", "", &target));
    const MANY: usize = 20_000;
    kafka.publish("weak", 0, (0..MANY).map(|at| format!("poison {at}")));
    let mut stops = 0;
    let pointd = loop {
        let pointd = setup.start();
        let forwarded = |pointd: &Pointd| {
            pointd.metric("pointd_dead_letters_forwarded_total").unwrap_or_default()
        };
        pointd.wait_until("some more, or all", LONG, |it| {
            let shown = forwarding(it);
            forwarded(it) > 0.0 || (total(it) == MANY as u64 && shown["state"] == "idle")
        });
        if stops == 4 {
            break pointd;
        }
        assert!(pointd.terminate().success());
        stops += 1;
    };
    pointd.wait_until("the last", LONG, |pointd| {
        let shown = forwarding(pointd);
        total(pointd) == MANY as u64 && shown["pending"] == 0 && shown["state"] == "idle"
    });
    let mut sent: Vec<Vec<u8>> =
        of_topic(&bootstrap, "once").into_iter().map(|letter| letter.value).collect();
    // A broker may be so slow that a stop does not wait for it, and says so.
    if pointd.log_text().contains("sent again after the next start") {
        let mut known = BTreeSet::new();
        sent.retain(|value| known.insert(value.clone()));
    }
    let expected: Vec<Vec<u8>> = (0..MANY).map(|at| format!("poison {at}").into_bytes()).collect();
    assert!(sent == expected, "{} were sent, {MANY} once each in order", sent.len());
}

#[test]
fn letters_reach_an_amqp_exchange_and_are_dropped_after_that() {
    let Some(kafka) = Kafka::shared("forwarding to RabbitMQ") else { return };
    let Some(mut target) = RabbitMq::start("forwarding to RabbitMQ") else { return };
    kafka.create_topic("ill", 1);
    let setup = Setup::new();
    setup.configure(&kafka_source(
        kafka,
        "ill",
        "",
        &format!(
            "[dead_letters.forward]\nthen = \"drop\"\nsources = [\"s\"]\n\
             [dead_letters.forward.amqp]\nurl = \"{}\"\nexchange = \"letters\"\n\
             routing_key = \"dead\"\n",
            target.url()
        ),
    ));
    target.declare_exchange("letters");
    poison(kafka, "ill");
    target.stop();
    let pointd = through_it_all(&setup, || {
        target.restart();
        // Without the queue nobody takes them: they wait, and that is said.
        let said = |text: &str| text.contains("no queue took it");
        let log = setup.dir.path().join("pointd.log");
        until("the return", LONG, || said(&std::fs::read_to_string(&log).unwrap_or_default()));
        target.declare("dead", false);
        target.bind("dead", "letters", "dead");
    });
    assert_eq!(letters(&pointd).len(), 0);
    assert_eq!(pointd.metric("pointd_dead_letters_forward_skipped_total"), Some(0.0));
    let sent = of_queue(&target, "dead");
    assert_complete(&sent);
    for letter in &sent {
        assert_eq!(letter.headers["x-pointd-reason"], b"not_json");
        assert_eq!(letter.headers["x-pointd-queue"], b"ill");
        assert_eq!(letter.headers["x-pointd-source"], b"s");
        assert_eq!(letter.headers["x-pointd-seq"], letter.headers["pointd.seq"]);
        assert_eq!(letter.headers["content-type"], b"application/json");
    }
    // A broker that is short of memory says so, and takes nothing until it no longer is.
    target.memory_alarm(true);
    kafka.publish("ill", 0, ["poison"]);
    pointd.wait_until("the failure", LONG, |it| {
        forwarding(it)["error"].as_str().is_some_and(|error| error.contains("blocks publishers"))
    });
    told(&pointd);
    target.memory_alarm(false);
    pointd.wait_until("its end", LONG, |it| total(it) == 0 && forwarding(it)["state"] == "idle");
    assert_eq!(target.ready("dead"), 1, "it waits where it was sent");
    // The connection goes while there is nothing to do.
    target.close_connections();
    kafka.publish("ill", 0, ["poison"]);
    pointd.wait_until("one more", LONG, |_| target.ready("dead") >= 2);
    assert!(pointd.terminate().success());
}

pub fn of_queue(rabbit: &RabbitMq, queue: &str) -> Vec<Sent> {
    let ready = rabbit.ready(queue);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let properties = ConnectionProperties::default();
        let connection = Connection::connect(&rabbit.url(), properties).await.unwrap();
        let channel = connection.create_channel().await.unwrap();
        let (options, table) = (BasicConsumeOptions::default(), FieldTable::default());
        let consuming = channel.basic_consume(queue.into(), "".into(), options, table);
        let mut consumer = consuming.await.unwrap();
        let mut sent = Vec::new();
        while sent.len() < ready as usize {
            let delivery = consumer.next().await.unwrap().unwrap();
            delivery.acker.ack(BasicAckOptions::default()).await.unwrap();
            let table = delivery.properties.headers().clone().unwrap();
            let mut headers: BTreeMap<String, Vec<u8>> = BTreeMap::new();
            for (name, value) in table.inner() {
                let AMQPValue::LongString(text) = value else { panic!("{name}: {value:?}") };
                headers.insert(name.to_string(), text.as_bytes().to_vec());
            }
            if let Some(kind) = delivery.properties.content_type() {
                headers.insert("content-type".into(), kind.as_str().as_bytes().to_vec());
            }
            assert_eq!(*delivery.properties.delivery_mode(), Some(2));
            let key = headers.get("x-pointd-key").cloned();
            let time_unix_ms = 1000 * delivery.properties.timestamp().unwrap();
            sent.push(Sent { value: delivery.data, key, headers, time_unix_ms });
        }
        connection.close(200, "done".into()).await.unwrap();
        sent
    })
}
