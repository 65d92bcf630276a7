//! RabbitMQ through the real binary.

use lapin::BasicProperties;
use lapin::types::AMQPValue;

use super::{point, unique};
use crate::brokers::proxy::Proxy;
use crate::brokers::rabbitmq::RabbitMq;
use crate::harness::{PATIENCE, Pointd, Setup};

fn source(name: &str, url: &str, queue: &str, more: &str) -> String {
    format!(
        "[[source]]\nname = \"{name}\"\n{more}[source.amqp]\nurl = \"{url}\"\n\
         queue = \"{queue}\"\nreconnect_max = \"300ms\"\n"
    )
}

const COLLECTION: &str = "[collections.c]\nsize = 1\ndistance = \"Dot\"\n";

fn url_of(proxy: &Proxy) -> String {
    format!("amqp://guest:guest@127.0.0.1:{}/%2f", proxy.port())
}

fn series(kind: &str) -> String {
    format!("pointd_applied_records{{kind=\"{kind}\"}}")
}

fn records(pointd: &Pointd, kind: &str) -> u64 {
    pointd.metric(&series(kind)).unwrap_or(0.0) as u64
}

fn records_at_least(pointd: &Pointd, kind: &str, least: u64) -> u64 {
    pointd.metric_at_least(&series(kind), least as f64) as u64
}

#[test]
fn a_quorum_queue_without_a_dead_letter_exchange_is_warned_about() {
    let Some(rabbit) = RabbitMq::shared("the warning about dead letters") else { return };
    let queues = ["bare", "cared", "plain"].map(unique);
    let text = |value: &str| AMQPValue::LongString(value.into());
    rabbit.declare(&queues[0], true);
    let exchange = ("x-dead-letter-exchange", text("dead"));
    rabbit.declare_with(&queues[1], [("x-queue-type", text("quorum")), exchange]);
    rabbit.declare(&queues[2], false);
    let setup = Setup::new();
    let sources = queues.iter().map(|queue| source(queue, &rabbit.url(), queue, ""));
    setup.configure(&(COLLECTION.to_owned() + &sources.collect::<String>()));
    let pointd = setup.start();
    pointd.wait_until("all to consume", PATIENCE, |_| {
        queues.iter().all(|queue| rabbit.consumers(queue) == 1)
    });
    let log = pointd.log_text();
    let warned: Vec<&str> =
        log.lines().filter(|line| line.contains("without x-dead-letter-exchange")).collect();
    assert!(warned.len() == 1 && warned[0].contains(&queues[0]), "{log}");
    // Asking is refused, which is the answer and no fault.
    assert!(!log.contains("inequivalent arg"), "{log}");
}

#[test]
fn what_a_publisher_sends_again_is_applied_once_also_after_a_restart() {
    let Some(rabbit) = RabbitMq::shared("a publisher's retries") else { return };
    let queue = unique("retries");
    rabbit.declare(&queue, false);
    let proxy = Proxy::start(rabbit.port());
    let setup = Setup::new();
    let window = "message_id_window = 3\n";
    setup.configure(&(COLLECTION.to_owned() + &source("s", &url_of(&proxy), &queue, window)));
    let publish = |sent: &[(u64, u64)]| {
        let message = |(id, number): &(u64, u64)| {
            let properties = BasicProperties::default().with_message_id(id.to_string().into());
            (point(*number), properties)
        };
        rabbit.publish_with(&queue, sent.iter().map(message).collect());
    };
    let pointd = setup.start();
    let created = records_at_least(&pointd, "operations", 1);
    pointd.wait_until("the consumer", PATIENCE, |_| rabbit.consumers(&queue) == 1);
    // No ack arrives, so that the broker gives it all again, and by then the window has
    // forgotten the first of it.
    proxy.mute_clients(true);
    publish(&[(1, 1), (2, 2), (1, 1), (2, 5), (3, 3), (3, 3)]);
    // A daemon that has just started shows none yet.
    let operations = |pointd: &Pointd| records(pointd, "operations").saturating_sub(created);
    let counts = |pointd: &Pointd| (operations(pointd), records(pointd, "duplicate"));
    pointd.wait_until("four and two", PATIENCE, |pointd| counts(pointd) == (4, 2));
    let said = pointd.log_text();
    assert!(said.contains("with another body"), "{said}");
    // From the log, then from the checkpoint.
    pointd.kill_9();
    proxy.cut();
    proxy.mute_clients(false);
    let pointd = setup.start();
    pointd.wait_until("all of it again", PATIENCE, |pointd| counts(pointd) == (4, 8));
    publish(&[(3, 3)]);
    pointd.wait_until("four and nine", PATIENCE, |pointd| counts(pointd) == (4, 9));
    assert!(pointd.terminate().success());
    let pointd = setup.start();
    publish(&[(3, 3), (2, 5), (1, 1)]);
    // The first has left the window of three.
    pointd.wait_until("five and eleven", PATIENCE, |pointd| counts(pointd) == (5, 11));
    assert_eq!(pointd.count("c"), 4);
}

