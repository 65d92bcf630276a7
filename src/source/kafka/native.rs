//! The few things of librdkafka that the safe bindings leave out.
//!
//! They drop the topic and the offset of an end-of-partition event and of a consumer error,
//! and they have neither topic ids nor leader epochs. Without those, a position could not
//! follow transaction markers, a gap could not be laid at one partition's door, and a topic
//! made anew would be read as the old one. So the consumer's event queue is polled here.
//! This is the only `unsafe` of the source room: every pointer stays inside this file, and
//! what leaves it is owned or borrowed from an event that is owned.

use std::collections::HashMap;
use std::ffi::{CStr, CString, c_char, c_void};
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::bindings as rd;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::types::{RDKafkaErrorCode, RDKafkaRespErr};
use uuid::Uuid;

/// The consumer's event queue. Holds the consumer, so the queue cannot outlive it.
pub struct Events<C: ConsumerContext> {
    queue: NonNull<rd::rd_kafka_queue_t>,
    _consumer: Arc<BaseConsumer<C>>,
}

/// A partition named by an event, and an offset if the event has one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub topic: String,
    pub partition: i32,
    pub offset: i64,
}

pub struct Committed {
    pub place: Place,
    pub error: Option<RDKafkaErrorCode>,
}

pub enum Event {
    Message(Message),
    /// Everything below `offset` has been delivered, and nothing is there now.
    EndOfPartition(Place),
    Failed {
        place: Option<Place>,
        code: RDKafkaErrorCode,
        reason: String,
    },
    /// The answer to a commit.
    Committed {
        error: Option<RDKafkaErrorCode>,
        offsets: Vec<Committed>,
    },
    Log {
        /// As in syslog: 3 and below is an error, 4 a warning.
        level: i32,
        text: String,
    },
    Other,
}

/// An event, destroyed when dropped.
struct Owned(NonNull<rd::rd_kafka_event_t>);

impl Drop for Owned {
    fn drop(&mut self) {
        // SAFETY: this is the only owner, and nothing borrowed from it outlives it.
        unsafe { rd::rd_kafka_event_destroy(self.0.as_ptr()) }
    }
}

/// A message inside its event.
pub struct Message {
    message: NonNull<rd::rd_kafka_message_t>,
    _event: Owned,
}

fn error_of(code: RDKafkaRespErr) -> Option<RDKafkaErrorCode> {
    (code != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR).then(|| code.into())
}

/// SAFETY: `text` is null or ends in a zero byte and lives for the call.
unsafe fn text_of(text: *const c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}

fn millis(timeout: Duration) -> i32 {
    i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX)
}

impl<C: ConsumerContext> Events<C> {
    /// `None` when the consumer has no group id and hence no queue of its own.
    pub fn new(consumer: &Arc<BaseConsumer<C>>) -> Option<Self> {
        // SAFETY: the client lives as long as the consumer, which is kept beside the queue.
        let queue = unsafe { rd::rd_kafka_queue_get_consumer(consumer.client().native_ptr()) };
        NonNull::new(queue).map(|queue| Events { queue, _consumer: Arc::clone(consumer) })
    }

    /// The next event, or `None` when none came within `timeout`.
    pub fn poll(&mut self, timeout: Duration) -> Option<Event> {
        // SAFETY: the queue is alive; the returned event is ours to destroy.
        let event = unsafe { rd::rd_kafka_queue_poll(self.queue.as_ptr(), millis(timeout)) };
        let event = Owned(NonNull::new(event)?);
        // SAFETY: each accessor is called on a live event of the type it is for.
        Some(match unsafe { rd::rd_kafka_event_type(event.0.as_ptr()) } {
            rd::RD_KAFKA_EVENT_FETCH => message(event),
            rd::RD_KAFKA_EVENT_ERROR => failure(&event),
            rd::RD_KAFKA_EVENT_OFFSET_COMMIT => committed(&event),
            rd::RD_KAFKA_EVENT_LOG => log(&event),
            _ => Event::Other,
        })
    }
}

impl<C: ConsumerContext> Drop for Events<C> {
    fn drop(&mut self) {
        // SAFETY: gives back the reference that `new` took; the consumer is still alive.
        unsafe { rd::rd_kafka_queue_destroy(self.queue.as_ptr()) }
    }
}

// SAFETY: librdkafka's queues may be polled from any thread.
unsafe impl<C: ConsumerContext> Send for Events<C> {}

fn message(event: Owned) -> Event {
    // SAFETY: a fetch event holds one message, which lives as long as the event.
    let message = unsafe { rd::rd_kafka_event_message_next(event.0.as_ptr()) };
    let Some(message) = NonNull::new(message.cast_mut()) else { return Event::Other };
    // SAFETY: as above.
    let code = unsafe { message.as_ref() }.err;
    let message = Message { message, _event: event };
    match error_of(code) {
        None => Event::Message(message),
        Some(code) => {
            let place = Place {
                topic: message.topic().to_string_lossy().into_owned(),
                partition: message.partition(),
                offset: message.offset(),
            };
            Event::Failed { place: Some(place), code, reason: code.to_string() }
        }
    }
}

