//! What rdkafka has no safe call for: leader epochs, headers as they are, topic ids, and where an
//! end is. And one function of librdkafka that must not run.
//!
//! Promise: nothing of librdkafka's outlives a call, and no pointer leaves this file.

use std::collections::HashMap;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::ptr;
use std::slice;
use std::time::{Duration, Instant};

use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{IsError, KafkaError, KafkaResult};
use rdkafka::message::BorrowedMessage;
#[cfg(test)]
use rdkafka::producer::{BaseProducer, Producer};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka_sys as sys;
use uuid::Uuid;

/// `RD_KAFKA_OP_RES_HANDLED`, which librdkafka's public header does not have.
const HANDLED: c_int = 1;

/// In place of librdkafka's function of this name, by the linker (`--wrap`, see `build.rs`): what a
/// fetch says of new leaders (KIP-951) is left out. From 2.6.1 at least (confluentinc/librdkafka#5280)
/// to 2.12.1 the list is made too long where a broker that has just started names no leader; the rest
/// of it is memory that nobody has written, and partition numbers from there are used as indices:
/// messages stop, or the process ends. Without it, the metadata that librdkafka asks for after the
/// same error tells the leader, a moment later. To go with the first version that mends it.
#[unsafe(no_mangle)]
extern "C" fn __wrap_rd_kafka_metadata_update_op(_: *mut c_void, _: *mut c_void) -> c_int {
    HANDLED
}

/// The epoch of the leader that had the message; `None` from a broker that tells none.
pub fn leader_epoch(message: &BorrowedMessage<'_>) -> Option<i32> {
    // SAFETY: the message is borrowed, so librdkafka has not freed it, and it came from a
    // consumer's queue, which is what the call asks for.
    let epoch = unsafe { sys::rd_kafka_message_leader_epoch(message.ptr()) };
    (epoch >= 0).then_some(epoch)
}

/// Gives each header, in order; `None` is a value that is null. rdkafka's own panics at a name that
/// is no UTF-8, and takes headers that cannot be read for none. An error: none was given.
pub fn each_header(
    message: &BorrowedMessage<'_>,
    mut take: impl FnMut(&str, Option<&[u8]>),
) -> Result<(), RDKafkaErrorCode> {
    // SAFETY: the message is borrowed, so librdkafka has not freed it, nor the headers, which are
    // its own. The name ends with a zero; the value is null or has `size` bytes. What `take` is
    // given it cannot keep.
    unsafe {
        let headers = headers(message.ptr())?;
        if headers.is_null() {
            return Ok(());
        }
        for at in 0..sys::rd_kafka_header_cnt(headers) {
            let (mut name, mut value, mut size) = (ptr::null(), ptr::null(), 0);
            let error = sys::rd_kafka_header_get_all(headers, at, &mut name, &mut value, &mut size);
            if error.is_error() {
                return Err(error.into());
            }
            let value = (!value.is_null()).then(|| slice::from_raw_parts(value.cast::<u8>(), size));
            take(&CStr::from_ptr(name).to_string_lossy(), value);
        }
    }
    Ok(())
}

/// Null: it has none.
///
/// # Safety
///
/// `message` is alive, and came from a consumer's queue. What is returned ends with it.
unsafe fn headers(
    message: *const sys::rd_kafka_message_t,
) -> Result<*const sys::rd_kafka_headers_t, RDKafkaErrorCode> {
    let mut headers = ptr::null_mut();
    // SAFETY: as the caller promises.
    let error = unsafe { sys::rd_kafka_message_headers(message, &mut headers) };
    match RDKafkaErrorCode::from(error) {
        RDKafkaErrorCode::NoError => Ok(headers),
        RDKafkaErrorCode::NoEnt => Ok(ptr::null()),
        code => Err(code),
    }
}

/// Sets the epoch of one element; nothing if there is no such element.
pub fn set_leader_epoch(list: &mut TopicPartitionList, topic: &str, partition: i32, epoch: i32) {
    let Ok(topic) = CString::new(topic) else { return };
    // SAFETY: the list is borrowed mutably, so it is alive and nobody else looks at it; what
    // `find` returns is null or one of its elements.
    unsafe {
        let element =
            sys::rd_kafka_topic_partition_list_find(list.ptr(), topic.as_ptr(), partition);
        if !element.is_null() {
            sys::rd_kafka_topic_partition_set_leader_epoch(element, epoch);
        }
    }
}

