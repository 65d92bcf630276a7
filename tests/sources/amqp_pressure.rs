//! RabbitMQ when nothing more should be fetched: nothing is held, and nothing is given back.

use std::time::Duration;

use pointd::source::Pressure;
use pointd::source::status::{Kind, State};

use super::amqp::{again, settings, start};
use super::outlet::Bench;
use super::{LIMIT, numbers, unique};
use crate::brokers::rabbitmq::RabbitMq;
use crate::brokers::until;

fn is_paused(state: &State) -> bool {
    matches!(state, State::Paused { .. })
}

#[test]
fn under_pressure_what_was_delivered_is_acked_and_nothing_is_given_back() {
    let Some(rabbit) = RabbitMq::shared("pressure on a queue") else { return };
    for quorum in [false, true] {
        let queue = unique("pressure");
        rabbit.declare(&queue, quorum);
        rabbit.publish(&queue, numbers(0..300));
        let mut settings = settings(rabbit, &queue);
        settings.prefetch = 50;
        settings.batch_messages_max = 7;
        let bench = Bench::new(Kind::Amqp, false);
        let source = start(&bench, &settings);
        bench.wait_for_messages(50);
        bench.set_pressure(Some(Pressure::DiskFull));
        bench.wait_for_report("the pause", |report| is_paused(&report.state));
        // A quorum queue counts one that has unacked messages.
        until("the consumer to go", LIMIT, || quorum || rabbit.consumers(&queue) == 0);
        // They are still its own, and it acks them on the same channel.
        // A quorum queue counts late.
        until("the broker to hold the rest", LIMIT, || rabbit.ready(&queue) == 250);
        assert_eq!(rabbit.messages(&queue), 300);
        bench.watermark.raise(bench.batches());
        until("all acks", LIMIT, || rabbit.messages(&queue) == 250);
        bench.set_pressure(Some(Pressure::ApplierBehind));
        bench.wait_for_report(
            "the new reason",
            |report| matches!(&report.state, State::Paused { why, .. } if why.contains("applied")),
        );
        assert_eq!(bench.message_count(), 50, "it fetched on");
        bench.set_pressure(None);
        until("everything, acked as it comes", LIMIT, || {
            bench.watermark.raise(bench.batches());
            bench.message_count() == 300
        });
        assert_eq!(bench.values(None), numbers(0..300).collect::<Vec<_>>());
        assert!(bench.messages().iter().all(|(_, delivery)| !again(delivery)));
        assert_eq!(bench.metrics.source.reconnects.with_label_values(&["test"]).get(), 0);
        bench.watermark.raise(bench.batches());
        bench.stop(source);
        rabbit.wait_all_acked(&queue);
    }
}

#[test]
fn it_consumes_again_only_when_everything_it_took_is_durable() {
    let Some(rabbit) = RabbitMq::shared("hysteresis of a queue") else { return };
    let queue = unique("hysteresis");
    rabbit.declare(&queue, false);
    rabbit.publish(&queue, numbers(0..30));
    let mut settings = settings(rabbit, &queue);
    settings.prefetch = 10;
    settings.batch_messages_max = 1;
    let bench = Bench::new(Kind::Amqp, false);
    let source = start(&bench, &settings);
    bench.wait_for_messages(10);
    bench.set_pressure(Some(Pressure::QueueFull));
    bench.wait_for_report("the pause", |report| is_paused(&report.state));
    bench.set_pressure(None);
    bench.watermark.raise(9);
    until("the consumer to go", LIMIT, || rabbit.consumers(&queue) == 0);
    // It has had the time for many looks by the time the broker has answered.
    assert_eq!(rabbit.ready(&queue), 20);
    assert_eq!(bench.message_count(), 10);
    bench.watermark.raise(10);
    bench.wait_for_messages(20);
    bench.stop_at_once(source);
}

#[test]
fn behind_a_closed_gate_nothing_is_acked_and_all_of_it_comes_again() {
    let Some(rabbit) = RabbitMq::shared("the gate of a queue") else { return };
    let queue = unique("gate");
    rabbit.declare(&queue, false);
    rabbit.publish(&queue, numbers(0..20));
    let mut settings = settings(rabbit, &queue);
    settings.batch_messages_max = 5;
    let bench = Bench::new(Kind::Amqp, false);
    let source = start(&bench, &settings);
    bench.wait_for_messages(20);
    bench.watermark.raise(1);
    let first = bench.items().iter().filter(|(batch, _)| *batch == 1).count() as u32;
    until("the first ack", LIMIT, || bench.report().state == State::Running);
    bench.gate.close("a bad message");
    bench.wait_for_report(
        "the halt",
        |report| matches!(&report.state, State::Halted { why, .. } if why == "a bad message"),
    );
    until("the rest to return", LIMIT, || {
        // The ack of the first batch may have come too late.
        [20 - first, 20].contains(&rabbit.ready(&queue))
    });
    let left = rabbit.ready(&queue) as usize;
    let given = bench.batches();
    bench.gate.release();
    bench.wait_for_messages(20 + left);
    assert!(bench.gate.refuses(given) && !bench.gate.refuses(given + 1));
    let expected: Vec<String> = numbers(20 - left as u32..20).collect();
    assert_eq!(bench.values(None)[20..], expected);
    bench.wait_for_report("running", |report| report.state == State::Running);
    bench.watermark.raise(bench.batches());
    bench.stop(source);
    rabbit.wait_all_acked(&queue);
}

#[test]
fn a_dead_node_is_passed_over() {
    let Some(rabbit) = RabbitMq::shared("several hosts") else { return };
    let queue = unique("hosts");
    rabbit.declare(&queue, false);
    rabbit.publish(&queue, numbers(0..5));
    let mut settings = settings(rabbit, &queue);
    let dead = crate::brokers::free_port();
    settings.hosts = vec![format!("127.0.0.1:{dead}"), format!("127.0.0.1:{}", rabbit.port())];
    settings.reconnect_max = Duration::from_millis(200);
    let bench = Bench::new(Kind::Amqp, true);
    let source = start(&bench, &settings);
    bench.wait_for_messages(5);
    bench.stop(source);
}

#[test]
fn a_memory_alarm_of_the_broker_stops_publishers_and_not_us() {
    let Some(rabbit) = RabbitMq::start("a memory alarm") else { return };
    let queue = unique("alarm");
    rabbit.declare(&queue, false);
    rabbit.publish(&queue, numbers(0..2000));
    let mut settings = settings(&rabbit, &queue);
    settings.prefetch = 10;
    let bench = Bench::new(Kind::Amqp, false);
    let source = start(&bench, &settings);
    bench.wait_for_messages(10);
    rabbit.control(&["set_vm_memory_high_watermark", "0.0001"]);
    until("all of it, acked as it comes", LIMIT, || {
        bench.watermark.raise(bench.batches());
        bench.message_count() == 2000
    });
    assert!(bench.messages().iter().all(|(_, delivery)| !again(delivery)));
    bench.stop(source);
}
