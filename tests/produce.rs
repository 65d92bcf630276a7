//! `pointd produce`, the binary, against real brokers.

use std::process::{Command, Output};

use pointd::commands::produce::generate::point;
use pointd::source::amqp::{AmqpSettings, AmqpSource};
use pointd::source::status::Kind;
use serde_json::{Value, json};

use crate::brokers::kafka::Kafka;
use crate::brokers::rabbitmq::RabbitMq;
use crate::sources::outlet::Bench;
use crate::sources::{kafka_settings, start_kafka, unique};

fn produce(arguments: &[&str]) -> Output {
    let program = env!("CARGO_BIN_EXE_pointd");
    Command::new(program).arg("produce").args(arguments).output().unwrap()
}

fn succeeds(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    said
}

fn body(bench: &Bench, index: usize) -> Value {
    serde_json::from_slice(bench.messages()[index].1.value.as_ref().unwrap()).unwrap()
}

#[test]
fn generated_points_reach_kafka_each_id_in_one_partition() {
    let Some(kafka) = Kafka::shared("producing to Kafka") else { return };
    let topic = unique("produced");
    kafka.create_topic(&topic, 4);
    let brokers = kafka.bootstrap();
    let arguments = ["--brokers", &brokers, "--topic", &topic, "--points", "1000", "--dim", "8"];
    for _again in 0..2 {
        let said = succeeds(&produce(&arguments));
        assert!(said.contains("published 1,000 messages"), "{said}");
    }
    let bench = Bench::new(Kind::Kafka, true);
    let source = start_kafka(&bench, &kafka_settings(&brokers, &topic), vec![]);
    bench.wait_for_messages(2000);
    let mut partitions = vec![None; 1000];
    for (position, delivery) in bench.messages() {
        let message: Value = serde_json::from_slice(&delivery.value.unwrap()).unwrap();
        let found = &message["upsert"]["points"][0];
        let id = found["id"].as_u64().unwrap();
        let (vector, payload) = point(0, id, 8, 100);
        assert_eq!(found["payload"], Value::Object(payload));
        assert_eq!(serde_json::from_value::<Vec<f32>>(found["vector"].clone()).unwrap(), vector);
        assert_eq!(delivery.key.as_deref(), Some(id.to_string().as_bytes()));
        let partition = position.stream.partition();
        let before = partitions[id as usize].replace(partition);
        assert!(before.is_none_or(|before| before == partition), "{id} is in two partitions");
    }
    assert!(partitions.iter().all(Option::is_some));
    bench.stop(source);
}

#[test]
fn what_kafka_does_not_take_is_counted_and_fails_the_command() {
    let Some(kafka) = Kafka::shared("failed deliveries") else { return };
    let (brokers, topic) = (kafka.bootstrap(), unique("missing"));
    let output = produce(&[
        "--brokers",
        &brokers,
        "--topic",
        &topic,
        "--points",
        "10",
        "--property",
        "message.timeout.ms=2000",
    ]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("10 of 10"), "{said}");
}

#[test]
fn the_lines_of_a_file_reach_a_queue() {
    let Some(rabbit) = RabbitMq::shared("producing to RabbitMQ") else { return };
    let queue = unique("produced");
    rabbit.declare(&queue, true);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("messages.jsonl");
    let lines: Vec<Value> = (0..300).map(|id| json!({ "id": id, "delete": [] })).collect();
    let text: Vec<String> = lines.iter().map(Value::to_string).collect();
    std::fs::write(&file, text.join("\n")).unwrap();
    let (url, file) = (rabbit.url(), file.to_str().unwrap());
    let output =
        produce(&["--amqp-url", &url, "--queue", &queue, "--file", file, "--key-field", "id"]);
    let said = succeeds(&output);
    assert!(said.contains("published 300 messages"), "{said}");
    let bench = Bench::new(Kind::Amqp, true);
    let settings = AmqpSettings::new(&url, &queue);
    let source = AmqpSource { name: "test".into(), settings }.spawn(bench.wiring()).unwrap();
    bench.wait_for_messages(300);
    for (index, line) in lines.iter().enumerate() {
        assert_eq!(body(&bench, index), *line);
    }
    bench.stop(source);

    let missing = unique("missing");
    let output = produce(&["--amqp-url", &url, "--queue", &missing, "--points", "1"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains(&missing), "{said}");
}

#[test]
fn the_form_and_the_packing_are_told_to_either_broker() {
    let form = ["--format", "protobuf", "--compress", "zstd", "--points", "10", "--dim", "4"];
    let told = |bench: &Bench| {
        bench.wait_for_messages(10);
        let (_, delivery) = &bench.messages()[0];
        let header = |name: &str| {
            let found = delivery.headers.iter().find(|(given, _)| given == name);
            String::from_utf8_lossy(&found.unwrap().1).into_owned()
        };
        assert_eq!(header("content-type"), "application/protobuf");
        assert_eq!(header("content-encoding"), "zstd");
        assert_eq!(header("type"), "qdrant.UpsertPoints");
    };
    if let Some(kafka) = Kafka::shared("headers of what is produced") {
        let (brokers, topic) = (kafka.bootstrap(), unique("produced"));
        kafka.create_topic(&topic, 1);
        succeeds(&produce(&[&form[..], &["--brokers", &brokers, "--topic", &topic]].concat()));
        let bench = Bench::new(Kind::Kafka, true);
        let source = start_kafka(&bench, &kafka_settings(&brokers, &topic), vec![]);
        told(&bench);
        bench.stop(source);
    }
    if let Some(rabbit) = RabbitMq::shared("properties of what is produced") {
        let (url, queue) = (rabbit.url(), unique("produced"));
        rabbit.declare(&queue, true);
        succeeds(&produce(&[&form[..], &["--amqp-url", &url, "--queue", &queue]].concat()));
        let bench = Bench::new(Kind::Amqp, true);
        let settings = AmqpSettings::new(&url, &queue);
        let source = AmqpSource { name: "test".into(), settings }.spawn(bench.wiring()).unwrap();
        told(&bench);
        bench.stop(source);
    }
}

#[test]
fn a_broker_and_something_to_publish_must_be_named() {
    for arguments in [
        &["--points", "1"][..],
        &["--brokers", "127.0.0.1:1", "--points", "1"],
        &["--brokers", "127.0.0.1:1", "--topic", "t"],
        &["--amqp-url", "amqp://127.0.0.1", "--file", "f"],
    ] {
        assert_eq!(produce(arguments).status.code(), Some(2), "{arguments:?}");
    }
}
