//! Gaps: one partition stops, says why, and the others go on.

use pointd::source::GapPolicy;
use pointd::source::What;
use pointd::source::kafka::KafkaSettings;
use pointd::source::status::Kind;

use super::outlet::Bench;
use super::{LIMIT, kafka_settings, next_of, numbers, start_kafka, unique, why_halted};
use crate::brokers::kafka::Kafka;
use crate::brokers::{until, until_or};

fn halted(bench: &Bench, topic: &str, partition: &str) -> i64 {
    bench.metrics.source.halted.with_label_values(&["test", topic, partition]).get()
}

/// Reads two partitions of 20 messages each and stops.
fn read_once(kafka: &Kafka, settings: &KafkaSettings) -> Bench {
    let topic = &settings.topics[0];
    kafka.create_topic(topic, 2);
    for partition in 0..2 {
        kafka.publish(topic, partition, numbers(0..20));
    }
    let bench = Bench::new(Kind::Kafka, true);
    let source = start_kafka(&bench, settings, vec![]);
    bench.wait_for_messages(40);
    bench.stop(source);
    bench
}

#[test]
fn messages_gone_before_a_restart_halt_their_partition_only() {
    let Some(kafka) = Kafka::shared("a gap at the start") else { return };
    let mut settings = kafka_settings(&kafka.bootstrap(), &unique("gone"));
    let topic = settings.topics[0].clone();
    let known = read_once(kafka, &settings).positions();
    for partition in 0..2 {
        kafka.publish(&topic, partition, numbers(20..40));
    }
    kafka.delete_records(&topic, 0, 30);
    let bench = Bench::new(Kind::Kafka, true);
    let source = start_kafka(&bench, &settings, known.clone());
    bench.wait_for_messages(20);
    until("the halt", LIMIT, || why_halted(&bench, 0).is_some());
    let why = why_halted(&bench, 0).unwrap();
    assert!(why.contains("20") && why.contains("30"), "{why}");
    assert_eq!((halted(&bench, &topic, "0"), halted(&bench, &topic, "1")), (1, 0));
    assert!(bench.values(Some(0)).is_empty());
    bench.stop(source);

    settings.gap = GapPolicy::Skip;
    let bench = Bench::new(Kind::Kafka, true);
    let source = start_kafka(&bench, &settings, known);
    bench.wait_for_messages(30);
    assert_eq!(bench.values(Some(0)), numbers(30..40).collect::<Vec<_>>());
    let first = bench
        .items()
        .into_iter()
        .map(|(_, item)| item)
        .find(|item| item.position.stream.partition() == Some(0));
    let first = first.unwrap();
    assert!(
        matches!(first.what, What::Moved { why: Some(_) }) && next_of(&first.position) == 30,
        "{first:?}"
    );
    bench.stop(source);
}

#[test]
fn messages_gone_while_running_halt_their_partition_only() {
    let Some(kafka) = Kafka::shared("a gap while running") else { return };
    let mut settings = kafka_settings(&kafka.bootstrap(), &unique("going"));
    settings.batch_messages_max = 10;
    // Little is fetched ahead, so that what is deleted is not here already.
    for (name, value) in [("fetch.message.max.bytes", "2000"), ("queued.min.messages", "1")] {
        settings.properties.0.insert(name.into(), value.into());
    }
    let topic = settings.topics[0].clone();
    kafka.create_topic(&topic, 2);
    let large = |number: u32| format!("{number:04}{}", "x".repeat(1000));
    for partition in 0..2 {
        kafka.publish(&topic, partition, (0..100).map(large));
    }
    let bench = Bench::new(Kind::Kafka, true);
    bench.set_room(2);
    let source = start_kafka(&bench, &settings, vec![]);
    // One that is found later would start behind what is deleted.
    bench.wait_for_report("every partition", |report| report.streams.len() == 2);
    let paused = || bench.metrics.source.paused.with_label_values(&["test"]).get() == 1;
    until("the pause", LIMIT, paused);
    kafka.delete_records(&topic, 0, 90);
    bench.set_room(usize::MAX);
    until("the halt", LIMIT, || why_halted(&bench, 0).is_some());
    until("the other partition", LIMIT, || bench.values(Some(1)).len() == 100);
    assert!(why_halted(&bench, 0).unwrap().contains("starts at 90"), "{:?}", why_halted(&bench, 0));
    assert!(bench.values(Some(0)).len() < 90);
    assert_eq!((halted(&bench, &topic, "0"), halted(&bench, &topic, "1")), (1, 0));
    bench.stop(source);
}