fn failure(event: &Owned) -> Event {
    let event = event.0.as_ptr();
    // SAFETY: an error event; the partition it returns is a copy that we destroy.
    let (code, reason, place) = unsafe {
        let code = rd::rd_kafka_event_error(event);
        let reason = text_of(rd::rd_kafka_event_error_string(event));
        let raw = rd::rd_kafka_event_topic_partition(event);
        let place = raw.as_ref().map(|raw| Place {
            topic: text_of(raw.topic),
            partition: raw.partition,
            offset: raw.offset,
        });
        if !raw.is_null() {
            rd::rd_kafka_topic_partition_destroy(raw);
        }
        (code, reason, place)
    };
    match (error_of(code), place) {
        (None, _) => Event::Other,
        (Some(RDKafkaErrorCode::PartitionEOF), Some(place)) => Event::EndOfPartition(place),
        (Some(code), place) => Event::Failed { place, code, reason },
    }
}

fn committed(event: &Owned) -> Event {
    let event = event.0.as_ptr();
    // SAFETY: an offset-commit event; its list belongs to it and holds `cnt` elements.
    unsafe {
        let error = error_of(rd::rd_kafka_event_error(event));
        let list = rd::rd_kafka_event_topic_partition_list(event);
        let elements = match list.as_ref() {
            Some(list) if !list.elems.is_null() => {
                std::slice::from_raw_parts(list.elems, usize::try_from(list.cnt).unwrap_or(0))
            }
            _ => &[],
        };
        let offsets = elements.iter().map(|element| Committed {
            place: Place {
                topic: text_of(element.topic),
                partition: element.partition,
                offset: element.offset,
            },
            error: error_of(element.err),
        });
        Event::Committed { error, offsets: offsets.collect() }
    }
}

fn log(event: &Owned) -> Event {
    let (mut facility, mut text, mut level) = (ptr::null(), ptr::null(), 0);
    // SAFETY: a log event; the strings live as long as it does.
    unsafe {
        let event = event.0.as_ptr();
        if rd::rd_kafka_event_log(event, &mut facility, &mut text, &mut level) != 0 {
            return Event::Other;
        }
        Event::Log { level, text: format!("{} {}", text_of(facility), text_of(text).trim()) }
    }
}

impl Message {
    fn raw(&self) -> &rd::rd_kafka_message_t {
        // SAFETY: the message lives in the event that `self` owns.
        unsafe { self.message.as_ref() }
    }

    pub fn topic(&self) -> &CStr {
        // SAFETY: a fetched message has a topic, whose name lives as long as the message.
        unsafe { CStr::from_ptr(rd::rd_kafka_topic_name(self.raw().rkt)) }
    }

    pub fn partition(&self) -> i32 {
        self.raw().partition
    }

    pub fn offset(&self) -> i64 {
        self.raw().offset
    }

    /// -1 where the broker does not tell.
    pub fn leader_epoch(&self) -> i32 {
        // SAFETY: as in `raw`.
        unsafe { rd::rd_kafka_message_leader_epoch(self.message.as_ptr()) }
    }

    /// Milliseconds since 1970; -1 when the message has no time.
    pub fn time(&self) -> i64 {
        let mut kind = rd::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
        // SAFETY: as in `raw`; `kind` is written by the call.
        unsafe { rd::rd_kafka_message_timestamp(self.message.as_ptr(), &mut kind) }
    }

    pub fn key(&self) -> Option<&[u8]> {
        // SAFETY: as in `raw`.
        unsafe { slice(self.raw().key, self.raw().key_len) }
    }

    pub fn value(&self) -> Option<&[u8]> {
        // SAFETY: as in `raw`.
        unsafe { slice(self.raw().payload, self.raw().len) }
    }

    /// In order. A header without a value has an empty one.
    pub fn headers(&self) -> Headers<'_> {
        let mut headers = ptr::null_mut();
        // SAFETY: as in `raw`; the headers live as long as the message.
        let found = unsafe { rd::rd_kafka_message_headers(self.message.as_ptr(), &mut headers) };
        let headers = if error_of(found).is_none() { headers } else { ptr::null_mut() };
        Headers { headers: NonNull::new(headers), next: 0, _message: self }
    }
}

pub struct Headers<'m> {
    headers: Option<NonNull<rd::rd_kafka_headers_t>>,
    next: usize,
    _message: &'m Message,
}

