//! Publishing to Kafka.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;
use rdkafka::message::{DeliveryResult, Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, ProducerContext};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{ClientConfig, ClientContext};

use super::messages::{Messages, Outgoing};
use super::{PartitionsBy, ProduceArgs, ProduceError, Progress};

/// While the local queue is full, and at the end.
const POLL_TIMEOUT: Duration = Duration::from_millis(100);
/// Messages between two looks at what the broker says.
const POLL_EVERY: u64 = 256;

/// Counts delivery reports.
#[derive(Default)]
struct Reports {
    confirmed: AtomicU64,
    failed: AtomicU64,
    first_failure: Mutex<Option<String>>,
}

impl Reports {
    fn reported(&self) -> u64 {
        self.confirmed.load(Ordering::Acquire) + self.failed.load(Ordering::Acquire)
    }
}

struct Context(Arc<Reports>);

impl ClientContext for Context {
    fn error(&self, error: KafkaError, reason: &str) {
        tracing::warn!(%error, reason, "Kafka");
    }
}

impl ProducerContext for Context {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        match result {
            Ok(_) => {
                self.0.confirmed.fetch_add(1, Ordering::AcqRel);
            }
            Err((error, _)) => {
                let first =
                    &mut *self.0.first_failure.lock().unwrap_or_else(PoisonError::into_inner);
                first.get_or_insert_with(|| error.to_string());
                self.0.failed.fetch_add(1, Ordering::AcqRel);
            }
        }
    }
}

fn producer(
    args: &ProduceArgs,
    brokers: &str,
    reports: &Arc<Reports>,
) -> Result<BaseProducer<Context>, ProduceError> {
    let mut config = ClientConfig::new();
    config.set("client.id", "pointd-produce");
    // Retries neither reorder nor repeat.
    config.set("enable.idempotence", "true");
    config.set("linger.ms", "5");
    config.set("compression.type", "zstd");
    config.set(
        "partitioner",
        match args.partitions_by {
            PartitionsBy::Key => "murmur2_random",
            PartitionsBy::Random => "random",
        },
    );
    for (name, value) in &args.properties {
        config.set(name, value);
    }
    config.set("bootstrap.servers", brokers);
    config.set_log_level(RDKafkaLogLevel::Warning);
    Ok(config.create_with_context(Context(Arc::clone(reports)))?)
}

pub fn publish(
    args: &ProduceArgs,
    brokers: &str,
    topic: &str,
    messages: Messages,
    progress: &mut Progress,
) -> Result<(), ProduceError> {
    let reports = Arc::new(Reports::default());
    let producer = producer(args, brokers, &reports)?;
    let mut sent = 0;
    for message in messages {
        let message = message?;
        send(&producer, topic, &message)?;
        progress.sent(&message);
        sent += 1;
        if sent % POLL_EVERY == 0 {
            producer.poll(Duration::ZERO);
        }
    }
    // Every message ends in a report, if only that its time has run out.
    while reports.reported() < sent {
        producer.poll(POLL_TIMEOUT);
    }
    let failed = reports.failed.load(Ordering::Acquire);
    if failed == 0 {
        return Ok(());
    }
    let first = reports.first_failure.lock().unwrap_or_else(PoisonError::into_inner).take();
    Err(ProduceError::Failed { failed, sent, first: first.unwrap_or_default() })
}

/// Waits for room in the local queue.
fn send(
    producer: &BaseProducer<Context>,
    topic: &str,
    message: &Outgoing,
) -> Result<(), ProduceError> {
    let mut record = BaseRecord::<str, [u8]>::to(topic).payload(&message.body);
    if let Some(key) = &message.key {
        record = record.key(key);
    }
    if !message.headers.is_empty() {
        let headers = message.headers.iter();
        record = record.headers(headers.fold(OwnedHeaders::new(), |headers, (key, value)| {
            headers.insert(Header { key, value: Some(*value) })
        }));
    }
    loop {
        match producer.send(record) {
            Ok(()) => return Ok(()),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                record = back;
                producer.poll(POLL_TIMEOUT);
            }
            Err((error, _)) => return Err(error.into()),
        }
    }
}
