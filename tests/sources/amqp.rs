//! The AMQP source against a real RabbitMQ.

use std::thread::JoinHandle;
use std::time::Duration;

use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable};
use pointd::position::{Fingerprint, Mark, Stream, UnixMillis};
use pointd::source::Delivery;
use pointd::source::amqp::{AmqpSettings, AmqpSource};
use pointd::source::status::{Kind, State};

use super::outlet::Bench;
use super::{LIMIT, numbers, unique};
use crate::brokers::rabbitmq::RabbitMq;
use crate::brokers::until;

pub fn settings(rabbit: &RabbitMq, queue: &str) -> AmqpSettings {
    let mut settings = AmqpSettings::new(&rabbit.url(), queue);
    settings.reconnect_max = Duration::from_millis(500);
    settings
}

pub fn start(bench: &Bench, settings: &AmqpSettings) -> JoinHandle<()> {
    let source = AmqpSource { name: "test".into(), settings: settings.clone() };
    source.spawn(bench.wiring()).unwrap()
}

/// Whether the broker says that it may have delivered it before.
pub fn again(delivery: &Delivery) -> bool {
    delivery.redelivered.is_some_and(|came| came.again)
}

pub fn is_reconnecting(state: &State) -> bool {
    matches!(state, State::Reconnecting { .. })
}

#[test]
fn a_delivery_comes_out_as_it_went_in() {
    let Some(rabbit) = RabbitMq::shared("deliveries and their properties") else { return };
    let queue = unique("whole");
    rabbit.declare(&queue, false);
    let mut table = FieldTable::default();
    table.insert("count".into(), AMQPValue::LongInt(7));
    table.insert("name".into(), AMQPValue::LongString("seven".into()));
    let whole = BasicProperties::default()
        .with_content_type("application/json".into())
        .with_type("upsert".into())
        .with_message_id("m-1".into())
        .with_timestamp(77)
        .with_headers(table);
    let bare = BasicProperties::default();
    rabbit.publish_with(&queue, vec![("body", whole), ("bare", bare)]);
    let bench = Bench::new(Kind::Amqp, true);
    let source = start(&bench, &settings(rabbit, &queue));
    bench.wait_for_messages(2);
    let messages = bench.messages();
    let (position, first) = &messages[0];
    assert_eq!(first.time, UnixMillis(77_000));
    assert_eq!((first.value.as_deref(), &first.key), (Some(&b"body"[..]), &None));
    assert!(!again(first));
    let headers: Vec<(&str, &[u8])> =
        first.headers.iter().map(|(name, value)| (name.as_str(), &value[..])).collect();
    let expected: [(&str, &[u8]); 5] = [
        ("content-type", b"application/json"),
        ("type", b"upsert"),
        ("message-id", b"m-1"),
        ("count", b"7"),
        ("name", b"seven"),
    ];
    assert_eq!(headers, expected);
    let print = |body, message_id| Mark::Fingerprint(Fingerprint { body, message_id });
    let body = |bytes: &[u8]| xxhash_rust::xxh3::xxh3_128(bytes);
    // Its headers say what the body means.
    let told = position.fingerprint().unwrap();
    assert_eq!(told.message_id.as_deref(), Some("m-1"));
    assert_ne!(told.body, body(b"body"));
    assert_eq!(messages[1].0.mark, print(body(b"bare"), None));
    let Stream::Queue { source: name, cluster, queue: named } = &*position.stream else {
        panic!("{position}");
    };
    assert_eq!((name.as_str(), named), ("test", &queue));
    assert_eq!(cluster, "//");
    bench.stop(source);
}

#[test]
fn acks_stay_behind_the_watermark() {
    let Some(rabbit) = RabbitMq::shared("acks behind the watermark") else { return };
    for quorum in [false, true] {
        let queue = unique("acks");
        rabbit.declare(&queue, quorum);
        rabbit.publish(&queue, numbers(0..100));
        let mut settings = settings(rabbit, &queue);
        settings.batch_messages_max = 7;
        let bench = Bench::new(Kind::Amqp, false);
        let source = start(&bench, &settings);
        bench.wait_for_messages(100);
        let durable = bench.batches() / 2;
        bench.watermark.raise(durable);
        let acked = bench.items().iter().filter(|(batch, _)| *batch <= durable).count();
        bench.stop_at_once(source);
        until("the rest to return", LIMIT, || rabbit.ready(&queue) == 100 - acked as u32);

        // What was not acked comes again, in order, and says so.
        let second = Bench::new(Kind::Amqp, true);
        let source = start(&second, &settings);
        second.wait_for_messages(100 - acked);
        assert_eq!(second.values(None), numbers(acked as u32..100).collect::<Vec<_>>());
        assert!(second.messages().iter().all(|(_, delivery)| again(delivery)));
        second.stop(source);
        rabbit.wait_all_acked(&queue);
    }
}

#[test]
fn no_more_than_prefetch_is_in_flight() {
    let Some(rabbit) = RabbitMq::shared("the prefetch bound") else { return };
    let queue = unique("prefetch");
    rabbit.declare(&queue, false);
    rabbit.publish(&queue, numbers(0..100));
    let mut settings = settings(rabbit, &queue);
    settings.prefetch = 10;
    let bench = Bench::new(Kind::Amqp, false);
    let source = start(&bench, &settings);
    bench.wait_for_messages(10);
    until("the broker to hold the rest", LIMIT, || rabbit.ready(&queue) == 90);
    assert_eq!(bench.message_count(), 10);
    bench.watermark.raise(bench.batches());
    bench.wait_for_messages(20);
    until("the broker to hold the rest", LIMIT, || rabbit.ready(&queue) == 80);
    assert_eq!(bench.message_count(), 20);
    bench.wait_for_report("what waits", |report| report.streams[0].waiting == Some(80));
    bench.stop_at_once(source);
}

