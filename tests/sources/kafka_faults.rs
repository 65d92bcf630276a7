//! Brokers that go away and come back.

use pointd::source::status::{Kind, State};
use rdkafka::producer::{BaseRecord, Producer};

use super::outlet::Bench;
use super::{LIMIT, kafka_settings, next_of, numbers, start_kafka, unique, why_halted};
use crate::brokers::kafka::Kafka;
use crate::brokers::until;

#[test]
fn a_broker_killed_and_started_again_is_read_on() {
    let check = "kill -9 of the broker";
    let Some(mut kafka) = Kafka::start(check) else { return };
    let topic = unique("killed");
    kafka.create_topic(&topic, 2);
    for partition in 0..2 {
        kafka.publish(&topic, partition, numbers(0..1000));
    }
    let settings = kafka_settings(&kafka.bootstrap(), &topic);
    let bench = Bench::new(Kind::Kafka, true);
    let source = start_kafka(&bench, &settings, vec![]);
    bench.wait_for_messages(2000);
    kafka.kill_9();
    bench.wait_for_report("the loss", |report| matches!(report.state, State::Reconnecting { .. }));
    kafka.restart();
    for partition in 0..2 {
        kafka.publish(&topic, partition, numbers(1000..1100));
    }
    bench.wait_for_messages(2200);
    bench.wait_for_report("running again", |report| report.state == State::Running);
    for partition in 0..2 {
        assert_eq!(bench.values(Some(partition)), numbers(0..1100).collect::<Vec<_>>());
    }
    assert!(bench.metrics.source.reconnects.with_label_values(&["test"]).get() >= 1);

    // The commit survives the loss too, also of a broker that is away at first.
    until("the commit", LIMIT, || kafka.committed(&settings.group, &topic, 1) == Some(1100));
    kafka.stop();
    bench.stop(source);
}

#[test]
fn a_broker_that_is_away_at_the_start_is_waited_for() {
    let Some(mut kafka) = Kafka::start("a broker away at the start") else { return };
    let topic = unique("away");
    kafka.create_topic(&topic, 1);
    kafka.publish(&topic, 0, numbers(0..10));
    kafka.stop();
    let bench = Bench::new(Kind::Kafka, true);
    let source = start_kafka(&bench, &kafka_settings(&kafka.bootstrap(), &topic), vec![]);
    bench.wait_for_report("the loss", |report| matches!(report.state, State::Reconnecting { .. }));
    kafka.restart();
    bench.wait_for_messages(10);
    bench.stop(source);
}

#[test]
fn a_marker_that_a_later_leader_wrote_is_no_cut() {
    let Some(mut kafka) = Kafka::start("markers of a later leader") else { return };
    let topic = unique("marker");
    kafka.create_topic(&topic, 1);
    let producer = kafka.transactional_producer(&topic);
    producer.begin_transaction().unwrap();
    for value in numbers(0..5) {
        let record = BaseRecord::<(), String>::to(&topic).partition(0).payload(&value);
        producer.send(record).map_err(|(error, _)| error).unwrap();
    }
    producer.flush(LIMIT).unwrap();
    let settings = kafka_settings(&kafka.bootstrap(), &topic);
    let bench = Bench::new(Kind::Kafka, true);
    let source = start_kafka(&bench, &settings, vec![]);
    // The partition has another leader before the transaction ends.
    kafka.stop();
    kafka.restart();
    producer.commit_transaction(LIMIT).unwrap();
    let stands = || bench.items().last().map(|(_, item)| next_of(&item.position));
    until("the marker", LIMIT, || stands() == Some(6));
    // It is fetched anew from behind the marker: asked about 6, the first leader's log ends at 5.
    bench.gate.close("a bad message");
    bench.wait_for_report("the halt", |report| matches!(report.state, State::Halted { .. }));
    bench.gate.release();
    bench.wait_for_report("running", |report| report.state == State::Running);
    kafka.publish(&topic, 0, numbers(5..10));
    until("the rest", LIMIT, || bench.message_count() == 10 || why_halted(&bench, 0).is_some());
    assert_eq!(why_halted(&bench, 0), None);
    bench.stop(source);
    // And at the next start.
    kafka.publish(&topic, 0, numbers(10..12));
    let known = bench.positions();
    let bench = Bench::new(Kind::Kafka, true);
    let source = start_kafka(&bench, &settings, known);
    bench.wait_for_messages(2);
    bench.stop(source);
}
