//! `pointd produce`: publishes a file or generated points to Kafka or RabbitMQ.
//!
//! Promise: it succeeds only when the broker has confirmed every message. No promise: that a
//! message is published once; a broker that goes away in between may keep it twice.

mod amqp;
pub mod form;
pub mod generate;
mod kafka;
mod messages;

use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressStyle};

use super::sample;
use form::{Form, Packing};
use messages::{Messages, Outgoing};

/// Publish points: the lines of a file, or generated ones.
#[derive(Clone, Debug, Args)]
#[command(group = clap::ArgGroup::new("what").required(true).args(["file", "points", "sample"]))]
#[command(group = clap::ArgGroup::new("broker").required(true).args(["brokers", "amqp_url"]))]
pub struct ProduceArgs {
    /// A file with one message (a JSON object) per line; `-` reads standard input.
    #[arg(long, value_name = "PATH")]
    file: Option<PathBuf>,
    /// With --file: the field of each line that is the message's key. Without it the key is the
    /// id of the message's first point.
    #[arg(long, value_name = "FIELD", requires = "file")]
    key_field: Option<String>,

    /// Generate this many points, with ids from 0.
    #[arg(long, value_name = "COUNT")]
    points: Option<u64>,
    /// Publish the sample catalogue that comes with pointd (384 dimensions).
    #[arg(long)]
    sample: bool,
    /// Dimensions of generated vectors.
    #[arg(long, default_value_t = 128)]
    dim: usize,
    /// The same seed generates the same points.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// How many clusters generated vectors form.
    #[arg(long, default_value_t = 100)]
    clusters: u64,
    /// The collection that generated points or the sample belong to.
    #[arg(long, value_name = "NAME", default_value = "points")]
    collection: String,
    /// Generated points in one message.
    #[arg(long, value_name = "COUNT", default_value_t = 1)]
    points_per_message: u64,
    /// What the messages of generated points are.
    #[arg(long, value_enum, default_value_t = Form::Json, conflicts_with_all = ["file", "sample"])]
    format: Form,
    /// How each message is packed as a whole.
    #[arg(long, value_enum, default_value_t = Packing::None)]
    compress: Packing,

    /// Kafka: where to find the cluster, `host:port`, several separated by commas.
    #[arg(long, value_name = "ADDRESSES", requires = "topic")]
    brokers: Option<String>,
    /// Kafka: the topic.
    #[arg(long)]
    topic: Option<String>,
    /// Kafka: what chooses a message's partition. Only `key` keeps an id in one partition.
    #[arg(long, value_enum, default_value_t = PartitionsBy::Key)]
    partitions_by: PartitionsBy,
    /// Kafka: a setting passed to librdkafka, such as `security.protocol=SSL`. Repeatable.
    #[arg(long = "property", value_name = "NAME=VALUE", value_parser = property)]
    properties: Vec<(String, String)>,

    /// RabbitMQ: `amqp://user:password@host:port/vhost`.
    #[arg(long, value_name = "URL", requires = "queue")]
    amqp_url: Option<String>,
    /// RabbitMQ: the queue, which must exist.
    #[arg(long)]
    queue: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum PartitionsBy {
    /// As Kafka's own clients do it: murmur2 of the key.
    Key,
    /// Any partition, for load tests.
    Random,
}

fn property(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) => Ok((name.to_owned(), value.to_owned())),
        None => Err("it must be NAME=VALUE".to_owned()),
    }
}

#[derive(Debug, thiserror::Error)]
pub enum ProduceError {
    #[error("{path} could not be read: {source}")]
    Unreadable { path: String, source: io::Error },
    #[error("line {line} is not a JSON object: {source}")]
    NotJson { line: usize, source: serde_json::Error },
    #[error("line {line} has no text or number in its field {field:?} to be its key")]
    NoKey { line: usize, field: String },
    #[error("a record holds one point: leave out --points-per-message")]
    OnePerRecord,
    #[error("a message could not be packed: {0}")]
    Packing(io::Error),
    #[error("name a broker: --brokers and --topic, or --amqp-url and --queue")]
    NoBroker,
    #[error("Kafka: {0}")]
    Kafka(#[from] rdkafka::error::KafkaError),
    #[error("RabbitMQ: {0}")]
    Amqp(#[from] lapin::Error),
    #[error("the runtime for RabbitMQ could not be started: {0}")]
    Runtime(io::Error),
    #[error("{failed} of {sent} messages were not taken; the first because: {first}")]
    Failed { failed: u64, sent: u64, first: String },
}

/// What generated points are made of.
#[derive(Clone, Debug)]
struct Generated {
    points: u64,
    dim: usize,
    seed: u64,
    clusters: u64,
    collection: String,
    per_message: u64,
    form: Form,
}

/// Counts what was sent, in front of the user.
struct Progress {
    bar: ProgressBar,
    since: Instant,
    messages: u64,
    points: u64,
    bytes: u64,
}

impl Progress {
    fn new(expected: Option<u64>) -> Self {
        let (bar, shape) = match expected {
            Some(points) => (
                ProgressBar::new(points),
                "{wide_bar} {human_pos} of {human_len} points, {per_sec}, {eta} left",
            ),
            None => (ProgressBar::new_spinner(), "{spinner} {human_pos} messages, {per_sec}"),
        };
        if let Ok(style) = ProgressStyle::with_template(shape) {
            bar.set_style(style);
        }
        Progress { bar, since: Instant::now(), messages: 0, points: 0, bytes: 0 }
    }

    fn sent(&mut self, message: &Outgoing) {
        self.messages += 1;
        self.points += message.points;
        self.bytes += message.body.len() as u64;
        self.bar.inc(message.points);
    }

    /// The last line: what was confirmed, and how fast.
    fn finish(self) {
        self.bar.finish_and_clear();
        let elapsed = self.since.elapsed().max(Duration::from_micros(1));
        let rate = self.messages as f64 / elapsed.as_secs_f64();
        eprintln!(
            "published {} messages, {}, in {:.2} s: {} messages/s",
            HumanCount(self.messages),
            HumanBytes(self.bytes),
            elapsed.as_secs_f64(),
            HumanCount(rate as u64),
        );
    }
}

/// Publishes, and returns when everything is confirmed.
pub fn run(args: ProduceArgs) -> Result<(), ProduceError> {
    let expected = if args.sample { Some(sample::COUNT as u64) } else { args.points };
    let mut progress = Progress::new(expected);
    let messages = match (&args.file, args.points) {
        (Some(file), _) => messages::lines(file, args.key_field.clone())?,
        (None, None) => messages::sample(&args.collection),
        (None, points) => messages::generated(Generated {
            points: points.unwrap_or_default(),
            dim: args.dim,
            seed: args.seed,
            clusters: args.clusters,
            collection: args.collection.clone(),
            per_message: args.points_per_message,
            form: args.format,
        }),
    };
    let packing = args.compress;
    let packed = move |message: Result<Outgoing, ProduceError>| {
        packing.pack(message?).map_err(ProduceError::Packing)
    };
    let messages: Messages = Box::new(messages.map(packed));
    match (&args.brokers, &args.topic, &args.amqp_url, &args.queue) {
        (Some(brokers), Some(topic), _, _) => {
            kafka::publish(&args, brokers, topic, messages, &mut progress)?;
        }
        (_, _, Some(url), Some(queue)) => amqp::publish(url, queue, messages, &mut progress)?,
        _ => return Err(ProduceError::NoBroker),
    }
    progress.finish();
    Ok(())
}
