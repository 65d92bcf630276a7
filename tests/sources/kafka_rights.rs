//! Rights that are not there, are taken away and are given back.

use std::time::Duration;

use pointd::source::kafka::KafkaSettings;
use pointd::source::status::{Kind, State, StreamState};
use rdkafka::ClientConfig;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::BaseProducer;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

use super::outlet::Bench;
use super::{kafka_settings, numbers, partition_report, start_kafka, unique};
use crate::brokers::kafka::publish;
use crate::brokers::secure::Secure;

fn is_unreadable(bench: &Bench) -> bool {
    let partition = partition_report(&bench.report(), 0);
    partition.is_some_and(|it| {
        matches!(&it.state, StreamState::Unreadable { error, .. }
            if error.to_lowercase().contains("authorization"))
    })
}

fn unreadable(bench: &Bench, topic: &str) -> i64 {
    bench.metrics.source.unreadable.with_label_values(&["test", topic, "0"]).get()
}

#[test]
fn a_topic_that_may_not_be_read_is_told_and_read_on_once_it_may() {
    let Some(mut secure) = Secure::start_with_rights("topics without rights") else { return };
    let topic = unique("rights");
    secure.kafka.create_topic(&topic, 1);
    secure.kafka.publish(&topic, 0, numbers(0..10));
    let by_name = secure.with_password(kafka_settings(&secure.bootstrap, &topic));
    let by_pattern = KafkaSettings {
        topics: vec![format!("^{topic}")],
        group: unique("group"),
        ..by_name.clone()
    };
    let (named, matched) = (Bench::new(Kind::Kafka, true), Bench::new(Kind::Kafka, true));
    let one = start_kafka(&named, &by_name, vec![]);
    let other = start_kafka(&matched, &by_pattern, vec![]);
    let is_refused = |bench: &Bench| {
        bench.wait_for_report("the refusal", |report| {
            report.refused_topics.get(&topic).is_some_and(|why| why.contains("uthoriz"))
        });
    };
    is_refused(&named);
    named.wait_for_report("starting", |report| {
        matches!(&report.state, State::Starting { why, .. }
            if why.contains("the broker says nothing of") && why.contains(&topic))
    });
    assert_eq!(named.message_count(), 0);

    secure.allow(true);
    for bench in [&named, &matched] {
        bench.wait_for_messages(10);
        bench.wait_for_report("no refusal", |report| report.refused_topics.is_empty());
    }
    secure.allow(false);
    is_refused(&named);
    // Of what matches a pattern and may not be seen, the broker says not even that.
    matched.wait_for_report("the revocation", |report| report.streams.is_empty());
    named.wait_for_report("the partition", |_| is_unreadable(&named));
    assert_eq!(unreadable(&named, &topic), 1);
    secure.kafka.publish(&topic, 0, numbers(10..20));
    secure.allow(true);
    for bench in [&named, &matched] {
        bench.wait_for_messages(20);
        assert_eq!(bench.values(Some(0)), numbers(0..20).collect::<Vec<_>>());
    }
    named.wait_for_report("readable", |report| {
        let state = partition_report(report, 0).map(|partition| partition.state);
        report.refused_topics.is_empty() && state == Some(StreamState::Running)
    });
    assert_eq!(unreadable(&named, &topic), 0);
    named.stop(one);
    matched.stop(other);
}

#[test]
fn a_partition_that_is_there_and_not_given_out_is_unreadable_until_it_is() {
    // A right to describe and none to read, which that broker can be told to show.
    let cluster = MockCluster::new(1).unwrap();
    let topic = unique("unreadable");
    cluster.create_topic(&topic, 1, 1).unwrap();
    let bootstrap = cluster.bootstrap_servers();
    let producer: BaseProducer =
        ClientConfig::new().set("bootstrap.servers", &bootstrap).create().unwrap();
    let refused = RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED;
    cluster.request_errors(RDKafkaApiKey::Fetch, &vec![refused; 10_000]);
    let mut settings = kafka_settings(&bootstrap, &topic);
    settings.stall_timeout = Duration::from_millis(500);
    let bench = Bench::new(Kind::Kafka, true);
    let source = start_kafka(&bench, &settings, vec![]);
    publish(&producer, &topic, 0, numbers(0..10));
    bench.wait_for_report("the partition", |_| is_unreadable(&bench));
    assert_eq!((unreadable(&bench, &topic), bench.message_count()), (1, 0));
    // A new client would be refused as well.
    assert_eq!(bench.metrics.source.rebuilds.with_label_values(&["test"]).get(), 0);
    cluster.clear_request_errors(RDKafkaApiKey::Fetch);
    bench.wait_for_messages(10);
    bench.wait_for_report("readable", |report| {
        partition_report(report, 0).unwrap().state == StreamState::Running
    });
    assert_eq!(unreadable(&bench, &topic), 0);
    bench.stop(source);
}
