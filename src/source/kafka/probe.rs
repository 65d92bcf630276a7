//! Looks at a partition that stands still although its end is further on.
//!
//! Between our next offset and the end there may be nothing but transaction markers or holes;
//! or messages that the consumer should deliver and does not; or our offset may be gone. The
//! safe interface of librdkafka does not say where in its log the consumer stands, so a second
//! consumer reads that one partition from the same offset.

use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{ClientConfig, Message, Offset as KafkaOffset, TopicPartitionList};

use super::Context;
use crate::position::Offset;

const TIMEOUT: Duration = Duration::from_secs(10);

/// A partition, and the offset at which it stands still.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    pub topic: String,
    pub partition: i32,
    pub next: Offset,
}

pub struct Answer {
    pub question: Question,
    pub low: u64,
    /// The end of what is decided: an open transaction's messages lie beyond it.
    pub high: u64,
    pub between: Between,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Between {
    /// No message is between the offset and `high`, and none will ever be.
    Nothing,
    Messages,
    /// There was no need to look: the offset is the end, or it is not in the log.
    NotAsked,
}

/// `high` is asked for first: what lies below it is decided, so what is seen afterwards holds.
pub fn look(
    consumer: &BaseConsumer<Context>,
    config: &ClientConfig,
    question: Question,
) -> KafkaResult<Answer> {
    let (topic, partition) = (question.topic.as_str(), question.partition);
    let (low, high) = consumer.fetch_watermarks(topic, partition, TIMEOUT)?;
    let no_offset = |_| KafkaError::MetadataFetch(RDKafkaErrorCode::NoOffset);
    let (low, high) =
        (u64::try_from(low).map_err(no_offset)?, u64::try_from(high).map_err(no_offset)?);
    let next = question.next.0;
    let between = if (low..high).contains(&next) {
        read(config, &question, high)?
    } else {
        Between::NotAsked
    };
    Ok(Answer { question, low, high, between })
}

fn read(config: &ClientConfig, question: &Question, high: u64) -> KafkaResult<Between> {
    let mut config = config.clone();
    config.set("enable.partition.eof", "true");
    config.set("queued.max.messages.kbytes", "1024");
    let reader: BaseConsumer<Context> = config.create_with_context(Context::default())?;
    let mut list = TopicPartitionList::new();
    let next = KafkaOffset::Offset(i64::try_from(question.next.0).unwrap_or(i64::MAX));
    list.add_partition_offset(&question.topic, question.partition, next)?;
    reader.assign(&list)?;
    let deadline = Instant::now() + TIMEOUT;
    while Instant::now() < deadline {
        match reader.poll(Duration::from_millis(100)) {
            // It reads one partition, so this is about that one.
            Some(Err(KafkaError::PartitionEOF(_))) => return Ok(Between::Nothing),
            Some(Ok(message)) => {
                let below = u64::try_from(message.offset()).is_ok_and(|offset| offset < high);
                return Ok(if below { Between::Messages } else { Between::Nothing });
            }
            // Connections come and go; the deadline decides.
            Some(Err(_)) | None => {}
        }
    }
    Err(KafkaError::MetadataFetch(RDKafkaErrorCode::OperationTimedOut))
}

#[cfg(test)]
mod tests {
    use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

    use super::*;
    use crate::source::embedded::{EmbeddedBroker, EmbeddedSettings};

    #[test]
    fn messages_before_the_end_are_seen_and_an_end_is_an_end() {
        let settings = EmbeddedSettings { partitions: 1, ..EmbeddedSettings::default() };
        let broker = EmbeddedBroker::start(&settings).unwrap();
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", broker.bootstrap());
        let producer: BaseProducer = config.create().unwrap();
        for _message in 0..10 {
            let record = BaseRecord::<(), str>::to(broker.topic()).partition(0).payload("m");
            producer.send(record).map_err(|(error, _)| error).unwrap();
        }
        producer.flush(TIMEOUT).unwrap();

        let config = broker.source_settings("group").client_config();
        let consumer = config.create_with_context(Context::default()).unwrap();
        // An answer of `Nothing` here would lose messages 3 to 9.
        for (next, between) in [(0, Between::Messages), (9, Between::Messages)].into_iter().chain([
            (3, Between::Messages),
            (10, Between::NotAsked),
            (11, Between::NotAsked),
        ]) {
            let (topic, next) = (broker.topic().to_owned(), Offset(next));
            let question = Question { topic, partition: 0, next };
            let answer = look(&consumer, &config, question).unwrap();
            assert_eq!((answer.low, answer.high, answer.between), (0, 10, between), "{next}");
        }
    }
}
