//! Kafka through the real binary: decisions about a gap, an operator's and the configuration's.

use std::process::Command;

use super::{point, unique};
use crate::brokers::kafka::Kafka;
use crate::harness::{PATIENCE, Setup, binary};

const OPERATIONS: &str = "pointd_applied_records{kind=\"operations\"}";

fn said(arguments: &[&str]) -> String {
    let output = Command::new(binary()).args(arguments).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

fn publish(kafka: &Kafka, topic: &str, partition: i32, ids: std::ops::Range<u64>) {
    let texts: Vec<String> = ids.map(point).collect();
    kafka.publish(topic, partition, texts.iter().map(String::as_bytes));
}

/// A daemon that has read ten messages of each of two partitions, and was killed. Ten more came to
/// each, and of the first one all before `begin` is gone. `more` is configured of the source.
fn cut_while_stopped(kafka: &Kafka, topic: &str, more: &str, begin: i64) -> Setup {
    kafka.create_topic(topic, 2);
    let setup = Setup::new();
    setup.configure(&format!(
        "[collections.c]\nsize = 1\ndistance = \"Dot\"\n[storage]\n\
         checkpoint_wal_bytes = 1000000000\n[[source]]\nname = \"s\"\n\
         [source.kafka]\nbrokers = \"{}\"\ntopics = [\"{topic}\"]\ngroup = \"{topic}\"\n{more}",
        kafka.bootstrap()
    ));
    publish(kafka, topic, 0, 0..10);
    publish(kafka, topic, 1, 100..110);
    let pointd = setup.start();
    pointd.wait_until("the first", PATIENCE, |pointd| pointd.count("c") == 20);
    pointd.kill_9();
    publish(kafka, topic, 0, 10..20);
    publish(kafka, topic, 1, 110..120);
    kafka.delete_records(topic, 0, begin);
    setup
}

#[test]
fn a_gap_is_accepted_by_command_and_stays_accepted_over_a_kill() {
    let Some(kafka) = Kafka::shared("a gap, accepted by command") else { return };
    let topic = unique("accepted");
    let setup = cut_while_stopped(kafka, &topic, "", 15);

    let pointd = setup.start_serving();
    pointd.wait_until("the other partition", PATIENCE, |pointd| pointd.count("c") == 30);
    let halted = format!("{topic}/0 of s is halted");
    pointd.wait_until("the halt", PATIENCE, |pointd| pointd.text("/readyz").contains(&halted));
    let listed = said(&["sources", "list", "--url", &pointd.url]);
    assert!(listed.contains("halted") && listed.contains(&topic), "{listed}");
    let series = format!("pointd_source_halted{{partition=\"0\",source=\"s\",topic=\"{topic}\"}}");
    assert_eq!(pointd.metric(&series), Some(1.0));

    let decided = said(&["sources", "accept-gap", "s", "--url", &pointd.url]);
    assert!(decided.contains("offset 15") && decided.contains("stood at 10"), "{decided}");
    pointd.wait_until("what is left", PATIENCE, |pointd| pointd.count("c") == 35);
    assert_eq!(pointd.metric(&series), Some(0.0));
    pointd.kill_9();
    let pointd = setup.start();
    assert_eq!(pointd.count("c"), 35);
    let wal = setup.data().join("wal");
    let records = said(&["wal", "inspect", "--records", wal.to_str().unwrap()]);
    assert_eq!(records.matches("decided: ").count(), 1, "{records}");
    publish(kafka, &topic, 0, 20..21);
    pointd.wait_until("one more", PATIENCE, |pointd| pointd.count("c") == 36);
}

/// Nothing is left behind it: that the partition stands there now, the decision's record alone says.
#[test]
fn a_gap_is_skipped_as_configured_and_decided_once_over_kills() {
    let Some(kafka) = Kafka::shared("a gap, skipped as configured") else { return };
    let topic = unique("skipped");
    let setup = cut_while_stopped(kafka, &topic, "gap = \"skip\"\n", 20);

    let decided = || {
        let wal = setup.data().join("wal");
        let records = said(&["wal", "inspect", "--records", wal.to_str().unwrap()]);
        let lines = records.lines().filter(|line| line.contains("decided: "));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    let pointd = setup.start();
    pointd.wait_until("the other partition", PATIENCE, |pointd| pointd.count("c") == 30);
    pointd.wait_until("the decision", PATIENCE, |_| !decided().is_empty());
    pointd.kill_9();
    let [decision] = &decided()[..] else { panic!("{:?}", decided()) };
    let whole = |part: &str| decision.contains(part);
    assert!(whole(&format!("{topic}/0 next 20")) && whole("skipped, as configured"), "{decision}");
    for (restart, id) in [20, 21].into_iter().enumerate() {
        let pointd = setup.start();
        publish(kafka, &topic, 0, id..id + 1);
        let expected = 31 + restart as u64;
        pointd.wait_until("one more", PATIENCE, |pointd| pointd.count("c") == expected);
        let operations = pointd.metric_at_least(OPERATIONS, expected as f64 + 1.0);
        assert_eq!(operations, expected as f64 + 1.0, "the collection, and each point once");
        pointd.kill_9();
        assert_eq!(decided(), [decision.as_str()]);
    }
}

#[test]
fn who_has_read_a_topic_reads_on_over_a_restart_whoever_asks_first() {
    let Some(kafka) = Kafka::shared("two sources over a restart") else { return };
    let topic = unique("met");
    kafka.create_topic(&topic, 1);
    let publish = |ids: std::ops::Range<u64>| {
        let texts: Vec<String> = ids.map(point).collect();
        kafka.publish(&topic, 0, texts.iter().map(String::as_bytes));
    };
    let setup = Setup::new();
    let source = |name: &str, pattern: &str| {
        format!(
            "[[source]]\nname = \"{name}\"\n[source.kafka]\nbrokers = \"{}\"\n\
             topics = [\"{pattern}\"]\ngroup = \"{topic}-{name}\"\n",
            kafka.bootstrap()
        )
    };
    let rest = "[collections.c]\nsize = 1\ndistance = \"Dot\"\n";
    let one = source("one", &format!("^{topic}$"));
    setup.configure(&format!("{rest}{one}"));
    publish(0..10);
    let pointd = setup.start();
    pointd.wait_until("the first", PATIENCE, |pointd| pointd.count("c") == 10);
    pointd.kill_9();

    // The other is started first.
    let two = source("two", &format!("^{topic}.*"));
    setup.configure(&format!("{rest}{two}{one}"));
    publish(10..20);
    let pointd = setup.start_serving();
    pointd.wait_until("the rest", PATIENCE, |pointd| pointd.count("c") == 20);
    let halted = format!("{topic}/0 of two is halted");
    pointd.wait_until("the halt", PATIENCE, |pointd| pointd.text("/readyz").contains(&halted));
    let taken =
        format!("pointd_source_received_total{{partition=\"0\",source=\"one\",topic=\"{topic}\"}}");
    assert_eq!(pointd.metric(&taken), Some(10.0));
    assert!(!pointd.text("/readyz").contains("of one"), "{}", pointd.text("/readyz"));
}
