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
use rdkafka::{Offset as KafkaOffset, TopicPartitionList};

use super::native::Read;
use super::readers::Readers;
use super::{Context, native};
use crate::position::Offset;

const TIMEOUT: Duration = Duration::from_secs(10);
const POLL_TIMEOUT: Duration = Duration::from_millis(100);
/// How many offsets behind something unreadable are tried one by one.
const STEPS_MAX: u32 = 4096;

/// A partition, and the offset at which it stands still.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    pub topic: String,
    pub partition: i32,
    pub next: Offset,
    /// Of the leader that had the message before, if it is known.
    pub epoch: Option<i32>,
    /// Whether something there may be missing: then the log is read, be there an end or not.
    pub suspect: bool,
    /// Whether only the log's start and end are asked for: it is halted.
    pub ends_only: bool,
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
    /// There was no need to look: the offset is the end, or it is not between the log's ends.
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

/// The client lacks a right: a new one would be refused as it was.
pub fn is_refusal(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode::{
        ClusterAuthorizationFailed, GroupAuthorizationFailed, TopicAuthorizationFailed,
    };
    matches!(code, ClusterAuthorizationFailed | GroupAuthorizationFailed | TopicAuthorizationFailed)
}

/// It could not be looked at. Where its log ends was told all the same, or not.
pub struct Unanswered {
    pub question: Question,
    pub high: Option<u64>,
    pub error: KafkaError,
}

/// `high` is asked for first: what lies below it is decided, so what is seen afterwards holds.
/// `client` is one that is there, if it answers.
pub fn look(
    client: Option<&BaseConsumer<Context>>,
    readers: &Readers,
    question: Question,
) -> Result<Answer, Box<Unanswered>> {
    let told = client.and_then(|client| Some((client, watermarks(client, &question).ok()?)));
    if let Some((client, (low, high))) = told {
        return answer(client, readers, question, low, high);
    }
    // Its connection may be what stands still.
    let answered = readers.fresh(|fresh| {
        let (low, high) = watermarks(fresh, &question)?;
        Ok(answer(fresh, readers, question.clone(), low, high))
    });
    answered.unwrap_or_else(|error| Err(Box::new(Unanswered { question, high: None, error })))
}

fn answer(
    client: &BaseConsumer<Context>,
    readers: &Readers,
    question: Question,
    low: u64,
    high: u64,
) -> Result<Answer, Box<Unanswered>> {
    match between(client, readers, &question, low, high) {
        Ok(between) => Ok(Answer { question, low, high, between }),
        Err(error) => Err(Box::new(Unanswered { question, high: Some(high), error })),
    }
}

fn between(
    client: &BaseConsumer<Context>,
    readers: &Readers,
    question: &Question,
    low: u64,
    high: u64,
) -> KafkaResult<Between> {
    let next = question.next.0;
    let inside = (low..high).contains(&next);
    let between = match question.epoch {
        _ if question.ends_only => Between::NotAsked,
        // A log of another leader may be of any length.
        Some(epoch) if next >= low && (question.suspect || inside) => {
            read(readers, question, Some(epoch), high)?
        }
        _ if inside => read(readers, question, None, high)?,
        _ => Between::NotAsked,
    };
    // Emptied meanwhile, it shows an end too.
    if between == Between::Nothing && watermarks(client, question)?.0 > next.max(low) {
        return Err(KafkaError::MetadataFetch(RDKafkaErrorCode::OffsetOutOfRange));
    }
    Ok(between)
}

fn watermarks(client: &BaseConsumer<Context>, question: &Question) -> KafkaResult<(u64, u64)> {
    let (low, high) = client.fetch_watermarks(&question.topic, question.partition, TIMEOUT)?;
    let no_offset = |_| KafkaError::MetadataFetch(RDKafkaErrorCode::NoOffset);
    Ok((u64::try_from(low).map_err(no_offset)?, u64::try_from(high).map_err(no_offset)?))
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
    readers: &Readers,
    question: &Question,
    epoch: Option<i32>,
    high: u64,
) -> KafkaResult<Between> {
    let first = readers.of(question, epoch, "error", |reader| {
        let deadline = Instant::now() + TIMEOUT;
        let mut last = RDKafkaErrorCode::OperationTimedOut;
        while Instant::now() < deadline {
            let Some(read) = native::read(reader, POLL_TIMEOUT) else { continue };
            if let Some(between) = seen(read, high) {
                return Ok(Some(between));
            }
            match read {
                Read::Failed(code) if is_damage(code) => {
                    let readable = readable(readers, reader, question, high)?;
                    return Ok(Some(Between::Damaged { readable }));
                }
                Read::Failed(RDKafkaErrorCode::AutoOffsetReset) => return Ok(None),
                // Nothing comes after that, and others wait to be looked at.
                Read::Failed(code) if is_refusal(code) => {
                    return Err(KafkaError::MetadataFetch(code));
                }
                // Connections come and go; the deadline decides.
                Read::Failed(code) => last = code,
                Read::Message(_) | Read::End(_) => {}
            }
        }
        Err(KafkaError::MetadataFetch(last))
    })?;
    match (first, epoch) {
        (Some(between), _) => Ok(between),
        (None, Some(epoch)) => cut_at(readers, question, epoch, high),
        (None, None) => Err(KafkaError::MetadataFetch(RDKafkaErrorCode::OffsetOutOfRange)),
    }
}