/// What a consumer of one partition was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// The offset of a message.
    Message(i64),
    /// Whoever answered has nothing from this offset on.
    End(i64),
    Failed(RDKafkaErrorCode),
}

/// The next thing that `reader` is told. It must have no subscription.
pub fn read<C: ConsumerContext>(reader: &BaseConsumer<C>, timeout: Duration) -> Option<Read> {
    let millis = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: the client is borrowed and outlives the block. The message is ours until it is
    // destroyed, here and once; what is needed of it is copied before that.
    let (code, offset) = unsafe {
        let message = sys::rd_kafka_consumer_poll(reader.client().native_ptr(), millis);
        if message.is_null() {
            return None;
        }
        let (mut code, offset) = (RDKafkaErrorCode::from((*message).err), (*message).offset);
        // Whoever consumes it takes it for damaged.
        if code == RDKafkaErrorCode::NoError && headers(message).is_err() {
            code = RDKafkaErrorCode::BadMessage;
        }
        sys::rd_kafka_message_destroy(message);
        (code, offset)
    };
    Some(match code {
        RDKafkaErrorCode::NoError => Read::Message(offset),
        RDKafkaErrorCode::PartitionEOF => Read::End(offset),
        code => Read::Failed(code),
    })
}

/// The ids of those of `topics` that exist; none from a broker that knows no ids.
pub fn topic_ids<C: ConsumerContext>(
    client: &BaseConsumer<C>,
    topics: &[String],
    timeout: Duration,
) -> KafkaResult<HashMap<String, Uuid>> {
    let names: Vec<CString> =
        topics.iter().filter_map(|topic| CString::new(topic.as_str()).ok()).collect();
    let mut names: Vec<*const c_char> = names.iter().map(|name| name.as_ptr()).collect();
    if names.is_empty() {
        return Ok(HashMap::new());
    }
    let client = client.client().native_ptr();
    let deadline = Instant::now() + timeout;
    let millis = |time: Duration| i32::try_from(time.as_millis()).unwrap_or(i32::MAX);
    let mut ids = HashMap::new();
    // SAFETY: the client is borrowed and outlives the block. The names, which the collection
    // copies, live until its end. Everything made here is destroyed here, once, the event
    // before its queue; what the event holds is copied before that. A request that is still
    // under way when its queue goes drops its answer.
    let error = unsafe {
        let collection =
            sys::rd_kafka_TopicCollection_of_topic_names(names.as_mut_ptr(), names.len());
        let options = sys::rd_kafka_AdminOptions_new(
            client,
            sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS,
        );
        sys::rd_kafka_AdminOptions_set_request_timeout(
            options,
            millis(timeout),
            ptr::null_mut(),
            0,
        );
        let queue = sys::rd_kafka_queue_new(client);
        sys::rd_kafka_DescribeTopics(client, collection, options, queue);
        let left = deadline.saturating_duration_since(Instant::now());
        let event = sys::rd_kafka_queue_poll(queue, millis(left + Duration::from_secs(1)));
        let error = if event.is_null() {
            sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__TIMED_OUT
        } else {
            let error = sys::rd_kafka_event_error(event);
            read_ids(sys::rd_kafka_event_DescribeTopics_result(event), &mut ids);
            sys::rd_kafka_event_destroy(event);
            error
        };
        sys::rd_kafka_queue_destroy(queue);
        sys::rd_kafka_AdminOptions_destroy(options);
        sys::rd_kafka_TopicCollection_destroy(collection);
        error
    };
    match error.is_error() {
        true => Err(KafkaError::AdminOp(error.into())),
        false => Ok(ids),
    }
}

