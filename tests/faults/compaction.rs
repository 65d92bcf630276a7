//! A compacted topic: its holes are no gaps, and lag reaches zero.

use std::time::Duration;

use rdkafka::admin::{AdminOptions, NewTopic, TopicReplication};
use rdkafka::producer::Producer;

use super::kafka::{place, published};
use super::publish::send;
use super::{Daemon, PATIENCE, ledger, plan};
use crate::brokers::kafka::Kafka;
use crate::brokers::until;
use crate::harness::pause_for;

const TOPIC: &str = "compacted";
const MESSAGES: u64 = 4000;
const SEGMENT: Duration = Duration::from_millis(210);

#[test]
fn holes_that_compaction_leaves_are_no_gaps() {
    let quick = "log.cleaner.backoff.ms=200\nlog.cleaner.min.compaction.lag.ms=0\n";
    let Some(kafka) = Kafka::start_with("compacted topics", |_| quick.to_owned()) else { return };
    kafka.admin(async |admin| {
        let topic = NewTopic::new(TOPIC, 1, TopicReplication::Fixed(1))
            .set("cleanup.policy", "compact")
            .set("segment.ms", "200")
            .set("min.cleanable.dirty.ratio", "0.01")
            .set("max.compaction.lag.ms", "100");
        admin.create_topics([&topic], &AdminOptions::new()).await.unwrap().remove(0).unwrap();
    });
    let producer = kafka.producer();
    let fill = |serials: std::ops::Range<u64>| {
        for serial in serials {
            send(&producer, TOPIC, 0, serial, plan::keyed_text);
            // The segment that is written to is never compacted: so there are several.
            if serial % 500 == 0 {
                producer.flush(PATIENCE).unwrap();
                pause_for(SEGMENT);
            }
        }
        producer.flush(PATIENCE).unwrap();
    };
    fill(0..MESSAGES);
    until("the holes", PATIENCE, || published(&kafka, TOPIC).len() < MESSAGES as usize / 2);
    let mut daemon = Daemon::start(&format!(
        "[[source]]\nname = \"s\"\ncollection = \"c\"\n[source.kafka]\nbrokers = \"{}\"\n\
         topics = [\"{TOPIC}\"]\ngroup = \"{TOPIC}\"\ncommit_interval = \"100ms\"\n",
        kafka.bootstrap()
    ));
    let no_lag = |daemon: &Daemon, end: u64| {
        daemon.pointd().wait_until("no lag", PATIENCE, |pointd| {
            let sources = pointd.get("/sources");
            let stream = &sources["result"]["sources"][0]["streams"][0];
            assert_ne!(stream["state"], "halted", "{sources:#}");
            stream["applied"] == end && stream["lag_messages"] == 0 && stream["committed"] == end
        });
    };
    no_lag(&daemon, MESSAGES);
    // And while it reads, is stopped, and reads on over what was compacted meanwhile.
    fill(MESSAGES..MESSAGES + 1000);
    daemon.kill();
    fill(MESSAGES + 1000..2 * MESSAGES);
    until("more holes", PATIENCE, || published(&kafka, TOPIC).len() < MESSAGES as usize);
    daemon.running = Some(daemon.setup.start());
    no_lag(&daemon, 2 * MESSAGES);
    // A key's last message is always there; the ones before it may have been read, or not.
    let seen = ledger::seen(daemon.pointd());
    daemon.kill();
    let records = ledger::records(&daemon.setup.data());
    let there = published(&kafka, TOPIC);
    let offsets: Vec<u64> = ledger::serials(&records, |position| place(position).1);
    assert!(offsets.is_sorted(), "in the order of the topic");
    assert!(there.keys().all(|(_, offset)| offsets.binary_search(offset).is_ok()));
    let model = ledger::replay_of(&offsets, plan::keyed_text);
    ledger::assert_same(&seen, &model.points);
}
