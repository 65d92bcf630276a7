//! What poison costs those behind it: the same messages with and without a broken one after every
//! nine of them.

use pointd::commands::produce::form::Form;
use rdkafka::producer::BaseProducer;

use crate::brokers::kafka::{Kafka, publish};
use crate::{Broker, Brokers, Line, median, run, written};

const GOOD_IN_A_ROW: usize = 9;

pub fn print(points: u64, partitions: i32, rounds: usize) {
    let Some(kafka) = Kafka::start("the cost of poison") else { return };
    let line = Line {
        broker: Broker::Kafka,
        form: Form::Json,
        per_message: 1,
        dim: 128,
        points,
        partitions,
    };
    let messages = written(line.form, line.per_message, line.dim, line.messages());
    let producer = kafka.producer();
    for (topic, poisoned) in [("clean", false), ("poisoned", true)] {
        kafka.create_topic(topic, partitions);
        fill(&producer, topic, partitions, &messages, poisoned);
    }
    println!("| every tenth is poison | good messages/s | without poison | ratio |");
    println!("|---|---|---|---|");
    let results: Vec<(f64, f64)> = (0..rounds)
        .map(|_| {
            let rate = |topic| {
                let took = run::pointd(&line, &Brokers::Kafka(&kafka), topic);
                line.messages() as f64 / took.as_secs_f64()
            };
            let clean = rate("clean");
            (rate("poisoned"), clean)
        })
        .collect();
    let (poisoned, clean, ratio) = median(results);
    println!("| median of {rounds} | {poisoned:.0} | {clean:.0} | {ratio:.2} |");
}

/// Spread evenly over the partitions; a broken message is the first half of a good one.
fn fill(
    producer: &BaseProducer,
    topic: &str,
    partitions: i32,
    messages: &[Vec<u8>],
    poisoned: bool,
) {
    for partition in 0..partitions {
        let own = messages.iter().skip(partition as usize).step_by(partitions as usize);
        let own = own.enumerate().flat_map(|(at, good)| {
            let broken = poisoned && at % GOOD_IN_A_ROW == 0;
            [Some(&good[..]), broken.then_some(&good[..good.len() / 2])].into_iter().flatten()
        });
        publish(producer, topic, partition, own);
    }
}
