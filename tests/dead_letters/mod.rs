//! Messages that cannot be applied, with real brokers and the real binary: looked at, mended,
//! tried again, given up, sent on.

mod bound;
mod forward;
mod forward_again;
mod forward_whole;
mod halt;
mod originals;
mod poison_whole;
mod redrive;

use std::process::Command;

use serde_json::{Value, json};

use crate::brokers::kafka::Kafka;
use crate::harness::{Pointd, binary};

/// What a command printed, and whether it succeeded.
struct Said {
    out: String,
    error: String,
    well: bool,
}

/// `pointd dead-letters …` for this daemon.
fn command(pointd: &Pointd, args: &[&str]) -> Said {
    let output = Command::new(binary())
        .arg("dead-letters")
        .args(args)
        .args(["--url", &pointd.url])
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Said { well: output.status.success(), out: text(output.stdout), error: text(output.stderr) }
}

fn letters(pointd: &Pointd) -> Vec<Value> {
    let answer = pointd.get("/dead-letters?limit=1000");
    answer["result"]["dead_letters"].as_array().cloned().unwrap_or_default()
}

fn upsert(collection: &str, id: u64) -> String {
    let points = json!([{"id": id, "vector": [1.0, 2.0]}]);
    json!({"collection": collection, "upsert": {"points": points}}).to_string()
}

/// A source `s` of this topic, and the collection `c` of two dimensions.
fn kafka_source(kafka: &Kafka, topic: &str, source: &str, rest: &str) -> String {
    let bootstrap = kafka.bootstrap();
    format!(
        "[collections.c]\nsize = 2\ndistance = \"Dot\"\n[[source]]\nname = \"s\"\n{source}\n\
         [source.kafka]\nbrokers = \"{bootstrap}\"\ntopics = [\"{topic}\"]\ngroup = \"{topic}\"\n\
         commit_interval = \"100ms\"\n{rest}"
    )
}
