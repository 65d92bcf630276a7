//! Partitions that are there and have no leader that answers.

use super::super::unfound::NotFound;
use super::*;
use crate::source::status::StreamState;

fn not_found(world: &mut World, topic_id: Option<Uuid>) {
    let (cluster, topic) = (CLUSTER.to_owned(), world.broker.topic().to_owned());
    let error = "no leader".to_owned();
    let not_found = NotFound { cluster, topic, topic_id, partition: 0, error };
    world.tell(Finding::NotFound(Box::new(not_found)));
    world.consume.turn();
}

fn gauge(world: &World) -> i64 {
    let labels = ["test", world.broker.topic(), "0"];
    world.consume.wiring.metrics.source.unreadable.with_label_values(&labels).get()
}

#[test]
fn a_partition_without_a_leader_is_shown_at_once_and_unreadable_after_some_rounds() {
    let mut world = World::new(1);
    for _round in 0..2 {
        not_found(&mut world, Some(ID));
        assert_eq!((&world.streams()[0].state, gauge(&world)), (&StreamState::Running, 0));
    }
    for _round in 0..2 {
        not_found(&mut world, Some(ID));
        let streams = world.streams();
        let StreamState::Unreadable { error, .. } = &streams[0].state else {
            panic!("{streams:?}");
        };
        assert_eq!((error.as_str(), gauge(&world)), ("no leader", 1));
    }
    world.publish(0, 0..3);
    world.found(CLUSTER, ID, 0, 3);
    world.turn_until("the messages", |world| world.values().len() == 3);
    assert_eq!((&world.streams()[0].state, gauge(&world)), (&StreamState::Running, 0));
    assert!(world.consume.unfound.is_empty());
}

#[test]
fn what_the_log_has_of_it_is_what_is_shown_and_goes_with_its_topic() {
    let mut world = World::having_read(1, 2);
    world.consume.reached(None);
    world.tell(Finding::TopicGone(world.broker.topic().to_owned()));
    world.turn_until("the revocation", |world| world.streams().is_empty());
    let known = world.consume.positions[0].stream.clone();
    (0..3).for_each(|_| not_found(&mut world, Some(OTHER_ID)));
    assert_eq!((world.streams().len(), &world.streams()[0].stream), (1, &known));
    assert_eq!(gauge(&world), 1);
    world.tell(Finding::TopicGone(world.broker.topic().to_owned()));
    world.turn_until("the revocation", |world| world.streams().is_empty());
    assert!(!world.consume.wiring.metrics.render().contains("partition=\"0\""));
    // Found as another topic's, it is shown as that alone.
    (0..3).for_each(|_| not_found(&mut world, None));
    world.consume.positions.clear();
    world.found(CLUSTER, OTHER_ID, 0, 2);
    world.turn_until("the start", |world| world.consume.partitions.current().next().is_some());
    assert_eq!((world.streams().len(), gauge(&world)), (1, 0));
}

#[test]
fn what_waits_for_a_topic_made_anew_that_has_no_leader_says_so() {
    let mut world = World::having_read(1, 2);
    world.consume.settings.gap = GapPolicy::Skip;
    let (topic, partitions) = (world.broker.topic().to_owned(), BTreeSet::from([0]));
    let (expected, found) = (Some(ID), OTHER_ID);
    world.tell(Finding::TopicChanged { topic, expected, found, partitions });
    (0..3).for_each(|_| not_found(&mut world, Some(OTHER_ID)));
    assert!(matches!(world.streams()[0].state, StreamState::Unreadable { .. }));
    assert_eq!(gauge(&world), 1);
    world.found(CLUSTER, OTHER_ID, 0, 2);
    world.turn_until("the new one", |world| world.values().len() == 4);
    assert_eq!((&world.streams()[0].state, gauge(&world)), (&StreamState::Running, 0));
}
