//! Logs that were cut or damaged at the broker: nothing is passed over in silence.

use std::fs;
use std::path::Path;

use pointd::source::What;
use pointd::source::kafka::KafkaSettings;
use pointd::source::status::Kind;

use super::outlet::Bench;
use super::{LIMIT, accept_gap, kafka_settings, next_of, start_kafka, unique, why_halted};
use crate::brokers::kafka::Kafka;
use crate::brokers::proxy::Proxy;
use crate::brokers::until;

fn values(range: std::ops::Range<u32>) -> impl Iterator<Item = String> {
    range.map(|number| format!("value-{number:05}"))
}

fn copy(from: &Path, to: &Path) {
    let _ = fs::remove_dir_all(to);
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
    }
}

/// Flips a bit of this value in the partition's log.
fn damage(kafka: &Kafka, topic: &str, partition: i32, value: &str) {
    let path = kafka.log_directory(topic, partition).join("00000000000000000000.log");
    let mut log = fs::read(&path).unwrap();
    let at = log.windows(value.len()).position(|window| window == value.as_bytes()).unwrap();
    log[at] ^= 1;
    fs::write(path, log).unwrap();
}

/// A broker that had 100 messages, lost the last 50 of them, and got 100 others.
struct Cut {
    kafka: Kafka,
    /// The source comes through it.
    proxy: Proxy,
    topic: String,
    old: tempfile::TempDir,
}

impl Cut {
    /// With the first 50 kept aside, and all 100 there.
    fn prepare(check: &str) -> Option<Cut> {
        let proxy = Proxy::start(0);
        let mut kafka = Kafka::start_behind(&proxy, check)?;
        let topic = unique("cut");
        kafka.create_topic(&topic, 1);
        kafka.publish(&topic, 0, values(0..50));
        kafka.stop();
        let old = tempfile::tempdir().unwrap();
        copy(&kafka.log_directory(&topic, 0), &old.path().join("log"));
        kafka.restart();
        kafka.publish(&topic, 0, values(50..100));
        Some(Cut { kafka, proxy, topic, old })
    }

    fn settings(&self) -> KafkaSettings {
        kafka_settings(&format!("127.0.0.1:{}", self.proxy.port()), &self.topic)
    }

    /// Whoever reads finds it longer than it was.
    fn cut(&mut self) {
        self.proxy.refuse(true);
        self.kafka.kill_9();
        copy(&self.old.path().join("log"), &self.kafka.log_directory(&self.topic, 0));
        self.kafka.restart();
        self.kafka.publish(&self.topic, 0, values(1000..1100));
        self.proxy.refuse(false);
    }
}

/// Halted, and on acceptance everything that was written since.
#[track_caller]
fn halts_and_goes_on(bench: &Bench, had: usize, next: u64) {
    until("the halt", LIMIT, || why_halted(bench, 0).is_some());
    let why = why_halted(bench, 0).unwrap();
    assert!(why.contains(&format!("is {next}")) && why.contains("cut at 50"), "{why}");
    assert_eq!(bench.message_count(), had);
    let done = accept_gap(bench, None, None).unwrap();
    assert!(done[0].contains("goes on at offset 50"), "{done:?}");
    bench.wait_for_messages(had + 100);
    assert_eq!(bench.values(Some(0))[had..], values(1000..1100).collect::<Vec<_>>());
    assert_eq!(why_halted(bench, 0), None);
    let start = bench.items().into_iter().rev().find_map(|(_, item)| match item.what {
        What::Start { why: Some(why), .. } => Some((why, next_of(&item.position))),
        _ => None,
    });
    let (why, next) = start.unwrap();
    assert!(why.contains("accepted by an operator") && next == 50, "{why} {next}");
    assert_eq!(accept_gap(bench, None, None).unwrap_err(), "no such partition is halted");
}

#[test]
fn a_log_that_is_cut_and_written_anew_while_it_is_read_halts() {
    let Some(mut world) = Cut::prepare("a log that is cut while it is read") else { return };
    let bench = Bench::new(Kind::Kafka, true);
    let source = start_kafka(&bench, &world.settings(), vec![]);
    bench.wait_for_messages(100);
    let epoch = |at: usize| bench.messages()[at].0.leader_epoch.unwrap();
    assert!(epoch(0) < epoch(99), "{} {}", epoch(0), epoch(99));
    world.cut();
    halts_and_goes_on(&bench, 100, 100);
    assert!(epoch(99) < epoch(100));
    // And once more, in what was written since.
    world.cut();
    halts_and_goes_on(&bench, 200, 150);
    bench.stop(source);
}

