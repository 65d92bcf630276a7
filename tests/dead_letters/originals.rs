//! A message that was well when it was decoded, and is refused at its turn.

use std::time::Duration;

use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer};
use serde_json::json;

use super::{command, kafka_source, letters, upsert};
use crate::brokers::kafka::Kafka;
use crate::formats::written::gzip;
use crate::harness::{PATIENCE, Setup};

#[test]
fn a_letter_that_was_refused_at_its_turn_is_what_was_delivered() {
    let Some(kafka) = Kafka::shared("a letter refused at its turn") else { return };
    kafka.create_topic("turn", 1);
    let setup = Setup::new();
    setup.configure(&kafka_source(kafka, "turn", "", ""));
    kafka.publish("turn", 0, [upsert("c", 7), upsert("c", 8)]);
    let pointd = setup.start();
    pointd.wait_until("the points", PATIENCE, |pointd| pointd.count("c") == 2);
    assert!(pointd.terminate().success());

    // One batch: when the second is decoded the point is there, when it is applied it is gone.
    let set = r#"{"collection": "c", "overwrite_payload": {"payload": {"a": 1}, "points": [7]}}"#;
    let packed = gzip(set.as_bytes());
    let producer = kafka.producer();
    let delete = r#"{"collection": "c", "delete": {"points": [7]}}"#;
    producer.send(BaseRecord::<(), str>::to("turn").partition(0).payload(delete)).unwrap();
    let header = |key, value| Header { key, value: Some(value) };
    let headers = OwnedHeaders::new()
        .insert(header("content-encoding", &b"gzip"[..]))
        .insert(header("trace", b"\xff\x00"));
    let record = BaseRecord::to("turn").partition(0).key("key 7").payload(&packed);
    producer.send(record.headers(headers)).map_err(|(error, _)| error).unwrap();
    producer.poll(Duration::ZERO);
    producer.flush(PATIENCE).unwrap();
    let pointd = setup.start();
    pointd.wait_until("the letter", PATIENCE, |pointd| letters(pointd).len() == 1);
    let whole = |letter: &serde_json::Value| {
        assert_eq!(letter["reason"], "unknown_point");
        assert_eq!(letter["rewritten"], false);
        assert_eq!(letter["original"]["key"]["text"], "key 7");
        assert_eq!(letter["original"]["headers"][0]["text"], "gzip");
        assert_eq!(letter["original"]["headers"][1]["base64"], "/wA=");
        assert!(letter["original"]["value"]["base64"].is_string(), "{letter:#}");
    };
    whole(&letters(&pointd)[0]);
    // From the log, and from a checkpoint.
    pointd.kill_9();
    let pointd = setup.start();
    whole(&letters(&pointd)[0]);
    assert!(pointd.terminate().success());
    let pointd = setup.start();
    whole(&letters(&pointd)[0]);
    let body = json!({"points": [{"id": 7, "vector": [1, 2]}]});
    pointd.put("/collections/c/points?wait=true", &body);
    let redriven = command(&pointd, &["redrive", "--all"]);
    assert!(redriven.well, "{}{}", redriven.out, redriven.error);
    let point = pointd.get("/collections/c/points/7");
    assert_eq!(point["result"]["payload"], json!({"a": 1}));
}
