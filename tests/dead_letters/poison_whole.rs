//! Every tenth message is bad: what is kept of it is what was sent, and once it is mended nothing is
//! missing, whatever was killed meanwhile.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer};
use serde_json::{Value, json};

use super::{kafka_source, letters, upsert};
use crate::brokers::kafka::Kafka;
use crate::brokers::rabbitmq::RabbitMq;
use crate::harness::{PATIENCE, Pointd, Setup};

const MESSAGES: u64 = 2000;
const POISON: u64 = MESSAGES / 10;
/// Longer than [`PATIENCE`]: each mended letter is written and answered by itself.
const LONG: Duration = Duration::from_secs(240);

fn is_bad(number: u64) -> bool {
    number % 10 == 9
}

/// What the point of this number is like in the end.
fn point(number: u64) -> Value {
    let text = if is_bad(number) { "mended" } else { "as sent" };
    json!({"id": number, "vector": [number as f64, 0.5], "payload": {"of": number, "is": text}})
}

fn good(number: u64) -> Vec<u8> {
    json!({"collection": "c", "upsert": {"points": [point(number)]}}).to_string().into_bytes()
}

/// What is sent, and of bad ones what it is kept for: half of them cannot be decoded, half not
/// applied.
fn message(number: u64) -> (Vec<u8>, Option<&'static str>) {
    let good = good(number);
    if !is_bad(number) {
        return (good, None);
    }
    let (bytes, reason) = match number / 10 % 4 {
        0 => (good[..good.len() - 1].to_vec(), "not_json"),
        1 => (upsert("nowhere", number).into_bytes(), "unknown_collection"),
        2 => ([&b"\xff\x00"[..], &good].concat(), "not_utf8"),
        _ => {
            let clear = json!({"collection": "c", "clear_payload": {"points": [number]}});
            (clear.to_string().into_bytes(), "unknown_point")
        }
    };
    (bytes, Some(reason))
}

/// Binary, as what tracing adds to messages is.
fn trace(number: u64) -> Vec<u8> {
    [&b"\xfe"[..], &number.to_le_bytes()].concat()
}

fn send_to_topic(kafka: &Kafka, topic: &str) {
    let producer = kafka.producer();
    for number in 0..MESSAGES {
        let (text, trace, value) = (number.to_string(), trace(number), message(number).0);
        let headers = OwnedHeaders::new()
            .insert(Header { key: "number", value: Some(text.as_bytes()) })
            .insert(Header { key: "trace", value: Some(&trace) });
        let record = BaseRecord::to(topic).partition(0).key(&text).payload(&value);
        producer.send(record.headers(headers)).map_err(|(error, _)| error).unwrap();
        producer.poll(Duration::ZERO);
    }
    producer.flush(PATIENCE).unwrap();
}

fn send_to_queue(rabbit: &RabbitMq, queue: &str) {
    let message = |number: u64| {
        let mut table = FieldTable::default();
        for (name, value) in [("number", number.to_string().into_bytes()), ("trace", trace(number))]
        {
            table.insert(name.into(), AMQPValue::LongString(value.into()));
        }
        let properties = BasicProperties::default().with_delivery_mode(2).with_headers(table);
        (message(number).0, properties)
    };
    rabbit.publish_with(queue, (0..MESSAGES).map(message).collect());
}

fn bytes(content: &Value) -> Vec<u8> {
    match (content["text"].as_str(), content["base64"].as_str()) {
        (Some(text), None) => text.as_bytes().to_vec(),
        (None, Some(text)) => STANDARD.decode(text).unwrap(),
        _ => panic!("{content}"),
    }
}

/// By their numbers the seqs of the letters, which are what was sent, and each for its own reason.
fn whole_letters(pointd: &Pointd) -> BTreeMap<u64, u64> {
    let whole = |letter: &Value| {
        let original = &letter["original"];
        let header = |header: &Value| (header["name"].as_str().unwrap().to_owned(), bytes(header));
        let headers: Vec<_> = original["headers"].as_array().unwrap().iter().map(header).collect();
        let number: u64 = String::from_utf8_lossy(&headers[0].1).parse().unwrap();
        let text = number.to_string();
        let sent =
            [("number".to_owned(), text.clone().into_bytes()), ("trace".to_owned(), trace(number))];
        assert_eq!(headers, sent);
        // A queue has no keys.
        assert!([&json!(null), &json!({"text": text})].contains(&&original["key"]), "{letter:#}");
        let (value, reason) = message(number);
        assert_eq!(bytes(&original["value"]), value, "{letter:#}");
        assert_eq!((letter["reason"].as_str(), &letter["rewritten"]), (reason, &json!(false)));
        (number, letter["seq"].as_u64().unwrap())
    };
    letters(pointd).iter().map(whole).collect()
}

