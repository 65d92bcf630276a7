//! Who publishes the plan's messages, on a thread of its own, whatever the broker does.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::{
    BasicProperties, Channel, Confirmation, Connection, ConnectionProperties, PublisherConfirm,
};
use rdkafka::error::KafkaError;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::types::RDKafkaErrorCode;

use super::plan;
use crate::brokers::kafka::Kafka;
use crate::brokers::until;
use crate::harness::pause_for;

/// Between two messages: some hundreds a second.
const PACE: Duration = Duration::from_millis(2);
const FLUSH_LIMIT: Duration = Duration::from_secs(120);

/// Which of the plan's messages.
#[derive(Clone, Copy)]
pub enum Text {
    Any,
    /// Each about its key alone.
    Keyed,
}

/// Tells a publisher what to do.
#[derive(Default)]
pub struct Control {
    stop: AtomicBool,
    paused: AtomicBool,
    /// Of the topic.
    pub partitions: AtomicI32,
    /// Messages given to the broker so far: serials below are published, or on their way.
    given: AtomicU64,
    /// Paused, and everything given is confirmed.
    resting: AtomicBool,
    /// How many are published twice under one message-id, of a hundred.
    pub repeat_percent: AtomicU64,
}

impl Control {
    pub fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    pub fn pause(&self, paused: bool) {
        self.paused.store(paused, Ordering::Relaxed);
    }

    pub fn paused(&self) -> bool {
        self.paused.load(Ordering::Relaxed)
    }

    pub fn given(&self) -> u64 {
        self.given.load(Ordering::Relaxed)
    }

    pub fn repeats_any(&self) -> bool {
        self.repeat_percent.load(Ordering::Relaxed) > 0
    }

    /// The messages to send again after `serial`: itself, and one of long ago.
    pub fn repeats(&self, serial: u64) -> impl Iterator<Item = u64> {
        let repeats = serial * 37 % 100 < self.repeat_percent.load(Ordering::Relaxed);
        let both = [Some(serial), serial.checked_sub(300)];
        both.into_iter().flatten().filter(move |_| repeats)
    }
}

/// Ends when told to; gives how many messages it published.
pub struct Publisher {
    pub control: Arc<Control>,
    thread: JoinHandle<u64>,
}

impl Publisher {
    pub fn spawn(
        control: Control,
        run: impl FnOnce(&Control) -> u64 + Send + 'static,
    ) -> Publisher {
        let control = Arc::new(control);
        let told = Arc::clone(&control);
        Publisher { control, thread: thread::spawn(move || run(&told)) }
    }

    /// To a topic, by the broker's own address. An idempotent producer, so that each message
    /// is there once however often it had to be sent.
    pub fn kafka(kafka: &Kafka, topic: &str, partitions: i32, text: Text) -> Publisher {
        let mut config = kafka.config();
        config.set("enable.idempotence", "true").set("message.timeout.ms", "600000");
        config.set("linger.ms", "1").set("topic.metadata.refresh.interval.ms", "300");
        let producer: BaseProducer = config.create().unwrap();
        let topic = topic.to_owned();
        let control = Control { partitions: partitions.into(), ..Control::default() };
        Publisher::spawn(control, move |control| to_kafka(&producer, &topic, text, control))
    }

