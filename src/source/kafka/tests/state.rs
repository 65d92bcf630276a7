//! What a source says of itself while its cluster is away, or has nothing for it yet.

use super::*;
use crate::source::status::State;

fn state(world: &World) -> State {
    world.consume.wiring.status.state()
}

fn failed(world: &mut World, code: RDKafkaErrorCode) {
    world.consume.failed(&KafkaError::Global(code));
}

fn reconnects(world: &World) -> u64 {
    world.consume.wiring.metrics.source.reconnects.with_label_values(&["test"]).get()
}

#[test]
fn one_broker_that_refuses_us_is_not_the_cluster() {
    use RDKafkaErrorCode::{
        AllBrokersDown, Authentication, BrokerTransportFailure, Resolve, SSL,
        SaslAuthenticationFailed,
    };
    let mut world = World::having_read(1, 2);
    world.consume.reached(None);
    for code in [Authentication, BrokerTransportFailure, Resolve, SSL, SaslAuthenticationFailed] {
        failed(&mut world, code);
        assert_eq!(state(&world), State::Running, "{code:?}");
    }
    failed(&mut world, AllBrokersDown);
    assert!(matches!(state(&world), State::Reconnecting { .. }));
    // Whoever delivers is there.
    world.publish(0, 2..4);
    world.turn_until("the messages", |world| world.values().len() == 4);
    assert_eq!((state(&world), reconnects(&world)), (State::Running, 1));
}

#[test]
fn what_was_fetched_before_is_no_answer() {
    let mut world = World::having_read(1, 2);
    world.tell(Finding::Unreachable("no answer".into()));
    world.publish(0, 2..4);
    world.turn_until("the messages", |world| world.values().len() == 4);
    let State::Reconnecting { error, .. } = state(&world) else { panic!("{:?}", state(&world)) };
    assert_eq!((error.as_str(), reconnects(&world)), ("no answer", 0));
    world.tell(Finding::Reached { undecided: None });
    world.turn_until("the answer", |world| state(world) == State::Running);
    assert_eq!(reconnects(&world), 1);
}

#[test]
fn a_source_that_has_decided_nothing_says_why_and_nothing_else_in_between() {
    let mut world = World::new(1);
    let undecided = || Finding::Reached { undecided: Some("no leader".into()) };
    world.tell(undecided());
    world.consume.turn();
    let told = state(&world);
    assert!(matches!(&told, State::Paused { why, .. } if why == "no leader"), "{told:?}");
    for _round in 0..3 {
        world.tell(undecided());
        world.consume.turn();
        world.consume.show_state();
        assert_eq!(state(&world), told);
    }
    world.found(CLUSTER, ID, 0, 0);
    world.tell(Finding::Reached { undecided: None });
    world.turn_until("the start", |world| state(world) == State::Running);
}

#[test]
fn a_gate_that_opens_while_the_cluster_is_away_does_not_bring_it_back() {
    let mut world = World::having_read(1, 2);
    world.tell(Finding::Unreachable("it is away".into()));
    world.turn_until("the loss", |world| matches!(state(world), State::Reconnecting { .. }));
    let away = state(&world);
    world.halt_and_go_on();
    assert_eq!(state(&world), away);
    world.tell(Finding::Reached { undecided: None });
    world.turn_until("the answer", |world| state(world) == State::Running);
}
