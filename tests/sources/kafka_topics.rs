//! Which topics are read: patterns, topics that come and go, and where a new source begins.

use pointd::source::GapPolicy;
use pointd::source::What;
use pointd::source::kafka::{KafkaSettings, Start};
use pointd::source::status::{Kind, State};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer};

use super::outlet::Bench;
use super::{LIMIT, accept_gap, kafka_settings, next_of, numbers, start_kafka, unique, why_halted};
use crate::brokers::kafka::Kafka;
use crate::brokers::{until, until_or};

fn pattern(kafka: &Kafka, prefix: &str) -> KafkaSettings {
    kafka_settings(&kafka.bootstrap(), &format!("^{prefix}-.*"))
}

fn of_topic(bench: &Bench, topic: &str) -> Vec<String> {
    let messages = bench.messages().into_iter();
    let messages = messages.filter(|(position, _)| position.stream.name() == topic);
    messages.map(|(_, it)| String::from_utf8(it.value.unwrap().to_vec()).unwrap()).collect()
}

#[test]
fn topics_that_match_come_and_go() {
    let Some(kafka) = Kafka::shared("patterns") else { return };
    let prefix = unique("many");
    let (one, two) = (format!("{prefix}-one"), format!("{prefix}-two"));
    kafka.create_topic(&one, 1);
    kafka.create_topic(&format!("not-{prefix}-one"), 1);
    kafka.publish(&one, 0, numbers(0..10));
    let bench = Bench::new(Kind::Kafka, true);
    let source = start_kafka(&bench, &pattern(kafka, &prefix), vec![]);
    bench.wait_for_messages(10);
    kafka.create_topic(&two, 2);
    kafka.publish(&two, 1, numbers(10..20));
    bench.wait_for_messages(20);
    assert_eq!(of_topic(&bench, &two), numbers(10..20).collect::<Vec<_>>());
    // Each is told by itself, once its leader answers.
    bench.wait_for_report("every partition", |report| report.streams.len() == 3);
    assert!(bench.metrics.render().contains(&two));

    kafka.delete_topic(&two);
    bench.wait_for_report("the revocation", |report| report.streams.len() == 1);
    // Its numbers go after its status.
    let is_shown = || bench.metrics.render().contains(&two);
    until_or(LIMIT, || !is_shown(), || format!("they go: {}", bench.metrics.render()));
    kafka.publish(&one, 0, numbers(20..30));
    bench.wait_for_messages(30);

    // Made anew, it is another one: a gap, for the log has a position of the first.
    kafka.create_topic(&two, 2);
    kafka.publish(&two, 1, numbers(30..60));
    let halted = || why_halted(&bench, 1).is_some_and(|why| why.contains("made anew"));
    until("the halt", LIMIT, halted);
    let done = accept_gap(&bench, Some(&two), None).unwrap();
    assert!(done.iter().all(|done| done.contains("goes on at offset 0")), "{done:?}");
    until("the new topic", LIMIT, || of_topic(&bench, &two).len() == 40);
    assert_eq!(of_topic(&bench, &two)[10..], numbers(30..60).collect::<Vec<_>>());
    bench.stop(source);
}

#[test]
fn a_topic_made_anew_while_it_is_read_is_skipped_to_where_that_is_configured() {
    let Some(kafka) = Kafka::shared("skipping to a topic made anew") else { return };
    let mut settings = kafka_settings(&kafka.bootstrap(), &unique("swapped"));
    settings.gap = GapPolicy::Skip;
    let topic = settings.topics[0].clone();
    kafka.create_topic(&topic, 1);
    kafka.publish(&topic, 0, numbers(0..20));
    let bench = Bench::new(Kind::Kafka, true);
    let source = start_kafka(&bench, &settings, vec![]);
    bench.wait_for_messages(20);
    kafka.delete_topic(&topic);
    kafka.create_topic(&topic, 1);
    kafka.publish(&topic, 0, numbers(100..110));
    bench.wait_for_messages(30);
    assert_eq!(bench.values(Some(0))[20..], numbers(100..110).collect::<Vec<_>>());
    let starts = bench.items().into_iter().filter_map(|(_, item)| match item.what {
        What::Start { why, .. } => Some(why),
        _ => None,
    });
    let starts: Vec<Option<String>> = starts.collect();
    assert!(starts[1].as_ref().unwrap().contains("skipped, as configured"), "{starts:?}");
    assert_eq!(why_halted(&bench, 0), None);
    assert_eq!(bench.report().streams.len(), 1);
    bench.stop(source);
}

