//! What the log of a stopped daemon says it recorded, compared with what was published.

use std::collections::BTreeMap;
use std::path::Path;

use pointd::disk::Disk;
use pointd::operation::{Body, decode};
use pointd::position::{Position, Seq};
use pointd::wal::{Anchor, LogId, Options, Wal};
use serde_json::{Value, json};

use super::model::{Model, Point};
use super::plan;
use crate::harness::Pointd;

/// One record of the log that came from a broker.
pub struct Recorded {
    pub position: Position,
    pub body: Body,
}

/// Every record with a position, in order. The log must be whole: no checkpoint has cut it.
pub fn records(data: &Path) -> Vec<Recorded> {
    let copy = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(data.join("wal")).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
    }
    let manifest = std::fs::read_to_string(data.join("MANIFEST")).unwrap();
    let (manifest, _) = manifest.trim_end().rsplit_once('\n').unwrap();
    let manifest: Value = serde_json::from_str(manifest).unwrap();
    assert_eq!(manifest["seq"], json!(0), "a checkpoint has cut the log");
    let log_id = LogId(manifest["log_id"].as_str().unwrap().parse().unwrap());
    let anchor = Anchor { log_id, applied: Seq(0) };
    let mut records = Vec::new();
    let opened =
        Wal::open(&Disk::new(), copy.path(), Options::default(), Some(anchor), &mut |it| {
            if let Some(position) = it.position {
                let body = decode(it.body).unwrap();
                records.push(Recorded { position, body });
            }
            Ok::<(), std::io::Error>(())
        });
    opened.unwrap();
    records
}

/// The serial numbers of the messages in the log, in its order, duplicates left out. `serial`
/// says which message a record is of.
pub fn serials(records: &[Recorded], serial: impl Fn(&Position) -> u64) -> Vec<u64> {
    let delivered = |body: &Body| matches!(body, Body::Message(_) | Body::Rejected(_));
    let messages = records.iter().filter(|record| delivered(&record.body));
    messages.map(|record| serial(&record.position)).collect()
}

/// How many came again and were recognised.
pub fn duplicates(records: &[Recorded]) -> usize {
    records.iter().filter(|record| record.body == Body::Duplicate).count()
}

/// Every message below `count` is there once, and no other.
pub fn assert_each_once(serials: &[u64], count: u64) {
    // With their places in the log: how far apart the same one was, tells who should have known it.
    let mut places: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
    for (place, serial) in serials.iter().enumerate() {
        places.entry(*serial).or_default().push(place);
    }
    let lost: Vec<u64> = (0..count).filter(|serial| !places.contains_key(serial)).collect();
    let twice: Vec<_> = places.iter().filter(|(_, places)| places.len() > 1).collect();
    let strange: Vec<_> = places.keys().filter(|serial| **serial >= count).collect();
    assert!(
        lost.is_empty() && twice.is_empty() && strange.is_empty(),
        "of {count} messages: lost {lost:?}, more than once {twice:?}, unknown {strange:?}"
    );
}

/// The state that these messages make in this order.
pub fn replay(serials: &[u64]) -> Model {
    replay_of(serials, plan::text)
}

/// The same, of messages with another text.
pub fn replay_of(serials: &[u64], text: fn(u64) -> String) -> Model {
    let mut model = Model::default();
    serials.iter().for_each(|serial| model.apply(&text(*serial)));
    model
}

/// Everything a reader sees.
pub fn seen(pointd: &Pointd) -> BTreeMap<u64, Point> {
    let body = json!({"limit": 10_000, "with_payload": true, "with_vector": true});
    let page = pointd.post(&format!("/collections/{}/points/scroll", plan::COLLECTION), &body);
    let points = page["result"]["points"].as_array().unwrap();
    let point = |point: &Value| {
        let (vector, payload) = (point["vector"].clone(), point["payload"].as_object().unwrap());
        (point["id"].as_u64().unwrap(), Point { vector, payload: payload.clone() })
    };
    points.iter().map(point).collect()
}

#[track_caller]
pub fn assert_same(seen: &BTreeMap<u64, Point>, expected: &BTreeMap<u64, Point>) {
    for id in seen.keys().chain(expected.keys()) {
        assert_eq!(seen.get(id), expected.get(id), "point {id}: seen, expected");
    }
}
