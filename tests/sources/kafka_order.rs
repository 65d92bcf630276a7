//! What comes out: everything once, in order per partition, starts first.

use pointd::position::{Offset, UnixMillis};
use pointd::source::What;
use pointd::source::kafka::Start;
use pointd::source::status::{Kind, State};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer};

use super::outlet::Bench;
use super::{LIMIT, kafka_settings, next_of, numbers, partition_report, start_kafka, unique};
use crate::brokers::kafka::{Kafka, publish};

#[test]
fn each_partition_comes_out_once_and_in_order() {
    let Some(kafka) = Kafka::shared("order per partition") else { return };
    let topic = unique("order");
    kafka.create_topic(&topic, 3);
    for partition in 0..3 {
        kafka.publish(&topic, partition, numbers(0..5000));
    }
    let bench = Bench::new(Kind::Kafka, true);
    let source = start_kafka(&bench, &kafka_settings(&kafka.bootstrap(), &topic), vec![]);
    bench.wait_for_messages(15_000);
    let expected: Vec<String> = numbers(0..5000).collect();
    for partition in 0..3 {
        assert_eq!(bench.values(Some(partition)), expected);
    }
    for (position, _) in bench.messages() {
        assert!(next_of(&position) >= 1, "a position is the offset after the message");
    }
    bench.wait_for_report("running", |report| report.state == State::Running);
    let report = partition_report(&bench.report(), 1).unwrap();
    assert_eq!((report.received_messages, report.end), (5000, Some(Offset(5000))));
    bench.stop(source);
    assert_eq!(bench.report().state, State::Stopped);
}

#[test]
fn a_start_is_durable_before_the_first_message() {
    let Some(kafka) = Kafka::shared("start before the first message") else { return };
    let topic = unique("start");
    kafka.create_topic(&topic, 2);
    kafka.publish(&topic, 0, numbers(0..10));
    let bench = Bench::new(Kind::Kafka, false);
    let source = start_kafka(&bench, &kafka_settings(&kafka.bootstrap(), &topic), vec![]);
    crate::brokers::until("the starts", LIMIT, || bench.items().len() == 2);
    for (_, item) in bench.items() {
        assert!(matches!(item.what, What::Start { forget_others: false, .. }), "{item:?}");
        assert_eq!(next_of(&item.position), 0);
    }
    // Rounds of discovery later there is still nothing else: the start is not durable.
    let since = std::time::Instant::now();
    crate::brokers::until("some rounds", LIMIT, || since.elapsed().as_millis() > 500);
    assert_eq!(bench.items().len(), 2);
    assert_eq!(kafka.committed(&format!("group-of-{topic}"), &topic, 0), None);
    // Both in one batch, or in one each: they are told one after the other.
    bench.watermark.raise(bench.batches());
    bench.wait_for_messages(10);
    bench.stop_at_once(source);
}

#[test]
fn a_new_topic_starts_where_the_settings_say() {
    let Some(kafka) = Kafka::shared("latest, and a time as start") else { return };
    let topic = unique("where");
    kafka.create_topic(&topic, 1);
    let producer = kafka.producer();
    for millis in [1_000, 2_000, 3_000] {
        let value = millis.to_string();
        let record = BaseRecord::<(), String>::to(&topic)
            .partition(0)
            .timestamp(1_700_000_000_000 + millis)
            .payload(&value);
        producer.send(record).map_err(|(error, _)| error).unwrap();
    }
    producer.flush(LIMIT).unwrap();
    let mut settings = kafka_settings(&kafka.bootstrap(), &topic);
    for (start, expected) in [
        (Start::Earliest, 0),
        (Start::Latest, 3),
        (Start::At(UnixMillis(1_700_000_002_000)), 1),
        (Start::At(UnixMillis(1_700_000_002_001)), 2),
        (Start::At(UnixMillis(1_800_000_000_000)), 3),
    ] {
        settings.start = start;
        let bench = Bench::new(Kind::Kafka, true);
        let source = start_kafka(&bench, &settings, vec![]);
        crate::brokers::until("the start", LIMIT, || !bench.items().is_empty());
        assert_eq!(next_of(&bench.items()[0].1.position), expected, "{start:?}");
        bench.stop(source);
    }
}

#[test]
fn a_partition_added_later_and_a_topic_made_later_are_found() {
    let Some(kafka) = Kafka::shared("new partitions and topics") else { return };
    let (topic, late) = (unique("grows"), unique("late"));
    kafka.create_topic(&topic, 1);
    let mut settings = kafka_settings(&kafka.bootstrap(), &topic);
    settings.topics.push(late.clone());
    // New partitions and topics start at their beginning all the same.
    settings.start = Start::Latest;
    let bench = Bench::new(Kind::Kafka, true);
    let source = start_kafka(&bench, &settings, vec![]);
    bench.wait_for_report("running", |report| report.state == State::Running);
    kafka.grow_topic(&topic, 2);
    kafka.create_topic(&late, 1);
    let producer = kafka.producer();
    publish(&producer, &topic, 1, numbers(0..100));
    publish(&producer, &late, 0, numbers(100..200));
    bench.wait_for_messages(200);
    assert_eq!(bench.values(Some(1)), numbers(0..100).collect::<Vec<_>>());
    assert_eq!(bench.values(Some(0)), numbers(100..200).collect::<Vec<_>>());
    bench.stop(source);
}

#[test]
fn a_message_comes_out_as_it_went_in() {
    let Some(kafka) = Kafka::shared("keys, headers and tombstones") else { return };
    let topic = unique("whole");
    kafka.create_topic(&topic, 1);
    let producer = kafka.producer();
    let headers = OwnedHeaders::new()
        .insert(Header { key: "type", value: Some("upsert") })
        .insert(Header { key: "type", value: Some("again") })
        .insert(Header::<&str> { key: "none", value: None });
    let whole = BaseRecord::to(&topic).partition(0).key("k").payload("v").timestamp(77);
    producer.send(whole.headers(headers)).map_err(|(error, _)| error).unwrap();
    let tombstone = BaseRecord::<str, str>::to(&topic).partition(0).key("gone");
    producer.send(tombstone).map_err(|(error, _)| error).unwrap();
    let empty = BaseRecord::<str, str>::to(&topic).partition(0).payload("");
    producer.send(empty).map_err(|(error, _)| error).unwrap();
    producer.flush(LIMIT).unwrap();

    let bench = Bench::new(Kind::Kafka, true);
    let source = start_kafka(&bench, &kafka_settings(&kafka.bootstrap(), &topic), vec![]);
    bench.wait_for_messages(3);
    let messages = bench.messages();
    let first = &messages[0].1;
    assert_eq!(first.time, UnixMillis(77));
    assert_eq!(first.key.as_deref(), Some(&b"k"[..]));
    assert_eq!(first.value.as_deref(), Some(&b"v"[..]));
    let headers: Vec<(&str, &[u8])> =
        first.headers.iter().map(|(name, value)| (name.as_str(), &value[..])).collect();
    assert_eq!(headers, [("type", &b"upsert"[..]), ("type", b"again"), ("none", b"")]);
    assert_eq!(messages[1].1.key.as_deref(), Some(&b"gone"[..]));
    assert_eq!(messages[1].1.value, None);
    assert_eq!((&messages[2].1.key, messages[2].1.value.as_deref()), (&None, Some(&b""[..])));
    bench.stop(source);
}