/// What the first thing that was read says of everything below `high`. An end below it says
/// nothing: who answered lags behind who told `high`.
fn seen(read: Read, high: u64) -> Option<Between> {
    let reaches = |offset: i64| u64::try_from(offset).is_ok_and(|offset| offset >= high);
    match read {
        Read::Message(offset) if reaches(offset) => Some(Between::Nothing),
        Read::Message(_) => Some(Between::Messages),
        Read::End(offset) if reaches(offset) => Some(Between::Nothing),
        Read::End(_) | Read::Failed(_) => None,
    }
}

/// The first offset behind what cannot be read; `high` if there is none. After something damaged
/// the client finds nothing more in the same answer, so each offset is tried: those of a damaged
/// batch all fail.
fn readable(
    readers: &Readers,
    reader: &BaseConsumer<Context>,
    question: &Question,
    high: u64,
) -> KafkaResult<u64> {
    let (mut at, mut tried) = (question.next.0 + 1, 0_u32);
    while at < high {
        readers.busy.begin();
        let offset = KafkaOffset::Offset(i64::try_from(at).unwrap_or(i64::MAX));
        reader.seek(&question.topic, question.partition, offset, TIMEOUT)?;
        if let Some(found) = first_at(reader, high)? {
            return Ok(found);
        }
        tried += 1;
        // Of a batch that large, something readable behind it may be given up too.
        at += if tried < STEPS_MAX { 1 } else { u64::from(tried - STEPS_MAX + 1) };
    }
    Ok(high)
}

/// The offset of the message that comes first; `None`: it cannot be read.
fn first_at(reader: &BaseConsumer<Context>, high: u64) -> KafkaResult<Option<u64>> {
    let deadline = Instant::now() + TIMEOUT;
    while Instant::now() < deadline {
        match native::read(reader, POLL_TIMEOUT) {
            Some(Read::Message(offset)) => {
                return Ok(Some(u64::try_from(offset).unwrap_or(high).min(high)));
            }
            Some(read @ Read::End(_)) if seen(read, high).is_some() => return Ok(Some(high)),
            Some(Read::Failed(code)) if is_damage(code) => return Ok(None),
            Some(Read::End(_) | Read::Failed(_)) | None => {}
        }
    }
    Err(KafkaError::MetadataFetch(RDKafkaErrorCode::OperationTimedOut))
}

/// Told to reset, the client goes on where the broker says that the epoch's log ends.
fn cut_at(readers: &Readers, question: &Question, epoch: i32, high: u64) -> KafkaResult<Between> {
    readers.of(question, Some(epoch), "earliest", |reader| {
        let deadline = Instant::now() + TIMEOUT;
        while Instant::now() < deadline {
            match native::read(reader, POLL_TIMEOUT) {
                // Where the log ends is where it was cut, if that is all there is.
                Some(Read::End(offset)) => {
                    let end = u64::try_from(offset).unwrap_or(high).min(high);
                    return Ok(Between::Rewritten { at: end.min(question.next.0) });
                }
                Some(Read::Message(offset)) => return reset_to(offset, question.next),
                Some(Read::Failed(_)) | None => {}
            }
        }
        Err(KafkaError::MetadataFetch(RDKafkaErrorCode::OperationTimedOut))
    })
}

/// No further back than what we have, it is no cut. Nor is all well there: whoever fetches at `next`
/// is refused.
fn reset_to(offset: i64, next: Offset) -> KafkaResult<Between> {
    match u64::try_from(offset) {
        Ok(at) if at < next.0 => Ok(Between::Rewritten { at }),
        _ => Err(KafkaError::MetadataFetch(RDKafkaErrorCode::OffsetOutOfRange)),
    }
}

#[cfg(test)]
mod tests {
    use rdkafka::ClientConfig;
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
        let readers = Readers::new("test", config);
        let question = Question {
            topic: String::new(),
            partition: 0,
            next: Offset(0),
            epoch: None,
            suspect: false,
            ends_only: false,
        };
        // An answer of `Nothing` here would lose messages 3 to 9.
        for (next, between) in [(0, Between::Messages), (9, Between::Messages)].into_iter().chain([
            (3, Between::Messages),
            (10, Between::NotAsked),
            (11, Between::NotAsked),
        ]) {
            let (topic, next) = (broker.topic().to_owned(), Offset(next));
            let question = Question { topic, partition: 0, next, ..question.clone() };
            let answer =
                look(Some(&consumer), &readers, question).map_err(|told| told.error).unwrap();
            assert_eq!((answer.low, answer.high, answer.between), (0, 10, between), "{next}");
        }
        let (topic, next) = (broker.topic().to_owned(), Offset(9));
        let question = Question { topic, next, ..question };
        let told = readers.of(&question, None, "error", |reader| {
            let told = std::iter::repeat_with(|| native::read(reader, TIMEOUT)).flatten();
            Ok(told.take(2).collect::<Vec<_>>())
        });
        assert_eq!(told.unwrap(), [Read::Message(9), Read::End(10)]);
    }

    #[test]
    fn an_offset_that_is_refused_inside_the_log_is_no_place_where_all_is_well() {
        assert_eq!(reset_to(4, Offset(5)).unwrap(), Between::Rewritten { at: 4 });
        for offset in [5, 6, -1] {
            assert!(reset_to(offset, Offset(5)).is_err(), "{offset}");
        }
    }

    #[test]
    fn an_end_below_what_is_there_says_nothing() {
        assert_eq!(seen(Read::End(9), 10), None);
        assert_eq!(seen(Read::End(-1), 10), None);
        assert_eq!(seen(Read::End(10), 10), Some(Between::Nothing));
        assert_eq!(seen(Read::Message(9), 10), Some(Between::Messages));
        assert_eq!(seen(Read::Message(10), 10), Some(Between::Nothing));
        assert_eq!(seen(Read::Failed(RDKafkaErrorCode::TopicAuthorizationFailed), 10), None);
    }
}
