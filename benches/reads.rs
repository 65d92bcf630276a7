//! What reads cost: count and scroll, with an indexed filter and without, by the number of points
//! and by the size of their payloads.
//!
//! The collections are on the disk as a checkpoint leaves them: payloads are in mapped files.
//! Each figure is the median of some runs, in microseconds. A read that returned no payload and
//! still touched them would take longer where they are larger.
//!
//! `cargo bench --bench reads -- --points 1000000`

use std::hint::black_box;
use std::path::Path;
use std::time::Instant;

use clap::Parser;
use pointd::collection::{
    Collection, CollectionOptions, Ordered, PayloadSelect, Scroll, Select, VectorSelect,
};
use pointd::disk::Disk;
use pointd::filter::Filter;
use pointd::index::Direction;
use pointd::metrics::Metrics;
use pointd::operation::{Operation, UpsertPoint};
use pointd::point::{Distance, FieldType, Payload, PointId, Schema};
use pointd::position::Seq;
use serde_json::{Value, json};

#[derive(Parser)]
struct Arguments {
    #[arg(long, default_value_t = 1_000_000)]
    points: u64,
    /// Runs of each read.
    #[arg(long, default_value_t = 15)]
    runs: usize,
    /// cargo passes this to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
}

const MESSAGE_POINTS: u64 = 1000;

/// One in ten has each of ten colours; the number is spread evenly over 0 to 1.
fn payload(number: u64, filler: &str) -> Payload {
    let spread = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let value = json!({
        "color": format!("color-{}", spread % 10),
        "number": (spread >> 11) as f64 / (1_u64 << 53) as f64,
        "filler": filler,
    });
    match value {
        Value::Object(map) => Payload::from_map(&map),
        _ => unreachable!("written above"),
    }
}

fn collection(directory: &Path, points: u64, filler_bytes: usize) -> Collection {
    let (options, schema) = (CollectionOptions::default(), Schema::unnamed(1, Distance::Dot));
    let directory = directory.join(format!("{points}-{filler_bytes}"));
    let collection =
        Collection::create("c", directory, schema, options, Disk::new(), Metrics::new());
    for (field, data_type) in [("color", FieldType::Keyword), ("number", FieldType::Float)] {
        let field = field.parse().expect("a plain key");
        collection.create_index(Seq(0), &field, &data_type.into()).expect("no parameters");
    }
    let filler = "x".repeat(filler_bytes);
    for first in (0..points).step_by(MESSAGE_POINTS as usize) {
        let numbers = first..points.min(first + MESSAGE_POINTS);
        let point = |number| UpsertPoint {
            id: PointId::Number(number),
            vectors: Vec::new(),
            payload: payload(number, &filler),
        };
        let message = [Operation::Upsert(numbers.map(point).collect())];
        collection.apply(Seq(first + 1), &message).expect("it fits the schema");
    }
    while collection.fill_index() {}
    let flushed = collection.flush(collection.seal()).expect("room on the disk");
    collection.install(flushed).expect("what was just written");
    collection
}

struct Bench {
    runs: usize,
}

impl Bench {
    /// Microseconds, the median.
    fn time<T>(&self, mut read: impl FnMut() -> T) -> f64 {
        black_box(read());
        let mut times: Vec<f64> = (0..self.runs)
            .map(|_| {
                let begun = Instant::now();
                black_box(read());
                begun.elapsed().as_secs_f64() * 1e6
            })
            .collect();
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    }
}

fn filter(json: Value) -> Filter {
    serde_json::from_value(json).expect("a filter")
}

fn red() -> Filter {
    filter(json!({"must": [{"key": "color", "match": {"value": "color-3"}}]}))
}

fn below(share: f64) -> Filter {
    filter(json!({"must": [{"key": "number", "range": {"lt": share}}]}))
}