#[test]
fn a_log_that_is_cut_and_written_anew_before_a_restart_halts() {
    let Some(mut world) = Cut::prepare("a log that is cut before a restart") else { return };
    let settings = world.settings();
    let bench = Bench::new(Kind::Kafka, true);
    let source = start_kafka(&bench, &settings, vec![]);
    bench.wait_for_messages(100);
    bench.stop(source);
    let known = bench.positions();
    assert!(known[0].leader_epoch.is_some(), "{known:?}");
    world.cut();
    let bench = Bench::new(Kind::Kafka, true);
    let source = start_kafka(&bench, &settings, known);
    halts_and_goes_on(&bench, 0, 100);
    bench.stop(source);
}

#[test]
fn a_log_that_ends_before_our_position_halts_and_goes_on_where_it_was_cut() {
    let Some(mut world) = Cut::prepare("a log that ends before our position") else { return };
    let settings = world.settings();
    let bench = Bench::new(Kind::Kafka, true);
    let source = start_kafka(&bench, &settings, vec![]);
    bench.wait_for_messages(100);
    bench.stop(source);
    world.kafka.kill_9();
    copy(&world.old.path().join("log"), &world.kafka.log_directory(&world.topic, 0));
    world.kafka.restart();
    world.kafka.publish(&world.topic, 0, values(1000..1020));
    let known = bench.positions();
    let bench = Bench::new(Kind::Kafka, true);
    let source = start_kafka(&bench, &settings, known);
    until("the halt", LIMIT, || why_halted(&bench, 0).is_some());
    let done = accept_gap(&bench, Some(&world.topic), Some(0)).unwrap();
    assert!(done[0].contains("goes on at offset 50"), "{done:?}");
    bench.wait_for_messages(20);
    assert_eq!(bench.values(Some(0)), values(1000..1020).collect::<Vec<_>>());
    bench.stop(source);
}

#[test]
fn a_damaged_batch_halts_its_partition_and_is_not_skipped() {
    let Some(mut kafka) = Kafka::start("a damaged batch") else { return };
    let topic = unique("damaged");
    kafka.create_topic(&topic, 3);
    for partition in 0..3 {
        for first in [0, 10, 20] {
            kafka.publish(&topic, partition, values(first..first + 10));
        }
    }
    kafka.stop();
    // In the middle, and at the end, where nothing follows.
    damage(&kafka, &topic, 0, "value-00015");
    damage(&kafka, &topic, 1, "value-00029");
    kafka.restart();
    let bench = Bench::new(Kind::Kafka, true);
    let source = start_kafka(&bench, &kafka_settings(&kafka.bootstrap(), &topic), vec![]);
    let halted = |partition| why_halted(&bench, partition);
    until("both halts", LIMIT, || halted(0).is_some() && halted(1).is_some());
    until("the third partition", LIMIT, || bench.values(Some(2)).len() == 30);
    assert_eq!(halted(2), None);
    // How many messages a batch has, is up to the producer.
    let read = |partition| bench.values(Some(partition)).len() as u32;
    let (zero, one) = (read(0), read(1));
    assert!(zero <= 15 && one <= 29, "{zero} {one}");
    for (partition, read) in [(0, zero), (1, one)] {
        assert_eq!(bench.values(Some(partition)), values(0..read).collect::<Vec<_>>());
        let why = halted(partition).unwrap();
        assert!(why.contains("damaged") && why.contains(&read.to_string()), "{why}");
    }

    assert_eq!(accept_gap(&bench, None, None).unwrap().len(), 2);
    until("what follows", LIMIT, || bench.values(Some(0)).last() == Some(&"value-00029".into()));
    let after: Vec<String> = bench.values(Some(0)).split_off(zero as usize);
    let first: u32 = after[0].trim_start_matches("value-").parse().unwrap();
    assert!(first > 15, "{after:?}");
    assert_eq!(after, values(first..30).collect::<Vec<_>>());
    kafka.publish(&topic, 1, values(30..40));
    until("what comes later", LIMIT, || bench.values(Some(1)).len() as u32 == one + 10);
    let moved = bench.items().into_iter().filter(
        |(_, item)| matches!(&item.what, What::Moved { why: Some(why) } if why.contains("damaged")),
    );
    assert_eq!(moved.count(), 2);
    bench.stop(source);
}
