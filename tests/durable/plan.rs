//! A run of random records: the same seed gives the same ones.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use pointd::operation::{
    Body, Message, Operation, Original, PointVectors, Reason, Redrive, Refusal, Rejection,
    Selector, UpsertPoint,
};
use pointd::point::{Distance, FieldType, NamedVector, Payload, PointId, Schema, VectorParams};
use pointd::position::{Fingerprint, Mark, Offset, Position, Seq, Stream, UnixMillis};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::json;
use uuid::Uuid;

use super::model::{self, Seen};

#[derive(Clone, Debug)]
pub struct Planned {
    pub time: UnixMillis,
    pub position: Option<Position>,
    pub body: Body,
}

pub struct Plan {
    /// Record `seq` is at `seq - 1`.
    pub records: Vec<Planned>,
    /// The state after record `seq` is at `seq`.
    pub states: Vec<Seen>,
}

impl Plan {
    pub fn new(seed: u64, length: usize) -> Plan {
        Plan::of(Chance::new(seed, 3), length)
    }

    /// Of the records that the second released format knew.
    pub fn of_version_2(seed: u64, length: usize) -> Plan {
        Plan::of(Chance::new(seed, 2), length)
    }

    /// Of the operations that the first released format knew.
    pub fn of_version_1(seed: u64, length: usize) -> Plan {
        Plan::of(Chance::new(seed, 1), length)
    }

    fn of(mut chance: Chance, length: usize) -> Plan {
        let records: Vec<Planned> = (1..=length as u64).map(|seq| chance.record(seq)).collect();
        let states = model::states(&records);
        Plan { records, states }
    }
}

pub fn schema() -> Schema {
    let params = |size, distance| VectorParams { size, distance };
    Schema {
        vectors: BTreeMap::from([
            ("text".to_owned(), params(3, Distance::Dot)),
            ("image".to_owned(), params(2, Distance::Euclid)),
        ]),
    }
}

pub fn partition(cluster: &str, topic_id: Option<u128>, partition: i32) -> Arc<Stream> {
    Arc::new(Stream::Partition {
        source: "orders".to_owned(),
        cluster: cluster.to_owned(),
        topic: "points".to_owned(),
        topic_id: topic_id.map(Uuid::from_u128),
        partition,
    })
}

fn queue() -> Arc<Stream> {
    let (source, cluster, queue) = ("events".to_owned(), "host/".to_owned(), "q".to_owned());
    Arc::new(Stream::Queue { source, cluster, queue })
}

struct Chance {
    random: StdRng,
    partitions: Vec<(Arc<Stream>, u64)>,
    /// The newest format whose records are among them.
    version: u32,
    /// Some of the seqs whose messages are refused.
    letters: Vec<u64>,
}

impl Chance {
    fn new(seed: u64, version: u32) -> Chance {
        let random = StdRng::seed_from_u64(seed);
        Chance { random, partitions: Vec::new(), version, letters: Vec::new() }
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.random.random_range(0..bound)
    }

    fn record(&mut self, seq: u64) -> Planned {
        let (position, body) = match seq {
            1 => (None, create("a", false)),
            2 => (None, create("b", true)),
            _ if self.version >= 3 && self.below(6) == 0 => (None, self.decision(seq)),
            _ => match self.below(20) {
                0 => self.start(),
                1 => (Some(self.next(0)), Body::moved()),
                2 => (Some(self.back()), Body::Duplicate),
                3 => (Some(self.queued()), Body::Duplicate),
                4 => (Some(self.next(1)), self.rejected(seq)),
                5 => (None, self.collection_change()),
                6 => (None, self.refused(seq, seq.is_multiple_of(2))),
                7 | 8 => (Some(self.queued()), self.points(seq)),
                9 => (None, self.points(seq)),
                _ => (Some(self.next(1)), self.points(seq)),
            },
        };
        Planned { time: UnixMillis(1_000 + seq), position, body }
    }

