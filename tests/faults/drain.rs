//! A full queue, drained at full speed by a daemon that is killed again and again.
//!
//! Whatever was acked when it was delivered, or handed on, is lost then: at every moment some messages
//! are between the broker and the log. (What is acked in the moment before it is written is not: see
//! `full_disk`.)

use std::time::{Duration, Instant};

use lapin::BasicProperties;

use super::rabbit::serial;
use super::{Daemon, PATIENCE, ledger, plan};
use crate::brokers::rabbitmq::RabbitMq;
use crate::harness::pause;
use crate::sources::unique;

const MESSAGES: u64 = 20_000;
/// More at each kill: however fast it reads, there is something to read when it starts.
const MORE: u64 = 3_000;
const KILLS: usize = 6;
const SILENCE: Duration = Duration::from_secs(120);

fn drain(quorum: bool) {
    let Some(rabbit) = RabbitMq::shared("kill -9 while a queue is drained") else { return };
    let queue = unique("drained");
    rabbit.declare(&queue, quorum);
    let message = |serial: u64| {
        let properties = BasicProperties::default().with_delivery_mode(2);
        (plan::keyed_text(serial), properties.with_message_id(serial.to_string().into()))
    };
    let mut published = 0;
    let mut publish = |more: u64| {
        rabbit.publish_with(&queue, (published..published + more).map(message).collect());
        published += more;
        published
    };
    let mut count = publish(MESSAGES);
    // Without a window: a queue's own redeliveries are recognised by what they are.
    let mut daemon = Daemon::start(&format!(
        "[[source]]\nname = \"s\"\ncollection = \"c\"\n[source.amqp]\nurl = \"{}\"\n\
         queue = \"{queue}\"\n",
        rabbit.url()
    ));
    let (mut seen, mut met_work) = (0, 0);
    for _ in 0..KILLS {
        daemon.pointd().wait_until("the queue to be read on", PATIENCE, |_| {
            let before = std::mem::replace(&mut seen, daemon.messages());
            before < seen || seen == count
        });
        met_work += usize::from(seen < count);
        daemon.kill();
        count = publish(MORE);
        daemon.running = Some(daemon.setup.start_within(PATIENCE));
        seen = daemon.messages();
    }
    assert!(met_work > 0, "the queue was empty before each kill: publish more");
    wait_for_all(&daemon, count);
    let seen = ledger::seen(daemon.pointd());
    // Before the checkpoint of an orderly end, which waits for the acks.
    let records = ledger::records(&daemon.setup.data());
    assert!(daemon.running.take().unwrap().terminate().success());
    rabbit.wait_all_acked(&queue);
    let serials = ledger::serials(&records, serial);
    ledger::assert_each_once(&serials, count);
    ledger::assert_same(&seen, &ledger::replay_of(&serials, plan::keyed_text).points);
    let duplicates = ledger::duplicates(&records);
    eprintln!("{met_work} of {KILLS} kills met work, {duplicates} duplicates recognised");
}

/// Or until no more come: what is lost is told better by the log.
fn wait_for_all(daemon: &Daemon, count: u64) {
    let (mut seen, mut since) = (0, Instant::now());
    while seen < count && since.elapsed() < SILENCE {
        let before = std::mem::replace(&mut seen, daemon.messages());
        if before < seen {
            since = Instant::now();
        }
        pause();
    }
}

#[test]
fn a_classic_queue_drained_over_kills_is_taken_once() {
    drain(false);
}

#[test]
fn a_quorum_queue_drained_over_kills_is_taken_once() {
    drain(true);
}
