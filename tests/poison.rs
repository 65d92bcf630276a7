//! Messages that cannot be applied become dead letters; nothing else is affected.

use serde_json::{Value, json};

use crate::brokers::kafka::Kafka;
use crate::harness::{PATIENCE, Setup};

fn good(id: u64) -> String {
    json!({"collection": "c", "upsert": {"points": [{"id": id, "vector": [1.0, 2.0]}]}}).to_string()
}

fn upsert(vector: &str) -> Vec<u8> {
    format!(r#"{{"collection": "c", "upsert": {{"points": [{{"id": 1, "vector": {vector}}}]}}}}"#)
        .into_bytes()
}

/// Each bad message with the reason it is kept under.
fn poison() -> Vec<(Vec<u8>, &'static str)> {
    let nested = format!(
        r#"{{"collection": "c", "upsert": {{"points": [{{"id": 1, "vector": [1, 2], "payload": {{"a": {}1{}}}}}]}}}}"#,
        "[".repeat(60),
        "]".repeat(60)
    );
    let large = format!(
        r#"{{"collection": "c", "upsert": {{"points": [{{"id": 1, "vector": [1, 2], "payload": {{"a": "{}"}}}}]}}}}"#,
        "x".repeat(20_000)
    );
    vec![
        (b"hello".to_vec(), "not_json"),
        (b"".to_vec(), "not_json"),
        (b"{\"collection\": \"\xff\xfe\"}".to_vec(), "not_utf8"),
        (
            br#"{"collection": "c", "upsert": {"points": [{"vector": [1, 2]}]}}"#.to_vec(),
            "missing_id",
        ),
        (
            br#"{"collection": "c", "upsert": {"points": [{"id": -1, "vector": [1, 2]}]}}"#
                .to_vec(),
            "invalid_message",
        ),
        (br#"{"collection": "c", "explode": {}}"#.to_vec(), "unknown_operation"),
        (br#"{"collection": "c"}"#.to_vec(), "invalid_message"),
        (br#"{"collection": "nope", "delete": {"points": [1]}}"#.to_vec(), "unknown_collection"),
        (br#"{"delete": {"points": [1]}}"#.to_vec(), "no_collection"),
        (upsert("[1, 2, 3]"), "wrong_dimension"),
        (upsert("[]"), "invalid_vector"),
        (upsert("[1, NaN]"), "not_json"),
        (upsert("[1, 1e39]"), "invalid_vector"),
        (upsert("[1, -1e39]"), "invalid_vector"),
        (upsert("[1, Infinity]"), "not_json"),
        (upsert(r#"{"image": [1, 2]}"#), "unknown_vector"),
        (nested.into_bytes(), "too_deep"),
        (large.into_bytes(), "too_large"),
    ]
}

#[test]
fn every_kind_of_bad_message_becomes_a_dead_letter_with_reason_and_position() {
    let Some(kafka) = Kafka::shared("dead letters with real offsets") else { return };
    kafka.create_topic("poison", 1);
    let setup = Setup::new();
    let bootstrap = kafka.bootstrap();
    setup.configure(&format!(
        "[ingest]\nmessage_bytes_max = 10000\n\
         [collections.c]\nsize = 2\ndistance = \"Dot\"\n\
         [[source]]\nname = \"s\"\n[source.kafka]\nbrokers = \"{bootstrap}\"\n\
         topics = [\"poison\"]\ngroup = \"poison\"\n"
    ));
    let poison = poison();
    for (at, (bytes, _)) in poison.iter().enumerate() {
        kafka.publish("poison", 0, [bytes]);
        kafka.publish("poison", 0, [good(1000 + at as u64)]);
    }
    let pointd = setup.start();
    let expected = poison.len() as u64;
    pointd.wait_until("the good ones", PATIENCE, |pointd| pointd.count("c") == expected);
    assert_dead_letters(&pointd.get("/dead-letters?limit=100")["result"], &poison);

    // They are state: a restart keeps them, and what follows still moves on.
    assert!(pointd.terminate().success());
    let pointd = setup.start();
    assert_dead_letters(&pointd.get("/dead-letters?limit=100")["result"], &poison);
    kafka.publish("poison", 0, [good(1)]);
    pointd.wait_until("one more", PATIENCE, |pointd| pointd.count("c") == expected + 1);
}

fn assert_dead_letters(answer: &Value, poison: &[(Vec<u8>, &str)]) {
    let letters = answer["dead_letters"].as_array().unwrap();
    assert_eq!(letters.len(), poison.len(), "{answer:#}");
    for (at, (letter, (bytes, reason))) in letters.iter().zip(poison).enumerate() {
        assert_eq!(letter["reason"], json!(reason), "{letter:#}");
        assert!(letter["detail"].as_str().is_some_and(|detail| !detail.is_empty()));
        let position = json!({"source": "s", "topic": "poison", "partition": 0, "offset": 2 * at});
        assert_eq!(letter["position"], position, "{letter:#}");
        let value = &letter["original"]["value"];
        match std::str::from_utf8(bytes) {
            Ok(text) => assert_eq!(value["text"], json!(text)),
            Err(_) => assert!(value["base64"].is_string(), "{letter:#}"),
        }
    }
}
