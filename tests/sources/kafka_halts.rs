//! What stops a whole source for a while: pressure, a closed gate, a client that stands still.

use std::time::Duration;

use pointd::position::Offset;
use pointd::source::Pressure;
use pointd::source::status::{Kind, State};

use super::outlet::Bench;
use super::{LIMIT, accept_gap, kafka_settings, next_of, numbers, start_kafka, unique};
use crate::brokers::kafka::Kafka;
use crate::brokers::proxy::Proxy;
use crate::brokers::until;

#[test]
fn a_closed_gate_voids_what_is_not_durable_and_is_read_again_once_it_is_open() {
    let Some(kafka) = Kafka::shared("a closed gate") else { return };
    let topic = unique("gate");
    kafka.create_topic(&topic, 1);
    let mut settings = kafka_settings(&kafka.bootstrap(), &topic);
    settings.batch_messages_max = 10;
    let bench = Bench::new(Kind::Kafka, false);
    let source = start_kafka(&bench, &settings, vec![]);
    until("the start", LIMIT, || bench.batches() == 1);
    bench.watermark.raise(1);
    kafka.publish(&topic, 0, numbers(0..30));
    bench.wait_for_messages(30);
    // Some of it is durable.
    let batches = bench.batches();
    bench.watermark.raise(batches - 1);
    let items = bench.items();
    let durable = items.iter().filter(|(number, _)| *number < batches).last().unwrap();
    let durable = next_of(&durable.1.position);
    assert!(durable < 30, "{durable}");

    bench.gate.close("a bad message");
    bench.wait_for_report(
        "the halt",
        |report| matches!(&report.state, State::Halted { why, .. } if why == "a bad message"),
    );
    assert!(accept_gap(&bench, None, None).unwrap_err().contains("decide about that first"));
    kafka.publish(&topic, 0, numbers(30..60));
    assert_eq!(bench.message_count(), 30);
    bench.gate.release();
    let again = 60 - durable as usize;
    bench.wait_for_messages(30 + again);
    bench.wait_for_report("running again", |report| report.state == State::Running);
    let values = bench.values(Some(0));
    assert_eq!(values[30..], numbers(durable as u32..60).collect::<Vec<_>>());
    bench.watermark.raise(bench.batches());
    until("the commit", LIMIT, || kafka.committed(&settings.group, &topic, 0) == Some(60));
    bench.stop(source);
}

#[test]
fn a_start_that_a_closed_gate_voids_is_told_again() {
    let Some(kafka) = Kafka::shared("a gate closed before the start") else { return };
    let topic = unique("gate-first");
    kafka.create_topic(&topic, 1);
    kafka.publish(&topic, 0, numbers(0..10));
    let bench = Bench::new(Kind::Kafka, false);
    let source = start_kafka(&bench, &kafka_settings(&kafka.bootstrap(), &topic), vec![]);
    until("the start", LIMIT, || bench.batches() == 1);
    bench.gate.close("a bad message");
    bench.wait_for_report("the halt", |report| matches!(report.state, State::Halted { .. }));
    bench.gate.release();
    until("the second start", LIMIT, || bench.batches() == 2);
    assert_eq!(bench.message_count(), 0);
    bench.watermark.raise(2);
    bench.wait_for_messages(10);
    bench.stop_at_once(source);
}

#[test]
fn pressure_pauses_before_the_queue_is_full_and_ends_by_itself() {
    let Some(kafka) = Kafka::shared("pressure") else { return };
    let topic = unique("pressure");
    kafka.create_topic(&topic, 1);
    let bench = Bench::new(Kind::Kafka, true);
    let source = start_kafka(&bench, &kafka_settings(&kafka.bootstrap(), &topic), vec![]);
    kafka.publish(&topic, 0, numbers(0..10));
    bench.wait_for_messages(10);
    bench.set_pressure(Some(Pressure::DiskFull));
    bench.wait_for_report(
        "the pause",
        |report| matches!(&report.state, State::Paused { why, .. } if why.contains("disk is full")),
    );
    kafka.publish(&topic, 0, numbers(10..20));
    bench.set_pressure(Some(Pressure::ApplierBehind));
    bench.wait_for_report(
        "the other reason",
        |report| matches!(&report.state, State::Paused { why, .. } if why.contains("not applied")),
    );
    assert_eq!(bench.message_count(), 10);
    bench.set_pressure(None);
    bench.wait_for_messages(20);
    bench.wait_for_report("running", |report| report.state == State::Running);
    assert_eq!(bench.values(Some(0)), numbers(0..20).collect::<Vec<_>>());
    bench.stop(source);
}

#[test]
fn a_client_whose_connections_are_dead_is_given_up_for_a_new_one() {
    let proxy = Proxy::start(0);
    let Some(kafka) = Kafka::start_behind(&proxy, "a client that stands still") else { return };
    let topic = unique("stalled");
    kafka.create_topic(&topic, 2);
    let mut settings = kafka_settings(&format!("127.0.0.1:{}", proxy.port()), &topic);
    settings.stall_timeout = Duration::from_secs(1);
    // Longer than the test waits: the client does not help itself.
    settings.properties.0.insert("socket.timeout.ms".into(), "300000".into());
    let bench = Bench::new(Kind::Kafka, true);
    let source = start_kafka(&bench, &settings, vec![]);
    for partition in 0..2 {
        kafka.publish(&topic, partition, numbers(0..10));
    }
    bench.wait_for_messages(20);
    proxy.stall_present();
    for partition in 0..2 {
        kafka.publish(&topic, partition, numbers(10..20));
    }
    let rebuilds = || bench.metrics.source.rebuilds.with_label_values(&["test"]).get();
    until("a new client", LIMIT, || rebuilds() > 0);
    bench.wait_for_messages(40);
    for partition in 0..2 {
        assert_eq!(bench.values(Some(partition)), numbers(0..20).collect::<Vec<_>>());
    }
    bench.wait_for_report("the end", |report| {
        report.streams.iter().all(|stream| stream.end == Some(Offset(20)))
    });
    bench.stop(source);
}
