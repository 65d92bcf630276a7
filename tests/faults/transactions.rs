//! Transactions: what was aborted is never applied, and their markers keep no lag.

use rdkafka::producer::Producer;

use super::kafka::{place, published};
use super::publish::send;
use super::{Daemon, PATIENCE, ledger, plan};
use crate::brokers::kafka::Kafka;

const PARTITIONS: i32 = 2;
const TRANSACTIONS: u64 = 60;
const MESSAGES: u64 = 25;

#[test]
fn aborted_transactions_are_never_applied_and_lag_reaches_zero() {
    let Some(kafka) = Kafka::shared("aborted transactions under load") else { return };
    let topic = crate::sources::unique("aborted");
    kafka.create_topic(&topic, PARTITIONS);
    let mut daemon = Daemon::start(&format!(
        "[[source]]\nname = \"s\"\ncollection = \"c\"\n[source.kafka]\nbrokers = \"{}\"\n\
         topics = [\"{topic}\"]\ngroup = \"{topic}\"\ncommit_interval = \"100ms\"\n",
        kafka.bootstrap()
    ));
    let producer = kafka.transactional_producer(&topic);
    let mut serials = 0;
    for transaction in 0..TRANSACTIONS {
        producer.begin_transaction().unwrap();
        for message in 0..MESSAGES {
            // An aborted message would be known by its number: committed ones have those below.
            let serial = match transaction % 3 {
                0 => 1_000_000 + transaction * MESSAGES + message,
                _ => serials + message,
            };
            send(&producer, &topic, plan::key(serial) as i32 % PARTITIONS, serial, plan::text);
        }
        match transaction % 3 {
            0 => {
                producer.flush(PATIENCE).unwrap();
                producer.abort_transaction(PATIENCE).unwrap();
            }
            _ => {
                producer.commit_transaction(PATIENCE).unwrap();
                serials += MESSAGES;
            }
        }
        if transaction % 20 == 10 {
            daemon.kill_and_restart();
        }
    }
    daemon.wait_for(serials, "the last commit");
    daemon.pointd().wait_until("no lag", PATIENCE, |pointd| {
        let sources = pointd.get("/sources");
        let streams = sources["result"]["sources"][0]["streams"].as_array().unwrap();
        streams
            .iter()
            .all(|stream| stream["lag_messages"] == 0 && stream["committed"] == stream["end"])
    });
    let seen = ledger::seen(daemon.pointd());
    daemon.kill();
    let published = published(kafka, &topic);
    let records = ledger::records(&daemon.setup.data());
    let recorded = ledger::serials(&records, |position| published[&place(position)]);
    ledger::assert_each_once(&recorded, serials);
    ledger::assert_same(&seen, &ledger::replay(&recorded).points);
}
