//! Gaps that are mended before anybody accepts them.

use super::super::epochs::Epochs;
use super::super::partitions::Phase;
use super::*;

/// Five messages were read, of which the broker has three.
fn cut() -> World {
    let mut world = World::having_read(1, 5);
    for _time in 0..2 {
        let answer = world.answer(0, 3, Between::NotAsked);
        world.consume.looked(answer);
    }
    assert_eq!(world.gap(0), Some(Gap::Cut { expected: 5, high: 3 }));
    world
}

fn damaged() -> World {
    let mut world = World::having_read(1, 5);
    let answer = world.answer(0, 9, Between::Damaged { readable: 8 });
    world.consume.looked(answer);
    assert_eq!(world.gap(0), Some(Gap::Damaged { expected: 5, readable: 8 }));
    world
}

fn goes_on_where_it_stood(world: &mut World) {
    assert_eq!((world.partition(0).phase, world.partition(0).next), (Phase::Running, Offset(5)));
    world.publish(0, 5..8);
    world.turn_until("the rest", |world| world.values().len() == 8);
    assert_eq!(world.values(), of_partition(0, 0..8));
    let starts =
        world.items().iter().filter(|(_, it)| matches!(it.what, What::Start { .. })).count();
    assert_eq!(starts, 1, "nothing was decided but where it began");
}

#[test]
fn a_log_that_was_cut_and_is_whole_again_goes_on_where_it_stood() {
    let mut world = cut();
    // The end alone says nothing: it may have been written anew.
    let ends = |world: &World, between| {
        let mut answer = world.answer(0, 8, between);
        answer.question.epoch = None;
        answer
    };
    for between in [Between::NotAsked, Between::Messages] {
        let answer = ends(&world, between);
        world.consume.looked(answer);
        assert_eq!(world.gap(0), Some(Gap::Cut { expected: 5, high: 3 }), "{between:?}");
    }
    let answer = world.answer(0, 8, Between::Messages);
    world.consume.looked(answer);
    goes_on_where_it_stood(&mut world);
}

#[test]
fn a_message_of_an_older_leader_is_not_talked_away() {
    let mut world = World::having_read(1, 5);
    world.partition_mut(0).epochs = Epochs::resumed(Offset(5), Some(1000));
    world.publish(0, 5..10);
    world.turn_until("the doubt", |world| world.partition(0).doubt.is_some());
    for _time in 0..2 {
        let answer = world.answer(0, 10, Between::Messages);
        world.consume.looked(answer);
        assert_eq!(world.gap(0), Some(Gap::Rewritten { expected: 5, at: 5 }));
    }
}

#[test]
fn accepted_a_cut_that_is_mended_is_no_way_back() {
    let mut world = cut();
    let done = world.accept_seeing(5, Ok(Between::Nothing));
    assert!(done.contains("goes on at offset 5: nothing is missing"), "{done}");
    goes_on_where_it_stood(&mut world);
}

#[test]
fn accepted_damage_is_looked_at_once_more() {
    let mut world = damaged();
    let done = world.accept_seeing(9, Ok(Between::Messages));
    assert!(done.contains("goes on at offset 5: nothing is missing"), "{done}");
    goes_on_where_it_stood(&mut world);

    let mut world = damaged();
    let done = world.accept_seeing(9, Ok(Between::Damaged { readable: 7 }));
    assert!(done.contains("goes on at offset 7; it stood at 5"), "{done}");
}

#[test]
fn nothing_is_given_up_that_nobody_could_look_at_or_accepted() {
    let mut world = damaged();
    let error = KafkaError::MetadataFetch(RDKafkaErrorCode::OperationTimedOut);
    let done = world.accept_seeing(9, Err(error));
    assert!(done.contains("stays halted") && done.contains("could not be looked at"), "{done}");
    let done = world.accept_seeing(9, Ok(Between::Rewritten { at: 2 }));
    assert!(done.contains("stays halted, for something else"), "{done}");
    assert_eq!(world.gap(0), Some(Gap::Rewritten { expected: 5, at: 2 }));
    // The same order comes after the gate was closed: it has no answer to wait for.
    let (answer, answered) = crossbeam_channel::bounded(1);
    world.orders.send(Order::AcceptGap { topic: None, partition: None, answer }).unwrap();
    world.consume.turn();
    world.halt_and_go_on();
    assert!(answered.recv().unwrap().unwrap_err().contains("stands behind a message"));
    let done = world.accept_seeing(9, Ok(Between::Rewritten { at: 2 }));
    assert!(done.contains("goes on at offset 2"), "{done}");
}