impl<'m> Iterator for Headers<'m> {
    type Item = (&'m CStr, &'m [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let headers = self.headers?;
        let (mut name, mut value, mut size) = (ptr::null(), ptr::null(), 0);
        // SAFETY: the headers and what they point to live as long as the message.
        unsafe {
            let found = rd::rd_kafka_header_get_all(
                headers.as_ptr(),
                self.next,
                &mut name,
                &mut value,
                &mut size,
            );
            self.next += 1;
            if error_of(found).is_some() || name.is_null() {
                return None;
            }
            Some((CStr::from_ptr(name), slice(value, size).unwrap_or_default()))
        }
    }
}

/// SAFETY: `start` is null or points to `length` bytes that live for `'m`.
unsafe fn slice<'m>(start: *const c_void, length: usize) -> Option<&'m [u8]> {
    match NonNull::new(start.cast_mut()) {
        None => None,
        Some(start) => {
            Some(unsafe { std::slice::from_raw_parts(start.as_ptr().cast::<u8>(), length) })
        }
    }
}

/// The log start and the high watermark of a partition as the last fetch told them: no
/// request is made. `None` until there was a fetch.
pub fn known_ends<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    topic: &str,
    partition: i32,
) -> Option<(u64, u64)> {
    let topic = CString::new(topic).ok()?;
    let (mut low, mut high) = (-1, -1);
    // SAFETY: the client lives as long as the consumer; the numbers are written by the call.
    let found = unsafe {
        rd::rd_kafka_get_watermark_offsets(
            consumer.client().native_ptr(),
            topic.as_ptr(),
            partition,
            &mut low,
            &mut high,
        )
    };
    if error_of(found).is_some() {
        return None;
    }
    Some((u64::try_from(low).ok()?, u64::try_from(high).ok()?))
}

/// The ids of those of `topics` that exist. An empty map where the broker (before Kafka 2.8)
/// or its access rules tell none: a topic made anew is then noticed by its offsets only.
pub fn topic_ids<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    topics: &[String],
    timeout: Duration,
) -> Result<HashMap<String, Uuid>, RDKafkaErrorCode> {
    let names: Vec<CString> =
        topics.iter().filter_map(|topic| CString::new(topic.as_str()).ok()).collect();
    let mut pointers: Vec<*const c_char> = names.iter().map(|name| name.as_ptr()).collect();
    let client = consumer.client().native_ptr();
    // SAFETY: everything made here is destroyed here, the queue last; the names outlive the
    // call that copies them.
    unsafe {
        let collection =
            rd::rd_kafka_TopicCollection_of_topic_names(pointers.as_mut_ptr(), pointers.len());
        let options = rd::rd_kafka_AdminOptions_new(
            client,
            rd::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS,
        );
        let mut reason = [0; 128];
        rd::rd_kafka_AdminOptions_set_request_timeout(
            options,
            millis(timeout),
            reason.as_mut_ptr(),
            reason.len(),
        );
        let queue = rd::rd_kafka_queue_new(client);
        rd::rd_kafka_DescribeTopics(client, collection, options, queue);
        rd::rd_kafka_AdminOptions_destroy(options);
        rd::rd_kafka_TopicCollection_destroy(collection);
        let ids = described(queue, timeout + Duration::from_secs(1));
        rd::rd_kafka_queue_destroy(queue);
        ids
    }
}

/// SAFETY: `queue` is alive and receives one DescribeTopics result.
unsafe fn described(
    queue: *mut rd::rd_kafka_queue_t,
    timeout: Duration,
) -> Result<HashMap<String, Uuid>, RDKafkaErrorCode> {
    let deadline = Instant::now() + timeout;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        // SAFETY: the caller keeps the queue alive; the event is ours to destroy.
        let event = unsafe { rd::rd_kafka_queue_poll(queue, millis(left)) };
        let event = Owned(NonNull::new(event).ok_or(RDKafkaErrorCode::OperationTimedOut)?);
        let raw = event.0.as_ptr();
        // SAFETY: the result and all it points to live as long as the event.
        unsafe {
            let result = rd::rd_kafka_event_DescribeTopics_result(raw);
            if result.is_null() {
                continue;
            }
            if let Some(code) = error_of(rd::rd_kafka_event_error(raw)) {
                return Err(code);
            }
            let mut count = 0;
            let list = rd::rd_kafka_DescribeTopics_result_topics(result, &mut count);
            let mut ids = HashMap::new();
            for index in 0..if list.is_null() { 0 } else { count } {
                let topic = *list.add(index);
                let id = rd::rd_kafka_TopicDescription_topic_id(topic);
                if id.is_null() {
                    continue;
                }
                let high = rd::rd_kafka_Uuid_most_significant_bits(id) as u64;
                let low = rd::rd_kafka_Uuid_least_significant_bits(id) as u64;
                // Kafka's zero id stands for "none".
                if (high, low) != (0, 0) {
                    let name = text_of(rd::rd_kafka_TopicDescription_name(topic));
                    ids.insert(name, Uuid::from_u64_pair(high, low));
                }
            }
            return Ok(ids);
        }
    }
}
