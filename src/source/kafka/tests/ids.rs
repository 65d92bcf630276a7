//! Positions that the log has without a topic id, of topics that have one by now.

use super::super::partitions::Phase;
use super::*;

fn id_of(position: &Position) -> Option<Uuid> {
    match *position.stream {
        Stream::Partition { topic_id, .. } => topic_id,
        Stream::Queue { .. } => panic!("no partition: {position}"),
    }
}

/// Five messages were read when the broker told no ids, and the topic is not there.
fn read_without_an_id() -> World {
    let mut world = World::new(1);
    world.publish(0, 0..5);
    world.found(CLUSTER, None::<Uuid>, 0, 5);
    world.turn_until("the messages", |world| world.values().len() == 5);
    world
}

fn let_go(world: &mut World) {
    world.tell(Finding::TopicGone(world.broker.topic().to_owned()));
    world.turn_until("the revocation", |world| world.streams().is_empty());
}

#[test]
fn a_position_without_an_id_gains_it_where_it_stands() {
    let mut world = read_without_an_id();
    let epoch = world.partition(0).epoch();
    assert!(epoch.is_some(), "this broker tells epochs");
    let_go(&mut world);
    world.publish(0, 5..8);
    world.set_durable(false);
    world.found(CLUSTER, ID, 0, 8);
    world.turn_until("the start", |world| world.items().len() == 7);
    (0..5).for_each(|_| assert!(world.consume.turn()));
    // Nothing is taken before that is durable, and what is durable stays so.
    assert!(matches!(world.partition(0).phase, Phase::Starting { .. }));
    assert_eq!((world.partition(0).durable, world.values().len()), (Some(Offset(5)), 5));
    // Made void, it is said once more, as it was.
    world.set_durable(true);
    world.halt_and_go_on();
    world.turn_until("the rest", |world| world.values().len() == 8);
    assert_eq!(world.values(), of_partition(0, 0..8));
    let items = world.items();
    let starts: Vec<&Item> = items.iter().map(|(_, item)| item).skip(6).take(2).collect();
    for start in starts {
        assert!(matches!(start.what, What::Start { why: Some(_), forget_others: false }));
        assert_eq!((next_of(&start.position), start.position.leader_epoch), (Offset(5), epoch));
        assert_eq!(id_of(&start.position), Some(ID));
    }
    let nexts: Vec<Offset> = items.iter().map(|(_, item)| next_of(&item.position)).collect();
    assert!(nexts.is_sorted(), "{nexts:?}");
    assert_eq!(world.kept.durable(&world.partition(0).stream), Some(Offset(8)));

    // From now on it is noticed that it is another.
    let_go(&mut world);
    world.found(CLUSTER, OTHER_ID, 0, 8);
    world.turn_until("the gap", |world| !world.streams().is_empty());
    assert_eq!(world.gap(0), Some(Gap::OtherTopic { expected: ID, found: OTHER_ID }));
}

#[test]
fn what_is_not_durable_is_read_again_under_the_stream_it_came_from() {
    let mut world = read_without_an_id();
    world.set_durable(false);
    world.publish(0, 5..10);
    world.turn_until("what is not durable", |world| world.values().len() == 10);
    let_go(&mut world);
    world.found(CLUSTER, ID, 0, 10);
    world.turn_until("its return", |world| !world.streams().is_empty());
    assert_eq!(id_of(&world.partition(0).position()), None);
    world.halt_and_go_on();
    world.set_durable(true);
    world.turn_until("the messages once more", |world| world.values().len() == 15);
    assert_eq!(world.values()[10..], of_partition(0, 5..10));
}