#[test]
fn a_topic_made_anew_is_another_topic() {
    let Some(kafka) = Kafka::shared("topic ids") else { return };
    let mut settings = kafka_settings(&kafka.bootstrap(), &unique("anew"));
    let topic = settings.topics[0].clone();
    let known = read_once(kafka, &settings).positions();
    kafka.delete_topic(&topic);
    kafka.create_topic(&topic, 2);
    for partition in 0..2 {
        // Longer than our offsets: only the id tells.
        kafka.publish(&topic, partition, numbers(100..150));
    }
    let bench = Bench::new(Kind::Kafka, true);
    let source = start_kafka(&bench, &settings, known.clone());
    until("the halt", LIMIT, || why_halted(&bench, 0).is_some() && why_halted(&bench, 1).is_some());
    assert!(why_halted(&bench, 0).unwrap().contains("made anew"), "{:?}", why_halted(&bench, 0));
    assert_eq!(bench.message_count(), 0);
    bench.stop(source);

    settings.gap = GapPolicy::Skip;
    let bench = Bench::new(Kind::Kafka, true);
    let source = start_kafka(&bench, &settings, known.clone());
    bench.wait_for_messages(100);
    assert!(matches!(bench.items()[0].1.what, What::Start { forget_others: false, .. }));
    assert_ne!(bench.items()[0].1.position.stream, known[0].stream);
    assert_eq!(bench.values(Some(1)), numbers(100..150).collect::<Vec<_>>());
    bench.stop(source);
}

#[test]
fn a_topic_made_anew_while_running_is_noticed() {
    let Some(kafka) = Kafka::shared("topic ids while running") else { return };
    let settings = kafka_settings(&kafka.bootstrap(), &unique("swapped"));
    let topic = settings.topics[0].clone();
    kafka.create_topic(&topic, 3);
    kafka.publish(&topic, 0, numbers(0..20));
    let bench = Bench::new(Kind::Kafka, true);
    let source = start_kafka(&bench, &settings, vec![]);
    bench.wait_for_messages(20);
    // Each is told by itself, the first before the last.
    bench.wait_for_report("every partition", |report| report.streams.len() == 3);
    kafka.delete_topic(&topic);
    // With fewer partitions: what is not there is not shown.
    kafka.create_topic(&topic, 1);
    until("the halt", LIMIT, || why_halted(&bench, 0).is_some());
    bench.wait_for_report("the others' end", |report| report.streams.len() == 1);
    // Their numbers go after their status.
    let is_shown = || bench.metrics.render().contains("partition=\"2\"");
    until_or(LIMIT, || !is_shown(), || format!("they go: {}", bench.metrics.render()));
    assert_eq!(bench.message_count(), 20);
    bench.stop(source);
}

#[test]
fn another_cluster_under_the_same_address_is_a_gap() {
    let Some(kafka) = Kafka::shared("cluster ids") else { return };
    let settings = kafka_settings(&kafka.bootstrap(), &unique("moved"));
    let mut known = read_once(kafka, &settings).positions();
    for position in &mut known {
        let mut stream = (*position.stream).clone();
        if let pointd::position::Stream::Partition { cluster, .. } = &mut stream {
            *cluster = "another".into();
        }
        position.stream = stream.into();
    }
    let bench = Bench::new(Kind::Kafka, true);
    let source = start_kafka(&bench, &settings, known);
    until("the halt", LIMIT, || why_halted(&bench, 0).is_some() && why_halted(&bench, 1).is_some());
    assert!(why_halted(&bench, 0).unwrap().contains("another"), "{:?}", why_halted(&bench, 0));
    assert_eq!(bench.message_count(), 0);
    bench.stop(source);
}
