//! How fast messages become durable and applied, against a floor.
//!
//! The *floor* is the least that any program with pointd's promise must do: consume the topic
//! with rdkafka, or the queue with lapin, decode each message with serde_json or prost, append
//! the decoded vectors and payloads to one file in frames, and fdatasync each frame (before it
//! acks, where there is a queue); nothing else. Floor and pointd read the same messages from the
//! same broker in one run, in turn, so that the machine's mood cancels out; the ratio is the
//! result, not the rates.
//!
//! pointd's time begins with its process: opening an empty data directory, connecting, and finding the
//! topic's partitions are in it. It ends when its metrics show everything applied, at which they are
//! looked 100 times a second. The floor's begins when it connects, in a process that runs, with
//! partitions it was told.
//!
//! `cargo bench --bench ingest -- --points 200000 --rounds 3`, or one line of the table:
//! `cargo bench --bench ingest -- --line kafka/protobuf/100/768`

#[path = "../../tests/brokers/mod.rs"]
#[allow(dead_code)]
mod brokers;
mod decoding;
mod floor;
mod machine;
mod poison;
mod run;

use std::process::Command;
use std::time::Duration;

use brokers::kafka::Kafka;
use brokers::rabbitmq::RabbitMq;
use clap::Parser;
use pointd::commands::produce::form::{Form, Point};
use pointd::commands::produce::generate::point;

#[derive(Parser)]
struct Arguments {
    /// Points of 128 dimensions in each run; of more dimensions accordingly fewer.
    #[arg(long, default_value_t = 200_000)]
    points: u64,
    #[arg(long, default_value_t = 4)]
    partitions: i32,
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Only the lines whose name (`broker/format/points a message/dimensions`) has this in it;
    /// `decode` is the decoding alone, `poison` what broken messages cost the others.
    #[arg(long, default_value = "")]
    line: String,
    /// One round of few points: whether it works, not how fast.
    #[arg(long)]
    quick: bool,
    /// cargo passes this to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
}

pub const COLLECTION: &str = "bench";
/// Between the seeds of floor and pointd there is no difference: they read the same points.
const SEED: u64 = 0;
const CLUSTERS: u64 = 100;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broker {
    Kafka,
    RabbitMq,
}

/// What is measured in one line of the table.
#[derive(Clone, Copy)]
pub struct Line {
    pub broker: Broker,
    pub form: Form,
    pub per_message: u64,
    pub dim: usize,
    pub points: u64,
    pub partitions: i32,
}

impl Line {
    pub fn form_name(&self) -> &'static str {
        form_name(self.form)
    }

    fn name(&self) -> String {
        let broker = match self.broker {
            Broker::Kafka => "kafka",
            Broker::RabbitMq => "rabbitmq",
        };
        format!("{broker}/{}/{}/{}", self.form_name(), self.per_message, self.dim)
    }

    pub fn messages(&self) -> u64 {
        self.points.div_ceil(self.per_message)
    }
}

pub fn form_name(form: Form) -> &'static str {
    match form {
        Form::Json => "json",
        Form::Protobuf => "protobuf",
        Form::Record => "record",
    }
}

/// The bytes of the messages that hold these points, as `pointd produce` makes them.
pub fn written(form: Form, per_message: u64, dim: usize, messages: u64) -> Vec<Vec<u8>> {
    written_to(COLLECTION, form, per_message, dim, messages)
}

/// The same, of another collection.
pub fn written_to(
    collection: &str,
    form: Form,
    per_message: u64,
    dim: usize,
    messages: u64,
) -> Vec<Vec<u8>> {
    let message = |at: u64| {
        let points = (at * per_message..(at + 1) * per_message).map(|id| {
            let (vector, payload) = point(SEED, id, dim, CLUSTERS);
            Point { id, vector, payload }
        });
        form.write(collection, points.collect()).expect("a message").0
    };
    (0..messages).map(message).collect()
}

fn lines(arguments: &Arguments) -> Vec<Line> {
    let points = if arguments.quick { 4_000 } else { arguments.points };
    let mut lines = Vec::new();
    for broker in [Broker::Kafka, Broker::RabbitMq] {
        for form in [Form::Json, Form::Protobuf] {
            for per_message in [1, 100] {
                for dim in [128, 768] {
                    let points = points * 128 / dim as u64;
                    let partitions = arguments.partitions;
                    lines.push(Line { broker, form, per_message, dim, points, partitions });
                }
            }
        }
    }
    lines.retain(|line| line.name().contains(&arguments.line));
    lines
}

