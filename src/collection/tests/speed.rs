//! Prints figures. Run by hand, alone on the machine.

use std::hint::black_box;
use std::time::{Duration, Instant};

use serde_json::json;

use super::*;

const POINTS: u64 = 200_000;
const SIZE: usize = 128;

fn timed<T>(what: &str, count: u64, run: impl FnOnce() -> T) -> T {
    let begun = Instant::now();
    let result = run();
    let spent: Duration = begun.elapsed();
    let each = spent.as_secs_f64() * 1e6 / count as f64;
    println!("{what}: {spent:.2?}, {each:.2} us each");
    result
}

#[test]
#[ignore = "prints figures"]
fn speed() {
    let directory = tempfile::tempdir().unwrap();
    let schema = || Schema::unnamed(SIZE, Distance::Cosine);
    let collection = create(directory.path(), schema(), CollectionOptions::default());
    let messages: Vec<Operation> = (0..POINTS)
        .map(|id| {
            let value = |at| ((id * 31 + at * 17) % 101) as f32 - 50.0;
            let vector: Vec<f32> = (0..SIZE as u64).map(value).collect();
            let color = ["red", "blue", "green"][id as usize % 3];
            upsert(number(id), vec![named("", &vector)], json!({"color": color, "n": id}))
        })
        .collect();
    for round in ["new points", "points replaced"] {
        timed(round, POINTS, || {
            for message in &messages {
                let seq = collection.read().seq.next();
                collection.apply(seq, std::slice::from_ref(message)).unwrap();
            }
        });
    }
    println!("head: {} MB", collection.head_bytes() / 1_000_000);
    let sealed = timed("seal", 1, || collection.seal());
    let flushed = timed("flush", 2 * POINTS, || collection.flush(sealed).unwrap());
    let files = collection.files_with(&flushed);
    timed("install", 1, || collection.install(flushed).unwrap());
    timed("merges", 2 * POINTS, || merge_all(&collection));
    let files = {
        drop(files);
        checkpoint(&collection)
    };
    drop(collection);
    let collection = timed("open", POINTS, || {
        open(directory.path(), schema(), CollectionOptions::default(), &files).unwrap()
    });
    let vector: Vec<f32> = (0..SIZE).map(|at| at as f32).collect();
    let mut search = search("", Query::Vector(vector), 10);
    search.exact = true;
    timed("exact search, per row", 20 * POINTS, || {
        for _ in 0..20 {
            black_box(collection.search(&search).unwrap());
        }
    });
    let red = filter(json!({"must": [{"key": "color", "match": {"value": "red"}}]}));
    timed("count by payload, per point", POINTS, || collection.count(&red));
    let every: Vec<PointId> = (0..POINTS).step_by(7).map(number).collect();
    timed("retrieve", every.len() as u64, || {
        for ids in every.chunks(100) {
            black_box(collection.retrieve(ids, &everything()).unwrap());
        }
    });
}