    /// The next position of some partition; `message` is 0 where only the position moves.
    fn next(&mut self, message: u64) -> Position {
        if self.partitions.is_empty() {
            self.partitions = (0..3).map(|at| (partition("c1", Some(1), at), 10)).collect();
        }
        let (at, step) = (self.below(3) as usize, self.below(3) + message);
        let (stream, next) = &mut self.partitions[at];
        *next += step;
        Position::new(stream.clone(), Mark::Next(Offset(*next)))
    }

    fn back(&mut self) -> Position {
        let position = self.next(0);
        let Mark::Next(Offset(next)) = position.mark else { unreachable!() };
        Position { mark: Mark::Next(Offset(next.saturating_sub(self.below(4)))), ..position }
    }

    fn queued(&mut self) -> Position {
        let body = u128::from(self.below(6)) << 100 | 7;
        let message_id = (self.below(2) == 0).then(|| format!("id {}", self.below(4)));
        Position::new(queue(), Mark::Fingerprint(Fingerprint { body, message_id }))
    }

    /// A partition begins, begins again under another topic id, or in another cluster.
    fn start(&mut self) -> (Option<Position>, Body) {
        let _ = self.next(0);
        let at = self.below(3) as i32;
        let (cluster, forget_others) = match self.below(4) {
            0 => ("c2", true),
            1 => ("c3", false),
            _ => ("c1", false),
        };
        let stream = partition(cluster, Some(self.below(2).into()), at);
        let next = self.below(30);
        self.partitions[at as usize] = (stream.clone(), next);
        let position = Position::new(stream, Mark::Next(Offset(next)));
        (Some(position), Body::start(forget_others))
    }

    fn rejected(&mut self, seq: u64) -> Body {
        self.letters.push(seq);
        let value = if seq.is_multiple_of(2) { &b"\xff\x00 not text"[..] } else { b"{\"a\":\n" };
        let original = Original {
            key: Some(Bytes::from_static(b"key")),
            value: Some(Bytes::copy_from_slice(value)),
            headers: vec![("h".to_owned(), Bytes::from_static(b"\x80"))],
        };
        Body::Rejected(Rejection {
            refusal: Refusal::new(Reason::NotJson, "why"),
            original,
            rewritten: false,
        })
    }

    /// About letters that are there, were there, or never were.
    fn decision(&mut self, seq: u64) -> Body {
        let letter = match self.letters.len() as u64 {
            0 => Seq(self.below(seq)),
            count => {
                let at = self.below(count) as usize;
                Seq(self.letters[at])
            }
        };
        let message = match self.below(5) {
            0 => return Body::DropLetters(vec![letter, Seq(self.below(seq))]),
            1 => {
                let attempt = Err(Refusal::new(Reason::MissingId, "still none"));
                return Body::Redrive(Redrive { letter, attempt });
            }
            2 => message("nowhere", vec![Operation::ClearPayload(Selector::Ids(vec![]))]),
            3 => create("c", false),
            _ => self.points(seq),
        };
        let Body::Message(message) = message else { unreachable!() };
        Body::Redrive(Redrive { letter, attempt: Ok(message) })
    }

    fn collection_change(&mut self) -> Body {
        if self.version >= 2 && self.below(2) == 0 {
            return self.index();
        }
        match self.below(5) {
            0 => message("b", vec![Operation::DeleteCollection]),
            1 => create("b", true),
            2 => create("b", false),
            3 => message("c", vec![Operation::DeleteCollection]),
            _ => create("c", false),
        }
    }

    fn refused(&mut self, seq: u64, waits: bool) -> Body {
        self.letters.extend((!waits).then_some(seq));
        let mut body = match self.below(3) {
            0 => message(
                "nowhere",
                vec![Operation::DeletePoints(Selector::Ids(vec![PointId::Number(1)]))],
            ),
            1 => message("a", vec![self.upsert(0, vec![vector("text", &[1.0])])]),
            _ => create("a", false),
        };
        if let Body::Message(message) = &mut body {
            message.waits = waits;
        }
        body
    }

