//! The same operations in every form, through real brokers, end in the same state.

pub mod written;

use std::time::Duration;

use lapin::BasicProperties;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer};
use serde_json::{Value, json};

use crate::brokers::kafka::Kafka;
use crate::brokers::rabbitmq::RabbitMq;
use crate::harness::{PATIENCE, Pointd, Setup};
use crate::sources::unique;
use written::{Written, gzip, history, upserts_and_deletes, zstd};

/// What comes last: where it is, everything before it was applied or refused.
const LAST: u64 = 9_999;

const VECTORS: &str = "vectors.a = { size = 2, distance = \"Dot\" }\n\
                       vectors.b = { size = 3, distance = \"Cosine\" }\n";

fn collections(names: &[&str]) -> String {
    names.iter().map(|name| format!("[collections.{name}]\n{VECTORS}")).collect()
}

/// One delivery: what a producer gives to a broker.
struct Delivery {
    key: String,
    value: Option<Vec<u8>>,
    headers: Vec<(&'static str, &'static str)>,
}

impl Delivery {
    fn new(written: &Written, value: Vec<u8>, headers: &[(&'static str, &'static str)]) -> Self {
        Delivery { key: written.key.clone(), value: Some(value), headers: headers.to_vec() }
    }
}

fn publish(kafka: &Kafka, topic: &str, deliveries: impl IntoIterator<Item = Delivery>) {
    let producer = kafka.producer();
    for Delivery { key, value, headers } in deliveries {
        let headers = headers.into_iter().fold(OwnedHeaders::new(), |headers, (key, value)| {
            headers.insert(Header { key, value: Some(value) })
        });
        let record = BaseRecord::<str, [u8]>::to(topic).partition(0).key(&key).headers(headers);
        let record = match &value {
            Some(value) => record.payload(value.as_slice()),
            None => record,
        };
        producer.send(record).map_err(|(error, _)| error).unwrap();
        producer.poll(Duration::ZERO);
    }
    producer.flush(PATIENCE).unwrap();
}

fn points(pointd: &Pointd, collection: &str) -> Value {
    let path = format!("/collections/{collection}/points/{LAST}");
    pointd.wait_until(collection, PATIENCE, |pointd| !pointd.get(&path)["result"].is_null());
    let all = json!({"limit": 10_000, "with_payload": true, "with_vector": true});
    let answer = pointd.post(&format!("/collections/{collection}/points/scroll"), &all);
    answer["result"]["points"].clone()
}

fn assert_same(pointd: &Pointd, collections: &[&str]) {
    let expected = points(pointd, collections[0]);
    assert!(expected.as_array().is_some_and(|points| points.len() > 10), "{expected}");
    for other in &collections[1..] {
        assert_eq!(points(pointd, other), expected, "{other} is not {}", collections[0]);
    }
    let letters = pointd.get("/dead-letters?limit=10");
    assert_eq!(letters["result"]["dead_letters"], json!([]), "{letters:#}");
}

#[test]
fn every_form_through_kafka_ends_in_the_same_state() {
    let Some(kafka) = Kafka::shared("every form through Apache Kafka") else { return };
    let prefix = unique("formats");
    let topic = |name: &str| format!("{prefix}-{name}");
    let names = ["json", "protobuf", "gzip", "zstd", "upserts", "records"];
    for name in names {
        kafka.create_topic(&topic(name), 1);
    }
    let history = history(200, LAST);
    let json = |it: &Written| it.json.clone().into_bytes();
    publish(kafka, &topic("json"), history.iter().map(|it| Delivery::new(it, json(it), &[])));
    // Its collection is in the header: the pattern that fits its topic leads elsewhere.
    publish(
        kafka,
        &topic("protobuf"),
        history.iter().map(|it| {
            let headers = [
                ("content-type", "application/protobuf"),
                ("type", it.message),
                ("collection", "protobuf"),
            ];
            Delivery::new(it, it.protobuf.clone(), &headers)
        }),
    );
    publish(
        kafka,
        &topic("gzip"),
        history
            .iter()
            .map(|it| Delivery::new(it, gzip(it.json.as_bytes()), &[("content-encoding", "gzip")])),
    );
    publish(
        kafka,
        &topic("zstd"),
        history.iter().map(|it| {
            let headers = [
                ("type", it.message),
                ("content-encoding", "zstd"),
                ("content-type", "application/x-protobuf"),
            ];
            Delivery::new(it, zstd(&it.protobuf), &headers)
        }),
    );
    let records = upserts_and_deletes(200, LAST);
    publish(kafka, &topic("upserts"), records.iter().map(|it| Delivery::new(it, json(it), &[])));
    publish(
        kafka,
        &topic("records"),
        records.iter().map(|it| {
            let value = it.record.clone().map(String::into_bytes);
            Delivery { key: it.key.clone(), value, headers: vec![] }
        }),
    );

    let setup = Setup::new();
    let topics: Vec<String> = names.map(topic).to_vec();
    setup.configure(&format!(
        "{}[[source]]\nname = \"s\"\ncollection = \"json\"\n[source.collections]\n\
         \"{prefix}-zstd\" = \"zstd\"\n\"^{prefix}-g\" = \"gzip\"\n\"^{prefix}-r\" = \"records\"\n\
         \"^{prefix}-p\" = \"gzip\"\n\"{prefix}-upserts\" = \"upserts\"\n\
         [source.kafka]\nbrokers = \"{}\"\ntopics = {topics:?}\ngroup = \"{prefix}\"\n",
        collections(&names),
        kafka.bootstrap(),
    ));
    let pointd = setup.start();
    assert_same(&pointd, &names[..4]);
    assert_same(&pointd, &names[4..]);
}