fn main() {
    let arguments = Arguments::parse();
    let is_poison = "poison".contains(&arguments.line);
    let lines = lines(&arguments);
    let has = |broker: Broker| is_poison || lines.iter().any(|line| line.broker == broker);
    machine::print(has(Broker::Kafka), has(Broker::RabbitMq));
    if "decode".contains(&arguments.line) {
        decoding::print(arguments.quick);
    }
    let rounds = if arguments.quick { 1 } else { arguments.rounds };
    let kafka = has(Broker::Kafka).then(|| Kafka::start("the lines of Kafka")).flatten();
    let rabbit = has(Broker::RabbitMq).then(|| RabbitMq::start("the lines of RabbitMQ")).flatten();
    if is_poison {
        let points = if arguments.quick { 4_000 } else { arguments.points };
        let brokers = [kafka.as_ref().map(Brokers::Kafka), rabbit.as_ref().map(Brokers::RabbitMq)];
        poison::print(brokers.into_iter().flatten(), points, arguments.partitions, rounds);
    }
    if lines.is_empty() {
        return;
    }
    println!(
        "| broker | format | points a message | dimensions | ratio to the floor | points/s | \
         messages/s | MB/s | floor points/s |\n|---|---|---|---|---|---|---|---|---|"
    );
    for line in &lines {
        let brokers = match (line.broker, &kafka, &rabbit) {
            (Broker::Kafka, Some(kafka), _) => Brokers::Kafka(kafka),
            (Broker::RabbitMq, _, Some(rabbit)) => Brokers::RabbitMq(rabbit),
            _ => continue,
        };
        print_line(line, &brokers, rounds);
    }
}

/// The one that a line is measured with.
pub enum Brokers<'a> {
    Kafka(&'a Kafka),
    RabbitMq(&'a RabbitMq),
}

/// Floor and pointd in turn, `rounds` times, and what came of it.
fn print_line(line: &Line, brokers: &Brokers<'_>, rounds: usize) {
    let mut results: Vec<(f64, f64)> = Vec::new();
    let name = line.name().replace('/', "-");
    if let Brokers::Kafka(kafka) = brokers {
        kafka.create_topic(&name, line.partitions);
        produce(line, brokers, &name);
    }
    for round in 0..rounds {
        let rate = |of: &str, run: fn(&Line, &Brokers<'_>, &str) -> Duration| {
            let place = match brokers {
                Brokers::Kafka(_) => name.clone(),
                // A queue is read once: each has its own, with the same messages.
                Brokers::RabbitMq(rabbit) => {
                    let queue = format!("{name}-{of}-{round}");
                    rabbit.declare(&queue, false);
                    produce(line, brokers, &queue);
                    queue
                }
            };
            let took = run(line, brokers, &place);
            if let Brokers::RabbitMq(rabbit) = brokers {
                rabbit.delete(&place);
            }
            line.points as f64 / took.as_secs_f64()
        };
        let floor = rate("floor", floor::run);
        results.push((rate("pointd", run::pointd), floor));
    }
    if let Brokers::Kafka(kafka) = brokers {
        kafka.delete_topic(&name);
    }
    let (pointd, floor, ratio) = median(results);
    let sample = written(line.form, line.per_message, line.dim, 100.min(line.messages()));
    let bytes = sample.iter().map(Vec::len).sum::<usize>() as f64 / sample.len() as f64;
    let messages = pointd / line.per_message as f64;
    println!(
        "| {:?} | {} | {} | {} | {ratio:.2} | {pointd:.0} | {messages:.0} | {:.1} | {floor:.0} |",
        line.broker,
        line.form_name(),
        line.per_message,
        line.dim,
        messages * bytes / 1e6,
    );
}

/// The two rates of the round whose ratio is in the middle, and that ratio; where two are in the
/// middle, their mean.
fn median(mut rounds: Vec<(f64, f64)>) -> (f64, f64, f64) {
    rounds.sort_by(|a, b| (a.0 / a.1).total_cmp(&(b.0 / b.1)));
    let middle = &rounds[(rounds.len() - 1) / 2..=rounds.len() / 2];
    let mean =
        |of: fn(&(f64, f64)) -> f64| middle.iter().map(of).sum::<f64>() / middle.len() as f64;
    (mean(|it| it.0), mean(|it| it.1), mean(|it| it.0 / it.1))
}

fn produce(line: &Line, brokers: &Brokers<'_>, place: &str) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pointd"));
    match brokers {
        Brokers::Kafka(kafka) => {
            command.args(["produce", "--brokers", &kafka.bootstrap(), "--topic", place]);
        }
        Brokers::RabbitMq(rabbit) => {
            command.args(["produce", "--amqp-url", &rabbit.url(), "--queue", place]);
        }
    }
    let produced = command
        .args(["--collection", COLLECTION, "--format", line.form_name()])
        .args(["--points", &line.points.to_string(), "--dim", &line.dim.to_string()])
        .args(["--points-per-message", &line.per_message.to_string()])
        .args(["--clusters", &CLUSTERS.to_string(), "--seed", &SEED.to_string()])
        .output()
        .expect("pointd produce starts");
    assert!(produced.status.success(), "{}", String::from_utf8_lossy(&produced.stderr));
}
