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
const KILLS: usize = 6;
const SILENCE: Duration = Duration::from_secs(30);

fn drain(quorum: bool) {
    let Some(rabbit) = RabbitMq::shared("kill -9 while a queue is drained") else { return };
    let queue = unique("drained");
    rabbit.declare(&queue, quorum);
    let message = |serial: u64| {
        let properties = BasicProperties::default().with_delivery_mode(2);
        (plan::keyed_text(serial), properties.with_message_id(serial.to_string().into()))
    };
    rabbit.publish_with(&queue, (0..MESSAGES).map(message).collect());
    // Without a window: a queue's own redeliveries are recognised by what they are.
    let mut daemon = Daemon::start(&format!(
        "[[source]]\nname = \"s\"\ncollection = \"c\"\n[source.amqp]\nurl = \"{}\"\n\
         queue = \"{queue}\"\n",
        rabbit.url()
    ));
    let mut seen = 0;
    for _ in 0..KILLS {
        daemon.pointd().wait_until("the queue to be read on", PATIENCE, |_| {
            let before = std::mem::replace(&mut seen, daemon.messages());
            before < seen
        });
        assert!(seen < MESSAGES, "it was empty before the last kill: publish more");
        daemon.kill_and_restart();
        seen = daemon.messages();
    }
    wait_for_all(&daemon);
    daemon.pointd().wait_until("all acks", PATIENCE, |_| rabbit.ready(&queue) == 0);
    let seen = ledger::seen(daemon.pointd());
    daemon.kill();
    let records = ledger::records(&daemon.setup.data());
    let serials = ledger::serials(&records, serial);
    ledger::assert_each_once(&serials, MESSAGES);
    ledger::assert_same(&seen, &ledger::replay_of(&serials, plan::keyed_text).points);
    eprintln!("{KILLS} kills, {} duplicates recognised", records.len() - serials.len());
    assert_eq!(rabbit.ready(&queue), 0);
}

/// Or until no more come: what is lost is told better by the log.
fn wait_for_all(daemon: &Daemon) {
    let (mut seen, mut since) = (0, Instant::now());
    while seen < MESSAGES && since.elapsed() < SILENCE {
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
