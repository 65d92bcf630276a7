//! The state that records make by the rules as they are written down, kept apart from the code
//! under test.

use std::collections::{BTreeMap, BTreeSet};

use pointd::catalog::Counters;
use pointd::filter::{Filter, Subject};
use pointd::operation::{
    Body, Message, Operation, Original, PointVectors, Reason, Redrive, Selector, UpsertPoint,
    to_json,
};
use pointd::point::{FieldSchema, NamedVector, Path, PointId};
use pointd::position::{Fingerprint, Mark, Offset, Position, Seq, Stream, UnixMillis};
use serde_json::{Map, Value};

use super::plan::{Planned, schema};

/// A point as a reader sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct SeenPoint {
    pub version: Seq,
    pub payload: String,
    /// By name.
    pub vectors: BTreeMap<String, Vec<f32>>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct SeenLetter {
    pub seq: Seq,
    pub time: UnixMillis,
    pub position: Option<Position>,
    pub reason: Reason,
    pub original: Original,
    pub collection: Option<String>,
    pub rewritten: bool,
    pub redrives: u32,
    pub redriven_at: Option<Seq>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct SeenStream {
    pub next: Option<Offset>,
    pub suffix: Vec<Fingerprint>,
    pub time: UnixMillis,
    pub records: u64,
}

/// Everything the durable state says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Seen {
    pub applied: Seq,
    pub collections: BTreeMap<String, BTreeMap<PointId, SeenPoint>>,
    /// Of each collection that has some, by field.
    pub indexes: BTreeMap<String, BTreeMap<Path, FieldSchema>>,
    pub streams: BTreeMap<Stream, SeenStream>,
    pub letters: Vec<SeenLetter>,
    pub counters: Counters,
}

/// The states after none, one, two ... of these records.
pub fn states(records: &[Planned]) -> Vec<Seen> {
    let mut model = Model::default();
    let mut states = vec![model.seen.clone()];
    for (record, seq) in records.iter().zip(1..) {
        model.apply(Seq(seq), record);
        states.push(model.seen.clone());
    }
    states
}

#[derive(Default)]
struct Model {
    seen: Seen,
    configured: BTreeSet<String>,
}

impl Model {
    fn apply(&mut self, seq: Seq, record: &Planned) {
        self.seen.applied = seq;
        self.place(record);
        let counters = &mut self.seen.counters;
        let (reason, original, collection) = match &record.body {
            Body::Duplicate => return counters.duplicates += 1,
            Body::Moved { .. } => return counters.moved += 1,
            Body::Start { .. } => return counters.starts += 1,
            Body::DropLetters(dropped) => {
                counters.drops += 1;
                return self.seen.letters.retain(|letter| !dropped.contains(&letter.seq));
            }
            Body::Redrive(redrive) => {
                counters.redrives += 1;
                return self.redrive(seq, redrive);
            }
            Body::Rejected(rejection) => {
                (rejection.refusal.reason, rejection.original.clone(), None)
            }
            Body::Message(message) => match self.change(seq, message) {
                Ok(()) => return self.seen.counters.operations += 1,
                Err(_) if message.waits => return self.seen.counters.refused += 1,
                Err(reason) => {
                    let value = to_json(message).into();
                    (reason, Original { value, ..Original::default() }, Some(&message.collection))
                }
            },
        };
        self.seen.counters.dead_letters += 1;
        self.seen.letters.push(SeenLetter {
            seq,
            time: record.time,
            position: record.position.clone(),
            reason,
            original,
            collection: collection.cloned(),
            rewritten: collection.is_some(),
            redrives: 0,
            redriven_at: None,
        });
    }

    fn redrive(&mut self, seq: Seq, redrive: &Redrive) {
        let found = self.seen.letters.iter().position(|letter| letter.seq == redrive.letter);
        let Some(at) = found else { return };
        let (reason, collection) = match &redrive.attempt {
            Ok(message) => match self.change(seq, message) {
                Ok(()) => {
                    self.seen.letters.remove(at);
                    return;
                }
                Err(reason) => (reason, Some(message.collection.clone())),
            },
            Err(refusal) => (refusal.reason, None),
        };
        let letter = &mut self.seen.letters[at];
        (letter.reason, letter.redriven_at) = (reason, Some(seq));
        letter.collection = collection.or(letter.collection.take());
        letter.redrives += 1;
    }

    fn place(&mut self, record: &Planned) {
        let Some(Position { stream, mark, .. }) = &record.position else { return };
        let delivered = matches!(record.body, Body::Message(_) | Body::Rejected(_));
        if let (Body::Start { forget_others, .. }, Stream::Partition { cluster, partition, .. }) =
            (&record.body, &**stream)
        {
            self.seen.streams.retain(|known, _| match known {
                Stream::Queue { .. } => true,
                Stream::Partition { cluster: other, .. } if other != cluster => !forget_others,
                Stream::Partition { partition: other, .. } => {
                    other != partition || known == &**stream
                }
            });
        }
        let place = self.seen.streams.entry((**stream).clone()).or_default();
        place.records += 1;
        if delivered {
            place.time = record.time;
        }
        match mark {
            Mark::Next(next) => {
                let back = matches!(record.body, Body::Duplicate | Body::Moved { .. });
                let known = place.next.filter(|known| back && known > next);
                place.next = Some(known.unwrap_or(*next));
            }
            Mark::Fingerprint(print) if delivered => place.suffix.push(print.clone()),
            Mark::Fingerprint(_) => {}
        }
    }

