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
    let Arguments { points, runs, .. } = Arguments::parse();
    println!("{points} points");
    let indexes = Indexes::build(points);
    println!("\n{:<34} {:>10} {:>10} {:>10}", "question", "sure", "maybe", "median µs");
    let red = indexes.ask_values(runs, points);
    let cheap =
        ask(runs, "price in a range of 50 %", &indexes.price, json!({"range": {"lt": 0.5}}));
    let half = indexes.ask_places(runs);
    question(runs, "(color and price) or place", || IndexAnswer {
        sure: (&red & &cheap) | &half,
        maybe: RoaringBitmap::new(),
    });
    question(runs, "price and not place", || IndexAnswer {
        sure: &cheap - &half,
        maybe: RoaringBitmap::new(),
    });
    question(runs, "the first 100 by price", || {
        let page = indexes.price.ordered(None, Direction::Ascending).into_iter().flatten();
        let sure = page.take(100).map(|(_, slot)| slot).collect();
        IndexAnswer { sure, maybe: RoaringBitmap::new() }
    });
}

/// Those that are asked something.
struct Indexes {
    color: FieldIndex,
    brand: FieldIndex,
    number: FieldIndex,
    price: FieldIndex,
    flag: FieldIndex,
    place: FieldIndex,
    text: FieldIndex,
}

impl Indexes {
    fn build(points: u32) -> Indexes {
        println!(
            "{:<22} {:>10} {:>10} {:>9} {:>9}",
            "index", "extract s", "insert s", "rss MB", "own MB"
        );
        let made = |name: &str, data_type, value: &dyn Fn(u32) -> Value| {
            build(name, data_type, points, value)
        };
        let keyword = FieldType::Keyword;
        let _unique =
            made("keyword, unique", keyword, &|n| json!(format!("key-{:016x}", random(n))));
        let _uuid = made("uuid, unique", FieldType::Uuid, &|n| json!(uuid(n)));
        let _growing = made("integer, growing", FieldType::Integer, &|n| json!(n));
        let mixed = |n: u32| u64::from(n) * 7_368_787 % u64::from(points);
        let place = |n: u32| json!({"lon": fraction(n) * 360.0 - 180.0, "lat": fraction(n + points) * 180.0 - 90.0});
        Indexes {
            color: made("keyword, 10 values", keyword, &|n| {
                json!(format!("color-{}", random(n) % 10))
            }),
            brand: made("keyword, 100 000", keyword, &|n| {
                json!(format!("brand-{}", random(n) % 100_000))
            }),
            number: made("integer, unique", FieldType::Integer, &|n| json!(mixed(n))),
            price: made("float, random", FieldType::Float, &|n| json!(fraction(n))),
            flag: made("bool", FieldType::Bool, &|n| json!(random(n).is_multiple_of(2))),
            place: made("geo, random", FieldType::Geo, &place),
            text: made("text, 8 words", FieldType::Text, &|n| json!(sentence(n))),
        }
    }

    /// Gives the slots of one colour.
    fn ask_values(&self, runs: usize, points: u32) -> RoaringBitmap {
        let ask = |name: &str, index, condition| ask(runs, name, index, condition);
        let three = json!({"match": {"any": ["color-1", "color-2", "color-3"]}});
        ask("color in 3 of 10", &self.color, three);
        ask("color except 1 of 10", &self.color, json!({"match": {"except": ["color-1"]}}));
        ask("brand = one of 100 000", &self.brand, json!({"match": {"value": "brand-77"}}));
        ask("number = one", &self.number, json!({"match": {"value": 77}}));
        ask("flag = true", &self.flag, json!({"match": {"value": true}}));
        ask("text with two words", &self.text, json!({"match": {"text": "w7 w11"}}));
        for percent in [1, 50, 100] {
            let below = u64::from(points) * percent / 100;
            let name = format!("number in a range of {percent} %");
            ask(&name, &self.number, json!({"range": {"gte": 0, "lt": below}}));
        }
        ask("color = one of 10", &self.color, json!({"match": {"value": "color-3"}}))
    }

    /// Gives the slots of half the globe.
    fn ask_places(&self, runs: usize) -> RoaringBitmap {
        let ask = |name: &str, condition| ask(runs, name, &self.place, condition);
        let center = json!({"lon": 2.35, "lat": 48.86});
        ask("place within 100 km", json!({"geo_radius": {"center": center, "radius": 1e5}}));
        ask("place within 5 000 km", json!({"geo_radius": {"center": center, "radius": 5e6}}));
        let corners = [(-10, 35), (30, 35), (40, 60), (0, 65), (-10, 35)];
        let corners = corners.map(|(lon, lat)| json!({"lon": lon, "lat": lat}));
        let polygon = json!({"geo_polygon": {"exterior": {"points": corners}}});
        ask("place in a polygon", polygon);
        let (top_left, bottom_right) =
            (json!({"lon": -90.1, "lat": 89.9}), json!({"lon": 90.1, "lat": -89.9}));
        let globe = json!({"top_left": top_left, "bottom_right": bottom_right});
        ask("place in a box of half the globe", json!({ "geo_bounding_box": globe }))
    }
}

fn ask(runs: usize, name: &str, index: &FieldIndex, condition: Value) -> RoaringBitmap {
    let predicate = predicate(condition);
    question(runs, name, || index.answer(&predicate).unwrap_or_default())
}

fn build(
    name: &str,
    data_type: FieldType,
    points: u32,
    value: &dyn Fn(u32) -> Value,
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
