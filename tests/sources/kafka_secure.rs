//! TLS and SCRAM against the real broker.

use std::path::Path;

use pointd::source::kafka::KafkaSettings;
use pointd::source::status::{Kind, SourceReport, State};

use super::outlet::Bench;
use super::{LIMIT, accept_gap, kafka_settings, numbers, start_kafka, unique, why_halted};
use crate::brokers::secure::{PASSWORD, Secure};
use crate::brokers::until;

fn settings(secure: &Secure, topic: &str, ca: &Path, password: &str) -> KafkaSettings {
    let mut settings = secure.with_password(kafka_settings(&secure.bootstrap, topic));
    for (name, value) in [("sasl.password", password), ("ssl.ca.location", ca.to_str().unwrap())] {
        settings.properties.0.insert(name.into(), value.into());
    }
    settings
}

#[track_caller]
fn says(settings: &KafkaSettings, words: &str) {
    let bench = Bench::new(Kind::Kafka, true);
    let source = start_kafka(&bench, settings, vec![]);
    bench.wait_for_report(words, |report| {
        matches!(&report.state, State::Reconnecting { error, .. } if error.contains(words))
    });
    bench.stop_at_once(source);
}

/// Until then it answers orders, and is in nobody's way.
fn reads_once_the_file_is_there(secure: &Secure, topic: &str) {
    let directory = tempfile::tempdir().unwrap();
    let late = directory.path().join("late.pem");
    let bench = Bench::new(Kind::Kafka, true);
    let source = start_kafka(&bench, &settings(secure, topic, &late, PASSWORD), vec![]);
    let told = |report: &SourceReport| match &report.state {
        State::Reconnecting { error, .. } => {
            error.contains("ssl.ca.location") && error.contains("No such file")
        }
        _ => false,
    };
    bench.wait_for_report("the missing file", told);
    let refused = accept_gap(&bench, None, None).unwrap_err();
    assert!(refused.contains("has not begun"), "{refused}");
    std::fs::copy(&secure.ca, &late).unwrap();
    bench.wait_for_messages(50);
    bench.wait_for_report("running", |report| report.state == State::Running);
    bench.stop(source);

    let bench = Bench::new(Kind::Kafka, true);
    let gone = settings(secure, topic, &directory.path().join("gone.pem"), PASSWORD);
    let source = start_kafka(&bench, &gone, vec![]);
    bench.wait_for_report("the missing file", told);
    bench.stop_at_once(source);
    assert_eq!(bench.report().state, State::Stopped);
}

#[test]
fn a_secured_broker_is_read_and_what_it_refuses_is_said() {
    let Some(secure) = Secure::start("TLS and SCRAM") else { return };
    let topic = unique("secure");
    let kafka = &secure.kafka;
    kafka.create_topic(&topic, 1);
    kafka.publish(&topic, 0, numbers(0..20));
    let good = settings(&secure, &topic, &secure.ca, PASSWORD);
    let bench = Bench::new(Kind::Kafka, true);
    let source = start_kafka(&bench, &good, vec![]);
    bench.wait_for_messages(20);
    until("the commit", LIMIT, || kafka.committed(&good.group, &topic, 0) == Some(20));
    let id = |bench: &Bench| match &*bench.items()[0].1.position.stream {
        pointd::position::Stream::Partition { topic_id, .. } => *topic_id,
        pointd::position::Stream::Queue { .. } => None,
    };
    assert!(id(&bench).is_some(), "{:?}", bench.items()[0]);
    kafka.delete_topic(&topic);
    kafka.create_topic(&topic, 1);
    // Longer than before: only the id tells.
    kafka.publish(&topic, 0, numbers(100..150));
    until("the halt", LIMIT, || why_halted(&bench, 0).is_some());
    bench.stop(source);

    says(&settings(&secure, &topic, &secure.ca, "wrong"), "authentication failed: ");
    reads_once_the_file_is_there(&secure, &topic);
    says(&settings(&secure, &topic, &secure.other_ca, PASSWORD), "TLS failed: ");
}
