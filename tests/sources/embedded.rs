//! The embedded development broker, read by the same source.

use pointd::source::What;
use pointd::source::embedded::{EmbeddedBroker, EmbeddedSettings};
use pointd::source::kafka::{Claims, KafkaSource};
use pointd::source::status::Kind;
use rdkafka::producer::BaseProducer;

use super::numbers;
use super::outlet::Bench;
use crate::brokers::kafka::publish;

fn start(bench: &Bench, broker: &EmbeddedBroker, known: &Bench) -> std::thread::JoinHandle<()> {
    let source = KafkaSource {
        name: "test".into(),
        settings: broker.source_settings("pointd"),
        positions: known.positions(),
        identify: false,
        embedded: Some(broker.cluster_id().into()),
        claims: Claims::default(),
    };
    source.spawn(bench.wiring()).unwrap()
}

fn fill(broker: &EmbeddedBroker) {
    let producer: BaseProducer =
        rdkafka::ClientConfig::new().set("bootstrap.servers", broker.bootstrap()).create().unwrap();
    for partition in 0..4 {
        publish(&producer, broker.topic(), partition, numbers(0..500));
    }
}

#[test]
fn the_embedded_broker_is_read_and_a_new_run_begins_afresh() {
    let settings = EmbeddedSettings { partitions: 4, ..EmbeddedSettings::default() };
    let mut earlier = Bench::new(Kind::Embedded, true);
    for _run in 0..2 {
        let broker = EmbeddedBroker::start(&settings).unwrap();
        fill(&broker);
        let bench = Bench::new(Kind::Embedded, true);
        let source = start(&bench, &broker, &earlier);
        bench.wait_for_messages(2000);
        for partition in 0..4 {
            assert_eq!(bench.values(Some(partition)), numbers(0..500).collect::<Vec<_>>());
        }
        assert!(matches!(bench.items()[0].1.what, What::Start { forget_others: true, .. }));
        bench.stop(source);
        assert_eq!(bench.report().commit_error, None);
        earlier = bench;
    }
}

#[test]
fn within_a_run_the_source_resumes() {
    let settings = EmbeddedSettings { partitions: 4, ..EmbeddedSettings::default() };
    let broker = EmbeddedBroker::start(&settings).unwrap();
    fill(&broker);
    let first = Bench::new(Kind::Embedded, true);
    let source = start(&first, &broker, &Bench::new(Kind::Embedded, true));
    first.wait_for_messages(2000);
    first.stop(source);
    fill(&broker);
    let second = Bench::new(Kind::Embedded, true);
    let source = start(&second, &broker, &first);
    second.wait_for_messages(2000);
    assert_eq!(second.message_count(), 2000);
    second.stop(source);
}
