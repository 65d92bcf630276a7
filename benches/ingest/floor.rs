//! The least that a program with the same promise does.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use futures_util::{FutureExt, StreamExt};
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::types::FieldTable;
use lapin::{Connection, ConnectionProperties};
use pointd::commands::produce::form::Form;
use prost::Message as _;
use qdrant_client::qdrant as proto;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::{Brokers, Line};

/// What one frame of the floor holds: pointd's default.
const FRAME_BYTES: usize = 4 << 20;
/// pointd's default.
const PREFETCH: u16 = 1000;

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

/// From the first connection until every message is durable.
pub fn run(line: &Line, brokers: &Brokers<'_>, place: &str) -> Duration {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let file = File::create(directory.path().join("floor.log")).expect("a file");
    // As pointd does: otherwise each fdatasync pays for the growing file too.
    let bytes = line.points * (line.dim as u64 * 4 + 512);
    rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, bytes).expect("room");
    let log = Log { file, offset: 0, frame: Vec::new(), form: line.form };
    let started = Instant::now();
    match brokers {
        Brokers::Kafka(kafka) => read_topic(line, &kafka.bootstrap(), place, log),
        Brokers::RabbitMq(rabbit) => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let url = rabbit.url();
            let read = read_queue(line, &url, place, log);
            runtime.expect("a runtime").block_on(read).expect("the queue is read");
        }
    }
    started.elapsed()
}

struct Log {
    file: File,
    offset: u64,
    frame: Vec<u8>,
    form: Form,
}

impl Log {
    fn add(&mut self, message: &[u8]) {
        match self.form {
            Form::Protobuf => {
                let decoded = proto::UpsertPoints::decode(message).expect("a message");
                for point in decoded.points {
                    let proto::PointStruct { id, vectors, payload } = point;
                    self.frame.extend_from_slice(&id.expect("an id").encode_to_vec());
                    self.frame.extend_from_slice(bytemuck::cast_slice(&dense(vectors)));
                    let payload = proto::Struct { fields: payload };
                    payload.encode(&mut self.frame).expect("a payload");
                }
            }
            _ => {
                let decoded: FloorMessage = serde_json::from_slice(message).expect("a message");
                for point in decoded.upsert.points {
                    self.frame.extend_from_slice(&point.id.to_le_bytes());
                    self.frame.extend_from_slice(bytemuck::cast_slice(&point.vector));
                    serde_json::to_writer(&mut self.frame, &point.payload).expect("a payload");
                }
            }
        }
    }

    fn is_full(&self) -> bool {
        self.frame.len() >= FRAME_BYTES
    }

    fn sync(&mut self) {
        if self.frame.is_empty() {
            return;
        }
        self.file.write_all_at(&self.frame, self.offset).expect("write");
        self.file.sync_data().expect("fdatasync");
        self.offset += self.frame.len() as u64;
        self.frame.clear();
    }
}

fn dense(vectors: Option<proto::Vectors>) -> Vec<f32> {
    use proto::vector::Vector::Dense;
    use proto::vectors::VectorsOptions::Vector;
    match vectors.and_then(|vectors| vectors.vectors_options) {
        Some(Vector(proto::Vector { vector: Some(Dense(dense)), .. })) => dense.data,
        other => panic!("a dense vector, not {other:?}"),
    }
}

fn read_topic(line: &Line, bootstrap: &str, topic: &str, mut log: Log) {
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
    for partition in 0..line.partitions {
        partitions
            .add_partition_offset(topic, partition, Offset::Beginning)
            .expect("a valid offset");
    }
    consumer.assign(&partitions).expect("assign");
    let mut seen = 0;
    while seen < line.messages() {
        // What is there without waiting makes a frame, as in pointd.
        let next = consumer.poll(Duration::ZERO);
        if next.is_none() || log.is_full() {
            log.sync();
        }
        let next = next.or_else(|| consumer.poll(Duration::from_millis(100)));
        let Some(Ok(message)) = next else { continue };
        log.add(message.payload().unwrap_or_default());
        seen += 1;
    }
    log.sync();
}

async fn read_queue(line: &Line, url: &str, queue: &str, mut log: Log) -> lapin::Result<()> {
    let connection = Connection::connect(url, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    channel.basic_qos(PREFETCH, BasicQosOptions::default()).await?;
    let (options, arguments) = (BasicConsumeOptions::default(), FieldTable::default());
    let mut consumer =
        channel.basic_consume(queue.into(), "floor".into(), options, arguments).await?;
    let (mut seen, mut last) = (0, None);
    loop {
        let next = consumer.next().now_or_never();
        if next.is_none() || log.is_full() || seen == line.messages() {
            log.sync();
            if let Some(tag) = last.take() {
                channel.basic_ack(tag, BasicAckOptions { multiple: true }).await?;
            }
        }
        if seen == line.messages() {
            break;
        }
        let next = match next {
            Some(next) => next,
            None => consumer.next().await,
        };
        let delivery = next.expect("the queue goes on")?;
        log.add(&delivery.data);
        last = Some(delivery.delivery_tag);
        seen += 1;
    }
    connection.close(200, "done".into()).await
}
