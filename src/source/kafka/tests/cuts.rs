//! Logs that were cut, and messages that come late.

use super::super::epochs::Epochs;
use super::super::partitions::{Doubt, Phase};
use super::*;
use crate::source::status::StreamState;

#[test]
fn a_message_where_nothing_was_to_be_found_is_gone_back_to_once_that_is_durable() {
    let mut world = World::new(1);
    world.publish(0, 0..5);
    world.found(CLUSTER, ID, 0, 5);
    // Its start becomes durable and it is fetched; nothing is taken yet.
    world.consume.take_findings();
    world.consume.offer();
    world.consume.begin_started();
    assert_eq!(world.partition(0).phase, Phase::Running);
    // Who was asked lagged behind, and said that nothing is there.
    let answer = world.answer(0, 3, Between::Nothing);
    world.consume.looked(answer);
    assert_eq!(world.partition(0).next, Offset(3));
    world.consume.offer();
    let last =
        |world: &World| world.items().pop().map(|(_, item)| (next_of(&item.position), item.what));
    let stream = world.partition(0).stream.clone();
    assert!(matches!(last(&world), Some((Offset(3), What::Moved { .. }))));
    world.set_durable(false);
    world.turn_until("the way back", |world| {
        matches!(last(world), Some((Offset(0), What::Start { why: Some(_), .. })))
    });
    // A process that ends here reads on behind it, as the log has it; this one knows better.
    assert_eq!(world.kept.durable(&stream), Some(Offset(3)));
    (0..3).for_each(|_| assert!(world.consume.turn()));
    assert!(world.values().is_empty() && world.gap(0).is_none());
    world.set_durable(true);
    world.halt_and_go_on();
    world.turn_until("the way back for good", |world| {
        world.kept.durable(&stream) == Some(Offset(0))
    });
    world.turn_until("the messages", |world| world.values().len() == 5);
    assert_eq!(world.values(), of_partition(0, 0..5));
}

#[test]
fn a_message_of_an_older_leader_is_looked_into_and_halts() {
    let mut world = World::having_read(1, 5);
    world.partition_mut(0).epochs = Epochs::resumed(Offset(5), Some(1000));
    world.publish(0, 5..10);
    world.turn_until("the doubt", |world| world.partition(0).doubt == Some(Doubt::Epoch));
    assert_eq!((world.partition(0).next, world.partition(0).phase), (Offset(5), Phase::Doubtful));
    let answer = world.answer(0, 10, Between::Messages);
    world.consume.looked(answer);
    assert_eq!(world.gap(0), Some(Gap::Rewritten { expected: 5, at: 5 }));
    // What is read once more is doubted once more.
    world.halt_and_go_on();
    assert!(world.partition(0).epochs.is_older(999));
    assert_eq!(world.values().len(), 5);
}

#[test]
fn an_end_before_our_position_is_believed_when_it_was_seen_twice() {
    let mut world = World::having_read(1, 5);
    let short = |world: &World| world.answer(0, 3, Between::NotAsked);
    let answer = short(&world);
    world.consume.looked(answer);
    assert_eq!((world.partition(0).phase, world.gap(0)), (Phase::Doubtful, None));
    // Who answered had lagged behind.
    let answer = world.answer(0, 5, Between::NotAsked);
    world.consume.looked(answer);
    assert_eq!(world.partition(0).phase, Phase::Running);
    world.publish(0, 5..8);
    world.turn_until("what comes then", |world| world.values().len() == 8);
    for _time in 0..2 {
        assert_eq!(world.gap(0), None);
        let answer = world.answer(0, 3, Between::NotAsked);
        world.consume.looked(answer);
    }
    assert_eq!(world.gap(0), Some(Gap::Cut { expected: 8, high: 3 }));
}