#[test]
fn what_becomes_durable_while_it_stops_is_acked() {
    let Some(rabbit) = RabbitMq::shared("the last acks") else { return };
    let queue = unique("stopping");
    rabbit.declare(&queue, false);
    rabbit.publish(&queue, numbers(0..20));
    let mut bench = Bench::new(Kind::Amqp, false);
    bench.drain_timeout = LIMIT;
    let source = start(&bench, &settings(rabbit, &queue));
    bench.wait_for_messages(20);
    bench.shutdown.ask();
    until("the consumer to go", LIMIT, || rabbit.consumers(&queue) == 0);
    bench.watermark.raise(bench.batches());
    bench.stop(source);
    rabbit.wait_all_acked(&queue);
}

#[test]
fn a_connection_closed_by_the_broker_is_made_again() {
    // It cuts every client, so it has a broker of its own.
    let Some(rabbit) = RabbitMq::start("reconnecting") else { return };
    let queue = unique("cut");
    rabbit.declare(&queue, false);
    rabbit.publish(&queue, numbers(0..50));
    let bench = Bench::new(Kind::Amqp, false);
    let source = start(&bench, &settings(&rabbit, &queue));
    bench.wait_for_messages(50);
    rabbit.close_connections();
    // None of it was durable: all of it comes again.
    bench.wait_for_messages(100);
    let messages = bench.messages();
    assert!(messages[..50].iter().all(|(_, delivery)| !again(delivery)));
    assert!(messages[50..].iter().all(|(_, delivery)| again(delivery)));
    let twice: Vec<String> = numbers(0..50).chain(numbers(0..50)).collect();
    assert_eq!(bench.values(None), twice);
    assert_eq!(messages[0].0, messages[50].0);
    assert!(bench.metrics.source.reconnects.with_label_values(&["test"]).get() >= 1);

    // Acks of the first connection's deliveries do no harm on the second.
    bench.watermark.raise(bench.batches());
    rabbit.publish(&queue, numbers(50..60));
    bench.wait_for_messages(110);
    bench.watermark.raise(bench.batches());
    bench.stop(source);
    rabbit.wait_all_acked(&queue);
}

#[test]
fn a_queue_deleted_under_the_consumer_is_waited_for() {
    let Some(rabbit) = RabbitMq::shared("the broker's cancel") else { return };
    let queue = unique("deleted");
    let bench = Bench::new(Kind::Amqp, true);
    // It is not there at first either.
    let source = start(&bench, &settings(rabbit, &queue));
    bench.wait_for_report("the missing queue", |report| is_reconnecting(&report.state));
    for _round in 0..2 {
        rabbit.declare(&queue, false);
        let before = bench.message_count();
        rabbit.publish(&queue, numbers(0..10));
        bench.wait_for_messages(before + 10);
        bench.wait_for_report("running", |report| report.state == State::Running);
        rabbit.delete(&queue);
        bench.wait_for_report("the cancel", |report| is_reconnecting(&report.state));
    }
    bench.stop(source);
}

#[test]
fn a_full_outlet_holds_the_queue_and_loses_nothing() {
    let Some(rabbit) = RabbitMq::shared("backpressure on a queue") else { return };
    let queue = unique("full");
    rabbit.declare(&queue, false);
    rabbit.publish(&queue, numbers(0..300));
    let mut settings = settings(rabbit, &queue);
    settings.batch_messages_max = 10;
    settings.prefetch = 50;
    let bench = Bench::new(Kind::Amqp, true);
    bench.set_room(3);
    let source = start(&bench, &settings);
    bench.wait_for_report("the pause", |report| matches!(report.state, State::Paused { .. }));
    // Three batches were taken and acked, at most fifty deliveries are in our hands.
    until("the broker to hold the rest", LIMIT, || {
        bench.batches() == 3 && rabbit.ready(&queue) as usize == 250 - bench.message_count()
    });
    bench.set_room(usize::MAX);
    bench.wait_for_messages(300);
    assert_eq!(bench.values(None), numbers(0..300).collect::<Vec<_>>());
    bench.wait_for_report("running", |report| report.state == State::Running);
    assert!(bench.messages().iter().all(|(_, delivery)| !again(delivery)), "some were given back");
    bench.stop(source);
    rabbit.wait_all_acked(&queue);
}

#[test]
fn a_broker_killed_and_started_again_is_read_on() {
    let Some(mut rabbit) = RabbitMq::start("kill -9 of RabbitMQ") else { return };
    let queue = unique("killed");
    rabbit.declare(&queue, false);
    rabbit.publish(&queue, numbers(0..20));
    let mut settings = settings(&rabbit, &queue);
    settings.batch_messages_max = 1;
    let bench = Bench::new(Kind::Amqp, false);
    let source = start(&bench, &settings);
    bench.wait_for_messages(20);
    bench.watermark.raise(5);
    rabbit.kill_9();
    bench.wait_for_report("the loss", |report| is_reconnecting(&report.state));
    rabbit.restart();
    // The ack of the first five may or may not have reached the broker's disk.
    bench.wait_for_messages(35);
    let last: Vec<String> = bench.values(None)[20..].to_vec();
    until("the last message again", LIMIT, || bench.values(None).last().unwrap() == "19");
    assert!(last.iter().all(|value| value.parse::<u32>().unwrap() < 20));
    let fifteen = numbers(5..20).collect::<Vec<_>>();
    let values = bench.values(None);
    assert_eq!(values[values.len() - 15..], fifteen);
    bench.watermark.raise(bench.batches());
    bench.stop(source);
    rabbit.wait_all_acked(&queue);
    rabbit.stop();
}
