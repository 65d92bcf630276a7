//! What is given up while nothing is fetched, and is to be fetched again.

use super::super::partitions::Phase;
use super::*;

#[test]
fn a_gate_that_closed_during_a_pause_leaves_nothing_paused() {
    let mut world = World::having_read(2, 3);
    world.set_paused(true);
    world.kept.gate.close("a bad message");
    world.turn_until("the halt", |world| world.consume.held.is_some());
    // Nobody resumes what is not read.
    *world.kept.pressure.lock().unwrap() = None;
    world.kept.gate.release();
    world.turn_until("the release", |world| world.consume.held.is_none());
    (0..2).for_each(|partition| world.publish(partition, 3..6));
    world.turn_until("the rest", |world| world.values().len() == 12);
    assert_eq!(world.rebuilds(), 0);
}

#[test]
fn a_partition_that_comes_back_after_the_pause_in_which_it_went_is_read_on() {
    let mut world = World::having_read(2, 3);
    world.set_paused(true);
    // Nothing of it is fetched; the other is resumed without it.
    let short = world.answer(0, 2, Between::NotAsked);
    world.consume.looked(short);
    assert_eq!(world.partition(0).phase, Phase::Doubtful);
    world.set_paused(false);
    let answer = world.answer(0, 3, Between::NotAsked);
    world.consume.looked(answer);
    (0..2).for_each(|partition| world.publish(partition, 3..6));
    world.turn_until("the rest", |world| world.values().len() == 12);
    assert_eq!(world.rebuilds(), 0);
}

#[test]
fn a_partition_that_comes_back_during_a_pause_waits_for_its_end() {
    let mut world = World::having_read(1, 3);
    world.set_paused(true);
    world.publish(0, 3..6);
    world.tell(Finding::TopicGone(world.broker.topic().to_owned()));
    world.found(CLUSTER, ID, 0, 6);
    world.turn_until("its return", |world| !world.streams().is_empty());
    (0..20).for_each(|_| assert!(world.consume.turn()));
    assert_eq!(world.values().len(), 3);
    world.set_paused(false);
    world.turn_until("the rest", |world| world.values().len() == 6);
}
