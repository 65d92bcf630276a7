//! RabbitMQ, tormented: with a classic queue, a quorum queue and a stream.

use std::sync::atomic::Ordering;
use std::time::Duration;

use lapin::types::AMQPValue;
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
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Classic,
    Quorum,
    Stream,
}

impl Kind {
    fn declare(self, rabbit: &RabbitMq) {
        let name = match self {
            Kind::Classic => "classic",
            Kind::Quorum => "quorum",
            Kind::Stream => "stream",
        };
        rabbit.declare_with(QUEUE, [("x-queue-type", AMQPValue::LongString(name.into()))]);
    }
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
    ("acks that are lost", |world| {
        world.proxy.mute_clients(true);
        pause_for(Duration::from_secs(2));
        world.proxy.refuse(true);
        world.proxy.mute_clients(false);
        world.proxy.refuse(false);
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
    ("an orderly restart of the broker", |world| {
        world.rabbit.stop();
        world.rabbit.restart();
    }),
    ("kill -9 of the broker", |world| {
        world.rabbit.kill_9();
        world.rabbit.restart();
    }),
];

/// A stream that is made anew halts instead.
const OF_A_QUEUE: &[Fault<World>] = &[("the queue deleted and recreated", |world| {
    // What is in the queue goes with it, which is the operator's will: so nothing is.
    world.publisher.pause_and_wait();
    let given = world.publisher.control.given();
    world.daemon.wait_for(given, "the queue to be empty");
    world.rabbit.delete(QUEUE);
    world.kind.declare(&world.rabbit);
    world.publisher.control.pause(false);
})];

fn section(port: u16, kind: Kind, repeats: Repeats) -> String {
    let is_stream = kind == Kind::Stream;
    format!(
        "[[source]]\nname = \"s\"\ncollection = \"c\"\nmessage_id_window = {}\n[source.amqp]\n\
         url = \"amqp://guest:guest@127.0.0.1:{port}/%2f?heartbeat=2\"\nqueue = \"{QUEUE}\"\n\
         prefetch = 200\nreconnect_max = \"1s\"\nstream = {is_stream}\n",
        repeats.window()
    )
}

fn torment(kind: Kind, rounds: usize, repeats: Repeats) {
    let Some(rabbit) = RabbitMq::start("faults of RabbitMQ") else { return };
    kind.declare(&rabbit);
    let proxy = Proxy::start(rabbit.port());
    let publisher = Publisher::rabbit(rabbit.url(), QUEUE);
    publisher.control.repeat_percent.store(repeats.percent(), Ordering::Relaxed);
    let daemon = Daemon::start(&section(proxy.port(), kind, repeats));
    let mut world = World { rabbit, proxy, daemon, publisher, kind };
    meet(&mut world, OURS, rounds, |world| &world.daemon);
    if repeats == Repeats::Window {
        meet(&mut world, OF_THE_BROKER, rounds, |world| &world.daemon);
    }
    if repeats == Repeats::Window && kind != Kind::Stream {
        meet(&mut world, OF_A_QUEUE, rounds, |world| &world.daemon);
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
        let duplicates = ledger::duplicates(&records);
        assert!(duplicates > 0, "no message came twice: this tests too little");
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
    torment(Kind::Classic, 1, Repeats::Window);
}

#[test]
fn no_fault_of_rabbitmq_loses_or_repeats_a_message_of_a_quorum_queue() {
    torment(Kind::Quorum, 1, Repeats::Window);
}

#[test]
fn no_fault_of_rabbitmq_loses_or_repeats_a_message_of_a_stream() {
    torment(Kind::Stream, 1, Repeats::Window);
}

#[test]
fn what_a_classic_queue_gives_again_is_recognised_without_a_window() {
    torment(Kind::Classic, 2, Repeats::Never);
}

#[test]
fn what_a_quorum_queue_gives_again_is_recognised_without_a_window() {
    torment(Kind::Quorum, 2, Repeats::Never);
}

#[test]
#[ignore = "twenty times each fault: make soak"]
fn soak_faults_of_rabbitmq_with_a_classic_queue() {
    torment(Kind::Classic, 20, Repeats::Window);
}

#[test]
#[ignore = "twenty times each fault: make soak"]
fn soak_faults_of_rabbitmq_with_a_quorum_queue() {
    torment(Kind::Quorum, 20, Repeats::Window);
}

#[test]
#[ignore = "twenty times each fault: make soak"]
fn soak_faults_of_rabbitmq_with_a_stream() {
    torment(Kind::Stream, 20, Repeats::Window);
}