#[test]
fn a_new_source_decides_once_and_for_all_where_it_begins() {
    let Some(kafka) = Kafka::shared("where a new source begins") else { return };
    let prefix = unique("begin");
    let (one, two, three) =
        (format!("{prefix}-one"), format!("{prefix}-two"), format!("{prefix}-three"));
    for topic in [&one, &two] {
        kafka.create_topic(topic, 2);
        kafka.publish(topic, 0, numbers(0..10));
    }
    let mut settings = pattern(kafka, &prefix);
    settings.start = Start::Latest;
    let bench = Bench::new(Kind::Kafka, false);
    let source = start_kafka(&bench, &settings, vec![]);
    until("the decision", LIMIT, || bench.batches() == 1);
    let items = bench.items();
    assert!(items.iter().all(|(number, item)| {
        *number == 1 && matches!(item.what, What::Start { why: None, .. })
    }));
    let mut starts: Vec<(String, i32, u64)> = items
        .iter()
        .map(|(_, item)| {
            let stream = &item.position.stream;
            (stream.name().to_owned(), stream.partition().unwrap(), next_of(&item.position))
        })
        .collect();
    starts.sort();
    let expected = [(&one, 0, 10), (&one, 1, 0), (&two, 0, 10), (&two, 1, 0)];
    assert_eq!(starts, expected.map(|(topic, number, next)| (topic.clone(), number, next)));
    // Nothing is read before it is durable.
    kafka.publish(&one, 0, numbers(10..20));
    bench.watermark.raise(1);
    bench.wait_for_messages(10);
    bench.stop_at_once(source);

    // What comes while nobody looks starts at its beginning.
    kafka.grow_topic(&two, 3);
    kafka.create_topic(&three, 1);
    kafka.publish(&three, 0, numbers(100..110));
    kafka.publish(&two, 2, numbers(200..210));
    let known = bench.positions();
    let bench = Bench::new(Kind::Kafka, true);
    let source = start_kafka(&bench, &settings, known);
    bench.wait_for_messages(20);
    assert_eq!(of_topic(&bench, &three), numbers(100..110).collect::<Vec<_>>());
    assert_eq!(of_topic(&bench, &two), numbers(200..210).collect::<Vec<_>>());
    bench.wait_for_report("running", |report| report.state == State::Running);
    bench.stop(source);
}

#[test]
fn a_topic_that_does_not_exist_is_told_and_holds_up_no_other() {
    let Some(kafka) = Kafka::shared("topics that do not exist") else { return };
    let mut settings = kafka_settings(&kafka.bootstrap(), &unique("there"));
    let (there, late) = (settings.topics[0].clone(), unique("late"));
    settings.topics.push(late.clone());
    kafka.create_topic(&there, 1);
    kafka.publish(&there, 0, numbers(0..10));
    let bench = Bench::new(Kind::Kafka, true);
    let source = start_kafka(&bench, &settings, vec![]);
    bench.wait_for_messages(10);
    bench.wait_for_report("what is missing", |report| {
        report.state == State::Running && report.missing_topics.iter().eq([&late])
    });
    kafka.create_topic(&late, 1);
    kafka.publish(&late, 0, numbers(10..20));
    bench.wait_for_messages(20);
    bench.wait_for_report("nothing missing", |report| report.missing_topics.is_empty());
    kafka.delete_topic(&there);
    bench.wait_for_report("what is missing", |report| report.missing_topics.iter().eq([&there]));
    bench.stop(source);
}

#[test]
fn a_message_id_in_the_headers_is_the_messages_identity() {
    let Some(kafka) = Kafka::shared("message ids") else { return };
    let topic = unique("identity");
    kafka.create_topic(&topic, 1);
    let producer = kafka.producer();
    let headers = OwnedHeaders::new().insert(Header { key: "message-id", value: Some("m-1") });
    let with = BaseRecord::<str, str>::to(&topic).partition(0).payload("v").headers(headers);
    producer.send(with).map_err(|(error, _)| error).unwrap();
    let without = BaseRecord::<str, str>::to(&topic).partition(0).payload("v");
    producer.send(without).map_err(|(error, _)| error).unwrap();
    producer.flush(LIMIT).unwrap();
    let bench = Bench::new(Kind::Kafka, true);
    let source = start_kafka(&bench, &kafka_settings(&kafka.bootstrap(), &topic), vec![]);
    bench.wait_for_messages(2);
    let messages = bench.messages();
    let print = messages[0].0.identity.as_ref().unwrap();
    assert_eq!(print.message_id.as_deref(), Some("m-1"));
    assert_eq!(print.body, xxhash_rust::xxh3::xxh3_128(b"v"));
    assert_eq!(messages[1].0.identity, None);
    bench.stop(source);
}
