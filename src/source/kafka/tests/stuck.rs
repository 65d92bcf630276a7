//! Threads that end, clients that do not close, commits that are refused, partitions that cannot be
//! read.

use std::thread;

use super::super::busy::Busy;
use super::super::partitions::Phase;
use super::*;
use crate::source::status::{State, StreamState};

#[test]
fn a_source_ends_when_the_thread_that_asks_the_cluster_has_ended() {
    let mut world = World::having_read(1, 1);
    world.tell = None;
    let (ended, waits) = crossbeam_channel::bounded::<()>(0);
    let consume = world.consume;
    thread::spawn(move || {
        consume.run();
        drop(ended);
    });
    let end = waits.recv_timeout(LIMIT);
    assert_eq!(end, Err(crossbeam_channel::RecvTimeoutError::Disconnected));
}

#[test]
fn a_source_ends_when_the_thread_that_commits_has_ended() {
    let mut world = World::having_read(1, 1);
    world.consume.commits = Commits::whose_thread_has_ended();
    world.consume.commit();
    assert!(world.consume.lost);
}

/// How long it takes to stop a source whose commits are answered so, with all the time of a test.
fn stops_within(error: Option<RDKafkaErrorCode>, answers: &[Option<RDKafkaErrorCode>]) -> Duration {
    let mut world = World::having_read(1, 2);
    world.consume.wiring.drain_timeout = LIMIT;
    world.consume.commits = Commits::answered_with(answers.to_vec());
    world.consume.commit_error = error;
    let (status, began) = (Arc::clone(&world.consume.wiring.status), Instant::now());
    world.consume.stop();
    let committed = status.report().streams[0].committed;
    assert_eq!(committed.is_some(), answers.last() == Some(&None), "{answers:?}");
    began.elapsed()
}

#[test]
fn a_commit_that_stays_refused_holds_up_no_end() {
    use RDKafkaErrorCode::{
        GroupAuthorizationFailed, NotCoordinator, UnknownMemberId, WaitingForCoordinator,
    };
    // Somebody else's group, and no right to it; nor is there an answer any more, as from a
    // coordinator that nobody may ask for.
    for code in [UnknownMemberId, GroupAuthorizationFailed] {
        assert!(stops_within(None, &[Some(code)]) < LIMIT, "{code:?}");
        assert!(stops_within(Some(code), &[Some(code)]) < LIMIT, "{code:?}");
    }
    assert!(stops_within(Some(WaitingForCoordinator), &[]) < LIMIT);
    // One that looks for its coordinator is asked until it takes it.
    assert!(stops_within(None, &[Some(NotCoordinator), Some(NotCoordinator), None]) < LIMIT);
}

#[test]
fn clients_that_do_not_close_are_not_made_without_end() {
    let mut world = World::having_read(1, 2);
    let (closes, never) = crossbeam_channel::bounded::<()>(0);
    for _client in 0..8 {
        let never = never.clone();
        world.consume.closing.0.push(thread::spawn(move || assert!(never.recv().is_err())));
    }
    world.consume.broken = Some("it stands still".into());
    world.consume.rebuild_if_broken();
    assert_eq!(world.rebuilds(), 0);
    let State::Halted { why, .. } = world.consume.wiring.status.state() else {
        panic!("{:?}", world.consume.wiring.status.state());
    };
    assert!(why.contains("it stands still") && why.contains("restart the daemon"), "{why}");
    // It is still needed, and had as soon as one closes; what was read is not read again.
    world.consume.reached(None);
    assert!(matches!(world.consume.wiring.status.state(), State::Halted { .. }));
    drop(closes);
    world.turn_until("their end", |world| {
        world.consume.closing.0.iter().all(thread::JoinHandle::is_finished)
    });
    world.consume.rebuilt = None;
    world.consume.rebuild_if_broken();
    assert_eq!(world.rebuilds(), 1);
    world.publish(0, 2..5);
    world.turn_until("the rest", |world| world.values().len() == 5);
    assert_eq!(world.values(), of_partition(0, 0..5));
    assert_eq!(world.consume.wiring.status.state(), State::Running);
}

#[test]
fn a_client_that_fails_at_once_is_not_given_up_without_end() {
    let mut world = World::having_read(1, 2);
    for _time in 0..3 {
        world.consume.broken = Some("it failed".into());
        world.consume.rebuild_if_broken();
        // However long that took.
        world.consume.rebuilt = Some(Instant::now());
    }
    assert_eq!(world.rebuilds(), 1);
    world.publish(0, 2..4);
    world.turn_until("the rest", |world| world.values().len() == 4);
}