/// # Safety
///
/// `result` is null or a live event's result.
unsafe fn read_ids(
    result: *const sys::rd_kafka_DescribeTopics_result_t,
    ids: &mut HashMap<String, Uuid>,
) {
    if result.is_null() {
        return;
    }
    let mut count = 0;
    // SAFETY: the result is alive, and so are the `count` descriptions that it points to, their
    // names and their ids. An id may be null.
    unsafe {
        let descriptions = sys::rd_kafka_DescribeTopics_result_topics(result, &mut count);
        for at in 0..count {
            let description = *descriptions.add(at);
            let id = sys::rd_kafka_TopicDescription_topic_id(description);
            if id.is_null() {
                continue;
            }
            let most = sys::rd_kafka_Uuid_most_significant_bits(id) as u64;
            let least = sys::rd_kafka_Uuid_least_significant_bits(id) as u64;
            let name = CStr::from_ptr(sys::rd_kafka_TopicDescription_name(description));
            let id = Uuid::from_u64_pair(most, least);
            // The zero id stands for "none": the topic does not exist, or the broker is old.
            if !id.is_nil() {
                ids.insert(name.to_string_lossy().into_owned(), id);
            }
        }
    }
}

/// Publishes to partition 0, with header names of any bytes.
#[cfg(test)]
pub fn publish_with_headers(
    producer: &BaseProducer,
    topic: &str,
    value: &str,
    headers: &[(&[u8], Option<&[u8]>)],
) {
    let topic = CString::new(topic).unwrap();
    // SAFETY: the client, the topic's name and the value outlive the call, which copies them; so
    // do names and values of headers. The list is the message's once it is taken, which is checked.
    let error = unsafe {
        let list = sys::rd_kafka_headers_new(headers.len());
        for (name, value) in headers {
            let (value, size) = value.map_or((ptr::null(), 0), |it| (it.as_ptr(), it.len()));
            let (name, length) = (name.as_ptr().cast(), name.len() as isize);
            let added = sys::rd_kafka_header_add(list, name, length, value.cast(), size as isize);
            assert!(!added.is_error());
        }
        sys::rd_kafka_producev(
            producer.client().native_ptr(),
            sys::rd_kafka_vtype_t::RD_KAFKA_VTYPE_TOPIC,
            topic.as_ptr(),
            sys::rd_kafka_vtype_t::RD_KAFKA_VTYPE_PARTITION,
            0_i32,
            sys::rd_kafka_vtype_t::RD_KAFKA_VTYPE_MSGFLAGS,
            sys::RD_KAFKA_MSG_F_COPY as c_int,
            sys::rd_kafka_vtype_t::RD_KAFKA_VTYPE_VALUE,
            value.as_ptr(),
            value.len(),
            sys::rd_kafka_vtype_t::RD_KAFKA_VTYPE_HEADERS,
            list,
            sys::rd_kafka_vtype_t::RD_KAFKA_VTYPE_END,
        )
    };
    assert!(!error.is_error(), "{error:?}");
    producer.flush(Duration::from_secs(60)).unwrap();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn what_a_fetch_says_of_leaders_is_left_out() {
        unsafe extern "C" {
            fn rd_kafka_metadata_update_op(client: *mut c_void, metadata: *mut c_void) -> c_int;
        }
        // SAFETY: the linker has put ours in its place, which looks at neither. librdkafka's own
        // would end the process here.
        let handled = unsafe { rd_kafka_metadata_update_op(ptr::null_mut(), ptr::null_mut()) };
        assert_eq!(handled, HANDLED);
    }

    #[test]
    fn an_epoch_is_set_on_the_element_and_nowhere_else() {
        let mut list = TopicPartitionList::new();
        for partition in 0..2 {
            list.add_partition("t", partition);
        }
        set_leader_epoch(&mut list, "t", 1, 7);
        set_leader_epoch(&mut list, "t", 5, 8);
        set_leader_epoch(&mut list, "a name with \0 in it", 1, 9);
        // SAFETY: the list is alive, and has two elements.
        let epochs = unsafe {
            let elements = (*list.ptr()).elems;
            [0, 1].map(|at| sys::rd_kafka_topic_partition_get_leader_epoch(elements.add(at)))
        };
        assert_eq!(epochs, [-1, 7]);
    }
}
