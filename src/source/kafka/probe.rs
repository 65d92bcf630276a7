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

use super::{Context, native};
use crate::position::Offset;

const TIMEOUT: Duration = Duration::from_secs(10);
/// After something that could not be read: how long what follows it is waited for.
const READABLE_WITHIN: Duration = Duration::from_secs(2);

/// A partition, and the offset at which it stands still.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    pub topic: String,
    pub partition: i32,
    pub next: Offset,
    /// Of the leader that had the message before, if it is known.
    pub epoch: Option<i32>,
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
    /// The leader of the question's epoch wrote no further than `at`: the log was cut there, and
    /// another leader went on.
    Rewritten {
        at: u64,
    },
    /// What stands there cannot be read; what follows can from `readable` on.
    Damaged {
        readable: u64,
    },
    /// There was no need to look: the offset is the end, or it is not in the log.
    NotAsked,
}

/// Something that stays unreadable however often it is fetched.
pub fn is_damage(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode::{
        BadCompression, BadMessage, InvalidMessage, InvalidMessageSize, MessageSizeTooLarge,
        NotImplemented,
    };
    matches!(
        code,
        BadCompression
            | BadMessage
            | InvalidMessage
            | InvalidMessageSize
            | MessageSizeTooLarge
            | NotImplemented
    )
}

/// `high` is asked for first: what lies below it is decided, so what is seen afterwards holds.
pub fn look(
    client: &BaseConsumer<Context>,
    config: &ClientConfig,
    question: Question,
) -> KafkaResult<Answer> {
    let (low, high) = watermarks(client, &question)?;
    let next = question.next.0;
    let inside = (low..high).contains(&next);
    let between = match question.epoch {
        // A log of another leader may be of any length.
        Some(epoch) if next >= low => read(config, &question, Some(epoch), high)?,
        _ if inside => read(config, &question, None, high)?,
        _ => Between::NotAsked,
    };
    // Emptied meanwhile, it shows an end too.
    if between == Between::Nothing && watermarks(client, &question)?.0 > next.max(low) {
        return Err(KafkaError::MetadataFetch(RDKafkaErrorCode::OffsetOutOfRange));
    }
    Ok(Answer { question, low, high, between })
}

fn watermarks(client: &BaseConsumer<Context>, question: &Question) -> KafkaResult<(u64, u64)> {
    let (low, high) = client.fetch_watermarks(&question.topic, question.partition, TIMEOUT)?;
    let no_offset = |_| KafkaError::MetadataFetch(RDKafkaErrorCode::NoOffset);
    Ok((u64::try_from(low).map_err(no_offset)?, u64::try_from(high).map_err(no_offset)?))
}

/// A reader of one partition: what it tells is about that one.
struct Reader(BaseConsumer<Context>);

impl Reader {
    fn open(
        config: &ClientConfig,
        question: &Question,
        epoch: Option<i32>,
        reset: &str,
    ) -> KafkaResult<Reader> {
        let mut config = config.clone();
        config.set("enable.partition.eof", "true");
        config.set("queued.max.messages.kbytes", "1024");
        config.set("statistics.interval.ms", "0");
        config.set("auto.offset.reset", reset);
        // So that what follows something damaged comes with it.
        config.set("fetch.message.max.bytes", "8388608");
        let reader: BaseConsumer<Context> = config.create_with_context(Context::default())?;
        let mut list = TopicPartitionList::new();
        let next = KafkaOffset::Offset(i64::try_from(question.next.0).unwrap_or(i64::MAX));
        list.add_partition_offset(&question.topic, question.partition, next)?;
        reader.assign(&list)?;
        if let Some(epoch) = epoch {
            native::set_leader_epoch(&mut list, &question.topic, question.partition, epoch);
            seek_validated(&reader, &list)?;
        }
        Ok(Reader(reader))
    }
}

/// Fetching an assigned partition begins without asking whether its log was cut; a seek asks.
/// Nothing is delivered in between: what was fetched before a seek is dropped.
pub fn seek_validated(
    consumer: &BaseConsumer<Context>,
    list: &TopicPartitionList,
) -> KafkaResult<()> {
    let deadline = Instant::now() + Duration::from_secs(1);
    let mut left = list.clone();
    loop {
        left = consumer.seek_partitions(left, Duration::from_secs(1))?;
        let failed = left.elements().iter().find_map(|element| element.error().err());
        match failed {
            None => return Ok(()),
            // Its fetch has not started yet: the assignment is being worked on.
            Some(_) if Instant::now() < deadline => {
                left = list.clone();
                std::thread::sleep(Duration::from_millis(2));
            }
            Some(error) => return Err(error),
        }
    }
}

fn read(
    config: &ClientConfig,
    question: &Question,
    epoch: Option<i32>,
    high: u64,
) -> KafkaResult<Between> {
    let Reader(reader) = Reader::open(config, question, epoch, "error")?;
    let deadline = Instant::now() + TIMEOUT;
    while Instant::now() < deadline {
        match reader.poll(Duration::from_millis(100)) {
            Some(Err(KafkaError::PartitionEOF(_))) => return Ok(Between::Nothing),
            Some(Ok(message)) => {
                let below = u64::try_from(message.offset()).is_ok_and(|offset| offset < high);
                return Ok(if below { Between::Messages } else { Between::Nothing });
            }
            Some(Err(error)) => match error.rdkafka_error_code() {
                Some(code) if is_damage(code) => {
                    return Ok(Between::Damaged { readable: readable(&reader, high) });
                }
                Some(RDKafkaErrorCode::AutoOffsetReset) => {
                    return match epoch {
                        Some(epoch) => cut_at(config, question, epoch, high),
                        None => Ok(Between::NotAsked),
                    };
                }
                // Connections come and go; the deadline decides.
                _ => {}
            },
            None => {}
        }
    }
    Err(KafkaError::MetadataFetch(RDKafkaErrorCode::OperationTimedOut))
}

/// The offset of the first message behind what cannot be read; `high` if there is none.
fn readable(reader: &BaseConsumer<Context>, high: u64) -> u64 {
    let deadline = Instant::now() + READABLE_WITHIN;
    while Instant::now() < deadline {
        match reader.poll(Duration::from_millis(100)) {
            Some(Ok(message)) => return u64::try_from(message.offset()).unwrap_or(high).min(high),
            Some(Err(KafkaError::PartitionEOF(_))) => break,
            Some(Err(_)) | None => {}
        }
    }
    high
}

/// Told to reset, the client goes on where the broker says that the epoch's log ends.
fn cut_at(
    config: &ClientConfig,
    question: &Question,
    epoch: i32,
    high: u64,
) -> KafkaResult<Between> {
    let Reader(reader) = Reader::open(config, question, Some(epoch), "earliest")?;
    let deadline = Instant::now() + TIMEOUT;
    while Instant::now() < deadline {
        match reader.poll(Duration::from_millis(100)) {
            Some(Err(KafkaError::PartitionEOF(_))) => return Ok(Between::Rewritten { at: high }),
            Some(Ok(message)) => {
                let at = u64::try_from(message.offset()).unwrap_or(high);
                // No further back than what we have: then it is a hole, and no cut.
                return Ok(match at < question.next.0 {
                    true => Between::Rewritten { at },
                    false => Between::NotAsked,
                });
            }
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
            let question = Question { topic, partition: 0, next, epoch: None };
            let answer = look(&consumer, &config, question).unwrap();
            assert_eq!((answer.low, answer.high, answer.between), (0, 10, between), "{next}");
        }
    }
}
