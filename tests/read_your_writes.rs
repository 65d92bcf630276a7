//! A producer reads what it has just published, with the real binary and a real broker: no
//! read here looks twice.

use serde_json::{Value, json};

use crate::brokers::kafka::Kafka;
use crate::harness::{Pointd, Setup};

const ROUNDS: u64 = 30;

fn upsert(id: u64) -> String {
    let point = json!({"id": id, "vector": [1.0, 2.0], "payload": {"round": 0}});
    json!({"collection": "c", "upsert": {"points": [point]}}).to_string()
}

fn set_round(id: u64, round: u64) -> String {
    let body = json!({"payload": {"round": round}, "points": [id]});
    json!({"collection": "c", "set_payload": body}).to_string()
}

fn round(pointd: &Pointd, id: u64, not_before: &str) -> Value {
    let path = format!("/collections/c/points/{id}?not_before={not_before}");
    pointd.get(&path)["result"]["payload"]["round"].clone()
}

#[test]
fn what_was_published_is_read_at_once() {
    let Some(kafka) = Kafka::shared("reading one's writes") else { return };
    kafka.create_topic("fresh", 2);
    let setup = Setup::new();
    let bootstrap = kafka.bootstrap();
    setup.configure(&format!(
        "[collections.c]\nsize = 2\ndistance = \"Dot\"\n[[source]]\nname = \"s\"\n[source.kafka]\n\
         brokers = \"{bootstrap}\"\ntopics = [\"fresh\"]\ngroup = \"fresh\"\n"
    ));
    let pointd = setup.start();
    let mut next = [0, 0];
    let mut publish = |partition: usize, value: &str| -> u64 {
        kafka.publish("fresh", partition as i32, [value]);
        next[partition] += 1;
        next[partition] - 1
    };
    for id in 0..ROUNDS {
        let partition = (id % 2) as usize;
        let offset = publish(partition, &upsert(id));
        let mark = |offset: u64| format!("s:fresh/{partition}@{offset}");
        assert_eq!(round(&pointd, id, &mark(offset)), json!(0));
        let offset = publish(partition, &set_round(id, id + 1));
        assert_eq!(round(&pointd, id, &mark(offset)), json!(id + 1));
        // A dead letter is passed, and there to be read.
        let offset = publish(partition, "not json");
        let path = format!("/dead-letters?not_before={}", mark(offset));
        let letters = pointd.get(&path)["result"]["total"].clone();
        assert_eq!(letters, json!(id + 1), "{path}");
    }
    // Over HTTP too, where the write was only acknowledged.
    let body = json!({"payload": {"round": 99}, "points": [0]});
    let written = pointd.post("/collections/c/points/payload", &body);
    let seq = written["result"]["operation_id"].as_u64().unwrap();
    assert_eq!(round(&pointd, 0, &seq.to_string()), json!(99));
    // What lies ahead is waited for as long as the read may take.
    let ahead = pointd.get("/collections/c/points/0?not_before=fresh/0@1000&timeout=1");
    let error = ahead["status"]["error"].as_str().unwrap();
    assert!(error.starts_with("Timeout: fresh/0@1000 was not applied within 1 s"), "{error}");
    let nowhere = pointd.get("/collections/c/points/0?not_before=fresh/2@0");
    let error = nowhere["status"]["error"].as_str().unwrap();
    assert!(error.starts_with("Not found: no source reads partition 2"), "{error}");

    // After a restart offsets mean the same, and what is past is past.
    assert!(pointd.terminate().success());
    let pointd = setup.start();
    assert_eq!(round(&pointd, 0, "fresh/0@2"), json!(99));
    assert_eq!(round(&pointd, 0, &seq.to_string()), json!(99));
}
