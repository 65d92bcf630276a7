//! Positions and commits: where it resumes, and what the broker is told.

use std::time::Duration;

use pointd::position::Offset;
use pointd::source::What;
use pointd::source::status::Kind;
use rdkafka::producer::{BaseRecord, Producer};

use super::outlet::Bench;
use super::{LIMIT, kafka_settings, next_of, numbers, partition_report, start_kafka, unique};
use crate::brokers::kafka::{Kafka, publish};
use crate::brokers::until;

#[test]
fn it_resumes_where_the_log_stands_whatever_is_committed() {
    let Some(kafka) = Kafka::shared("resume from positions") else { return };
    let topic = unique("resume");
    kafka.create_topic(&topic, 1);
    kafka.publish(&topic, 0, numbers(0..100));
    let settings = kafka_settings(&kafka.bootstrap(), &topic);
    let first = Bench::new(Kind::Kafka, true);
    let source = start_kafka(&first, &settings, vec![]);
    first.wait_for_messages(100);
    until("the commit", LIMIT, || kafka.committed(&settings.group, &topic, 0) == Some(100));
    first.stop(source);

    // The log only has the first 40: what is committed does not count.
    let position = first.messages()[39].0.clone();
    assert_eq!(next_of(&position), 40);
    let second = Bench::new(Kind::Kafka, true);
    let source = start_kafka(&second, &settings, vec![position]);
    second.wait_for_messages(60);
    assert_eq!(second.values(Some(0)), numbers(40..100).collect::<Vec<_>>());
    assert!(!second.items().iter().any(|(_, item)| matches!(item.what, What::Start { .. })));
    second.stop(source);
}

#[test]
fn nothing_is_committed_beyond_the_watermark() {
    let Some(kafka) = Kafka::shared("commits behind the watermark") else { return };
    let topic = unique("behind");
    kafka.create_topic(&topic, 2);
    let mut settings = kafka_settings(&kafka.bootstrap(), &topic);
    settings.batch_messages_max = 10;
    let bench = Bench::new(Kind::Kafka, false);
    let source = start_kafka(&bench, &settings, vec![]);
    // In one batch, or in one each: they are told one after the other.
    until("the starts", LIMIT, || bench.items().len() == 2);
    let starts = bench.batches();
    bench.watermark.raise(starts);
    kafka.publish(&topic, 0, numbers(0..100));
    kafka.publish(&topic, 1, numbers(0..50));
    bench.wait_for_messages(150);
    let committed = |partition| kafka.committed(&settings.group, &topic, partition);
    until("the starts' commit", LIMIT, || committed(0) == Some(0) && committed(1) == Some(0));

    for number in starts + 1..=bench.batches() {
        if number % 4 != 0 && number != bench.batches() {
            continue;
        }
        bench.watermark.raise(number);
        let expected = |partition| {
            let upto = bench.items().into_iter().filter(|(batch, _)| *batch <= number);
            upto.filter(|(_, item)| item.position.stream.partition() == Some(partition))
                .map(|(_, item)| next_of(&item.position))
                .last()
        };
        until("the commit", LIMIT, || {
            let (zero, one) = (committed(0), committed(1));
            assert!(zero <= expected(0) && one <= expected(1), "beyond: {zero:?} {one:?}");
            (zero, one) == (expected(0), expected(1))
        });
    }
    assert_eq!((committed(0), committed(1)), (Some(100), Some(50)));
    bench.wait_for_report("the commit in the status", |report| {
        partition_report(report, 0).unwrap().committed == Some(Offset(100))
    });
    bench.stop(source);
}

#[test]
fn shutdown_waits_for_what_was_given_out_and_commits_it() {
    let Some(kafka) = Kafka::shared("the commit at shutdown") else { return };
    let topic = unique("stop");
    kafka.create_topic(&topic, 1);
    kafka.publish(&topic, 0, numbers(0..10));
    let mut settings = kafka_settings(&kafka.bootstrap(), &topic);
    settings.commit_interval = Duration::from_secs(3600);
    let mut bench = Bench::new(Kind::Kafka, false);
    bench.drain_timeout = LIMIT;
    let source = start_kafka(&bench, &settings, vec![]);
    until("the start", LIMIT, || bench.batches() == 1);
    bench.watermark.raise(1);
    bench.wait_for_messages(10);
    bench.shutdown.ask();
    assert!(!source.is_finished());
    assert_eq!(kafka.committed(&settings.group, &topic, 0), None);
    bench.watermark.raise(bench.batches());
    source.join().unwrap();
    assert_eq!(kafka.committed(&settings.group, &topic, 0), Some(10));
}

