//! How fast messages become durable and applied, against a floor.
//!
//! The *floor* is the least that any program with pointd's promise must do: consume the topic
//! with rdkafka, decode each message with serde_json, append the decoded vectors and payloads to
//! one file in frames, and fdatasync each frame; nothing else. Floor and pointd read the same
//! messages from the same Apache Kafka in one run, in turn, so that the machine's mood cancels
//! out; the ratio is the result, not the rates.
//!
//! `cargo bench --bench ingest -- --points 200000 --dim 128 --rounds 3`

#[path = "../tests/brokers/mod.rs"]
#[allow(dead_code)]
mod brokers;

use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use clap::Parser;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

#[derive(Parser)]
struct Arguments {
    #[arg(long, default_value_t = 200_000)]
    points: u64,
    #[arg(long, default_value_t = 128)]
    dim: usize,
    #[arg(long, default_value_t = 4)]
    partitions: i32,
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// cargo passes this to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
}

const COLLECTION: &str = "bench";

fn main() {
    let arguments = Arguments::parse();
    let Some(kafka) = brokers::kafka::Kafka::start("the floor comparison") else {
        println!("Apache Kafka could not be fetched: this benchmark needs it");
        return;
    };
    let topic = format!("ingest-{}", arguments.dim);
    kafka.create_topic(&topic, arguments.partitions);
    produce(&kafka.bootstrap(), &topic, &arguments);
    println!(
        "{} messages of {} dimensions, {} partitions",
        arguments.points, arguments.dim, arguments.partitions
    );
    println!("{:>5}  {:>14}  {:>14}  {:>6}", "round", "floor msg/s", "pointd msg/s", "ratio");
    let mut ratios = Vec::new();
    for round in 1..=arguments.rounds {
        let floor = rate(&arguments, || floor(&kafka.bootstrap(), &topic, &arguments));
        let pointd = rate(&arguments, || pointd(&kafka.bootstrap(), &topic, &arguments));
        let ratio = pointd / floor;
        println!("{round:>5}  {floor:>14.0}  {pointd:>14.0}  {ratio:>6.2}");
        ratios.push(ratio);
    }
    ratios.sort_by(f64::total_cmp);
    println!("median ratio {:.2}", ratios[ratios.len() / 2]);
}

/// Runs `run`, which gives how long the messages took, and gives messages per second.
fn rate(arguments: &Arguments, run: impl FnOnce() -> Duration) -> f64 {
    arguments.points as f64 / run().as_secs_f64()
}

fn produce(bootstrap: &str, topic: &str, arguments: &Arguments) {
    let status = Command::new(env!("CARGO_BIN_EXE_pointd"))
        .args(["produce", "--brokers", bootstrap, "--topic", topic, "--collection", COLLECTION])
        .args(["--points", &arguments.points.to_string(), "--dim", &arguments.dim.to_string()])
        .status()
        .expect("pointd produce starts");
    assert!(status.success(), "pointd produce failed");
}

/// What one frame of the floor holds: pointd's default.
const FRAME_BYTES: usize = 4 << 20;

#[derive(serde::Deserialize)]
struct FloorMessage {
    upsert: FloorUpsert,
}

#[derive(serde::Deserialize)]
struct FloorUpsert {
    points: Vec<FloorPoint>,
}

#[derive(serde::Deserialize)]
struct FloorPoint {
    id: u64,
    vector: Vec<f32>,
    payload: serde_json::Map<String, serde_json::Value>,
}

