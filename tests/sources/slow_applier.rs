//! Messages that are slow to apply, with Kafka and RabbitMQ feeding more behind them.

use std::time::{Duration, Instant};

use serde_json::json;

use super::unique;
use crate::brokers::kafka::Kafka;
use crate::brokers::rabbitmq::RabbitMq;
use crate::harness::{PATIENCE, Pointd, Setup};

const MIB: u64 = 1 << 20;
/// What the daemon may hold on its way: small, so that the test can exceed it many times.
const QUEUE_BYTES: u64 = 4 * MIB;
/// Points that each slow message looks at.
const LOOKED_AT: u64 = 10_000;
/// For how long the slow messages keep the applier busy, about. All that is looked at meanwhile
/// must find the time, on a slow machine too.
const BUSY: Duration = Duration::from_secs(20);
/// Points behind them, 4 KiB each.
const BEHIND: u64 = 24_000;

fn small(id: u64) -> String {
    point(id, "")
}

fn large(id: u64) -> String {
    point(id, &"x".repeat(4000))
}

fn point(id: u64, text: &str) -> String {
    let point = json!({"id": id, "vector": [id], "payload": {"text": text}});
    json!({"collection": "c", "upsert": {"points": [point]}}).to_string()
}

/// Reads every payload and finds nothing, so that what is applied takes no memory.
fn slow() -> serde_json::Value {
    json!({"filter": {"must": [{"key": "text", "match": {"value": "nobody's"}}]}})
}

fn section(kafka: &Kafka, rabbit: &RabbitMq, name: &str) -> String {
    format!(
        "[collections.c]\nsize = 1\ndistance = \"Dot\"\n\
         [storage]\nautomatic_indexes_max = 0\ncheckpoint_wal_bytes = 1000000000\n\
         head_bytes_max = 1000000000\nreserve_bytes = 0\n\
         [ingest]\nqueue_bytes_max = {QUEUE_BYTES}\nmessage_bytes_max = 100000\n\
         frame_bytes_max = 262144\napplier_frames_max = 4\n\
         [[source]]\nname = \"k\"\n[source.kafka]\nbrokers = \"{}\"\ntopics = [\"{name}\"]\n\
         group = \"{name}\"\n[source.kafka.properties]\n\"queued.max.messages.kbytes\" = \"1024\"\n\
         [[source]]\nname = \"r\"\n[source.amqp]\nurl = \"{}\"\nqueue = \"{name}\"\nprefetch = 200\n",
        kafka.bootstrap(),
        rabbit.url(),
    )
}

/// How many of them keep the applier busy for [`BUSY`] on this machine. A stall or a slow disk
/// while one is measured would make them too few: the quickest counts, without its fsync.
fn slow_messages(pointd: &Pointd) -> u64 {
    let fsyncs = || pointd.metric("pointd_wal_fsync_seconds_sum").unwrap();
    let rounds = (0..3).map(|_| {
        let (began, before) = (Instant::now(), fsyncs());
        let done = pointd.post("/collections/c/points/delete?wait=true", &slow());
        assert_eq!(done["status"], "ok", "{done}");
        let took = began.elapsed().as_secs_f64();
        took - (fsyncs() - before)
    });
    let one = rounds.fold(f64::INFINITY, f64::min).max(0.001);
    (BUSY.as_secs_f64() / one).ceil() as u64
}

#[test]
fn a_slow_applier_stops_the_sources_within_bounded_memory_and_they_go_on_by_themselves() {
    let Some(rabbit) = RabbitMq::shared("a slow applier") else { return };
    let Some(kafka) = Kafka::shared("a slow applier") else { return };
    let setup = Setup::new();
    let name = unique("slow-applier");
    rabbit.declare_unforgiving(&name);
    kafka.create_topic(&name, 1);
    setup.configure(&section(kafka, rabbit, &name));
    let pointd = setup.start();
    rabbit.publish(&name, (0..LOOKED_AT).map(small));
    pointd.wait_until("the first", PATIENCE, |pointd| pointd.count("c") == LOOKED_AT);
    let slow_count = slow_messages(&pointd);
    let before = pointd.resident_bytes();

    // All of it is there before the first is taken: else the slow ones are through before the last
    // comes.
    pointd.freeze();
    let one = json!({"collection": "c", "delete": slow()}).to_string();
    let rounds = vec![one; slow_count as usize];
    // Half of them from each, and what comes behind.
    let (ours, theirs) = rounds.split_at(rounds.len() / 2);
    kafka.publish(&name, 0, ours.iter().map(String::as_bytes));
    rabbit.publish(&name, theirs.iter().cloned());
    let behind = LOOKED_AT..LOOKED_AT + BEHIND;
    rabbit.publish(&name, behind.clone().filter(|id| id % 2 == 0).map(large));
    let odd: Vec<String> = behind.filter(|id| id % 2 == 1).map(large).collect();
    kafka.publish(&name, 0, odd.iter().map(String::as_bytes));
    pointd.thaw();

    let presses = "pointd_source_pressure{reason=\"applier_behind\"}";
    pointd.wait_until("the pressure", PATIENCE, |pointd| pointd.metric(presses) == Some(1.0));
    pointd.wait_paused("what is in the log is not applied yet");
    pointd.wait_until("the consumer to go", PATIENCE, |_| rabbit.consumers(&name) == 0);
    // What comes is durable, if late, and what is there is read.
    let path = "/collections/c/points/delete?wait=false";
    assert_eq!(pointd.post(path, &json!({"points": [1]}))["status"], "ok");
    assert!(pointd.count("c") >= LOOKED_AT);
    let held = pointd.resident_bytes().saturating_sub(before);
    let left = u64::from(rabbit.ready(&name)) * 4000;
    assert!(left > 4 * QUEUE_BYTES, "it fetched on: only {left} bytes are in the queue");
    eprintln!("grown by {} MiB while applying stood still", held / MIB);
    // Half of what is fed; what may be on its way is less than 40 MiB by the configuration.
    assert!(held < 48 * MIB, "{held}");

    let everything = LOOKED_AT + BEHIND - 1;
    pointd.wait_until("the rest", 5 * PATIENCE, |pointd| pointd.count("c") == everything);
    rabbit.wait_all_acked(&name);
    // Given back would be applied twice where it was not logged, and known where it was.
    let again = "pointd_source_duplicates_total{partition=\"-\"";
    assert!(!pointd.text("/metrics").contains(again), "something was given back");
    // The collection, three measured writes and the delete are operations too.
    let operations = "pointd_applied_records{kind=\"operations\"}";
    let expected = (LOOKED_AT + BEHIND + slow_count + 5) as f64;
    assert_eq!(pointd.metric_at_least(operations, expected), expected, "something came twice");
    // The appender looks now and then.
    pointd.wait_until("the relief", PATIENCE, |pointd| pointd.metric(presses) == Some(0.0));
}