#[test]
fn a_log_that_is_cut_again_before_anybody_accepts_goes_on_from_further_back() {
    let mut world = World::having_read(1, 5);
    let rewritten = |world: &World, at| world.answer(0, 9, Between::Rewritten { at });
    let answer = rewritten(&world, 3);
    world.consume.looked(answer);
    assert_eq!(world.gap(0), Some(Gap::Rewritten { expected: 5, at: 3 }));
    // It is still looked at, and not only for its end.
    while world.asked.try_recv().is_ok() {}
    world.partition_mut(0).asked = false;
    world.partition_mut(0).looked_at = None;
    world.consume.ask_about_doubtful();
    let question = world.asked.try_recv().unwrap();
    assert!(question.suspect && !question.ends_only, "{question:?}");
    let answer = rewritten(&world, 4);
    world.consume.looked(answer);
    // Now and then: that takes a client of its own.
    let stall_timeout = world.consume.settings.stall_timeout;
    for (ago, asked) in [(stall_timeout, 0), (Duration::from_secs(60), 1)] {
        world.partition_mut(0).looked_at = Some(Instant::now() - ago);
        world.consume.ask_about_doubtful();
        assert_eq!(world.asked.len(), asked, "{ago:?}");
    }
    assert_eq!(world.gap(0), Some(Gap::Rewritten { expected: 5, at: 3 }), "no further forward");
    let answer = rewritten(&world, 1);
    world.consume.looked(answer);
    assert_eq!(world.gap(0), Some(Gap::Rewritten { expected: 5, at: 1 }));
    let answer = world.answer(0, 0, Between::NotAsked);
    world.consume.looked(answer);
    assert_eq!(world.gap(0), Some(Gap::Cut { expected: 5, high: 0 }));
    let done = world.accept_seeing(0, Ok(Between::NotAsked));
    assert!(done.contains("goes on at offset 0"), "{done}");
    world.turn_until("all of it", |world| world.values().len() == 10);
}

#[test]
fn a_cut_that_would_be_passed_over_stays_a_halt_when_the_gate_opens() {
    let mut world = World::having_read(4, 5);
    let low = |mut answer: Answer| {
        answer.low = 9;
        answer
    };
    let answers = [
        world.answer(0, 9, Between::Rewritten { at: 3 }),
        world.answer(1, 9, Between::Rewritten { at: 5 }),
        low(world.answer(2, 9, Between::NotAsked)),
    ];
    answers.into_iter().for_each(|answer| world.consume.looked(answer));
    for _time in 0..2 {
        let answer = world.answer(3, 2, Between::NotAsked);
        world.consume.looked(answer);
    }
    assert!((0..4).all(|partition| world.gap(partition).is_some()));
    world.halt_and_go_on();
    let still: Vec<bool> = (0..4).map(|partition| world.gap(partition).is_some()).collect();
    // What was written at 5 and later is read; what is gone is found again.
    assert_eq!(still, [true, false, false, true]);
}

#[test]
fn what_was_passed_over_is_not_the_last_messages_leaders() {
    let mut world = World::having_read(1, 5);
    world.partition_mut(0).epochs = Epochs::resumed(Offset(5), Some(7));
    assert_eq!(world.partition(0).position().leader_epoch, Some(7));
    let answer = world.answer(0, 9, Between::Nothing);
    world.consume.looked(answer);
    // Asked with it about 9, the broker would say that its log ends at 5.
    assert_eq!(world.partition(0).position().leader_epoch, None);
    assert_eq!((world.partition(0).next, world.gap(0)), (Offset(9), None));
}

#[test]
fn behind_a_gap_that_was_accepted_status_and_gauge_say_the_same_before_that_is_durable() {
    let mut world = World::having_read(1, 5);
    let answer = world.answer(0, 9, Between::Damaged { readable: 8 });
    world.consume.looked(answer);
    let labels = ["test", world.broker.topic(), "0"];
    let gauge = world.consume.wiring.metrics.source.halted.with_label_values(&labels);
    assert!(matches!(world.streams()[0].state, StreamState::Halted { .. }) && gauge.get() == 1);
    world.set_durable(false);
    let (answer, _answered) = crossbeam_channel::bounded(1);
    world.orders.send(Order::AcceptGap { topic: None, partition: None, answer }).unwrap();
    world.turn_until("the question", |world| !world.asked.is_empty());
    let answer = world.answer(0, 9, Between::Damaged { readable: 8 });
    world.tell(Finding::Looked(answer));
    world.turn_until("the decision", |world| world.gap(0).is_none());
    assert_eq!((&world.streams()[0].state, gauge.get()), (&StreamState::Running, 0));
}
