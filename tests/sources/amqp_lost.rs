//! Connections to RabbitMQ that are lost: what is acked then, what comes again and how, and when
//! it is tried again.

use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use pointd::source::Redelivery;
use pointd::source::amqp::AmqpSettings;
use pointd::source::status::{Kind, State};

use super::amqp::{is_reconnecting, settings, start};
use super::outlet::Bench;
use super::{LIMIT, numbers, unique};
use crate::brokers::proxy::Proxy;
use crate::brokers::rabbitmq::RabbitMq;
use crate::brokers::until;

/// As [`settings`], over the proxy.
fn settings_over(proxy: &Proxy, rabbit: &RabbitMq, queue: &str) -> AmqpSettings {
    let mut settings = settings(rabbit, queue);
    settings.url.0 = format!("amqp://guest:guest@127.0.0.1:{}/%2f", proxy.port());
    settings
}

/// Of forty messages twenty may be in flight. Ten were acked, twenty were given out, one in each
/// batch, when the connection was lost; the twenty came again.
fn lose_twenty(rabbit: &RabbitMq, queue: &str) -> (Bench, JoinHandle<()>, Proxy) {
    rabbit.declare(queue, false);
    rabbit.publish(queue, numbers(0..40));
    let proxy = Proxy::start(rabbit.port());
    let mut settings = settings_over(&proxy, rabbit, queue);
    settings.batch_messages_max = 1;
    settings.prefetch = 20;
    let bench = Bench::new(Kind::Amqp, false);
    let source = start(&bench, &settings);
    bench.wait_for_messages(20);
    bench.watermark.raise(10);
    bench.wait_for_messages(30);
    // Whoever is back before the broker has noticed the loss is given the ten that are left first.
    proxy.refuse(true);
    until("what was in flight to return", LIMIT, || rabbit.ready(queue) == 30);
    proxy.refuse(false);
    bench.wait_for_messages(50);
    (bench, source, proxy)
}

#[test]
fn what_becomes_durable_of_a_lost_connection_is_acked_on_no_other() {
    let Some(rabbit) = RabbitMq::shared("acks after a lost connection") else { return };
    let queue = unique("stale");
    let (bench, source, _proxy) = lose_twenty(rabbit, &queue);
    // The tenth to the twentieth of the lost connection. Those numbers are the next connection's
    // deliveries, too, and other messages.
    bench.watermark.raise(20);
    bench.stop_at_once(source);
    until("all but the ten to return", LIMIT, || rabbit.ready(&queue) == 30);
}

#[test]
fn what_was_in_flight_comes_again_as_one_batch_of_another_connection() {
    let Some(rabbit) = RabbitMq::shared("the run of redeliveries") else { return };
    let (bench, source, _proxy) = lose_twenty(rabbit, &unique("run"));
    let run = bench.items().split_off(30);
    assert!(run.iter().all(|(batch, _)| *batch == 31), "a part can be compared with nothing");
    // At the prefetch it is cut: more is not delivered before an ack.
    let came = |connection, again, cut| Some(Redelivery { connection, again, cut });
    let messages = bench.messages();
    let (first, second) = messages.split_at(30);
    assert!(first.iter().all(|(_, it)| it.redelivered == came(1, false, false)));
    let (last, others) = second.split_last().unwrap();
    // Connections that came to nothing have numbers, too.
    let connection = last.1.redelivered.unwrap().connection;
    assert!(connection > 1, "it came on the first connection");
    assert!(others.iter().all(|(_, it)| it.redelivered == came(connection, true, false)));
    assert_eq!(last.1.redelivered, came(connection, true, true));
    bench.watermark.raise(31);
    bench.wait_for_messages(60);
    let values: Vec<String> = numbers(0..30).chain(numbers(10..40)).collect();
    assert_eq!(bench.values(None), values);
    bench.watermark.raise(bench.batches());
    bench.stop(source);
}

#[test]
fn a_broker_that_cannot_be_reached_is_tried_less_and_less_often() {
    let Some(rabbit) = RabbitMq::shared("backoff") else { return };
    let queue = unique("backoff");
    rabbit.declare(&queue, false);
    rabbit.publish(&queue, numbers(0..5));
    let proxy = Proxy::start(rabbit.port());
    proxy.refuse(true);
    let mut settings = settings_over(&proxy, rabbit, &queue);
    settings.reconnect_max = Duration::from_secs(1);
    let bench = Bench::new(Kind::Amqp, true);
    let began = Instant::now();
    let source = start(&bench, &settings);
    until("the eighth try", LIMIT, || proxy.accepted() >= 8);
    // A fiftieth of a second, twice that, and so on to a second, of which half may be left out.
    assert!(began.elapsed() >= Duration::from_millis(1130), "{:?}", began.elapsed());
    bench.wait_for_report("the loss", |report| is_reconnecting(&report.state));
    proxy.refuse(false);
    bench.wait_for_messages(5);
    bench.stop(source);
}

#[test]
fn another_consumer_of_the_queue_is_told_while_it_stays_and_halts_nothing() {
    let Some(rabbit) = RabbitMq::shared("other consumers") else { return };
    let queue = unique("shared");
    rabbit.declare(&queue, true);
    let mut settings = settings(rabbit, &queue);
    // It has to stay for four of them.
    settings.heartbeat = Duration::from_secs(4);
    let (bench, other) = (Bench::new(Kind::Amqp, true), Bench::new(Kind::Amqp, true));
    let source = start(&bench, &settings);
    until("our consumer", LIMIT, || rabbit.consumers(&queue) == 1);
    let second = start(&other, &settings);
    for bench in [&bench, &other] {
        bench.wait_for_report("the other one", |report| {
            report.other_consumers == 1 && report.state == State::Running
        });
    }
    other.stop(second);
    bench.wait_for_report("no other", |report| report.other_consumers == 0);
    rabbit.publish(&queue, numbers(0..10));
    bench.wait_for_messages(10);
    bench.stop(source);
}
