//! RabbitMQ, tormented: with a classic and with a quorum queue.

use std::sync::atomic::Ordering;
use std::time::Duration;

use pointd::position::Position;

use super::publish::Publisher;
use super::{Daemon, Fault, Repeats, ledger, meet};
use crate::brokers::proxy::Proxy;
use crate::brokers::rabbitmq::RabbitMq;
use crate::harness::pause_for;

const QUEUE: &str = "tormented";

struct World {
    rabbit: RabbitMq,
    proxy: Proxy,
    daemon: Daemon,
    publisher: Publisher,
    quorum: bool,
}

/// On the daemon's own line: the publisher notices nothing, and sends nothing twice.
const OURS: &[Fault<World>] = &[
    ("the connection cut", |world| world.proxy.cut()),
    ("no connection for a while", |world| {
        world.proxy.refuse(true);
        pause_for(Duration::from_millis(700));
        world.proxy.refuse(false);
    }),
    ("a half-open connection", |world| {
        world.proxy.stall(true);
        pause_for(Duration::from_secs(5));
        world.proxy.stall(false);
    }),
    ("a slow line", |world| {
        world.proxy.throttle(20_000);
        pause_for(Duration::from_secs(1));
        world.proxy.throttle(0);
    }),
    ("kill -9 of pointd", |world| world.daemon.kill_and_restart()),
];

const OF_THE_BROKER: &[Fault<World>] = &[
    ("all connections closed by the broker", |world| world.rabbit.close_connections()),
    ("the channel closed", |world| world.rabbit.close_channels()),
    ("a memory alarm blocks the connections", |world| {
        world.rabbit.memory_alarm(true);
        pause_for(Duration::from_secs(1));
        world.rabbit.memory_alarm(false);
    }),
    ("the queue deleted and recreated", |world| {
        // What is in the queue goes with it, which is the operator's will: so nothing is.
        world.publisher.pause_and_wait();
        let given = world.publisher.control.given();
        world.daemon.wait_for(given, "the queue to be empty");
        world.rabbit.delete(QUEUE);
        world.rabbit.declare(QUEUE, world.quorum);
        world.publisher.control.pause(false);
    }),
    ("an orderly restart of the broker", |world| {
        world.rabbit.stop();
        world.rabbit.restart();
    }),
    ("kill -9 of the broker", |world| {
        world.rabbit.kill_9();
        world.rabbit.restart();
    }),
];

fn section(port: u16, repeats: Repeats) -> String {
    format!(
        "[[source]]\nname = \"s\"\ncollection = \"c\"\nmessage_id_window = {}\n[source.amqp]\n\
         url = \"amqp://guest:guest@127.0.0.1:{port}/%2f?heartbeat=2\"\nqueue = \"{QUEUE}\"\n\
         prefetch = 200\nreconnect_max = \"1s\"\n",
        repeats.window()
    )
}

fn torment(quorum: bool, rounds: usize, repeats: Repeats) {
    let Some(rabbit) = RabbitMq::start("faults of RabbitMQ") else { return };
    rabbit.declare(QUEUE, quorum);
    let proxy = Proxy::start(rabbit.port());
    let publisher = Publisher::rabbit(rabbit.url(), QUEUE);
    publisher.control.repeat_percent.store(repeats.percent(), Ordering::Relaxed);
    let daemon = Daemon::start(&section(proxy.port(), repeats));
    let mut world = World { rabbit, proxy, daemon, publisher, quorum };
    meet(&mut world, OURS, rounds, |world| &world.daemon);
    if repeats == Repeats::Window {
        meet(&mut world, OF_THE_BROKER, rounds, |world| &world.daemon);
    }
    world.finish();
}

impl World {
    fn finish(mut self) {
        let count = self.publisher.stop();
        self.daemon.wait_for(count, "the end");
        let seen = ledger::seen(self.daemon.pointd());
        self.daemon.kill();
        let records = ledger::records(&self.daemon.setup.data());
        let serials = ledger::serials(&records, serial);
        ledger::assert_each_once(&serials, count);
        let model = ledger::replay(&serials);
        ledger::assert_same(&seen, &model.points);
        let duplicates = records.len() - serials.len();
        eprintln!("{count} messages, {} points, {duplicates} duplicates", seen.len());
    }
}

/// The message's number, which is its message-id.
pub fn serial(position: &Position) -> u64 {
    let print = position.fingerprint().unwrap();
    print.message_id.as_ref().unwrap().parse().unwrap()
}

#[test]
fn no_fault_of_rabbitmq_loses_or_repeats_a_message_of_a_classic_queue() {
    torment(false, 1, Repeats::Window);
}

#[test]
fn no_fault_of_rabbitmq_loses_or_repeats_a_message_of_a_quorum_queue() {
    torment(true, 1, Repeats::Window);
}

#[test]
fn what_a_classic_queue_gives_again_is_recognised_without_a_window() {
    torment(false, 2, Repeats::Never);
}

#[test]
fn what_a_quorum_queue_gives_again_is_recognised_without_a_window() {
    torment(true, 2, Repeats::Never);
}

#[test]
#[ignore = "twenty times each fault: make soak"]
fn soak_faults_of_rabbitmq_with_a_classic_queue() {
    torment(false, 20, Repeats::Window);
}

#[test]
#[ignore = "twenty times each fault: make soak"]
fn soak_faults_of_rabbitmq_with_a_quorum_queue() {
    torment(true, 20, Repeats::Window);
}
