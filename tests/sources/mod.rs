//! Sources against real brokers, with an outlet in memory.

mod amqp;
mod amqp_lost;
mod amqp_pressure;
mod amqp_rights;
mod amqp_streams;
mod amqp_tls;
mod amqp_whole;
mod embedded;
mod full_disk;
mod kafka_claims;
mod kafka_coordinator;
mod kafka_damage;
mod kafka_faults;
mod kafka_gaps;
mod kafka_halts;
mod kafka_offsets;
mod kafka_order;
mod kafka_rights;
mod kafka_secure;
mod kafka_topics;
mod kafka_whole;
pub mod outlet;
mod slow_applier;

use std::thread::JoinHandle;
use std::time::Duration;

use pointd::position::{Mark, Position};
use pointd::source::Order;
use pointd::source::kafka::{Claims, KafkaSettings, KafkaSource};
use pointd::source::status::{SourceReport, StreamReport, StreamState};

use outlet::Bench;

use crate::brokers::until;

/// Only a failing test waits that long, or one on a machine that is busy with other things.
pub const LIMIT: Duration = Duration::from_secs(240);

/// A topic or group of one test.
pub fn unique(name: &str) -> String {
    format!("{name}-{:08x}", uuid::Uuid::new_v4().as_fields().0)
}

/// A message that makes a point of the collection `c`, of one dimension.
pub fn point(id: u64) -> String {
    format!(r#"{{"collection": "c", "upsert": {{"points": [{{"id": {id}, "vector": [{id}]}}]}}}}"#)
}

/// Settings with short intervals.
pub fn kafka_settings(bootstrap: &str, topic: &str) -> KafkaSettings {
    let mut settings = KafkaSettings::new(bootstrap, &[topic], &format!("group-of-{topic}"));
    settings.commit_interval = Duration::from_millis(50);
    settings.metadata_interval = Duration::from_millis(200);
    settings.properties.0.insert("reconnect.backoff.max.ms".into(), "200".into());
    settings
}

pub fn start_kafka(
    bench: &Bench,
    settings: &KafkaSettings,
    positions: Vec<Position>,
) -> JoinHandle<()> {
    let source = KafkaSource {
        name: "test".into(),
        settings: settings.clone(),
        positions,
        identify: true,
        embedded: None,
        claims: Claims::default(),
    };
    source.spawn(bench.wiring()).unwrap()
}

/// Gives the order, and waits for what the source says. A look that took too long says nothing
/// about the gap: the order is given again, as an operator would.
pub fn accept_gap(
    bench: &Bench,
    topic: Option<&str>,
    partition: Option<i32>,
) -> Result<Vec<String>, String> {
    let mut done = Vec::new();
    let mut refused = None;
    until("a look at what is halted", LIMIT, || {
        let (answer, answered) = crossbeam_channel::bounded(1);
        let topic = topic.map(str::to_owned);
        bench.orders.0.send(Order::AcceptGap { topic, partition, answer }).unwrap();
        match answered.recv_timeout(LIMIT).unwrap() {
            Ok(mut told) => {
                let all = told.len();
                told.retain(|told| !told.contains("could not be looked at"));
                let looked_at = told.len() == all;
                done.extend(told);
                looked_at
            }
            Err(why) => {
                refused = Some(why);
                true
            }
        }
    });
    refused.map_or(Ok(done), Err)
}

/// Why this partition is halted, if it is.
pub fn why_halted(bench: &Bench, partition: i32) -> Option<String> {
    match partition_report(&bench.report(), partition)?.state {
        StreamState::Running | StreamState::Unreadable { .. } => None,
        StreamState::Halted { why } => Some(why),
    }
}

pub fn next_of(position: &Position) -> u64 {
    match &position.mark {
        Mark::Next(offset) => offset.0,
        Mark::Fingerprint(_) => panic!("a partition's position has an offset: {position}"),
    }
}

pub fn partition_report(report: &SourceReport, partition: i32) -> Option<StreamReport> {
    report.streams.iter().find(|found| found.stream.partition() == Some(partition)).cloned()
}

pub fn numbers(range: std::ops::Range<u32>) -> impl Iterator<Item = String> {
    range.map(|number| number.to_string())
}