#[test]
fn a_half_open_connection_is_noticed_and_what_comes_again_late_is_recognised() {
    let Some(rabbit) = RabbitMq::shared("a half-open connection") else { return };
    for quorum in [false, true] {
        let queue = unique("half-open");
        rabbit.declare(&queue, quorum);
        let proxy = Proxy::start(rabbit.port());
        let url = url_of(&proxy);
        let setup = Setup::new();
        let source = source("s", &url, &queue, "") + "heartbeat = \"1s\"\n";
        setup.configure(&(COLLECTION.to_owned() + &source));
        let pointd = setup.start();
        let created = records_at_least(&pointd, "operations", 1);
        rabbit.publish(&queue, (0..500).map(point));
        pointd.wait_until("some of it", PATIENCE, |pointd| pointd.count("c") > 100);
        proxy.stall_present();
        rabbit.publish(&queue, (500..1000).map(point));
        pointd.wait_until("another connection", PATIENCE, |pointd| {
            pointd.metric("pointd_source_reconnects_total{source=\"s\"}").unwrap_or(0.0) >= 1.0
        });
        pointd.wait_until("everything", PATIENCE, |pointd| pointd.count("c") == 1000);
        rabbit.wait_all_acked(&queue);
        // Whatever the broker holds for the old connection comes before this.
        assert!(pointd.terminate().success());
        let pointd = setup.start();
        rabbit.publish(&queue, [point(1000)]);
        pointd.wait_until("the last", PATIENCE, |pointd| pointd.count("c") == 1001);
        println!("{} redeliveries recognised", records(&pointd, "duplicate"));
        let applied = records_at_least(&pointd, "operations", created + 1001) - created;
        assert_eq!(applied, 1001, "{}", pointd.log_text());
    }
}

#[test]
fn what_was_logged_and_never_acked_is_recognised_from_the_log_and_from_the_checkpoint() {
    let Some(rabbit) = RabbitMq::shared("acks that never arrive") else { return };
    // With a smaller prefetch than before it comes again in pieces.
    let cases = [(false, false, 500), (false, true, 500), (true, true, 500), (true, false, 20)];
    for (quorum, orderly, prefetch) in cases {
        let queue = unique("unacked");
        rabbit.declare(&queue, quorum);
        let proxy = Proxy::start(rabbit.port());
        let setup = Setup::new();
        let configure = |prefetch: usize| {
            let source = source("s", &url_of(&proxy), &queue, "");
            setup.configure(&format!("{COLLECTION}{source}prefetch = {prefetch}\n"));
        };
        configure(500);
        let pointd = setup.start();
        let created = records_at_least(&pointd, "operations", 1);
        pointd.wait_until("the consumer", PATIENCE, |_| rabbit.consumers(&queue) == 1);
        proxy.mute_clients(true);
        rabbit.publish(&queue, (0..50).map(point));
        pointd.wait_until("all of it", PATIENCE, |pointd| pointd.count("c") == 50);
        match orderly {
            true => assert!(pointd.terminate().success()),
            false => pointd.kill_9(),
        }
        proxy.cut();
        proxy.mute_clients(false);
        rabbit.publish(&queue, [point(50)]);
        configure(prefetch);
        let pointd = setup.start();
        pointd.wait_until("the last", PATIENCE, |pointd| pointd.count("c") == 51);
        rabbit.wait_all_acked(&queue);
        let applied = records_at_least(&pointd, "operations", created + 51) - created;
        let duplicates = records_at_least(&pointd, "duplicate", 50);
        assert_eq!((applied, duplicates), (51, 50), "{}", pointd.log_text());
    }
}

#[test]
fn a_queue_of_each_type_is_declared_and_each_message_of_it_applied_once_over_kills() {
    let Some(rabbit) = RabbitMq::shared("declared queues") else { return };
    for declare in ["durable", "quorum", "stream"] {
        let queue = unique(declare);
        let setup = Setup::new();
        let declared = format!("declare = \"{declare}\"\n");
        let source = source("s", &rabbit.url(), &queue, "") + &declared;
        setup.configure(&(COLLECTION.to_owned() + &source));
        let pointd = setup.start();
        let created = records_at_least(&pointd, "operations", 1);
        let running =
            |pointd: &Pointd| pointd.get("/sources")["result"]["sources"][0]["state"] == "running";
        pointd.wait_until("the queue", PATIENCE, running);
        rabbit.publish(&queue, (0..2000).map(point));
        pointd.wait_until("some of it", PATIENCE, |pointd| pointd.count("c") > 100);
        pointd.kill_9();
        rabbit.publish(&queue, (2000..3000).map(point));
        let pointd = setup.start();
        pointd.wait_until("all of it", PATIENCE, |pointd| pointd.count("c") == 3000);
        pointd.kill_9();
        // A stream keeps its messages: where to go on, the log alone knows.
        let pointd = setup.start();
        rabbit.publish(&queue, [point(3000)]);
        pointd.wait_until("the last", PATIENCE, |pointd| pointd.count("c") == 3001);
        let applied = records_at_least(&pointd, "operations", created + 3001) - created;
        assert_eq!(applied, 3001, "{declare}");
        assert!(pointd.terminate().success());
    }
}
