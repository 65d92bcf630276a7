//! What has been sent is not sent again, and what was refused is: after another start, another
//! configuration, and by a queue that is full.

use std::time::Duration;

use lapin::types::AMQPValue;

use super::forward::{forwarding, of_queue, of_topic, total};
use super::{kafka_source, letters};
use crate::brokers::kafka::Kafka;
use crate::brokers::rabbitmq::RabbitMq;
use crate::harness::{PATIENCE, Pointd, Setup};

const LONG: Duration = Duration::from_secs(180);

fn is_idle(pointd: &Pointd) -> bool {
    let shown = forwarding(pointd);
    shown["pending"] == 0 && shown["state"] == "idle"
}

/// That is how a crash between the sending and the dropping ends, too.
#[test]
fn what_was_sent_before_is_dropped_and_no_letter_of_another_source_is() {
    let Some(kafka) = Kafka::shared("letters that were sent before") else { return };
    for topic in ["mine", "theirs", "sent-before"] {
        kafka.create_topic(topic, 1);
    }
    let setup = Setup::new();
    let bootstrap = kafka.bootstrap();
    let configure = |forward: &str| {
        let rest = format!(
            "[[source]]\nname = \"t\"\n[source.kafka]\nbrokers = \"{bootstrap}\"\n\
             topics = [\"theirs\"]\ngroup = \"theirs\"\n\
             {forward}"
        );
        setup.configure(&kafka_source(kafka, "mine", "", &rest));
    };
    let forward = |then: &str| {
        format!(
            "[dead_letters.forward]\nthen = \"{then}\"\nsources = [\"s\"]\n\
             [dead_letters.forward.kafka]\nbrokers = \"{bootstrap}\"\ntopic = \"sent-before\"\n"
        )
    };
    configure("");
    kafka.publish("theirs", 0, ["poison"; 2]);
    kafka.publish("mine", 0, ["poison"; 3]);
    let pointd = setup.start();
    pointd.wait_until("the letters", PATIENCE, |it| total(it) == 5);
    pointd.kill_9();

    configure(&forward("keep"));
    let pointd = setup.start();
    pointd.wait_until("their sending", PATIENCE, |it| {
        it.metric("pointd_dead_letters_forwarded_total") >= Some(3.0) && is_idle(it)
    });
    assert_eq!(of_topic(&bootstrap, "sent-before").len(), 3);
    pointd.kill_9();

    configure(&forward("drop"));
    let pointd = setup.start();
    pointd.wait_until("their going", PATIENCE, |it| total(it) == 2 && is_idle(it));
    assert!(letters(&pointd).iter().all(|letter| letter["position"]["topic"] == "theirs"));
    assert_eq!(of_topic(&bootstrap, "sent-before").len(), 3);
}

/// It has room for two of five. The broker refuses the others until those are taken out.
#[test]
fn what_a_full_queue_refuses_arrives_in_its_turn_and_once() {
    let Some(kafka) = Kafka::shared("letters that a queue refuses") else { return };
    let Some(rabbit) = RabbitMq::shared("letters that a queue refuses") else { return };
    kafka.create_topic("many", 1);
    let overflow = AMQPValue::LongString("reject-publish".into());
    let length = AMQPValue::LongInt(2);
    rabbit.declare_with("small", [("x-max-length", length), ("x-overflow", overflow)]);
    rabbit.bind("small", "amq.direct", "to-small");
    let setup = Setup::new();
    let target = format!(
        "[dead_letters.forward]\nthen = \"drop\"\n[dead_letters.forward.amqp]\nurl = \"{}\"\n\
         exchange = \"amq.direct\"\nrouting_key = \"to-small\"\n",
        rabbit.url()
    );
    setup.configure(&kafka_source(kafka, "many", "", &target));
    kafka.publish("many", 0, (0..5).map(|at| format!("poison {at}")));
    let pointd = setup.start();
    // Whatever fails before that says something else.
    pointd.wait_until("the failure", LONG, |it| {
        let shown = forwarding(it);
        let error = shown["error"].as_str().unwrap_or_default();
        shown["pending"] == 3 && error.contains("the broker refused it")
    });
    assert_eq!(rabbit.ready("small"), 2);
    let mut sent = Vec::new();
    pointd.wait_until("the rest", LONG, |_| {
        let values = of_queue(rabbit, "small").into_iter().map(|letter| letter.value);
        sent.extend(values.map(|value| String::from_utf8(value).unwrap()));
        sent.len() >= 5
    });
    pointd.wait_until("their going", PATIENCE, |it| total(it) == 0 && is_idle(it));
    assert_eq!(sent, (0..5).map(|at| format!("poison {at}")).collect::<Vec<_>>());
    assert_eq!(rabbit.ready("small"), 0);
}