fn page(collection: &Collection, filter: Filter, from: u64) -> usize {
    let select = Select { payload: PayloadSelect::None, vectors: VectorSelect::None };
    let offset = Some(PointId::Number(from));
    let scroll = Scroll { filter, offset, limit: 100, select };
    collection.scroll(&scroll).expect("nothing is selected").points.len()
}

fn ordered_page(collection: &Collection, filter: Filter) -> usize {
    let ordered = Ordered {
        filter,
        key: "number".parse().expect("a plain key"),
        direction: Direction::Descending,
        start_from: None,
        limit: 100,
        select: Select::default(),
    };
    collection.ordered(&ordered).expect("it has an index").len()
}

fn row(what: &str, figures: &[f64]) {
    let figures: Vec<String> = figures.iter().map(|figure| format!("{figure:>14.1}")).collect();
    println!("{what:<44}{}", figures.join(""));
}

fn main() {
    let arguments = Arguments::parse();
    let bench = Bench { runs: arguments.runs };
    let directory = tempfile::tempdir().expect("a temporary directory");
    by_points(&bench, directory.path(), arguments.points);
    by_payload(&bench, directory.path(), arguments.points / 10);
}

fn by_points(bench: &Bench, directory: &Path, points: u64) {
    let sizes = [points / 100, points / 10, points];
    let collections = sizes.map(|points| collection(directory, points, 40));
    println!("microseconds, by the number of points");
    println!("{:<44}{}", "", sizes.map(|points| format!("{points:>14}")).join(""));
    let each = |what: &str, read: &dyn Fn(&Collection, u64)| {
        let times: Vec<f64> = collections
            .iter()
            .zip(sizes)
            .map(|(collection, points)| bench.time(|| read(collection, points)))
            .collect();
        row(what, &times);
    };
    let count = |filter: Filter| {
        move |collection: &Collection, _| {
            black_box(collection.count(&filter));
        }
    };
    each("count, all", &count(Filter::default()));
    each("count, keyword of 10 %", &count(red()));
    each("count, range of 1 %", &count(below(0.01)));
    each("count, range of 50 %", &count(below(0.5)));
    each("count, range of 100 %", &count(below(2.0)));
    each(
        "count, not the keyword and below 50 %",
        &count(filter(json!({
            "must": [{"key": "number", "range": {"lt": 0.5}}],
            "must_not": [{"key": "color", "match": {"value": "color-3"}}],
        }))),
    );
    let scroll = |filter: Filter| {
        move |collection: &Collection, points: u64| {
            black_box(page(collection, filter.clone(), points / 2));
        }
    };
    each("scroll, a page of 100 from the middle", &scroll(Filter::default()));
    each("scroll, such a page, keyword of 10 %", &scroll(red()));
    each("scroll, such a page, range of 0.1 %", &scroll(below(0.001)));
    each("scroll by number, first page, keyword", &|collection: &Collection, _| {
        black_box(ordered_page(collection, red()));
    });
}

fn by_payload(bench: &Bench, directory: &Path, points: u64) {
    let sizes = [0, 400, 4000];
    let collections = sizes.map(|bytes| collection(directory, points, bytes));
    println!("\nmicroseconds, {points} points, by the bytes that their payloads have more");
    println!("{:<44}{}", "", sizes.map(|bytes| format!("{bytes:>14}")).join(""));
    let each = |what: &str, read: &dyn Fn(&Collection)| {
        let times: Vec<f64> =
            collections.iter().map(|collection| bench.time(|| read(collection))).collect();
        row(what, &times);
    };
    each("count, keyword of 10 %, indexed", &|collection: &Collection| {
        black_box(collection.count(&red()));
    });
    each("count, range of 50 %, indexed", &|collection: &Collection| {
        black_box(collection.count(&below(0.5)));
    });
    each("scroll, 100 without payload, indexed", &|collection: &Collection| {
        black_box(page(collection, red(), points / 2));
    });
    let filler = filter(json!({"must_not": [{"is_empty": {"key": "filler"}}]}));
    each("count, on a key without an index", &|collection: &Collection| {
        black_box(collection.count(&filler));
    });
}
