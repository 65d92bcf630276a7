//! Letters that a target would refuse for ever, or lose a part of, if they were sent as they came.

use std::time::Duration;

use rdkafka::admin::{AdminOptions, NewTopic, TopicReplication};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer};

use super::forward::{of_queue, of_topic, total};
use super::{kafka_source, letters};
use crate::brokers::kafka::Kafka;
use crate::brokers::rabbitmq::RabbitMq;
use crate::harness::{PATIENCE, Setup};

const HOUR_MILLIS: u64 = 3_600_000;

/// One that takes records up to so far ahead of the broker's clock.
fn create_topic(kafka: &Kafka, topic: &str, ahead_millis_max: u64) {
    let created = kafka.admin(async |admin| {
        let topic = NewTopic::new(topic, 1, TopicReplication::Fixed(1));
        let ahead = ahead_millis_max.to_string();
        let topic = topic.set("message.timestamp.after.max.ms", &ahead);
        admin.create_topics([&topic], &AdminOptions::new()).await
    });
    created.unwrap().remove(0).unwrap();
}

/// The second of three lies ahead: of a publisher whose clock or unit is another.
#[test]
fn a_letter_of_a_time_to_come_holds_nothing_up() {
    let Some(kafka) = Kafka::shared("forwarding of a letter of a time to come") else { return };
    create_topic(kafka, "prophet", i64::MAX as u64);
    create_topic(kafka, "sober", HOUR_MILLIS);
    let setup = Setup::new();
    let bootstrap = kafka.bootstrap();
    let target =
        format!("[dead_letters.forward.kafka]\nbrokers = \"{bootstrap}\"\ntopic = \"sober\"\n");
    setup.configure(&kafka_source(kafka, "prophet", "", &target));
    let year_2100 = 4_102_444_800_000;
    let times = [1_600_000_000_000, year_2100, 1_600_000_000_001];
    let producer = kafka.producer();
    for time in times {
        let record = BaseRecord::<(), str>::to("prophet").partition(0).payload("poison");
        producer.send(record.timestamp(time as i64)).map_err(|(error, _)| error).unwrap();
    }
    producer.flush(PATIENCE).unwrap();
    let pointd = setup.start();
    pointd.wait_until("the letters", PATIENCE, |it| {
        it.metric("pointd_dead_letters_forwarded_total") == Some(3.0)
    });
    let sent = of_topic(&bootstrap, "sober");
    let time = |at: usize| (sent[at].time_unix_ms, sent[at].headers.get("pointd.time"));
    assert_eq!(sent.len(), 3);
    assert_eq!((time(0), time(2)), ((times[0], None), (times[2], None)));
    assert!(sent[1].time_unix_ms < year_2100);
    assert_eq!(time(1).1, Some(&year_2100.to_string().into_bytes()));
}

/// A table of AMQP has each name once, RabbitMQ refuses text under `CC`, and out of a dead letter
/// queue come names that are ours.
/// One that has no room is left out, and its letter stays.
#[test]
fn no_header_is_lost_on_the_way_from_kafka_to_rabbitmq() {
    let Some(kafka) = Kafka::shared("headers on the way to RabbitMQ") else { return };
    let Some(rabbit) = RabbitMq::shared("headers on the way to RabbitMQ") else { return };
    kafka.create_topic("twice", 1);
    rabbit.declare("twice-dead", true);
    let setup = Setup::new();
    let target = format!(
        "[dead_letters.forward]\nthen = \"drop\"\n\
         [dead_letters.forward.amqp]\nurl = \"{}\"\nrouting_key = \"twice-dead\"\n",
        rabbit.url()
    );
    setup.configure(&kafka_source(kafka, "twice", "", &target));
    let given = [
        ("content-type", "application/json"),
        ("content-type", "text/plain"),
        ("trace", "1"),
        ("trace", "2"),
        ("__connect.errors.topic", "before"),
        ("CC", "copy"),
        ("BCC", "copy"),
        ("x-death", "none"),
        ("", "unnamed"),
    ];
    let producer = kafka.producer();
    let long = "l".repeat(70_000);
    for given in [&given[..], &[("long", &long), ("trace", "1")]] {
        let headers = given.iter().fold(OwnedHeaders::new(), |headers, (key, value)| {
            headers.insert(Header { key, value: Some(*value) })
        });
        let record = BaseRecord::<(), str>::to("twice").partition(0).payload("poison");
        let record = record.timestamp(1_600_000_000_000).headers(headers);
        producer.send(record).map_err(|(error, _)| error).unwrap();
        producer.poll(Duration::ZERO);
    }
    producer.flush(PATIENCE).unwrap();
    let pointd = setup.start();
    pointd.wait_until("its going", PATIENCE, |it| {
        it.metric("pointd_dead_letters_forwarded_total") == Some(2.0) && total(it) <= 1
    });
    assert_eq!(letters(&pointd)[0]["position"]["offset"], 1);
    let incomplete = "pointd_dead_letters_forward_incomplete_total";
    assert_eq!(pointd.metric_at_least(incomplete, 1.0), 1.0);
    let sent = of_queue(rabbit, "twice-dead");
    let header = |name: &str| std::str::from_utf8(&sent[0].headers[name]).unwrap();
    for (name, value) in [
        ("content-type", "application/json"),
        ("x-pointd-header-2-content-type", "text/plain"),
        ("trace", "1"),
        ("x-pointd-header-4-trace", "2"),
        ("__connect.errors.topic", "twice"),
        ("x-pointd-header-5-__connect.errors.topic", "before"),
        ("x-pointd-header-6-CC", "copy"),
        ("x-pointd-header-7-BCC", "copy"),
        ("x-death", "none"),
        ("", "unnamed"),
    ] {
        assert_eq!(header(name), value, "{name}");
    }
    assert_eq!(sent[0].time_unix_ms, 1_600_000_000_000);
    assert_eq!(sent[1].headers["x-pointd-headers-left-out"], b"2");
}
