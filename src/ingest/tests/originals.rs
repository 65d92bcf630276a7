//! What records keep of what was delivered.

use super::*;
use crate::operation::{Message, Operation, Original};

/// A batch of these values at the offsets from 0 on, each with a key and a header.
fn values(number: u64, values: &[&str]) -> Batch {
    let mut batch = batch(number, 0..values.len() as u64);
    for (item, value) in batch.items.iter_mut().zip(values) {
        let What::Message(delivery) = &mut item.what else { unreachable!() };
        delivery.key = Some(Bytes::from_static(b"key"));
        delivery.headers = vec![("name".into(), Bytes::from_static(b"value"))];
        delivery.value = Some(Bytes::copy_from_slice(value.as_bytes()));
    }
    batch
}

fn bodies(line: Line) -> Vec<Body> {
    drop(line.queue);
    line.appender.join().unwrap().unwrap();
    line.frames.iter().flat_map(|frame| frame.records).map(|record| record.body).collect()
}

fn original(value: &str) -> Original {
    Original {
        key: Some(Bytes::from_static(b"key")),
        headers: vec![("name".into(), Bytes::from_static(b"value"))],
        ..Original::of(value.to_owned())
    }
}

const DELETE: &str = r#"{"collection": "c", "delete": {"points": [7]}}"#;
const UPSERT: &str = r#"{"collection": "c", "upsert": {"points": [{"id": 7, "vector": [1]}]}}"#;
const SET: &str = r#"{"collection": "c", "set_payload": {"payload": {"a": 1}, "points": [7]}}"#;
const CLEAR: &str = r#"{"collection": "c", "clear_payload": {"points": [7]}}"#;

#[test]
fn a_record_keeps_what_was_delivered_only_where_its_message_may_be_refused() {
    let line = line(&IngestSettings::default());
    let intake = intake(&line.queue, &line.watermark);
    // All of them are well when they are decoded, and one will not be at its turn.
    let all = [SET, CLEAR, DELETE, CLEAR, UPSERT];
    intake.offer(values(1, &all)).unwrap();
    drop(intake);
    let kept: Vec<Option<Original>> = bodies(line)
        .into_iter()
        .map(|body| match body {
            Body::Message(message) => message.original,
            other => panic!("{other:?}"),
        })
        .collect();
    let expected = [Some(original(SET)), None, None, Some(original(CLEAR)), None];
    assert_eq!(kept, expected);
}

/// The collection goes over HTTP, in front of a batch that was decoded while it was there.
#[test]
fn a_record_behind_the_end_of_its_collection_keeps_what_was_delivered() {
    let line = line(&IngestSettings::default());
    let operations = vec![Operation::DeleteCollection];
    let end = Message { collection: "c".into(), operations, original: None, waits: false };
    let _submitted = line.queue.submit().write(end).unwrap();
    let intake = intake(&line.queue, &line.watermark);
    intake.offer(values(1, &[UPSERT])).unwrap();
    drop(intake);
    let bodies = bodies(line);
    let Body::Message(message) = &bodies[1] else { panic!("{bodies:?}") };
    assert_eq!(message.original, Some(original(UPSERT)));
}

/// What is seen is the state up to the delete's place, or just not that far.
#[test]
fn a_record_that_the_decoder_saw_makes_no_doubt() {
    for (applied, kept) in [(4, true), (5, false)] {
        let line = line(&IngestSettings::default());
        line.applied.store(applied, Ordering::SeqCst);
        let intake = intake(&line.queue, &line.watermark);
        intake.offer(values(1, &[UPSERT, UPSERT, UPSERT, UPSERT, DELETE, CLEAR])).unwrap();
        drop(intake);
        let bodies = bodies(line);
        let Body::Message(message) = &bodies[5] else { panic!("{bodies:?}") };
        assert_eq!(message.original.is_some(), kept, "{applied} of 5");
    }
}

#[test]
fn a_message_that_no_record_holds_is_a_dead_letter_with_what_was_delivered() {
    let line = line(&IngestSettings::default());
    let intake = intake(&line.queue, &line.watermark);
    let ids = "1,".repeat(RECORD_BYTES / 10) + "1";
    let large = format!(r#"{{"collection": "c", "delete": {{"points": [{ids}]}}}}"#);
    intake.offer(values(1, &[&large, DELETE])).unwrap();
    drop(intake);
    let bodies = bodies(line);
    let Body::Rejected(rejection) = &bodies[0] else { panic!("{bodies:?}") };
    assert_eq!(rejection.refusal.reason, Reason::TooLarge);
    assert_eq!(rejection.original, original(&large));
    assert!(matches!(&bodies[1], Body::Message(_)), "{bodies:?}");
}

#[test]
fn writes_that_wait_for_the_log_are_bounded_in_bytes_apart_from_batches() {
    let settings = IngestSettings { queue_bytes_max: 10_000, ..IngestSettings::default() };
    let metrics = Metrics::new();
    let (queue, _ends) = Queue::new(&settings, Valve::open(&metrics), &metrics);
    let write = |points: usize| {
        let delete = Operation::DeletePoints(crate::operation::Selector::Ids(
            (0..points as u64).map(crate::point::PointId::Number).collect(),
        ));
        let message = Message {
            collection: "c".into(),
            operations: vec![delete],
            original: None,
            waits: false,
        };
        queue.submit().write(message).map(|_| ())
    };
    let decide = |length: usize| {
        let text =
            format!(r#"{{"collection": "{}", "delete": {{"points": []}}}}"#, "c".repeat(length));
        let attempt = crate::operation::decode_written(&text);
        let redrive = crate::operation::Redrive { letter: Seq(1), attempt };
        queue.submit().decide(Body::Redrive(redrive)).map(|_| ())
    };
    // One is always let in.
    assert_eq!(write(2000), Ok(()));
    assert_eq!(write(1), Err(SubmitError::Full));
    assert_eq!(decide(1), Err(SubmitError::Full));
    let intake = intake(&queue, &Watermark::default());
    assert!(intake.offer(batch(1, 0..3)).is_ok(), "sources have room of their own");
    assert!(metrics.wal.queue_bytes.get() > 40_000);
}

/// Each takes up the bound, so the next one is taken only once it was given back.
#[test]
fn the_room_of_a_write_comes_back_with_its_append() {
    let settings =
        IngestSettings { queue_bytes_max: 10, message_bytes_max: 10, ..IngestSettings::default() };
    let line = line(&settings);
    for _ in 0..9 {
        let operations = vec![Operation::DeleteCollection];
        let end = Message { collection: "c".into(), operations, original: None, waits: false };
        while line.queue.submit().write(end.clone()).is_err() {
            std::thread::yield_now();
        }
    }
    assert_eq!(bodies(line).len(), 9);
}

#[test]
fn a_message_that_makes_the_decoder_panic_becomes_a_dead_letter() {
    let line = line(&IngestSettings::default());
    let intake = intake(&line.queue, &line.watermark);
    intake.offer(batch_of("fault", 1, 0..1)).unwrap();
    intake.offer(batch(2, 1..2)).unwrap();
    drop(intake);
    let bodies = bodies(line);
    let Body::Rejected(rejection) = &bodies[0] else { panic!("{bodies:?}") };
    assert_eq!(rejection.refusal.reason, Reason::DecoderFault);
    assert!(rejection.original.value.as_ref().unwrap().starts_with(b"{"));
    assert!(matches!(&bodies[1], Body::Message(_)), "{bodies:?}");
}