fn floor(bootstrap: &str, topic: &str, arguments: &Arguments) -> Duration {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let file = std::fs::File::create(directory.path().join("floor.log")).expect("a file");
    // As pointd does: otherwise each fdatasync pays for the growing file too.
    let bytes = arguments.points * (arguments.dim as u64 * 4 + 512);
    rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, bytes).expect("room");
    let started = Instant::now();
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("group.id", "floor")
        .set("enable.auto.commit", "false")
        .set("fetch.queue.backoff.ms", "20")
        .set("check.crcs", "true")
        .set("isolation.level", "read_committed")
        .create()
        .expect("a consumer");
    let mut partitions = TopicPartitionList::new();
    for partition in 0..arguments.partitions {
        partitions
            .add_partition_offset(topic, partition, Offset::Beginning)
            .expect("a valid offset");
    }
    consumer.assign(&partitions).expect("assign");
    let (mut frame, mut offset, mut seen) = (Vec::new(), 0, 0);
    while seen < arguments.points {
        // What is there without waiting makes a frame, as in pointd.
        let next = consumer.poll(Duration::ZERO);
        if next.is_none() || frame.len() >= FRAME_BYTES {
            offset += write_frame(&file, offset, &mut frame);
        }
        let next = next.or_else(|| consumer.poll(Duration::from_millis(100)));
        let Some(Ok(message)) = next else { continue };
        let decoded: FloorMessage =
            serde_json::from_slice(message.payload().unwrap_or_default()).expect("a message");
        for point in decoded.upsert.points {
            frame.extend_from_slice(&point.id.to_le_bytes());
            frame.extend_from_slice(bytemuck::cast_slice(&point.vector));
            serde_json::to_writer(&mut frame, &point.payload).expect("a payload");
        }
        seen += 1;
    }
    write_frame(&file, offset, &mut frame);
    started.elapsed()
}

fn write_frame(file: &std::fs::File, offset: u64, frame: &mut Vec<u8>) -> u64 {
    if frame.is_empty() {
        return 0;
    }
    file.write_all_at(frame, offset).expect("write");
    file.sync_data().expect("fdatasync");
    let length = frame.len() as u64;
    frame.clear();
    length
}

/// From the start of the process until every message is durable and applied.
fn pointd(bootstrap: &str, topic: &str, arguments: &Arguments) -> Duration {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let config = configuration(directory.path(), bootstrap, topic, arguments.dim);
    let log = std::fs::File::create(directory.path().join("pointd.log")).expect("a file");
    let started = Instant::now();
    let mut child = Command::new(env!("CARGO_BIN_EXE_pointd"))
        .args(["serve", "--config"])
        .arg(&config.0)
        .stdout(log.try_clone().expect("a file"))
        .stderr(log)
        .spawn()
        .expect("pointd serve starts");
    let url = format!("http://127.0.0.1:{}/metrics", config.1);
    let series = "pointd_applied_records{kind=\"operations\"} ";
    let applied = loop {
        let text =
            ureq::get(&url).call().ok().and_then(|answer| answer.into_body().read_to_string().ok());
        let applied = text.as_deref().and_then(|text| {
            text.lines().find_map(|line| line.strip_prefix(series)?.parse::<f64>().ok())
        });
        // One record creates the collection.
        if applied.is_some_and(|applied| applied as u64 > arguments.points) {
            break started.elapsed();
        }
        assert!(started.elapsed() < Duration::from_secs(600), "pointd did not finish");
        std::thread::sleep(Duration::from_millis(10));
    };
    child.kill().expect("kill");
    child.wait().expect("wait");
    applied
}

fn configuration(
    directory: &Path,
    bootstrap: &str,
    topic: &str,
    dim: usize,
) -> (std::path::PathBuf, u16) {
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .expect("a free port")
        .port();
    let path = directory.join("pointd.toml");
    let mut file = std::fs::File::create(&path).expect("a file");
    let data = directory.join("data");
    write!(
        file,
        "[api]\nlisten = \"127.0.0.1:{port}\"\n[storage]\ndir = {data:?}\n\
         [collections.{COLLECTION}]\nsize = {dim}\ndistance = \"Cosine\"\n\
         [[source]]\nname = \"bench\"\n[source.kafka]\nbrokers = \"{bootstrap}\"\n\
         topics = [\"{topic}\"]\ngroup = \"bench\"\n"
    )
    .expect("write");
    (path, port)
}
