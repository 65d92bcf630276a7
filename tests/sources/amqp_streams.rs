//! RabbitMQ's streams.

use crossbeam_channel::Receiver;
use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable};
use pointd::position::{Mark, Offset};
use pointd::source::GapPolicy;
use pointd::source::amqp::{AmqpSettings, StreamStart};
use pointd::source::status::{Kind, SourceReport, State, StreamState};
use pointd::source::{Order, Pressure, What};

use super::amqp::{settings, start};
use super::outlet::Bench;
use super::{LIMIT, next_of, numbers, unique};
use crate::brokers::proxy::Proxy;
use crate::brokers::rabbitmq::RabbitMq;
use crate::brokers::until;

fn declare(rabbit: &RabbitMq, queue: &str, more: &[(&'static str, AMQPValue)]) {
    let kind = ("x-queue-type", AMQPValue::LongString("stream".into()));
    rabbit.declare_with(queue, more.iter().cloned().chain([kind]));
}

fn stream_settings(rabbit: &RabbitMq, queue: &str) -> AmqpSettings {
    let mut settings = settings(rabbit, queue);
    settings.stream = true;
    settings
}

fn starts(bench: &Bench) -> Vec<Mark> {
    let start = |(_, item): &(u64, pointd::source::Item)| match item.what {
        What::Start { .. } => Some(item.position.mark.clone()),
        _ => None,
    };
    bench.items().iter().filter_map(start).collect()
}

fn wait_for_halt(bench: &Bench, why: &str) {
    bench.wait_for_report("the halt", |report| {
        let halted = |state: &StreamState| match state {
            StreamState::Halted { why: told } => told.contains(why),
            StreamState::Running | StreamState::Unreadable { .. } => false,
        };
        report.streams.iter().any(|stream| halted(&stream.state))
    });
}

fn order(
    bench: &Bench,
    topic: Option<&str>,
    partition: Option<i32>,
) -> Receiver<Result<Vec<String>, String>> {
    let (answer, answered) = crossbeam_channel::bounded(1);
    let order = Order::AcceptGap { topic: topic.map(str::to_owned), partition, answer };
    bench.orders.0.send(order).unwrap();
    answered
}

fn accept(bench: &Bench) -> Vec<String> {
    order(bench, None, None).recv_timeout(LIMIT).unwrap().unwrap()
}

#[test]
fn a_stream_is_read_once_over_lost_connections_and_restarts() {
    let Some(rabbit) = RabbitMq::start("a stream over lost connections") else { return };
    let queue = unique("stream");
    declare(&rabbit, &queue, &[]);
    rabbit.publish(&queue, numbers(0..100));
    let mut settings = stream_settings(&rabbit, &queue);
    settings.batch_messages_max = 7;
    settings.prefetch = 30;
    let bench = Bench::new(Kind::Amqp, true);
    let source = start(&bench, &settings);
    bench.wait_for_messages(100);
    assert_eq!(starts(&bench), [Mark::Next(Offset(0))]);
    rabbit.close_connections();
    until("the reconnect", LIMIT, || {
        bench.metrics.source.reconnects.with_label_values(&["test"]).get() >= 1
    });
    rabbit.publish(&queue, numbers(100..120));
    bench.wait_for_messages(120);
    assert_eq!(bench.values(None), numbers(0..120).collect::<Vec<_>>());
    let nexts: Vec<u64> = bench.messages().iter().map(|(position, _)| next_of(position)).collect();
    assert_eq!(nexts, (1..=120).collect::<Vec<_>>());
    bench.stop(source);

    // The next process goes by the log.
    let again = Bench::new(Kind::Amqp, true);
    again.set_known(110);
    let source = start(&again, &settings);
    again.wait_for_messages(10);
    rabbit.publish(&queue, numbers(120..121));
    again.wait_for_messages(11);
    assert_eq!(again.values(None), numbers(110..121).collect::<Vec<_>>());
    assert!(starts(&again).is_empty());
    again.stop(source);
}

#[test]
fn a_stream_that_was_never_read_begins_where_it_is_told_to() {
    let Some(rabbit) = RabbitMq::shared("where a stream begins") else { return };
    let queue = unique("begins");
    declare(rabbit, &queue, &[]);
    rabbit.publish(&queue, numbers(0..50));
    let mut settings = stream_settings(rabbit, &queue);
    for (begin, first) in [(StreamStart::At(Offset(40)), 40), (StreamStart::First, 0)] {
        settings.start = begin;
        let bench = Bench::new(Kind::Amqp, true);
        let source = start(&bench, &settings);
        bench.wait_for_messages(50 - first as usize);
        assert_eq!(starts(&bench), [Mark::Next(Offset(first))]);
        assert_eq!(bench.values(None)[0], first.to_string());
        bench.stop(source);
    }
}

#[test]
fn where_a_stream_begins_is_decided_once() {
    let Some(rabbit) = RabbitMq::shared("a stream that begins at its end") else { return };
    for (start_at, there) in
        [(StreamStart::Next, 50), (StreamStart::Next, 0), (StreamStart::Last, 0)]
    {
        let queue = unique("end");
        declare(rabbit, &queue, &[]);
        rabbit.publish(&queue, numbers(0..there));
        let proxy = Proxy::start(rabbit.port());
        let mut settings = stream_settings(rabbit, &queue);
        settings.url.0 = format!("amqp://guest:guest@127.0.0.1:{}/%2f", proxy.port());
        settings.start = start_at;
        let bench = Bench::new(Kind::Amqp, true);
        let source = start(&bench, &settings);
        bench.wait_for_report("the decision", |report| report.state == State::Running);
        assert_eq!(starts(&bench), [Mark::Next(Offset(there.into()))]);
        // What comes while it is away comes after the decision.
        proxy.refuse(true);
        rabbit.publish(&queue, numbers(there..there + 5));
        proxy.refuse(false);
        bench.wait_for_messages(5);
        assert_eq!(bench.values(None), numbers(there..there + 5).collect::<Vec<_>>());
        assert_eq!(starts(&bench).len(), 1);
        bench.stop(source);
    }
}

#[test]
fn what_retention_took_halts_the_stream_until_an_operator_accepts_it() {
    let Some(rabbit) = RabbitMq::shared("a gap in a stream") else { return };
    let queue = unique("retention");
    let sizes = [
        ("x-max-length-bytes", AMQPValue::LongLongInt(100_000)),
        ("x-stream-max-segment-size-bytes", AMQPValue::LongLongInt(50_000)),
    ];
    declare(rabbit, &queue, &sizes);
    for round in 0..20 {
        rabbit.publish(&queue, (0..50).map(|number| format!("{round} {number} {:01000}", 0)));
    }
    // The broker deletes in its own time: of a thousand a tenth may stay, and two files.
    until("the retention", LIMIT, || rabbit.first_offset(&queue) > Some(500));
    let mut settings = stream_settings(rabbit, &queue);
    let bench = Bench::new(Kind::Amqp, true);
    bench.set_known(1);
    let source = start(&bench, &settings);
    wait_for_halt(&bench, "from offset 1 on are gone");
    assert_eq!(bench.message_count(), 0);
    assert_eq!(bench.metrics.source.halted.with_label_values(&["test", &queue, "-"]).get(), 1);
    let done = accept(&bench);
    assert!(done[0].contains("goes on at offset"), "{done:?}");
    until("the newest message", LIMIT, || {
        bench.values(None).last().is_some_and(|value| value.starts_with("19 49 "))
    });
    assert_eq!(starts(&bench).len(), 1);
    bench.stop(source);

    settings.gap = GapPolicy::Skip;
    let bench = Bench::new(Kind::Amqp, true);
    bench.set_known(1);
    let source = start(&bench, &settings);
    until("the newest message", LIMIT, || {
        bench.values(None).last().is_some_and(|value| value.starts_with("19 49 "))
    });
    let what = &bench.items()[0].1.what;
    assert!(
        matches!(what, What::Start { why: Some(why), .. } if why.contains("as configured")),
        "{what:?}"
    );
    bench.stop(source);
}

#[test]
fn a_stream_made_anew_under_its_name_halts() {
    let Some(rabbit) = RabbitMq::shared("a stream made anew") else { return };
    let queue = unique("anew");
    declare(rabbit, &queue, &[]);
    rabbit.publish(&queue, numbers(0..10));
    let bench = Bench::new(Kind::Amqp, true);
    bench.set_known(100);
    let source = start(&bench, &stream_settings(rabbit, &queue));
    wait_for_halt(&bench, "made anew");
    accept(&bench);
    bench.wait_for_messages(10);
    assert_eq!(starts(&bench), [Mark::Next(Offset(0))]);
    assert_eq!(bench.values(None), numbers(0..10).collect::<Vec<_>>());
    bench.stop(source);
}

#[test]
fn who_accepts_a_gap_is_answered_when_that_is_in_the_log() {
    let Some(rabbit) = RabbitMq::shared("an answer about a stream's gap") else { return };
    let queue = unique("accepted");
    declare(rabbit, &queue, &[]);
    let bench = Bench::new(Kind::Amqp, false);
    bench.set_known(100);
    rabbit.publish(&queue, numbers(0..10));
    let proxy = Proxy::start(rabbit.port());
    let mut settings = stream_settings(rabbit, &queue);
    settings.url.0 = format!("amqp://guest:guest@127.0.0.1:{}/%2f", proxy.port());
    let source = start(&bench, &settings);
    wait_for_halt(&bench, "made anew");
    // It outgrows our offset while nobody decides, and the connection is lost.
    rabbit.publish(&queue, numbers(10..120));
    let reconnects = bench.metrics.source.reconnects.with_label_values(&["test"]);
    let before = reconnects.get();
    proxy.cut();
    until("the reconnect", LIMIT, || reconnects.get() > before);
    wait_for_halt(&bench, "made anew");
    assert_eq!((bench.report().state, bench.message_count()), (State::Running, 0));
    for (topic, partition) in [(Some("another"), None), (None, Some(0))] {
        let refused = order(&bench, topic, partition).recv_timeout(LIMIT).unwrap().unwrap_err();
        assert!(refused.contains(&queue), "{refused}");
    }
    let answered = order(&bench, Some(&queue), None);
    bench.wait_for_messages(120);
    // It stands before all messages, in a batch of its own.
    let (number, begin) = &bench.items()[0];
    assert!(
        matches!(&begin.what, What::Start { why: Some(why), .. } if why.contains("by an operator")),
        "{begin:?}"
    );
    assert_eq!((starts(&bench), *number), (vec![Mark::Next(Offset(0))], 1));
    assert!(answered.try_recv().is_err(), "answered, and not in the log");
    // A lost connection does not forget who waits.
    let before = reconnects.get();
    proxy.cut();
    until("the next reconnect", LIMIT, || reconnects.get() > before);
    bench.watermark.raise(1);
    let done = answered.recv_timeout(LIMIT).unwrap().unwrap();
    assert!(done[0].contains("goes on at offset 0"), "{done:?}");
    bench.stop_at_once(source);
}

#[test]
fn a_stream_made_anew_while_it_is_read_halts() {
    let Some(rabbit) = RabbitMq::shared("a stream made anew under its consumer") else { return };
    let queue = unique("anew-under");
    declare(rabbit, &queue, &[]);
    rabbit.publish(&queue, numbers(0..100));
    let bench = Bench::new(Kind::Amqp, true);
    let source = start(&bench, &stream_settings(rabbit, &queue));
    bench.wait_for_messages(100);
    rabbit.delete(&queue);
    declare(rabbit, &queue, &[]);
    rabbit.publish(&queue, numbers(0..10));
    wait_for_halt(&bench, "made anew");
    bench.stop(source);
}

#[test]
fn the_end_of_a_stream_is_told_also_while_nothing_is_read() {
    let Some(rabbit) = RabbitMq::shared("the end of a stream") else { return };
    let queue = unique("end");
    declare(rabbit, &queue, &[]);
    rabbit.publish(&queue, numbers(0..100));
    let bench = Bench::new(Kind::Amqp, true);
    let source = start(&bench, &stream_settings(rabbit, &queue));
    bench.wait_for_messages(100);
    let ends_at = |end| {
        let told = move |report: &SourceReport| report.streams[0].end == Some(Offset(end));
        bench.wait_for_report("the end", told);
    };
    ends_at(100);
    bench.set_pressure(Some(Pressure::DiskFull));
    bench.wait_for_report("the pause", |report| matches!(report.state, State::Paused { .. }));
    rabbit.publish(&queue, numbers(100..150));
    ends_at(150);
    let shown = bench.metrics.source.end_offset.with_label_values(&["test", &queue, "-"]);
    // A moment after the report.
    until("the end's gauge", LIMIT, || shown.get() == 150);
    bench.set_pressure(None);
    bench.wait_for_messages(150);
    // Between two looks it is what was delivered, at least.
    for number in 150..160 {
        rabbit.publish(&queue, numbers(number..number + 1));
        bench.wait_for_messages(number as usize + 1);
        assert!(bench.report().streams[0].end >= Some(Offset(number.into())));
    }
    bench.stop(source);
}

#[test]
fn a_stream_that_is_not_called_one_is_not_read_as_a_queue() {
    let Some(rabbit) = RabbitMq::shared("a stream taken for a queue") else { return };
    let queue = unique("taken");
    declare(rabbit, &queue, &[]);
    let bench = Bench::new(Kind::Amqp, true);
    let source = start(&bench, &settings(rabbit, &queue));
    bench.wait_for_report("the advice", |report| {
        rabbit.publish(&queue, numbers(0..1));
        format!("{:?}", report.state).contains("stream = true")
    });
    assert_eq!(bench.message_count(), 0);
    bench.stop(source);
}

#[test]
fn a_queue_whose_messages_have_a_streams_header_is_read_as_the_queue_it_is() {
    let Some(rabbit) = RabbitMq::shared("a queue with a stream's header") else { return };
    let offset = || {
        let mut table = FieldTable::default();
        table.insert("x-stream-offset".into(), AMQPValue::LongLongInt(7));
        BasicProperties::default().with_headers(table)
    };
    for quorum in [false, true] {
        let queue = unique("header");
        rabbit.declare(&queue, quorum);
        rabbit.publish_with(&queue, vec![("first", offset())]);
        rabbit.publish(&queue, numbers(0..1));
        rabbit.publish_with(&queue, vec![("last", offset())]);
        let bench = Bench::new(Kind::Amqp, true);
        let source = start(&bench, &settings(rabbit, &queue));
        bench.wait_for_messages(3);
        assert_eq!(bench.values(None), ["first", "0", "last"]);
        bench.stop(source);
    }
}
