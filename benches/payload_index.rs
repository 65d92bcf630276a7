//! What payload indexes cost, and what they answer in.
//!
//! Builds an index of each kind over the same number of points, as a collection does: extract
//! from the payload, then insert. Memory is the growth of the resident set, beside the index's own
//! estimate. Answers are bitmaps of slots; each time is the median of some runs.
//!
//! `cargo bench --bench payload_index -- --points 1000000`

use std::hint::black_box;
use std::time::{Duration, Instant};

use clap::Parser;
use pointd::filter::{Condition, Filter, Predicate};
use pointd::index::{Direction, FieldIndex, IndexAnswer};
use pointd::point::{FieldSchema, FieldType};
use roaring::RoaringBitmap;
use serde_json::{Map, Value, json};

#[derive(Parser)]
struct Arguments {
    #[arg(long, default_value_t = 1_000_000)]
    points: u32,
    /// Runs of each question.
    #[arg(long, default_value_t = 15)]
    runs: usize,
    /// cargo passes this to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
}

/// Points between two looks at the clock.
const BATCH: u32 = 4096;

fn main() {
    let arguments = Arguments::parse();
    let points = arguments.points;
    println!("{points} points");
    println!(
        "{:<22} {:>10} {:>10} {:>9} {:>9}",
        "index", "extract s", "insert s", "rss MB", "own MB"
    );
    let color = build("keyword, 10 values", FieldType::Keyword, points, |n| {
        json!(format!("color-{}", random(n) % 10))
    });
    let brand = build("keyword, 100 000", FieldType::Keyword, points, |n| {
        json!(format!("brand-{}", random(n) % 100_000))
    });
    let _unique = build("keyword, unique", FieldType::Keyword, points, |n| {
        json!(format!("key-{:016x}", random(n)))
    });
    let _uuid = build("uuid, unique", FieldType::Uuid, points, |n| json!(uuid(n)));
    let _growing = build("integer, growing", FieldType::Integer, points, |n| json!(n));
    let number = build("integer, unique", FieldType::Integer, points, |n| {
        json!(u64::from(n) * 7_368_787 % u64::from(points))
    });
    let price = build("float, random", FieldType::Float, points, |n| json!(fraction(n)));
    let flag = build("bool", FieldType::Bool, points, |n| json!(random(n) % 2 == 0));
    let place = build(
        "geo, random",
        FieldType::Geo,
        points,
        |n| json!({"lon": fraction(n) * 360.0 - 180.0, "lat": fraction(n + points) * 180.0 - 90.0}),
    );
    let text = build("text, 8 words", FieldType::Text, points, |n| json!(sentence(n)));

    println!("\n{:<34} {:>10} {:>10} {:>10}", "question", "sure", "maybe", "median µs");
    let ask = |name: &str, index: &FieldIndex, condition: Value| {
        let predicate = predicate(condition);
        question(arguments.runs, name, || index.answer(&predicate).unwrap_or_default())
    };
    let red = ask("color = one of 10", &color, json!({"match": {"value": "color-3"}}));
    ask("color in 3 of 10", &color, json!({"match": {"any": ["color-1", "color-2", "color-3"]}}));
    ask("color except 1 of 10", &color, json!({"match": {"except": ["color-1"]}}));
    ask("brand = one of 100 000", &brand, json!({"match": {"value": "brand-77"}}));
    ask("number = one", &number, json!({"match": {"value": 77}}));
    ask("flag = true", &flag, json!({"match": {"value": true}}));
    for percent in [1, 50, 100] {
        let below = u64::from(points) * percent / 100;
        let name = format!("number in a range of {percent} %");
        ask(&name, &number, json!({"range": {"gte": 0, "lt": below}}));
    }
    let cheap = ask("price in a range of 50 %", &price, json!({"range": {"lt": 0.5}}));
    let (lon, lat) = (2.35, 48.86);
    ask(
        "place within 100 km",
        &place,
        json!({"geo_radius": {"center": {"lon": lon, "lat": lat}, "radius": 1e5}}),
    );
    ask(
        "place within 5 000 km",
        &place,
        json!({"geo_radius": {"center": {"lon": lon, "lat": lat}, "radius": 5e6}}),
    );
    let half = ask(
        "place in a box of half the globe",
        &place,
        json!({"geo_bounding_box": {
            "top_left": {"lon": -90.1, "lat": 89.9}, "bottom_right": {"lon": 90.1, "lat": -89.9}
        }}),
    );
    ask(
        "place in a polygon",
        &place,
        json!({"geo_polygon": {"exterior": {"points": [
            {"lon": -10, "lat": 35}, {"lon": 30, "lat": 35}, {"lon": 40, "lat": 60}, {"lon": 0, "lat": 65},
            {"lon": -10, "lat": 35}
        ]}}}),
    );
    ask("text with two words", &text, json!({"match": {"text": "w7 w11"}}));

    question(arguments.runs, "(color and price) or place", || IndexAnswer {
        sure: (&red & &cheap) | &half,
        maybe: RoaringBitmap::new(),
    });
    question(arguments.runs, "price and not place", || IndexAnswer {
        sure: &cheap - &half,
        maybe: RoaringBitmap::new(),
    });
    question(arguments.runs, "the first 100 by price", || {
        let page = price.ordered(None, Direction::Ascending).into_iter().flatten().take(100);
        IndexAnswer { sure: page.map(|(_, slot)| slot).collect(), maybe: RoaringBitmap::new() }
    });
}