#[test]
fn aborted_transactions_stay_hidden_and_the_end_is_reached() {
    let Some(kafka) = Kafka::shared("transactions") else { return };
    let topic = unique("transactions");
    kafka.create_topic(&topic, 1);
    let producer = kafka.transactional_producer(&topic);
    let send = |values| {
        for value in values {
            let record = BaseRecord::<(), String>::to(&topic).partition(0).payload(&value);
            producer.send(record).map_err(|(error, _)| error).unwrap();
        }
        producer.flush(LIMIT).unwrap();
    };
    producer.begin_transaction().unwrap();
    send(numbers(0..5));
    producer.commit_transaction(LIMIT).unwrap();
    producer.begin_transaction().unwrap();
    send(numbers(100..107));
    producer.abort_transaction(LIMIT).unwrap();
    // 5 messages, a marker, 7 messages that never were, a marker.
    let end = 14;
    let settings = kafka_settings(&kafka.bootstrap(), &topic);
    let bench = Bench::new(Kind::Kafka, true);
    let source = start_kafka(&bench, &settings, vec![]);
    let last = || bench.items().last().map(|(_, item)| next_of(&item.position));
    until("the end", LIMIT, || last() == Some(end));
    assert_eq!(bench.values(Some(0)), numbers(0..5).collect::<Vec<_>>());
    assert!(matches!(bench.items().last().unwrap().1.what, What::Moved { .. }));
    until("the commit of the end", LIMIT, || {
        kafka.committed(&settings.group, &topic, 0) == Some(end)
    });
    assert_eq!(partition_report(&bench.report(), 0).unwrap().end, Some(Offset(end)));

    producer.begin_transaction().unwrap();
    send(numbers(5..8));
    producer.commit_transaction(LIMIT).unwrap();
    bench.wait_for_messages(8);
    assert_eq!(bench.values(Some(0)), numbers(0..8).collect::<Vec<_>>());
    bench.stop(source);
}

#[test]
fn a_full_outlet_pauses_and_nothing_is_lost() {
    let Some(kafka) = Kafka::shared("pause and resume") else { return };
    let topic = unique("full");
    kafka.create_topic(&topic, 2);
    for partition in 0..2 {
        kafka.publish(&topic, partition, numbers(0..20_000));
    }
    let mut settings = kafka_settings(&kafka.bootstrap(), &topic);
    settings.batch_messages_max = 100;
    let bench = Bench::new(Kind::Kafka, true);
    bench.set_room(5);
    let source = start_kafka(&bench, &settings, vec![]);
    let paused = || bench.metrics.source.paused.with_label_values(&["test"]).get();
    for room in [5, 50, 150] {
        bench.set_room(room);
        until("the pause", LIMIT, || {
            paused() == 1 && bench.batches() == room as u64 && bench.refused() > 0
        });
    }
    // More arrives while it is paused.
    let producer = kafka.producer();
    publish(&producer, &topic, 0, numbers(20_000..20_100));
    bench.set_room(usize::MAX);
    bench.wait_for_messages(40_100);
    until("the resume", LIMIT, || paused() == 0);
    assert_eq!(bench.values(Some(0)), numbers(0..20_100).collect::<Vec<_>>());
    assert_eq!(bench.values(Some(1)), numbers(0..20_000).collect::<Vec<_>>());
    bench.stop(source);
}

#[test]
fn a_member_of_the_group_is_reported() {
    use rdkafka::consumer::{BaseConsumer, Consumer};
    let Some(kafka) = Kafka::shared("a second member of the group") else { return };
    let topic = unique("member");
    kafka.create_topic(&topic, 1);
    let settings = kafka_settings(&kafka.bootstrap(), &topic);
    let intruder: BaseConsumer = rdkafka::ClientConfig::new()
        .set("bootstrap.servers", kafka.bootstrap())
        .set("group.id", &settings.group)
        .create()
        .unwrap();
    intruder.subscribe(&[&topic]).unwrap();
    until("the intruder's membership", LIMIT, || {
        intruder.poll(Duration::from_millis(50));
        intruder.assignment().unwrap().count() == 1
    });
    let bench = Bench::new(Kind::Kafka, true);
    let source = start_kafka(&bench, &settings, vec![]);
    kafka.publish(&topic, 0, numbers(0..10));
    bench.wait_for_messages(10);
    bench.wait_for_report("the refused commit", |report| {
        intruder.poll(Duration::ZERO);
        report.commit_error.as_ref().is_some_and(|error| error.contains("member"))
    });
    drop(intruder);
    bench.wait_for_report("commits again", |report| report.commit_error.is_none());
    until("the commit", LIMIT, || kafka.committed(&settings.group, &topic, 0) == Some(10));
    bench.stop(source);
}