    /// To a queue, with confirms: what was not confirmed when a connection was lost is published
    /// again under its message-id, so it may be there twice.
    pub fn rabbit(url: String, queue: &str) -> Publisher {
        let queue = queue.to_owned();
        Publisher::spawn(Control::default(), move |control| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(to_rabbit(&url, &queue, control))
        })
    }

    /// Returns when the broker has all that was given to it, and no more is given.
    pub fn pause_and_wait(&self) {
        self.control.pause(true);
        until("the publisher to rest", FLUSH_LIMIT, || self.control.resting.load(Ordering::SeqCst));
    }

    pub fn stop(self) -> u64 {
        self.control.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

fn to_kafka(producer: &BaseProducer, topic: &str, text: Text, control: &Control) -> u64 {
    let text = match text {
        Text::Any => plan::text,
        Text::Keyed => plan::keyed_text,
    };
    let mut serial: u64 = 0;
    while !control.stopped() {
        if control.paused() {
            let resting = producer.flush(FLUSH_LIMIT).is_ok();
            control.resting.store(resting, Ordering::SeqCst);
            pause_for(PACE);
            continue;
        }
        control.resting.store(false, Ordering::SeqCst);
        let partition = plan::key(serial) as i32 % control.partitions.load(Ordering::Relaxed);
        send(producer, topic, partition, serial, text);
        // A publisher that was not sure sends again, sooner or later.
        for earlier in control.repeats(serial) {
            let partition = plan::key(earlier) as i32 % control.partitions.load(Ordering::Relaxed);
            send(producer, topic, partition, earlier, text);
        }
        serial += 1;
        control.given.store(serial, Ordering::Relaxed);
        pause_for(PACE);
        producer.poll(Duration::ZERO);
    }
    producer.flush(FLUSH_LIMIT).unwrap();
    serial
}

pub fn send(
    producer: &BaseProducer,
    topic: &str,
    partition: i32,
    serial: u64,
    text: fn(u64) -> String,
) {
    let (key, text, id) = (plan::key(serial).to_string(), text(serial), serial.to_string());
    loop {
        let headers = OwnedHeaders::new().insert(Header { key: "message-id", value: Some(&id) });
        let record = BaseRecord::to(topic).partition(partition).key(&key).payload(&text);
        match producer.send(record.headers(headers)) {
            Ok(()) => return,
            // It learns of a new partition in its own time.
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::UnknownPartition), _)) => {
                producer.poll(PACE);
            }
            Err((error, _)) => panic!("{error}"),
        }
    }
}

/// How long a connection may take to be made, and a confirm to come: a blocked connection's
/// come when it is free again. Where nothing may come twice, it has all the time that there is.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
const CONFIRM_LIMIT: Duration = Duration::from_secs(30);
const ONLY_CONFIRM_LIMIT: Duration = Duration::from_secs(170);

async fn to_rabbit(url: &str, queue: &str, control: &Control) -> u64 {
    let mut confirmed = 0;
    while !(control.stopped() && confirmed == control.given()) {
        match tokio::time::timeout(CONNECT_LIMIT, connect(url)).await {
            // Ends with an error when the connection is lost.
            Ok(Ok((_connection, channel))) => {
                let ended = publish(&channel, queue, control, &mut confirmed).await;
                let well = ended.is_ok() && confirmed == control.given();
                assert!(
                    well || control.repeats_any(),
                    "what may be sent only once was not confirmed in time: {ended:?}"
                );
            }
            Ok(Err(_)) | Err(_) => pause_for(PACE * 50),
        }
    }
    confirmed
}

async fn connect(url: &str) -> lapin::Result<(Connection, Channel)> {
    let connection = Connection::connect(url, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    Ok((connection, channel))
}

async fn give(channel: &Channel, queue: &str, serial: u64) -> lapin::Result<PublisherConfirm> {
    let properties =
        BasicProperties::default().with_delivery_mode(2).with_message_id(serial.to_string().into());
    let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
    let text = plan::text(serial);
    channel.basic_publish("".into(), queue.into(), options, text.as_bytes(), properties).await
}

/// From the first message that is not confirmed; `mandatory`, so that a queue that is not there
/// confirms nothing.
async fn publish(
    channel: &Channel,
    queue: &str,
    control: &Control,
    confirmed: &mut u64,
) -> lapin::Result<()> {
    let (mut serial, mut confirms) = (*confirmed, VecDeque::new());
    let limit = if control.repeats_any() { CONFIRM_LIMIT } else { ONLY_CONFIRM_LIMIT };
    let mut pace = tokio::time::interval(PACE);
    loop {
        let more = serial < control.given() || !(control.stopped() || control.paused());
        if more {
            for repeated in control.repeats(serial) {
                confirms.push_back((false, give(channel, queue, repeated).await?));
            }
            confirms.push_back((true, give(channel, queue, serial).await?));
            serial += 1;
            control.given.fetch_max(serial, Ordering::Relaxed);
            control.resting.store(false, Ordering::SeqCst);
            pace.tick().await;
        }
        while confirms.len() > 50 || (!more && !confirms.is_empty()) {
            let Some((last, confirm)) = confirms.pop_front() else { break };
            match tokio::time::timeout(limit, confirm).await {
                Ok(Ok(Confirmation::Ack(None))) => *confirmed += u64::from(last),
                Ok(Err(error)) => return Err(error),
                // Returned, refused, or never answered: from there on again.
                Ok(Ok(_)) | Err(_) => return Ok(()),
            }
        }
        if !more && control.stopped() {
            return Ok(());
        }
        if !more {
            control.resting.store(true, Ordering::SeqCst);
            pace.tick().await;
        }
    }
}
