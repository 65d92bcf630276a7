//! What a closed gate voids is read again: from where the log stands, and by its leaders.

use super::*;

/// Ten messages were read, and the log has five.
fn not_all_durable() -> World {
    let mut world = World::having_read(1, 5);
    world.set_durable(false);
    world.publish(0, 5..10);
    world.turn_until("what is not durable", |world| world.values().len() == 10);
    world
}

#[test]
fn a_topic_that_was_let_go_comes_back_where_the_log_stands() {
    let mut world = not_all_durable();
    // It is not there for a while; meanwhile what was given out of it is made void.
    world.tell(Finding::TopicGone(world.broker.topic().to_owned()));
    world.turn_until("the revocation", |world| world.streams().is_empty());
    world.halt_and_go_on();
    world.set_durable(true);
    world.found(CLUSTER, ID, 0, 10);
    world.turn_until("the messages once more", |world| world.values().len() == 15);
    assert_eq!(world.values()[10..], of_partition(0, 5..10));
}

#[test]
fn a_topic_that_comes_back_is_not_committed_beyond_what_is_durable() {
    let mut world = not_all_durable();
    world.tell(Finding::TopicGone(world.broker.topic().to_owned()));
    world.turn_until("the revocation", |world| world.streams().is_empty());
    world.found(CLUSTER, ID, 0, 10);
    world.turn_until("its return", |world| !world.streams().is_empty());
    assert_eq!(world.partition(0).next, Offset(10), "what is in the queue is not read again");
    assert_eq!(world.partition(0).durable, Some(Offset(5)));
    // What was given out before it went is still on its way.
    world.kept.watermark.raise(world.consume.batches);
    world.consume.begin_started();
    assert_eq!(world.partition(0).durable, Some(Offset(10)));
}

#[test]
fn the_leader_of_what_is_read_again_is_remembered() {
    let mut world = World::having_read(1, 5);
    let epoch = world.partition(0).epoch();
    assert!(epoch.is_some(), "this broker tells epochs");
    world.set_durable(false);
    world.publish(0, 5..10);
    world.turn_until("what is not durable", |world| world.values().len() == 10);
    let later = epoch.map(|epoch| epoch + 3);
    world.partition_mut(0).epochs.took(Offset(10), later);
    world.halt_and_go_on();
    assert_eq!(world.partition(0).epochs.at(Offset(5)), epoch);
    world.turn_until("the messages once more", |world| world.values().len() == 15);
    assert_eq!(world.gap(0), None);
}

#[test]
fn another_clusters_halt_keeps_the_position_of_the_log() {
    let mut world = not_all_durable();
    let (expected, found) = (CLUSTER.to_owned(), "another".to_owned());
    world.tell(Finding::ClusterChanged { expected, found });
    world.turn_until("the halt", |world| world.gap(0).is_some());
    world.halt_and_go_on();
    assert!(world.gap(0).is_some());
    assert_eq!(world.partition(0).next, Offset(5));
}

#[test]
fn what_was_durable_before_the_gate_closed_is_committed_while_it_is_closed() {
    let mut world = not_all_durable();
    // It is in the log, and the source has not seen that yet.
    world.kept.durable.lock().unwrap().extend(1..=world.consume.batches);
    world.kept.watermark.raise(world.consume.batches);
    let commits = std::mem::replace(&mut world.consume.commits, Commits::whose_thread_has_ended());
    world.consume.commits = commits.then_answered_with(vec![None]);
    world.kept.gate.close("a bad message");
    let (status, shutdown) =
        (Arc::clone(&world.consume.wiring.status), world.consume.wiring.shutdown.clone());
    let consume = world.consume;
    let source = std::thread::spawn(move || consume.run());
    let deadline = Instant::now() + LIMIT;
    while status.report().streams[0].committed != Some(Offset(10)) {
        assert!(Instant::now() < deadline, "{:?}", status.report());
        std::thread::yield_now();
    }
    shutdown.ask();
    source.join().unwrap();
}