    fn points(&mut self, seq: u64) -> Body {
        let collection = ["a", "a", "a", "b", "c"][self.below(5) as usize];
        let operations = (0..=self.below(2)).map(|_| self.operation(seq)).collect();
        message(collection, operations)
    }

    fn operation(&mut self, seq: u64) -> Operation {
        if self.below(4) == 0 {
            let ids = (0..=self.below(2)).map(|_| self.id()).collect();
            return Operation::DeletePoints(Selector::Ids(ids));
        }
        if self.version >= 2 && self.below(2) == 0 {
            return self.newer_operation(seq);
        }
        let text = vector("text", &[seq as f32, self.below(9) as f32, 0.1]);
        let image = vector("image", &[self.below(9) as f32 / 3.0, -1.0]);
        let vectors = match self.below(4) {
            0 => vec![],
            1 => vec![text],
            2 => vec![image],
            _ => vec![image, text],
        };
        self.upsert(seq, vectors)
    }

    fn newer_operation(&mut self, seq: u64) -> Operation {
        let points = self.selector(seq);
        let members = json!({ "seq": seq, "noted": self.below(5) });
        let payload = Payload::from_map(members.as_object().unwrap());
        match self.below(12) {
            0 => Operation::DeletePoints(points),
            1 => Operation::OverwritePayload { points, payload },
            2 => Operation::DeletePayload { points, keys: vec!["city".parse().unwrap()] },
            3 => Operation::ClearPayload(points),
            4 | 5 => Operation::DeleteVectors { points, names: vec!["text".to_owned()] },
            6 | 7 => Operation::UpdateVectors(vec![PointVectors {
                id: self.id(),
                vectors: vec![vector("image", &[seq as f32, 0.5])],
            }]),
            8 | 9 => {
                let key = Some("notes".parse().unwrap());
                Operation::SetPayload { points, payload, key }
            }
            _ => Operation::SetPayload { points, payload, key: None },
        }
    }

    /// By ids, of which some may not exist, or those that were changed at a seq from some on.
    fn selector(&mut self, seq: u64) -> Selector {
        if self.below(3) == 0 {
            return Selector::Ids(vec![self.id()]);
        }
        let from = seq.saturating_sub(self.below(8));
        let filter = json!({"must": [{"key": "seq", "range": {"gte": from}}]});
        Selector::Filter(serde_json::from_value(filter).unwrap())
    }

    fn index(&mut self) -> Body {
        let field = ["seq", "city", "notes.noted"][self.below(3) as usize].parse().unwrap();
        let schema = match self.below(3) {
            0 => return message("a", vec![Operation::DeleteIndex { field }]),
            1 => FieldType::Integer.into(),
            _ => FieldType::Keyword.into(),
        };
        message("a", vec![Operation::CreateIndex { field, schema, from_config: false }])
    }

    fn upsert(&mut self, seq: u64, vectors: Vec<NamedVector>) -> Operation {
        let members = json!({ "seq": seq, "city": "x".repeat(self.below(90) as usize) });
        let payload = Payload::from_map(members.as_object().unwrap());
        let points = (0..=self.below(2)).map(|_| UpsertPoint {
            id: self.id(),
            vectors: vectors.clone(),
            payload: payload.clone(),
        });
        Operation::Upsert(points.collect())
    }

    fn id(&mut self) -> PointId {
        match self.below(20) {
            number @ 0..17 => PointId::Number(number),
            number => PointId::Uuid(Uuid::from_u128(number.into())),
        }
    }
}

fn vector(name: &str, values: &[f32]) -> NamedVector {
    NamedVector { name: name.to_owned(), values: values.to_vec() }
}

pub fn message(collection: &str, operations: Vec<Operation>) -> Body {
    let collection = collection.to_owned();
    Body::Message(Message { collection, operations, original: None, waits: false })
}

pub fn create(collection: &str, from_config: bool) -> Body {
    message(collection, vec![Operation::CreateCollection { schema: schema(), from_config }])
}
