//! Decoding alone, on one thread: what a format costs a value of a vector.

use std::hint::black_box;
use std::time::{Duration, Instant};

use bytes::Bytes;
use pointd::commands::produce::form::Form;
use pointd::format::{Decoding, Format, Incoming, TYPE, TopicCollections, decode};
use pointd::operation::Limits;

use crate::{form_name, written};

/// Messages that are decoded over and over: more than a cache close to the core holds.
const MESSAGES: u64 = 2_000;

pub fn print(quick: bool) {
    let least = Duration::from_millis(if quick { 100 } else { 2_000 });
    println!("| decoding | dimensions | ns a value | points/s | bytes a point |");
    println!("|---|---|---|---|---|");
    for dim in [128, 768] {
        for form in [Form::Json, Form::Protobuf] {
            let messages = written(form, 1, dim, MESSAGES);
            let bytes: usize = messages.iter().map(Vec::len).sum();
            let (points, took) = measure(form, &messages, least);
            let nanoseconds = took.as_nanos() as f64 / points as f64;
            println!(
                "| {} | {dim} | {:.2} | {:.0} | {} |",
                form_name(form),
                nanoseconds / dim as f64,
                1e9 / nanoseconds,
                bytes / messages.len()
            );
        }
    }
    println!();
}

fn measure(form: Form, messages: &[Vec<u8>], least: Duration) -> (u64, Duration) {
    let decoding = Decoding {
        format: if form == Form::Protobuf { Format::Protobuf } else { Format::Json },
        collection: None,
        topics: TopicCollections::default(),
        limits: Limits { message_bytes_max: 1 << 30 },
    };
    let headers = [(TYPE.to_owned(), Bytes::from_static(b"UpsertPoints"))];
    let (started, mut points) = (Instant::now(), 0);
    while started.elapsed() < least {
        for message in messages {
            let incoming =
                Incoming { topic: None, key: None, value: Some(message), headers: &headers };
            black_box(decode(&incoming, &decoding).expect("a message"));
            points += 1;
        }
    }
    (points, started.elapsed())
}