fn not_looked(world: &mut World, code: RDKafkaErrorCode) {
    let question = world.answer(0, 0, Between::NotAsked).question;
    let error = KafkaError::MetadataFetch(code);
    world.consume.not_looked(Unanswered { question, high: Some(9), error });
}

fn unreadable(world: &World) -> i64 {
    let labels = ["test", world.broker.topic(), "0"];
    world.consume.wiring.metrics.source.unreadable.with_label_values(&labels).get()
}

#[test]
fn a_partition_that_cannot_be_looked_at_again_and_again_is_unreadable_until_it_can() {
    let mut world = World::having_read(1, 2);
    let refused = RDKafkaErrorCode::TopicAuthorizationFailed;
    world.partition_mut(0).stands = Some((Offset(2), Instant::now() - LIMIT));
    for _time in 0..2 {
        not_looked(&mut world, refused);
        assert_eq!((&world.streams()[0].state, unreadable(&world)), (&StreamState::Running, 0));
    }
    not_looked(&mut world, refused);
    let StreamState::Unreadable { error, .. } = world.streams()[0].state.clone() else {
        panic!("{:?}", world.streams()[0]);
    };
    assert!(error.to_lowercase().contains("authorization"), "{error}");
    assert_eq!((unreadable(&world), world.streams()[0].end), (1, Some(Offset(9))));
    // A new client would be refused as well.
    assert_eq!((world.partition(0).refetched, &world.consume.broken), (None, &None));
    let answer = world.answer(0, 2, Between::NotAsked);
    world.consume.looked(answer);
    assert_eq!((&world.streams()[0].state, unreadable(&world)), (&StreamState::Running, 0));
    // What it delivers says so too.
    (0..3).for_each(|_| not_looked(&mut world, refused));
    assert_eq!(unreadable(&world), 1);
    world.publish(0, 2..4);
    world.turn_until("what is delivered", |world| world.values().len() == 4);
    assert_eq!((&world.streams()[0].state, unreadable(&world)), (&StreamState::Running, 0));
}

#[test]
fn a_partition_of_a_refused_topic_says_why_and_needs_no_new_client() {
    let mut world = World::having_read(1, 2);
    let topic = world.broker.topic().to_owned();
    let refused = std::collections::BTreeMap::from([(topic, "no rights".to_owned())]);
    world.consume.wiring.status.set_refused(refused);
    world.partition_mut(0).stands = Some((Offset(2), Instant::now() - LIMIT));
    (0..3).for_each(|_| not_looked(&mut world, RDKafkaErrorCode::UnknownPartition));
    let StreamState::Unreadable { error, .. } = world.streams()[0].state.clone() else {
        panic!("{:?}", world.streams()[0]);
    };
    assert_eq!((error.as_str(), world.partition(0).refetched), ("no rights", None));
}

#[test]
fn while_the_cluster_is_away_no_partition_is_told_unreadable() {
    let mut world = World::having_read(1, 2);
    world.consume.unreachable("it is away");
    (0..9).for_each(|_| not_looked(&mut world, RDKafkaErrorCode::OperationTimedOut));
    assert_eq!((unreadable(&world), world.partition(0).phase), (0, Phase::Running));
    assert!(matches!(world.consume.wiring.status.state(), State::Reconnecting { .. }));
}

#[test]
fn a_thread_that_does_not_come_back_from_asking_is_told() {
    let mut world = World::having_read(1, 1);
    world.consume.reached(None);
    for (busy, is_told) in [(Duration::ZERO, false), (LIMIT * 2, true), (Duration::ZERO, false)] {
        world.consume.busy = Busy::for_so_long(busy);
        world.consume.turn();
        match world.consume.wiring.status.state() {
            State::Halted { why, .. } if is_told => assert!(why.contains("restart"), "{why}"),
            state => assert_eq!((state, is_told), (State::Running, false)),
        }
    }
    // One that waits may do so for long.
    world.consume.busy = Busy::for_so_long(LIMIT * 2);
    world.consume.busy.wait();
    world.consume.turn();
    assert_eq!(world.consume.wiring.status.state(), State::Running);
}