fn redrive(pointd: &Pointd, (number, seq): (&u64, &u64)) {
    let value = String::from_utf8(good(*number)).unwrap();
    let body = json!({"seqs": [seq], "value": {"text": value}});
    let answer = pointd.post("/dead-letters/redrive", &body);
    assert_eq!(answer["result"]["letters"][0]["status"], "applied", "{answer}");
}

fn points(pointd: &Pointd) -> BTreeMap<u64, Value> {
    let (mut points, mut offset) = (BTreeMap::new(), json!(null));
    loop {
        let body =
            json!({"limit": 1000, "offset": offset, "with_payload": true, "with_vector": true});
        let page = pointd.post("/collections/c/points/scroll", &body);
        for point in page["result"]["points"].as_array().unwrap() {
            points.insert(point["id"].as_u64().unwrap(), point.clone());
        }
        offset = page["result"]["next_page_offset"].clone();
        if offset.is_null() {
            return points;
        }
    }
}

/// All of it is at the broker.
fn nothing_is_missing(setup: &Setup) {
    let count = MESSAGES - POISON;
    let pointd = setup.start();
    pointd.wait_until("some of it", PATIENCE, |pointd| pointd.count("c") > 0);
    pointd.kill_9();
    let pointd = setup.start();
    pointd.wait_until("the good ones", LONG, |pointd| pointd.count("c") == count);
    let kept = |pointd: &Pointd| letters(pointd).len() as u64;
    pointd.wait_until("the letters", LONG, |pointd| kept(pointd) == POISON);
    let seqs = whole_letters(&pointd);
    assert_eq!(seqs.len() as u64, POISON);
    let half = POISON as usize / 2;
    seqs.iter().take(half).for_each(|letter| redrive(&pointd, letter));
    pointd.kill_9();

    let pointd = setup.start();
    let left: Vec<_> = seqs.iter().skip(half).collect();
    assert_eq!(whole_letters(&pointd).iter().collect::<Vec<_>>(), left);
    assert_eq!(pointd.count("c"), count + half as u64);
    left.into_iter().for_each(|letter| redrive(&pointd, letter));
    let expected: BTreeMap<u64, Value> = (0..MESSAGES).map(|it| (it, point(it))).collect();
    assert_eq!((kept(&pointd), points(&pointd) == expected), (0, true));
    let records = |kind: &str, least: u64| {
        let series = format!("pointd_applied_records{{kind=\"{kind}\"}}");
        pointd.metric_at_least(&series, least as f64) as u64
    };
    // One more made the collection.
    for (kind, count) in [("operations", count + 1), ("dead_letter", POISON), ("redrive", POISON)] {
        assert_eq!(records(kind, count), count, "{kind}");
    }
    // And from a checkpoint.
    assert!(pointd.terminate().success());
    let pointd = setup.start();
    assert_eq!((kept(&pointd), points(&pointd) == expected), (0, true));
}

#[test]
fn of_a_topic_with_much_poison_nothing_is_missing_once_it_is_mended() {
    let Some(kafka) = Kafka::shared("much poison in a topic") else { return };
    kafka.create_topic("much-poison", 1);
    send_to_topic(kafka, "much-poison");
    let setup = Setup::new();
    setup.configure(&kafka_source(kafka, "much-poison", "", ""));
    nothing_is_missing(&setup);
}

#[test]
fn of_a_queue_with_much_poison_nothing_is_missing_once_it_is_mended() {
    let Some(rabbit) = RabbitMq::shared("much poison in a queue") else { return };
    rabbit.declare("much-poison", false);
    send_to_queue(rabbit, "much-poison");
    let setup = Setup::new();
    setup.configure(&format!(
        "[collections.c]\nsize = 2\ndistance = \"Dot\"\n[[source]]\nname = \"s\"\n\
         [source.amqp]\nurl = \"{}\"\nqueue = \"much-poison\"\n",
        rabbit.url()
    ));
    nothing_is_missing(&setup);
    rabbit.wait_all_acked("much-poison");
}
