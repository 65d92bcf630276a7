//! The main job, end to end, with the real binary: from a topic to a query.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use pointd::commands::produce::generate;
use serde_json::{Value, json};

use crate::brokers::kafka::{Kafka, publish};
use crate::brokers::rabbitmq::RabbitMq;
use crate::harness::{PATIENCE, Pointd, Setup, binary, pause_for};

pub const DIM: usize = 128;
pub const SEED: u64 = 7;
pub const CLUSTERS: u64 = 50;
pub const COLLECTION: &str = "points";
pub const PARTITIONS: i32 = 4;

/// Publishes the points 0 to `points`, one per message, keyed by id.
pub fn produce(bootstrap: &str, topic: &str, points: u64) {
    let output = Command::new(binary())
        .args(["produce", "--brokers", bootstrap, "--topic", topic, "--collection", COLLECTION])
        .args(["--points", &points.to_string(), "--dim", &DIM.to_string()])
        .args(["--seed", &SEED.to_string(), "--clusters", &CLUSTERS.to_string()])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Configuration of a Kafka source of these points; `storage` goes into its section.
pub fn kafka_config(bootstrap: &str, topic: &str, group: &str, storage: &str) -> String {
    format!(
        "[storage]\n{storage}\n\
         [collections.{COLLECTION}]\nsize = {DIM}\ndistance = \"Euclid\"\n\
         [[source]]\nname = \"points\"\n[source.kafka]\nbrokers = \"{bootstrap}\"\n\
         topics = [\"{topic}\"]\ngroup = \"{group}\"\ncommit_interval = \"100ms\"\n"
    )
}

/// Every point, compared with the generator: ids, payloads and vectors.
pub fn assert_equals_model(pointd: &Pointd, points: u64) {
    assert_eq!(pointd.count(COLLECTION), points);
    let mut offset = Value::Null;
    let mut expected = 0;
    loop {
        let body =
            json!({"limit": 1000, "offset": offset, "with_payload": true, "with_vector": true});
        let page = pointd.post(&format!("/collections/{COLLECTION}/points/scroll"), &body);
        for point in page["result"]["points"].as_array().unwrap() {
            assert_eq!(point["id"], json!(expected));
            let (vector, payload) = generate::point(SEED, expected, DIM, CLUSTERS);
            assert_eq!(point["payload"], Value::Object(payload), "payload of {expected}");
            let given: Vec<f32> = serde_json::from_value(point["vector"].clone()).unwrap();
            assert_eq!(given, vector, "vector of {expected}");
            expected += 1;
        }
        offset = page["result"]["next_page_offset"].clone();
        if offset.is_null() {
            break;
        }
    }
    assert_eq!(expected, points);
}

/// The ids of the `limit` nearest points by brute force over the generator.
fn nearest(query: &[f32], points: u64, limit: usize) -> BTreeSet<u64> {
    let mut distances: Vec<(f64, u64)> = (0..points)
        .map(|id| {
            let (vector, _) = generate::point(SEED, id, DIM, CLUSTERS);
            let distance = query.iter().zip(&vector).map(|(a, b)| f64::from(a - b).powi(2)).sum();
            (distance, id)
        })
        .collect();
    distances.sort_by(|a, b| a.0.total_cmp(&b.0));
    distances.iter().take(limit).map(|(_, id)| *id).collect()
}

/// For each partition, the next offset after its last record in the log's files, as
/// `pointd wal inspect` reads them.
fn durable_offsets(data: &Path) -> Vec<u64> {
    let output = Command::new(binary())
        .args(["wal", "inspect", "--records"])
        .arg(data.join("wal"))
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    (0..PARTITIONS)
        .map(|partition| {
            let mark = format!("/{partition} next ");
            text.lines()
                .filter_map(|line| {
                    line.split_once(&mark)?.1.split_whitespace().next()?.parse().ok()
                })
                .max()
                .unwrap_or(0)
        })
        .collect()
}

#[test]
fn a_hundred_thousand_points_from_kafka_are_counted_retrieved_and_searched() {
    const POINTS: u64 = 100_000;
    let Some(kafka) = Kafka::shared("100 000 points through Apache Kafka") else { return };
    let topic = "pipeline";
    kafka.create_topic(topic, PARTITIONS);
    produce(&kafka.bootstrap(), topic, POINTS);
    let setup = Setup::new();
    // The log is kept whole, so that it can be compared with what is committed.
    let storage = "checkpoint_wal_bytes = 1000000000\nhead_bytes_max = 1000000000";
    setup.configure(&kafka_config(&kafka.bootstrap(), topic, "pipeline", storage));
    let pointd = setup.start();
    let mut looks = 0;
    pointd.wait_until("all points", PATIENCE * 5, |pointd| {
        // Committed first: what is durable can only have grown since.
        let committed: Vec<Option<u64>> = (0..PARTITIONS)
            .map(|partition| kafka.committed("pipeline", topic, partition))
            .collect();
        for (durable, committed) in durable_offsets(&setup.data()).iter().zip(&committed) {
            assert!(
                committed.unwrap_or(0) <= *durable,
                "committed {committed:?}, durable {durable}"
            );
        }
        looks += 1;
        pointd.count(COLLECTION) == POINTS
    });
    println!("compared committed and durable offsets {looks} times");
    assert_equals_model(&pointd, POINTS);
    for id in [0, 777, 99_999] {
        let (query, _) = generate::point(SEED, id, DIM, CLUSTERS);
        let body = json!({"vector": query, "limit": 10, "params": {"exact": true}});
        let answer = pointd.post(&format!("/collections/{COLLECTION}/points/search"), &body);
        let found = answer["result"].as_array().unwrap();
        let ids: BTreeSet<u64> = found.iter().map(|hit| hit["id"].as_u64().unwrap()).collect();
        assert_eq!(ids, nearest(&query, POINTS, 10));
        assert_eq!(found[0]["id"], json!(id));
    }
    assert!(pointd.terminate().success());
    let sum = |offsets: Vec<Option<u64>>| offsets.into_iter().flatten().sum::<u64>();
    let committed = (0..PARTITIONS).map(|p| kafka.committed("pipeline", topic, p)).collect();
    assert_eq!(sum(committed), POINTS, "shutdown commits everything");
}

#[test]
fn a_few_thousand_points_through_the_embedded_broker() {
    const POINTS: u64 = 3000;
    let setup = Setup::new();
    setup.configure(&format!(
        "[collections.{COLLECTION}]\nsize = {DIM}\ndistance = \"Euclid\"\n\
         [[source]]\nname = \"embedded\"\n[source.embedded]\n"
    ));
    let pointd = setup.start();
    let address = std::fs::read_to_string(setup.data().join("embedded-broker")).unwrap();
    let (bootstrap, topic) = address.trim().split_once(' ').unwrap();
    produce(bootstrap, topic, POINTS);
    pointd.wait_until("all points", PATIENCE, |pointd| pointd.count(COLLECTION) == POINTS);
    assert_equals_model(&pointd, POINTS);
    assert!(pointd.terminate().success());
    // The broker's data is gone; the collection is not.
    let pointd = setup.start();
    assert_equals_model(&pointd, POINTS);
    let address = std::fs::read_to_string(setup.data().join("embedded-broker")).unwrap();
    let (bootstrap, topic) = address.trim().split_once(' ').unwrap();
    produce(bootstrap, topic, POINTS + 10);
    pointd.wait_until("the new points", PATIENCE, |pointd| pointd.count(COLLECTION) == POINTS + 10);
}

#[test]
fn twenty_kills_lose_nothing_and_repeat_nothing() {
    survives_kills("kills", 100_000, 20);
}

#[test]
#[ignore = "takes minutes: `make soak`"]
fn soak_three_hundred_kills_lose_nothing_and_repeat_nothing() {
    survives_kills("soak-kills", 1_000_000, 300);
}

/// The message of a point, as `produce` makes it.
fn message(id: u64) -> String {
    let (vector, payload) = generate::point(SEED, id, DIM, CLUSTERS);
    let points = json!([{"id": id, "vector": vector, "payload": payload}]);
    json!({"collection": COLLECTION, "upsert": {"points": points}}).to_string()
}

/// Kills the daemon at so many random moments while it reads so many points.
fn survives_kills(topic: &str, points: u64, kills: u64) {
    let Some(kafka) = Kafka::shared("kill -9 at random moments") else { return };
    kafka.create_topic(topic, PARTITIONS);
    let setup = Setup::new();
    // Tiny, so that kills land in checkpoints, rotations and merges too.
    let storage = "checkpoint_wal_bytes = 1000000\nhead_bytes_max = 1000000\n\
                   log_file_bytes = 400000\ngraph_rows_min = 2000\nsegment_rows_max = 20000";
    setup.configure(&kafka_config(&kafka.bootstrap(), topic, topic, storage));
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    let mut in_the_middle = 0;
    let producer = kafka.producer();
    for kill in 1..=kills {
        // Before each start there is more to read than it can before its end.
        for partition in 0..PARTITIONS {
            let slice = points * (kill - 1) / kills..points * kill / kills;
            let ours = slice.filter(|id| id % PARTITIONS as u64 == partition as u64);
            publish(&producer, topic, partition, ours.map(message));
        }
        let mut pointd = setup.spawn();
        // Every fourth kill lands in recovery, the others as the run proceeds.
        if kill % 4 != 0 {
            pointd.wait_ready();
        }
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        pause_for(Duration::from_millis(random % 60));
        in_the_middle += u64::from(
            pointd.count_if_up(COLLECTION).is_some_and(|count| count < points * kill / kills),
        );
        pointd.kill_9();
    }
    println!("{in_the_middle} of {kills} kills came while messages were being read");
    assert!(in_the_middle * 4 >= kills, "only {in_the_middle} of {kills} kills met work");
    let pointd = setup.start();
    pointd.wait_until("all points", PATIENCE * 5, |pointd| pointd.count(COLLECTION) == points);
    assert_equals_model(&pointd, points);
    // Everything was produced once, so everything was applied once; one record more made the
    // collection.
    let applied = r#"pointd_applied_records{kind="operations"}"#;
    assert_eq!(pointd.metric_at_least(applied, (points + 1) as f64) as u64, points + 1);
    let segments =
        pointd.metric(&format!("pointd_segments{{collection=\"{COLLECTION}\"}}")).unwrap();
    assert!(segments > 0.0, "no checkpoint made a segment: the kills tested too little");
}

#[test]
fn a_queue_is_read_once_over_kills_and_lost_connections() {
    const POINTS: u64 = 20_000;
    const KILLS: u64 = 8;
    let Some(rabbit) = RabbitMq::start("a queue through the real binary") else { return };
    let queue = "pipeline";
    rabbit.declare(queue, false);
    let setup = Setup::new();
    setup.configure(&format!(
        "[collections.{COLLECTION}]\nsize = {DIM}\ndistance = \"Euclid\"\n\
         [[source]]\nname = \"queue\"\n[source.amqp]\nurl = \"{}\"\nqueue = \"{queue}\"\n",
        rabbit.url()
    ));
    for kill in 1..=KILLS {
        let slice = POINTS * (kill - 1) / KILLS..POINTS * kill / KILLS;
        rabbit.publish(queue, slice.map(message));
        let mut pointd = setup.spawn();
        pointd.wait_ready();
        pause_for(Duration::from_millis(kill * 15));
        pointd.kill_9();
    }
    let pointd = setup.start();
    rabbit.close_connections();
    pointd.wait_until("all points", PATIENCE * 5, |pointd| pointd.count(COLLECTION) == POINTS);
    assert_equals_model(&pointd, POINTS);
    // One record more made the collection; what came again was recognised.
    let records = |kind: &str, least: u64| {
        let series = format!("pointd_applied_records{{kind=\"{kind}\"}}");
        pointd.metric_at_least(&series, least as f64) as u64
    };
    println!("{} redeliveries recognised", records("duplicate", 0));
    assert_eq!(records("operations", POINTS + 1), POINTS + 1);
    rabbit.wait_all_acked(queue);
}
