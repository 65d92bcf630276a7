//! Two sources of one process that would read the same topic.

use std::thread::JoinHandle;

use pointd::source::kafka::{Claims, KafkaSettings, KafkaSource};
use pointd::source::status::Kind;

use super::outlet::Bench;
use super::{LIMIT, accept_gap, kafka_settings, numbers, unique, why_halted};
use crate::brokers::kafka::Kafka;
use crate::brokers::until;

fn start(name: &str, bench: &Bench, settings: KafkaSettings, claims: &Claims) -> JoinHandle<()> {
    let source = KafkaSource {
        name: name.into(),
        settings,
        positions: vec![],
        identify: false,
        embedded: None,
        claims: claims.clone(),
    };
    source.spawn(bench.wiring()).unwrap()
}

#[test]
fn a_partition_that_another_source_reads_is_halted_and_says_so() {
    let Some(kafka) = Kafka::shared("two sources") else { return };
    let topic = unique("shared");
    kafka.create_topic(&topic, 1);
    kafka.publish(&topic, 0, numbers(0..10));
    let (claims, settings) = (Claims::default(), kafka_settings(&kafka.bootstrap(), &topic));
    let (first, second) = (Bench::new(Kind::Kafka, true), Bench::new(Kind::Kafka, true));
    let one = start("one", &first, settings.clone(), &claims);
    first.wait_for_messages(10);
    let two = start("two", &second, settings.clone(), &claims);
    until("the halt", LIMIT, || why_halted(&second, 0).is_some());
    assert!(why_halted(&second, 0).unwrap().contains("\"one\""));
    let told = accept_gap(&second, None, None).unwrap();
    assert!(told[0].contains("stays halted"), "{told:?}");
    assert_eq!(second.message_count(), 0);
    first.stop(one);
    second.stop(two);
    // In the next process nobody reads it, unless somebody has read it before.
    let third = Bench::new(Kind::Kafka, true);
    let two = start("two", &third, settings, &Claims::default());
    third.wait_for_messages(10);
    third.stop(two);
}

#[test]
fn of_two_patterns_that_meet_on_a_new_topic_one_reads_it_and_the_other_says_who() {
    let Some(kafka) = Kafka::shared("two patterns that meet") else { return };
    let (begin, end) = (unique("begin"), unique("end"));
    let claims = Claims::default();
    let benches = [Bench::new(Kind::Kafka, true), Bench::new(Kind::Kafka, true)];
    let patterns = [("one", format!("^{begin}-.*")), ("two", format!("^.*-{end}$"))];
    let sources = [0, 1].map(|at| {
        let mut settings = kafka_settings(&kafka.bootstrap(), &patterns[at].1);
        settings.group = unique("group");
        start(patterns[at].0, &benches[at], settings, &claims)
    });
    for (topic, bench) in [(format!("{begin}-x"), 0), (format!("x-{end}"), 1)] {
        kafka.create_topic(&topic, 1);
        kafka.publish(&topic, 0, numbers(0..10));
        benches[bench].wait_for_messages(10);
    }
    let both = format!("{begin}-{end}");
    for round in 0..2 {
        kafka.create_topic(&both, 2);
        for partition in 0..2 {
            kafka.publish(&both, partition, numbers(100..110));
        }
        let read = |bench: &Bench| {
            let of = bench.messages().into_iter();
            of.filter(|(position, _)| position.stream.name() == both).count()
        };
        let halted = |bench: &Bench| -> Vec<String> {
            let streams = bench.report().streams.into_iter();
            let of = streams.filter(|stream| stream.stream.name() == both);
            of.filter_map(|stream| match stream.state {
                pointd::source::status::StreamState::Halted { why } => Some(why),
                _ => None,
            })
            .collect()
        };
        if round == 0 {
            until("every message", LIMIT, || read(&benches[0]) + read(&benches[1]) == 20);
            until("the halts", LIMIT, || {
                halted(&benches[0]).len() + halted(&benches[1]).len() == 2
            });
        } else {
            // Whoever read it says that it was made anew.
            until("the streams", LIMIT, || {
                benches.iter().all(|bench| bench.report().streams.len() == 3)
            });
        }
        for (bench, other) in [(&benches[0], "\"two\""), (&benches[1], "\"one\"")] {
            let told = halted(bench);
            let fair = |why: &String| why.contains(other) || (round == 1 && why.contains("anew"));
            assert!(told.iter().all(fair), "{told:?}");
        }
        kafka.delete_topic(&both);
        until("the revocation", LIMIT, || {
            benches.iter().all(|bench| bench.report().streams.len() == 1)
        });
    }
    for (bench, source) in benches.iter().zip(sources) {
        bench.stop(source);
    }
}
