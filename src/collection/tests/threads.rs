//! Readers on other threads, while messages, checkpoints and merges go on.
//!
//! Every message makes or replaces one set of points and deletes all others; each point it makes
//! has the message's seq in its payload and in both of its vectors. So whatever a reader sees
//! must have one seq throughout, and as many points as a message makes.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use serde_json::json;

use super::*;
use crate::index::Direction;
use crate::point::FieldType;

const POINTS: u64 = 5;
const MESSAGES: u64 = 3000;

fn two_vectors() -> Schema {
    let params = VectorParams { size: 2, distance: Distance::Euclid };
    Schema { vectors: BTreeMap::from([("a".to_owned(), params.clone()), ("b".to_owned(), params)]) }
}

fn all_ids() -> Vec<PointId> {
    (0..POINTS * 3).map(number).collect()
}

fn message(seq: u64) -> Vec<Operation> {
    // The same points a few times, then others in their slots.
    let first = seq / 4 % 3 * POINTS;
    let made = first..first + POINTS;
    let others = all_ids().into_iter().filter(|id| !made.clone().any(|made| number(made) == *id));
    let vector = [seq as f32, 0.0];
    let points = made.clone().map(|id| {
        let vectors = vec![named("a", &vector), named("b", &vector)];
        point(number(id), vectors, json!({"seq": seq}))
    });
    vec![
        Operation::DeletePoints(Selector::Ids(others.collect())),
        Operation::Upsert(points.collect()),
    ]
}

/// All points are of one message, and all of its points are there.
fn check(points: &[PointView], what: &str) {
    assert_eq!(points.len() as u64, POINTS, "{what}: {points:?}");
    let seq = points[0].version;
    for point in points {
        assert_eq!(point.version, seq, "{what}: {points:?}");
        let json = json!({"seq": seq.0});
        assert_eq!(point.payload, Some(payload(json)), "{what}");
        for (_, vector) in point.vectors.as_ref().unwrap() {
            assert_eq!(vector[..], [seq.0 as f32, 0.0], "{what}");
        }
        assert_eq!(point.vectors.as_ref().unwrap().len(), 2, "{what}");
    }
}

fn read(collection: &Collection, turn: u64) {
    match turn % 7 {
        0 => check(&collection.retrieve(&all_ids(), &everything()).unwrap(), "retrieve"),
        1 => {
            let (filter, select) = (Filter::default(), everything());
            let scroll = Scroll { filter, offset: None, limit: 100, select };
            check(&collection.scroll(&scroll).unwrap().points, "scroll");
        }
        2 => assert_eq!(collection.count(&Filter::default()), POINTS),
        3 => {
            let filter = filter(json!({"must_not": [{"key": "seq", "match": {"value": 0}}]}));
            assert_eq!(collection.count(&filter), POINTS);
        }
        4 => {
            let filter = filter(json!({"must": [{"key": "seq", "range": {"gte": 1}}]}));
            assert_eq!(collection.count(&filter), POINTS);
        }
        5 => {
            let ordered = Ordered {
                filter: filter(json!({"must": [{"key": "seq", "range": {"gte": 1}}]})),
                key: "seq".parse().unwrap(),
                direction: Direction::Ascending,
                start_from: None,
                limit: 100,
                select: everything(),
            };
            // While there is no index, there is no order.
            if let Ok(found) = collection.ordered(&ordered) {
                check(&found.into_iter().map(|(point, _)| point).collect::<Vec<_>>(), "order");
            }
        }
        _ => {
            let vector = if turn.is_multiple_of(2) { "a" } else { "b" };
            let mut search = search(vector, Query::Vector(vec![0.0, 0.0]), 100);
            search.select = everything();
            if turn.is_multiple_of(3) {
                search.filter = filter(json!({"must_not": [{"key": "x", "match": {"value": 0}}]}));
            }
            let found = collection.search(&search).unwrap();
            for scored in &found {
                assert_eq!(scored.score, scored.point.version.0 as f32);
            }
            let points: Vec<PointView> = found.into_iter().map(|scored| scored.point).collect();
            check(&points, "search");
        }
    }
}

#[test]
fn readers_see_all_of_a_message_or_none_of_it() {
    let directory = tempfile::tempdir().unwrap();
    let collection = create(directory.path(), two_vectors(), eager());
    collection.apply(Seq(1), &message(1)).unwrap();
    let (done, reads) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        let readers: Vec<_> = (0..2)
            .map(|first| {
                let (done, reads, collection) = (&done, &reads, &collection);
                scope.spawn(move || {
                    for turn in first.. {
                        if done.load(Ordering::Acquire) {
                            break;
                        }
                        read(collection, turn);
                        reads.fetch_add(1, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        let maintenance = scope.spawn(|| {
            while !done.load(Ordering::Acquire) {
                checkpoint(&collection);
                merge_all(&collection);
            }
        });
        scope.spawn(|| {
            while !done.load(Ordering::Acquire) {
                collection.fill_index();
            }
        });
        let (mut seq, field) = (1, "seq".parse().unwrap());
        // Enough of both, however the threads are scheduled.
        while (seq < MESSAGES || reads.load(Ordering::Relaxed) < 2000)
            && readers.iter().all(|reader| !reader.is_finished())
            && !maintenance.is_finished()
        {
            seq += 1;
            collection.apply(Seq(seq), &message(seq)).unwrap();
            match seq % 40 {
                0 => collection.create_index(Seq(seq), &field, &FieldType::Integer.into()).unwrap(),
                30 => collection.delete_index(Seq(seq), &field),
                _ => {}
            }
        }
        done.store(true, Ordering::Release);
    });
    let files = checkpoint(&collection);
    drop(collection);
    let collection = open(directory.path(), two_vectors(), eager(), &files).unwrap();
    for turn in 0..7 {
        read(&collection, turn);
    }
}

/// Scoring many points takes long enough for messages to change the closest ones meanwhile, time
/// and again: the search begins anew, and in the end keeps the lock.
#[test]
fn a_search_answers_no_point_that_changed_after_it_was_scored() {
    let directory = tempfile::tempdir().unwrap();
    let collection = create(directory.path(), two_vectors(), eager());
    let far = (1000..40_000).map(|id| {
        let vectors = vec![named("a", &[1e9, id as f32])];
        point(number(id), vectors, json!({}))
    });
    collection.apply(Seq(1), &[Operation::Upsert(far.collect())]).unwrap();
    collection.apply(Seq(2), &message(2)).unwrap();
    let (searches, overtaken) = (AtomicU64::new(0), AtomicU64::new(0));
    thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut search = search("a", Query::Vector(vec![0.0, 0.0]), POINTS as usize);
            search.select = everything();
            while searches.load(Ordering::Relaxed) < 100 || overtaken.load(Ordering::Relaxed) < 20 {
                let before = collection.read().seq;
                let found = collection.search(&search).unwrap();
                for scored in &found {
                    assert_eq!(scored.score, scored.point.version.0 as f32);
                }
                let points: Vec<PointView> = found.into_iter().map(|scored| scored.point).collect();
                check(&points, "search");
                searches.fetch_add(1, Ordering::Relaxed);
                overtaken.fetch_add(u64::from(collection.read().seq > before), Ordering::Relaxed);
            }
        });
        for seq in 3.. {
            if reader.is_finished() {
                break;
            }
            collection.apply(Seq(seq), &message(seq)).unwrap();
        }
    });
}
