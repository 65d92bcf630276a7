//! The thread that asks the cluster: where something begins, and leaders that do not answer.

use std::collections::{BTreeMap, HashMap};
use std::thread;

use rdkafka::mocking::MockCluster;
use rdkafka::types::RDKafkaRespErr;

use super::super::discovery::{Discovery, ROUNDS_GONE, Silent};
use super::super::opening::Opening;
use super::super::readers::Readers;
use super::super::settings::KafkaSettings;
use super::super::start::Start;
use super::super::topics::Topics;
use super::*;

const TOPIC: &str = "points";

/// Of a source of which the log has nothing, with what it tells and who may ask it.
fn discovery(bootstrap: &str, start: Start) -> (Discovery, Receiver<Finding>, Sender<Question>) {
    let mut settings = KafkaSettings::new(bootstrap, &[TOPIC], "group");
    settings.start = start;
    let (tell, findings) = crossbeam_channel::bounded(64);
    let (ask, questions) = crossbeam_channel::bounded(1);
    let discovery = Discovery {
        source: "test".into(),
        asker: new_consumer(&settings).unwrap(),
        consumer: None,
        readers: Readers::new("test", settings.client_config()),
        wanted: settings.wanted().unwrap(),
        settings,
        is_new: true,
        with_ids: BTreeSet::new(),
        embedded: Some(CLUSTER.into()),
        findings: tell,
        questions,
    };
    (discovery, findings, ask)
}

/// A cluster with that topic, and five messages in each of its partitions.
fn cluster(
    brokers: i32,
    partitions: i32,
) -> MockCluster<'static, rdkafka::producer::DefaultProducerContext> {
    let cluster = MockCluster::new(brokers).unwrap();
    cluster.create_topic(TOPIC, partitions, 1).unwrap();
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", cluster.bootstrap_servers());
    let producer: BaseProducer = config.create().unwrap();
    for message in 0..partitions * 5 {
        let record = BaseRecord::<(), str>::to(TOPIC).partition(message % partitions);
        producer.send(record.payload("m")).map_err(|(error, _)| error).unwrap();
    }
    producer.flush(LIMIT).unwrap();
    cluster
}

fn there() -> Topics {
    let partitions = BTreeMap::from([(0, Some(1))]);
    Topics { there: BTreeMap::from([(TOPIC.into(), partitions)]), ..Topics::default() }
}

fn missing() -> Topics {
    Topics { missing: BTreeSet::from([TOPIC.into()]), ..Topics::default() }
}

fn starts(found: &[Found]) -> Vec<Offset> {
    found.iter().map(|found| found.start).collect()
}

/// The next partitions that are told.
fn told(findings: &Receiver<Finding>) -> Vec<Found> {
    loop {
        if let Finding::Partitions(found) = findings.recv_timeout(LIMIT).unwrap() {
            return found;
        }
    }
}

#[test]
fn a_topic_that_the_broker_does_not_know_yet_is_waited_for_some_rounds() {
    let cluster = cluster(1, 1);
    let (discovery, _findings, _ask) = discovery(&cluster.bootstrap_servers(), Start::Latest);
    let decide = |opening: &mut Opening, topics: &Topics| {
        opening.decide(&discovery, CLUSTER, topics, &HashMap::new(), &mut Silent::new())
    };
    let mut opening = Opening::default();
    assert!(decide(&mut opening, &missing()).is_none());
    assert!(opening.why().unwrap().contains("does not know the topic"));
    assert_eq!(starts(&decide(&mut opening, &there()).unwrap()), [Offset(5)]);

    // One that does not exist holds nothing up for long.
    let mut opening = Opening::default();
    for _round in 1..ROUNDS_GONE {
        assert!(decide(&mut opening, &missing()).is_none());
    }
    assert!(decide(&mut opening, &missing()).unwrap().is_empty());
}

#[test]
fn a_topic_that_was_refused_at_first_starts_where_the_settings_say() {
    let cluster = cluster(1, 1);
    let refused = RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED;
    cluster.topic_error(TOPIC, refused).unwrap();
    let (discovery, findings, _ask) = discovery(&cluster.bootstrap_servers(), Start::Latest);
    thread::spawn(move || discovery.run());
    // It has nothing else to decide.
    while !matches!(findings.recv_timeout(LIMIT).unwrap(), Finding::Reached { .. }) {}
    cluster.topic_error(TOPIC, RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR).unwrap();
    assert_eq!(starts(&told(&findings)), [Offset(5)]);
}

#[test]
fn a_partition_without_a_leader_is_told_as_not_found_and_found_when_it_has_one() {
    let cluster = cluster(1, 2);
    cluster.partition_leader(TOPIC, 1, None).unwrap();
    let (discovery, findings, _ask) = discovery(&cluster.bootstrap_servers(), Start::Earliest);
    thread::spawn(move || discovery.run());
    let deadline = Instant::now() + LIMIT;
    let not_found = loop {
        assert!(Instant::now() < deadline, "it is not told");
        if let Finding::NotFound(not_found) = findings.recv_timeout(LIMIT).unwrap() {
            break not_found;
        }
    };
    assert_eq!((not_found.topic.as_str(), not_found.partition), (TOPIC, 1));
    cluster.partition_leader(TOPIC, 1, Some(1)).unwrap();
    assert_eq!(told(&findings)[0].present.partition, 1);
}

#[test]
fn a_leader_that_does_not_answer_is_asked_once_and_delays_no_other() {
    let (last, cluster) = (13, cluster(2, 14));
    for partition in 0..=last {
        let leader = if partition == 0 || partition == last { 1 } else { 2 };
        cluster.partition_leader(TOPIC, partition, Some(leader)).unwrap();
    }
    cluster.broker_round_trip_time(2, LIMIT * 10).unwrap();
    let (discovery, findings, _ask) = discovery(&cluster.bootstrap_servers(), Start::Earliest);
    let began = Instant::now();
    thread::spawn(move || discovery.run());
    let partition = |found: Vec<Found>| found[0].present.partition;
    assert_eq!(partition(told(&findings)), 0);
    let first = Instant::now();
    assert_eq!(partition(told(&findings)), last);
    while !matches!(findings.recv_timeout(LIMIT).unwrap(), Finding::Reached { .. }) {}
    // One question takes ten seconds, twelve of them two minutes.
    assert!(first.elapsed() > Duration::from_secs(2), "it was told with the others");
    assert!(began.elapsed() < Duration::from_secs(60), "each was asked about");
}