fn build(
    name: &str,
    data_type: FieldType,
    points: u32,
    value: impl Fn(u32) -> Value,
) -> FieldIndex {
    let resident_before = resident_bytes();
    let schema = FieldSchema::from(data_type);
    let field = "field".parse().expect("a key");
    let mut index = FieldIndex::new(&field, &schema).expect("an index without parameters");
    let (mut extracting, mut inserting) = (Duration::ZERO, Duration::ZERO);
    for first in (0..points).step_by(BATCH as usize) {
        let slots = first..points.min(first + BATCH);
        let payloads: Vec<Map<String, Value>> =
            slots.clone().map(|n| Map::from_iter([("field".to_owned(), value(n))])).collect();
        let started = Instant::now();
        let entries: Vec<_> = payloads.iter().map(|payload| index.extract(payload)).collect();
        extracting += started.elapsed();
        let started = Instant::now();
        for (slot, entries) in slots.zip(&entries) {
            index.insert(slot, entries);
        }
        inserting += started.elapsed();
    }
    println!(
        "{name:<22} {:>10.2} {:>10.2} {:>9.1} {:>9.1}",
        extracting.as_secs_f64(),
        inserting.as_secs_f64(),
        resident_bytes().saturating_sub(resident_before) as f64 / 1e6,
        index.bytes() as f64 / 1e6,
    );
    index
}

/// Prints a question's line, and gives what is sure.
fn question(runs: usize, name: &str, ask: impl Fn() -> IndexAnswer) -> RoaringBitmap {
    let mut times: Vec<Duration> = (0..runs)
        .map(|_| {
            let started = Instant::now();
            black_box(ask());
            started.elapsed()
        })
        .collect();
    times.sort_unstable();
    let answer = ask();
    let median = times[runs / 2].as_secs_f64() * 1e6;
    println!("{name:<34} {:>10} {:>10} {median:>10.1}", answer.sure.len(), answer.maybe.len());
    answer.sure
}

fn predicate(mut condition: Value) -> Predicate {
    condition["key"] = "field".into();
    let filter: Filter = serde_json::from_value(json!({"must": [condition]})).expect("a filter");
    match filter.must.into_iter().next() {
        Some(Condition::Field(mut field)) => field.predicates.remove(0),
        other => panic!("{other:?} is not on a field"),
    }
}

/// The same for the same number, and as if by chance.
fn random(n: u32) -> u64 {
    let mut bits = (u64::from(n) + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    bits = (bits ^ bits >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits = (bits ^ bits >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    bits ^ bits >> 31
}

/// From 0 to 1.
fn fraction(n: u32) -> f64 {
    random(n) as f64 / u64::MAX as f64
}

fn uuid(n: u32) -> String {
    let (high, low) = (random(n), random(!n));
    format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        high >> 32,
        high >> 16 & 0xFFFF,
        high & 0xFFFF,
        low >> 48,
        low & 0xFFFF_FFFF_FFFF
    )
}

/// Words of which the first are much more frequent than the last.
fn sentence(n: u32) -> String {
    let word = |at: u32| format!("w{}", (20_000.0 * fraction(n * 8 + at).powi(4)) as u32);
    (0..8).map(word).collect::<Vec<_>>().join(" ")
}

fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok());
    pages.unwrap_or(0) * 4096
}
