//! Topics that go, come back, are made anew, or are read by another source.

use std::collections::{BTreeMap, BTreeSet};

use rdkafka::consumer::Consumer;

use super::super::partitions::Phase;
use super::*;
use crate::source::status::{State, StreamState};

fn present(world: &World, partition: i32) -> Present {
    Present {
        cluster: CLUSTER.into(),
        topic: world.broker.topic().into(),
        topic_id: Some(ID),
        partition,
        low: 0,
        high: 0,
    }
}

#[test]
fn a_topic_made_anew_with_fewer_partitions_lets_the_others_go() {
    let mut world = World::having_read(3, 2);
    let topic = world.broker.topic().to_owned();
    world.tell(Finding::TopicChanged {
        topic: topic.clone(),
        expected: Some(ID),
        found: OTHER_ID,
        partitions: BTreeSet::from([0]),
    });
    world.turn_until("the halt", |world| world.gap(0).is_some());
    assert_eq!(world.gap(0), Some(Gap::OtherTopic { expected: ID, found: OTHER_ID }));
    assert!(world.accept()[0].contains("nothing of it is there yet"));
    assert_eq!(world.consume.partitions.of_topic(&topic).len(), 1);
    assert_eq!(world.streams().len(), 1);
    assert!(!world.consume.wiring.metrics.render().contains("partition=\"2\""));
    // Who comes later would read from the beginning what was read here.
    for partition in 0..3 {
        assert!(world.claims.claim("another", &present(&world, partition)).is_err());
    }

    // Grown again, the topic's new partition is not the one that was read.
    world.found(CLUSTER, OTHER_ID, 0, 2);
    world.found(CLUSTER, OTHER_ID, 2, 2);
    world.turn_until("the gap", |world| {
        world.consume.partitions.of_topic(&topic).len() == 2 && world.gap(2).is_some()
    });
    assert_eq!(world.gap(2), Some(Gap::OtherTopic { expected: ID, found: OTHER_ID }));
    let done = world.accept();
    assert!(done.iter().all(|done| done.contains("goes on at offset 0")), "{done:?}");
    world.turn_until("the new topic", |world| world.values().len() == 10);
}

#[test]
fn a_partition_that_another_source_had_begins_at_its_beginning_and_not_where_it_was_halted() {
    let mut world = World::new(1);
    world.publish(0, 0..5);
    assert_eq!(world.claims.claim("another", &present(&world, 0)), Ok(()));
    world.found(CLUSTER, ID, 0, 5);
    world.turn_until("the halt", |world| !world.streams().is_empty());
    assert_eq!(world.gap(0), Some(Gap::ReadBy("another".into())));
    // Its next offset is nobody's position: not when the gate opens, and not when it is let go.
    world.halt_and_go_on();
    assert_eq!(world.gap(0), Some(Gap::ReadBy("another".into())));
    world.partition_mut(0).next = Offset(4);
    world.tell(Finding::TopicGone(world.broker.topic().to_owned()));
    world.turn_until("the revocation", |world| world.streams().is_empty());
    assert!(world.claims.claim("a third", &present(&world, 0)).is_err(), "it was not ours");
    assert!(world.consume.positions.is_empty(), "{:?}", world.consume.positions);
    world.consume.claims = Claims::default();
    world.found(CLUSTER, ID, 0, 5);
    world.turn_until("the messages", |world| world.values().len() == 5);
}

#[test]
fn a_cluster_that_answers_again_is_read_on_where_it_stood() {
    let mut world = World::having_read(2, 5);
    let changed = |expected: &str, found: &str| Finding::ClusterChanged {
        expected: expected.into(),
        found: found.into(),
    };
    world.tell(changed(CLUSTER, "another"));
    world.found("another", ID, 0, 3);
    world.turn_until("the halt", |world| {
        world.gap(1).is_some()
            && world.partition(0).halt.as_ref().is_some_and(|halt| halt.beyond.is_some())
    });
    let gap = Gap::OtherCluster { expected: CLUSTER.into(), found: "another".into() };
    assert_eq!((world.gap(0), world.gap(1)), (Some(gap.clone()), Some(gap)));
    assert_eq!(world.rebuilds(), 1);
    world.tell(changed("another", CLUSTER));
    for partition in 0..2 {
        world.publish(partition, 5..8);
        world.found(CLUSTER, ID, partition, 8);
    }
    // The client may still be connected to the other one: this is not for it to fetch.
    world.consume.rebuilt = Some(Instant::now() + LIMIT);
    world.consume.turn();
    assert_eq!(world.partition(0).phase, Phase::Running);
    assert_eq!((world.consume.consumer.assignment().unwrap().count(), world.rebuilds()), (0, 1));
    world.consume.rebuilt = None;
    world.turn_until("the rest", |world| world.values().len() == 16);
    for partition in 0..2 {
        let mut values = world.values();
        values.retain(|(of, _)| *of == partition);
        assert_eq!(values, of_partition(partition, 0..8));
        assert_eq!(world.partition(partition).phase, Phase::Running);
    }
    assert_eq!(world.rebuilds(), 2);
    assert!(world.streams().iter().all(|stream| stream.state == StreamState::Running));
}

