//! A source that may not pass a message that is refused.

use serde_json::json;

use super::{command, kafka_source, letters, upsert};
use crate::brokers::kafka::Kafka;
use crate::brokers::rabbitmq::RabbitMq;
use crate::harness::{PATIENCE, Pointd, Setup};

/// Behind the bad message.
fn behind() -> impl Iterator<Item = String> {
    (2..7).map(|id| upsert("c", id))
}

/// One good, one that cannot be decoded, five good ones behind it.
fn messages() -> Vec<String> {
    [upsert("c", 1), "poison".to_owned()].into_iter().chain(behind()).collect()
}

/// The letter is there, nothing behind it is, however often the daemon starts; once it is
/// settled, everything is, once.
fn halts_until_it_is_settled(setup: &Setup, more: impl FnOnce()) {
    let halted = |pointd: &Pointd| {
        pointd.wait_until("the letter", PATIENCE, |pointd| letters(pointd).len() == 1);
        // A source that only starts is not ready either.
        let state = r#"pointd_source_state{source="s",state="halted"}"#;
        pointd.wait_until("the halt", PATIENCE, |it| it.metric(state) == Some(1.0));
        assert_eq!(pointd.get_status("/readyz"), Some(503));
        // That asks for another decision: to accept a gap.
        let gaps = pointd.text("/metrics");
        let is_gap = |line: &str| line.starts_with("pointd_source_halted{") && line.ends_with(" 1");
        assert!(!gaps.lines().any(is_gap), "{gaps}");
        assert_eq!(pointd.count("c"), 1);
    };
    let pointd = setup.start_serving();
    halted(&pointd);
    more();
    // A round trip of another kind, so that what wrongly passed would have been applied.
    let body = json!({"points": [{"id": 100, "vector": [1, 2]}]});
    pointd.put("/collections/c/points?wait=true", &body);
    assert_eq!(pointd.count("c"), 2);
    let body = json!({"points": [100]});
    pointd.post("/collections/c/points/delete?wait=true", &body);
    halted(&pointd);
    pointd.kill_9();
    let pointd = setup.start_serving();
    halted(&pointd);
    let seq = letters(&pointd)[0]["seq"].to_string();
    // Refused again, it still stands there.
    assert!(!command(&pointd, &["redrive", &seq]).well);
    halted(&pointd);
    let dropped = command(&pointd, &["drop", &seq]);
    assert!(dropped.well, "{}{}", dropped.out, dropped.error);

    pointd.wait_until("those behind it", PATIENCE, |pointd| pointd.count("c") == 7);
    assert_eq!(letters(&pointd).len(), 0);
    // Six of the source and two of ours were applied, none of them twice; and two of our own.
    let expected = 1.0 + 7.0 + 2.0;
    let operations = r#"pointd_applied_records{kind="operations"}"#;
    assert_eq!(pointd.metric_at_least(operations, expected), expected);
}

#[test]
fn a_kafka_source_stands_behind_a_bad_message() {
    let Some(kafka) = Kafka::shared("a halting source") else { return };
    kafka.create_topic("halting", 1);
    let setup = Setup::new();
    setup.configure(&kafka_source(kafka, "halting", "on_refusal = \"halt\"", ""));
    kafka.publish("halting", 0, messages());
    halts_until_it_is_settled(&setup, || kafka.publish("halting", 0, [upsert("c", 8)]));
}

/// What was in the log behind it by then would be applied; so it comes later.
#[test]
fn a_kafka_source_stands_behind_a_message_that_the_applier_refuses() {
    let Some(kafka) = Kafka::shared("a source that halts when applied") else { return };
    kafka.create_topic("halting-late", 1);
    let setup = Setup::new();
    setup.configure(&kafka_source(kafka, "halting-late", "on_refusal = \"halt\"", ""));
    kafka.publish("halting-late", 0, [upsert("c", 1), upsert("nowhere", 9)]);
    let more = || kafka.publish("halting-late", 0, behind().chain([upsert("c", 8)]));
    halts_until_it_is_settled(&setup, more);
}

#[test]
fn a_rabbitmq_source_stands_behind_a_bad_message() {
    let Some(rabbit) = RabbitMq::shared("a halting source") else { return };
    rabbit.declare("halting", false);
    let setup = Setup::new();
    setup.configure(&format!(
        "[collections.c]\nsize = 2\ndistance = \"Dot\"\n[[source]]\nname = \"s\"\n\
         on_refusal = \"halt\"\n[source.amqp]\nurl = \"{}\"\nqueue = \"halting\"\n",
        rabbit.url()
    ));
    rabbit.publish("halting", messages());
    halts_until_it_is_settled(&setup, || rabbit.publish("halting", [upsert("c", 8)]));
}
