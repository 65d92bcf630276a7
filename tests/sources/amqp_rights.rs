//! The rights that the configuration's page says are enough.

use pointd::source::amqp::Declare;
use pointd::source::status::{Kind, State};

use super::amqp::{settings, start};
use super::outlet::Bench;
use super::{LIMIT, numbers, unique};
use crate::brokers::rabbitmq::RabbitMq;
use crate::brokers::until;

#[test]
fn reading_a_queue_takes_the_right_to_read_and_declaring_it_that_to_configure() {
    let Some(rabbit) = RabbitMq::shared("the rights of a source") else { return };
    let (user, passive, declared) = (unique("user"), unique("read"), unique("made"));
    rabbit.control(&["add_user", &user, "secret"]);
    let allow = |configure: &str| {
        let read = format!("^({passive}|{declared})$");
        rabbit.control(&["set_permissions", "-p", "/", &user, configure, "^$", &read]);
    };
    let settings = |queue: &str| {
        let mut settings = settings(rabbit, queue);
        settings.url.0 = settings.url.0.replace("guest:guest", &format!("{user}:secret"));
        settings
    };
    allow("^$");
    rabbit.declare(&passive, false);
    rabbit.publish(&passive, numbers(0..10));
    let bench = Bench::new(Kind::Amqp, true);
    let source = start(&bench, &settings(&passive));
    bench.wait_for_messages(10);
    until("the acks", LIMIT, || rabbit.ready(&passive) == 0);
    bench.stop(source);
    assert_eq!(rabbit.ready(&passive), 0);

    let mut declaring = settings(&declared);
    declaring.declare = Declare::Quorum;
    let bench = Bench::new(Kind::Amqp, true);
    let source = start(&bench, &declaring);
    bench.wait_for_report("the refusal", |report| {
        matches!(&report.state, State::Reconnecting { error, .. } if error.contains("ACCESS_REFUSED"))
    });
    allow(&format!("^{declared}$"));
    bench.wait_for_report("running", |report| report.state == State::Running);
    rabbit.publish(&declared, numbers(0..10));
    bench.wait_for_messages(10);
    bench.stop(source);
}