#[test]
fn a_cluster_that_answers_again_after_another_was_read_goes_on_where_the_log_has_it() {
    let mut world = World::having_read(1, 5);
    world.consume.settings.gap = GapPolicy::Skip;
    let changed = |expected: &str, found: &str| Finding::ClusterChanged {
        expected: expected.into(),
        found: found.into(),
    };
    world.tell(changed(CLUSTER, "another"));
    world.found("another", ID, 0, 5);
    world.turn_until("the other one's", |world| world.values().len() == 10);
    world.consume.rebuilt = None;
    world.tell(changed("another", CLUSTER));
    world.found(CLUSTER, ID, 0, 5);
    world.publish(0, 5..8);
    world.turn_until("the rest", |world| {
        world.partition(0).stream.cluster() == CLUSTER && world.values().len() >= 13
    });
    assert_eq!(world.values()[10..], of_partition(0, 5..8));
    assert_eq!(world.streams().len(), 1);
}

#[test]
fn of_a_topic_that_was_made_anew_the_last_position_counts() {
    let mut world = World::having_read(1, 5);
    // An older one, of before its id was known.
    let stream = Stream::Partition {
        source: "test".into(),
        cluster: CLUSTER.into(),
        topic: world.broker.topic().into(),
        topic_id: None,
        partition: 0,
    };
    world.consume.positions.push(Position::new(Arc::new(stream), Mark::Next(Offset(9))));
    world.tell(Finding::TopicGone(world.broker.topic().to_owned()));
    world.turn_until("the revocation", |world| world.streams().is_empty());
    world.publish(0, 5..8);
    world.found(CLUSTER, ID, 0, 8);
    world.turn_until("the rest", |world| world.values().len() == 8);
    assert_eq!(world.values(), of_partition(0, 0..8));
}

#[test]
fn topics_that_are_refused_are_told_and_stop_no_other() {
    let mut world = World::having_read(1, 1);
    let refused = BTreeMap::from([("hidden".to_owned(), "no rights".to_owned())]);
    world.tell(Finding::Refused(refused.clone()));
    world.publish(0, 1..3);
    world.turn_until("the others", |world| world.values().len() == 3);
    assert_eq!(world.consume.wiring.status.report().refused_topics, refused);
    world.tell(Finding::Refused(BTreeMap::new()));
    world.consume.turn();
    assert!(world.consume.wiring.status.report().refused_topics.is_empty());
}

#[test]
fn a_source_that_has_no_topic_says_what_it_waits_for() {
    let mut world = World::new(1);
    let told = |world: &World| match world.consume.wiring.status.state() {
        State::Starting { why, since } => (why, since),
        state => panic!("{state:?}"),
    };
    let (why, since) = told(&world);
    assert_eq!(why, "connecting");
    world.tell(Finding::Reached { undecided: None });
    world.consume.turn();
    assert!(told(&world).0.contains("no topic"), "{:?}", told(&world));
    world.tell(Finding::Missing(BTreeSet::from(["nowhere".to_owned()])));
    world.tell(Finding::Refused(BTreeMap::from([("hidden".to_owned(), "no rights".to_owned())])));
    world.tell(Finding::Reached { undecided: None });
    world.consume.turn();
    let report = world.consume.wiring.status.report();
    assert_eq!(report.missing_topics, BTreeSet::from(["nowhere".to_owned()]));
    let (why, still) = told(&world);
    assert!(why.contains("do not exist: nowhere") && why.contains("hidden"), "{why}");
    assert_eq!(still, since, "it has been starting ever since");
    world.tell(Finding::Missing(BTreeSet::new()));
    world.found(CLUSTER, ID, 0, 0);
    world.tell(Finding::Reached { undecided: None });
    world.turn_until("the topic", |world| world.consume.wiring.status.state() == State::Running);
    assert!(world.consume.wiring.status.report().missing_topics.is_empty());
}

#[test]
fn an_id_that_comes_late_stops_what_was_read_under_another() {
    let mut world = World::having_read(1, 2);
    let changed = |found| {
        let (topic, partitions) = (world.broker.topic().to_owned(), BTreeSet::from([0]));
        Finding::TopicChanged { topic, expected: None, found, partitions }
    };
    let (same, other) = (changed(ID), changed(OTHER_ID));
    world.tell(same);
    world.consume.turn();
    assert_eq!((world.gap(0), world.partition(0).phase), (None, Phase::Running));
    world.tell(other);
    world.turn_until("the halt", |world| world.gap(0).is_some());
    assert_eq!(world.gap(0), Some(Gap::OtherTopic { expected: ID, found: OTHER_ID }));
}

#[test]
fn what_will_be_skipped_is_told_nobody_as_halted() {
    let mut world = World::having_read(1, 5);
    world.consume.settings.gap = GapPolicy::Skip;
    let topic = world.broker.topic().to_owned();
    let gauge =
        world.consume.wiring.metrics.source.halted.with_label_values(&["test", &topic, "0"]);
    let (expected, found, partitions) = (Some(ID), OTHER_ID, BTreeSet::from([0]));
    world.tell(Finding::TopicChanged { topic, expected, found, partitions });
    world.turn_until("the end", |world| world.partition(0).phase == Phase::Halted);
    assert_eq!((&world.streams()[0].state, gauge.get()), (&StreamState::Running, 0));
    // Nothing of the new one is taken under the old one's offsets.
    world.publish(0, 5..8);
    (0..20).for_each(|_| assert!(world.consume.turn()));
    world.halt_and_go_on();
    (0..20).for_each(|_| assert!(world.consume.turn()));
    assert_eq!(world.values().len(), 5);
    assert_eq!((&world.streams()[0].state, gauge.get()), (&StreamState::Running, 0));
    world.found(CLUSTER, OTHER_ID, 0, 8);
    world.turn_until("the new one", |world| world.values().len() == 13);
    assert_eq!((&world.streams()[0].state, gauge.get()), (&StreamState::Running, 0));
}