#[test]
fn every_form_through_rabbitmq_ends_in_the_same_state() {
    let Some(rabbit) = RabbitMq::shared("every form through RabbitMQ") else { return };
    let prefix = unique("formats");
    let names = ["json", "protobuf", "packed"];
    let history = history(200, LAST);
    let persistent = BasicProperties::default().with_delivery_mode(2);
    let protobuf = |it: &Written| {
        let content_type = "application/protobuf".into();
        persistent.clone().with_content_type(content_type).with_type(it.message.into())
    };
    let mut sources = String::new();
    for name in names {
        let queue = format!("{prefix}-{name}");
        rabbit.declare(&queue, true);
        let messages = history.iter().map(|it| match name {
            "json" => (it.json.clone().into_bytes(), persistent.clone()),
            "protobuf" => (it.protobuf.clone(), protobuf(it)),
            _ => (zstd(&it.protobuf), protobuf(it).with_content_encoding("zstd".into())),
        });
        rabbit.publish_with(&queue, messages.collect());
        let url = rabbit.url();
        sources += &format!(
            "[[source]]\nname = \"{name}\"\ncollection = \"{name}\"\n\
             [source.amqp]\nurl = \"{url}\"\nqueue = \"{queue}\"\n"
        );
    }
    let setup = Setup::new();
    setup.configure(&format!("{}{sources}", collections(&names)));
    assert_same(&setup.start(), &names);
}

#[test]
fn a_refused_message_keeps_its_bytes_and_headers_as_they_came() {
    let Some(kafka) = Kafka::shared("dead letters of packed messages") else { return };
    let topic = unique("formats-refused");
    kafka.create_topic(&topic, 1);
    let packed = gzip(br#"{"explode": {}}"#);
    let refused = Delivery {
        key: "7".into(),
        value: Some(packed.clone()),
        headers: vec![("content-encoding", "gzip"), ("trace", "x")],
    };
    // A tombstone whose key names no point.
    let unnamed = Delivery { key: "seven".into(), value: None, headers: vec![] };
    publish(kafka, &topic, [refused, unnamed]);
    let setup = Setup::new();
    setup.configure(&format!(
        "[[source]]\nname = \"s\"\ncollection = \"c\"\n[source.kafka]\nbrokers = \"{}\"\n\
         topics = [\"{topic}\"]\ngroup = \"{topic}\"\n",
        kafka.bootstrap(),
    ));
    let pointd = setup.start();
    let letters = || pointd.get("/dead-letters?limit=10")["result"]["dead_letters"].clone();
    pointd.wait_until("both", PATIENCE, |_| letters().as_array().is_some_and(|it| it.len() == 2));
    let letters = letters();
    assert_eq!(letters[0]["reason"], "unknown_operation");
    let original = &letters[0]["original"];
    assert!(original["value"]["base64"].as_str().unwrap().starts_with("H4sI"), "{original:#}");
    assert!(original.to_string().contains("trace"), "{original:#}");
    assert_eq!(letters[1]["reason"], "missing_value");
    assert!(letters[1]["detail"].as_str().unwrap().contains("`seven` names no point"));
}
