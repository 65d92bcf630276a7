//! Two instances that read one topic: replicas, whatever happens to either.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use serde_json::Value;

use super::model::{Model, Point};
use super::publish::{Publisher, Text};
use super::{Daemon, PATIENCE, ledger, plan};
use crate::brokers::kafka::Kafka;
use crate::harness::pause_for;

const PARTITIONS: i32 = 4;

struct Twins {
    kafka: &'static Kafka,
    topic: String,
    both: [Daemon; 2],
    publisher: Publisher,
}

impl Twins {
    /// `None` without Apache Kafka. Every message is about the id that it is keyed by: order
    /// between partitions is nobody's promise.
    fn start(name: &str) -> Option<Twins> {
        let kafka = Kafka::shared("two instances of one topic")?;
        let topic = crate::sources::unique(name);
        kafka.create_topic(&topic, PARTITIONS);
        let publisher = Publisher::kafka(kafka, &topic, PARTITIONS, Text::Keyed);
        let section = format!(
            "[[source]]\nname = \"s\"\ncollection = \"c\"\n[source.kafka]\n\
             brokers = \"{}\"\ntopics = [\"{topic}\"]\ngroup = \"{topic}\"\n\
             commit_interval = \"100ms\"\n",
            kafka.bootstrap()
        );
        let both = [Daemon::start(&section), Daemon::start(&section)];
        Some(Twins { kafka, topic, both, publisher })
    }

    fn both_go_on(&self, why: &str) {
        self.both.iter().for_each(|daemon| daemon.wait_for_more(why));
    }

    fn finish(self) {
        let count = self.publisher.stop();
        let mut model = Model::default();
        (0..count).for_each(|serial| model.apply(&plan::keyed_text(serial)));
        let seen: Vec<BTreeMap<u64, Point>> = self
            .both
            .iter()
            .map(|daemon| {
                daemon.wait_for(count, "the end");
                assert_eq!(daemon.messages(), count);
                ledger::seen(daemon.pointd())
            })
            .collect();
        for seen in seen {
            ledger::assert_same(&seen, &model.points);
        }
    }
}

fn kill_freeze_and_restart(name: &str, rounds: usize, frozen: Duration) {
    let Some(mut twins) = Twins::start(name) else { return };
    for round in 0..rounds {
        let [one, other] = &mut twins.both;
        let (one, other) = if round % 2 == 0 { (one, other) } else { (other, one) };
        one.kill_and_restart();
        other.wait_for_more("a kill of its twin");
        other.pointd().freeze();
        one.wait_for_more("its twin was frozen");
        pause_for(frozen);
        one.wait_for_more("its twin was frozen for long");
        other.pointd().thaw();
        let stopped = other.running.take().unwrap().terminate();
        assert!(stopped.success(), "{stopped}");
        one.wait_for_more("its twin was stopped");
        other.running = Some(other.setup.start());
        twins.both_go_on("a restart");
    }
    twins.finish();
}

#[test]
fn killing_freezing_and_restarting_either_of_two_instances_changes_nothing() {
    kill_freeze_and_restart("twins", 2, Duration::from_secs(2));
}

#[test]
#[ignore = "instances are frozen for minutes: make soak"]
fn soak_two_instances() {
    kill_freeze_and_restart("soak-twins", 4, Duration::from_secs(150));
}

#[test]
fn a_stranger_in_the_group_changes_nothing_and_is_reported() {
    let Some(twins) = Twins::start("stranger") else { return };
    twins.both_go_on("the start");
    let mut config = twins.kafka.config();
    config.set("group.id", &twins.topic).set("session.timeout.ms", "6000");
    let stranger: BaseConsumer = config.create().unwrap();
    stranger.subscribe(&[&twins.topic]).unwrap();
    let complaint = |daemon: &Daemon| -> Value {
        daemon.pointd().get("/sources")["result"]["sources"][0]["commit_error"].clone()
    };
    for daemon in &twins.both {
        daemon.pointd().wait_until("the report", PATIENCE, |_| {
            // It stays a member by polling, and takes messages away from nobody.
            let _ = stranger.poll(Duration::from_millis(20));
            complaint(daemon).as_str().is_some_and(|text| text.contains("member"))
        });
    }
    twins.both_go_on("a stranger joined");
    drop(stranger);
    for daemon in &twins.both {
        let quiet = |_: &_| complaint(daemon).is_null();
        daemon.pointd().wait_until("the end of the complaint", PATIENCE, quiet);
    }
    twins.finish();
}