    fn change(&mut self, seq: Seq, message: &Message) -> Result<(), Reason> {
        let name = &message.collection;
        let collections = &mut self.seen.collections;
        match &message.operations[..] {
            [Operation::CreateCollection { from_config: true, .. }] => {
                if self.configured.insert(name.clone()) {
                    collections.entry(name.clone()).or_default();
                }
                Ok(())
            }
            [Operation::CreateCollection { .. }] if collections.contains_key(name) => {
                Err(Reason::CollectionExists)
            }
            [Operation::CreateCollection { .. }] => {
                collections.insert(name.clone(), BTreeMap::new());
                Ok(())
            }
            [Operation::DeleteCollection] => {
                self.seen.indexes.remove(name);
                collections.remove(name).map(|_| ()).ok_or(Reason::UnknownCollection)
            }
            [Operation::CreateIndex { .. } | Operation::DeleteIndex { .. }]
                if !collections.contains_key(name) =>
            {
                Err(Reason::UnknownCollection)
            }
            [Operation::CreateIndex { field, schema, .. }] => {
                let indexes = self.seen.indexes.entry(name.clone()).or_default();
                indexes.insert(field.clone(), schema.clone());
                Ok(())
            }
            [Operation::DeleteIndex { field }] => {
                if let Some(indexes) = self.seen.indexes.get_mut(name) {
                    indexes.remove(field);
                }
                self.seen.indexes.retain(|_, indexes| !indexes.is_empty());
                Ok(())
            }
            operations => {
                let points = collections.get_mut(name).ok_or(Reason::UnknownCollection)?;
                let mut staged = points.clone();
                for operation in operations {
                    change_points(seq, operation, &mut staged)?;
                }
                *points = staged;
                Ok(())
            }
        }
    }
}

fn change_points(
    seq: Seq,
    operation: &Operation,
    points: &mut BTreeMap<PointId, SeenPoint>,
) -> Result<(), Reason> {
    match operation {
        Operation::Upsert(upserts) => upsert(seq, upserts, points)?,
        Operation::DeletePoints(Selector::Ids(ids)) => {
            for id in ids {
                points.remove(id);
            }
        }
        Operation::DeletePoints(Selector::Filter(filter)) => {
            points.retain(|id, point| !matches(filter, *id, point));
        }
        Operation::UpdateVectors(updates) => {
            for PointVectors { id, vectors } in updates {
                let point = points.get_mut(id).ok_or(Reason::UnknownPoint)?;
                point.vectors.extend(vectors.iter().map(|it| (it.name.clone(), it.values.clone())));
                point.version = seq;
            }
        }
        Operation::DeleteVectors { points: selector, names } => {
            each(selector, points, |point| {
                let before = point.vectors.len();
                point.vectors.retain(|name, _| !names.contains(name));
                if point.vectors.len() < before {
                    point.version = seq;
                }
            })?;
        }
        Operation::SetPayload { points: selector, payload, key } => {
            let values = payload.to_map().unwrap();
            each_payload(seq, selector, points, |payload| match key {
                Some(key) => key.merge(payload, &values),
                None => payload.extend(values.clone()),
            })?;
        }
        Operation::OverwritePayload { points: selector, payload } => {
            each_payload(seq, selector, points, |old| *old = payload.to_map().unwrap())?;
        }
        Operation::DeletePayload { points: selector, keys } => {
            each_payload(seq, selector, points, |payload| {
                for key in keys {
                    payload.remove(&key.to_string());
                }
            })?;
        }
        Operation::ClearPayload(selector) => {
            each_payload(seq, selector, points, Map::clear)?;
        }
        other => panic!("not an operation on points: {other:?}"),
    }
    Ok(())
}

type Points = BTreeMap<PointId, SeenPoint>;

fn upsert(seq: Seq, upserts: &[UpsertPoint], points: &mut Points) -> Result<(), Reason> {
    for point in upserts {
        let wrong =
            |vector: &NamedVector| schema().vectors[&vector.name].size != vector.values.len();
        if point.vectors.iter().any(wrong) {
            return Err(Reason::WrongDimension);
        }
        let vectors = point.vectors.iter().cloned();
        let seen = SeenPoint {
            version: seq,
            payload: String::from_utf8(point.payload.as_bytes().to_vec()).unwrap(),
            vectors: vectors.map(|vector| (vector.name, vector.values)).collect(),
        };
        points.insert(point.id, seen);
    }
    Ok(())
}

fn matches(filter: &Filter, id: PointId, point: &SeenPoint) -> bool {
    let payload = serde_json::from_str(&point.payload).unwrap();
    let has_vector = |name: &str| point.vectors.contains_key(name);
    filter.matches(&Subject { id, payload: &payload, has_vector: &has_vector, text: &|_| None })
}

fn each(
    selector: &Selector,
    points: &mut Points,
    mut change: impl FnMut(&mut SeenPoint),
) -> Result<(), Reason> {
    let ids: Vec<PointId> = match selector {
        Selector::Ids(ids) => ids.clone(),
        Selector::Filter(filter) => {
            let matching = points.iter().filter(|(id, point)| matches(filter, **id, point));
            matching.map(|(id, _)| *id).collect()
        }
    };
    for id in ids {
        change(points.get_mut(&id).ok_or(Reason::UnknownPoint)?);
    }
    Ok(())
}

fn each_payload(
    seq: Seq,
    selector: &Selector,
    points: &mut Points,
    mut change: impl FnMut(&mut Map<String, Value>),
) -> Result<(), Reason> {
    each(selector, points, |point| {
        let mut payload = serde_json::from_str(&point.payload).unwrap();
        change(&mut payload);
        point.payload = Value::Object(payload).to_string();
        point.version = seq;
    })
}
