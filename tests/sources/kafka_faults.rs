//! Brokers that go away and come back.

use pointd::source::status::{Kind, State};

use super::outlet::Bench;
use super::{kafka_settings, numbers, start_kafka, unique};
use crate::brokers::kafka::Kafka;

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
    crate::brokers::until("the commit", super::LIMIT, || {
        kafka.committed(&settings.group, &topic, 1) == Some(1100)
    });
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
