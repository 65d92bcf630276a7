//! Random histories: messages, refused ones among them, checkpoints, failed checkpoints, merges,
//! graphs and restarts, in any order. After every step every reader agrees with the model.

use proptest::prelude::*;
use serde_json::json;

use super::model::{Model, filters};
use super::*;
use crate::operation::{PointVectors, Reason};
use crate::point::{FieldSchema, FieldType, Path};

#[derive(Clone, Debug)]
enum Step {
    Message(Vec<Operation>),
    /// A message of which some operation cannot be applied.
    Refused(Vec<Operation>),
    Checkpoint,
    /// Ends before its manifest is written: after the seal, or after the flush.
    FailedCheckpoint {
        flushed: bool,
    },
    Merge,
    Graph,
    CreateIndex(Path, FieldSchema),
    DeleteIndex(Path),
    /// Some slots.
    FillIndex,
    /// From the last manifest; the log has what came after.
    Restart,
}

fn ids() -> Vec<PointId> {
    (0..7).map(number).chain((0..6).map(uuid)).collect()
}

fn any_id() -> impl Strategy<Value = PointId> {
    prop::sample::select(ids())
}

fn any_vectors() -> impl Strategy<Value = Vec<NamedVector>> {
    // Few values, so that equal scores come up.
    let value = || prop::sample::select(vec![-1.0f32, 0.5, 1.0, 2.0]);
    let vector = |name: &'static str, size| {
        let values = prop::collection::vec(value(), size);
        proptest::option::of(values.prop_map(move |values| named(name, &values)))
    };
    (vector("cos", 3), vector("dot", 2), vector("l1", 1), vector("l2", 2))
        .prop_map(|(a, b, c, d)| [a, b, c, d].into_iter().flatten().collect())
}

fn any_json() -> impl Strategy<Value = Value> {
    let value = prop_oneof![
        Just(json!({"color": "red", "size": 1})),
        Just(json!({"color": ["red", "blue"], "size": [0, 1.5, 2]})),
        Just(json!({"color": "blue", "size": 0.5, "at": "2024-06-01T12:00:00Z"})),
        Just(json!({"color": null, "at": ["2023-01-01", "2025-01-01"], "text": "the quick fox"})),
        Just(json!({"nested": {"size": 1}, "text": ["quick", "a fox"], "at": 5})),
        Just(json!({"color": 7, "size": "red", "text": "Quick brown FOX"})),
    ];
    proptest::option::of(value).prop_map(|json| json.unwrap_or_else(|| json!({})))
}

fn any_point() -> impl Strategy<Value = UpsertPoint> {
    (any_id(), any_vectors(), any_json()).prop_map(|(id, vectors, json)| point(id, vectors, json))
}

fn any_selector() -> impl Strategy<Value = Selector> {
    prop_oneof![
        prop::collection::vec(any_id(), 1..4).prop_map(Selector::Ids),
        prop::sample::select(filters(&ids())).prop_map(Selector::Filter),
    ]
}

fn any_path() -> impl Strategy<Value = Path> {
    let paths = ["color", "size", "nested.size", "color[]", "at", "nested"];
    prop::sample::select(paths.to_vec()).prop_map(|path| path.parse().unwrap())
}

fn any_operation() -> impl Strategy<Value = Operation> {
    let names = || prop::sample::subsequence(vec!["cos".to_owned(), "dot".into()], 1..3);
    let update = (any_id(), any_vectors()).prop_map(|(id, vectors)| PointVectors { id, vectors });
    let json = || any_json().prop_map(payload);
    let key = proptest::option::of(any_path());
    prop_oneof![
        6 => prop::collection::vec(any_point(), 1..4).prop_map(Operation::Upsert),
        2 => any_selector().prop_map(Operation::DeletePoints),
        1 => prop::collection::vec(update, 1..3).prop_map(Operation::UpdateVectors),
        1 => (any_selector(), names())
            .prop_map(|(points, names)| Operation::DeleteVectors { points, names }),
        1 => (any_selector(), json(), key)
            .prop_map(|(points, payload, key)| Operation::SetPayload { points, payload, key }),
        1 => (any_selector(), json())
            .prop_map(|(points, payload)| Operation::OverwritePayload { points, payload }),
        1 => (any_selector(), prop::collection::vec(any_path(), 1..3))
            .prop_map(|(points, keys)| Operation::DeletePayload { points, keys }),
        1 => any_selector().prop_map(Operation::ClearPayload),
    ]
}

fn any_index() -> impl Strategy<Value = Step> {
    let index = |field: &str, data_type: FieldType| (field.parse().unwrap(), data_type.into());
    let some = vec![
        index("color", FieldType::Keyword),
        index("size", FieldType::Integer),
        index("size", FieldType::Float),
        index("at", FieldType::Datetime),
        index("text", FieldType::Text),
        index("nested.size", FieldType::Integer),
    ];
    prop::sample::select(some).prop_map(|(field, schema)| Step::CreateIndex(field, schema))
}

fn any_refused() -> impl Strategy<Value = Operation> {
    let bad = prop::sample::select(vec![
        named("cos", &[0.0, 0.0, 0.0]),
        named("cos", &[1.0]),
        named("dot", &[1.0, 2.0, 3.0]),
        named("", &[1.0]),
        named("other", &[1.0]),
    ]);
    (any_id(), bad).prop_map(|(id, vector)| upsert(id, vec![vector], json!({"bad": true})))
}

fn any_step() -> impl Strategy<Value = Step> {
    let message = || prop::collection::vec(any_operation(), 1..4);
    let refused = (message(), any_refused(), message()).prop_map(|(mut before, bad, after)| {
        before.push(bad);
        before.extend(after);
        before
    });
    prop_oneof![
        10 => message().prop_map(Step::Message),
        1 => refused.prop_map(Step::Refused),
        5 => Just(Step::Checkpoint),
        1 => any::<bool>().prop_map(|flushed| Step::FailedCheckpoint { flushed }),
        4 => Just(Step::Merge),
        1 => Just(Step::Graph),
        2 => any_index(),
        1 => any_path().prop_map(Step::DeleteIndex),
        3 => Just(Step::FillIndex),
        2 => Just(Step::Restart),
    ]
}

enum Logged {
    Message(Vec<Operation>),
    CreateIndex(Path, FieldSchema),
    DeleteIndex(Path),
}

fn replay(collection: &Collection, seq: Seq, logged: &Logged) {
    match logged {
        Logged::Message(operations) => collection.apply(seq, operations).unwrap(),
        Logged::CreateIndex(field, schema) => collection.create_index(seq, field, schema).unwrap(),
        Logged::DeleteIndex(field) => collection.delete_index(seq, field),
    }
}

/// A message names points by ids that may not be there any more.
fn is_refused(model: &Model, operations: &[Operation]) -> bool {
    let mut model = model.clone();
    for operation in operations {
        let ids = match operation {
            Operation::UpdateVectors(points) => points.iter().map(|point| point.id).collect(),
            Operation::DeleteVectors { points: Selector::Ids(ids), .. }
            | Operation::SetPayload { points: Selector::Ids(ids), .. }
            | Operation::OverwritePayload { points: Selector::Ids(ids), .. }
            | Operation::DeletePayload { points: Selector::Ids(ids), .. }
            | Operation::ClearPayload(Selector::Ids(ids)) => ids.clone(),
            _ => Vec::new(),
        };
        if ids.iter().any(|id| !model.has(*id)) {
            return true;
        }
        model.apply(Seq(0), std::slice::from_ref(operation));
    }
    false
}

struct Run {
    directory: tempfile::TempDir,
    collection: Collection,
    model: Model,
    seq: Seq,
    /// The last manifest.
    files: CollectionFiles,
    /// What the log has beyond it.
    log: Vec<(Seq, Logged)>,
}

impl Run {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        Run {
            collection: create(directory.path(), schema(), eager()),
            directory,
            model: Model::default(),
            seq: Seq(0),
            files: CollectionFiles::default(),
            log: Vec::new(),
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Message(operations) if is_refused(&self.model, &operations) => {
                self.seq = self.seq.next();
                let refusal = self.collection.apply(self.seq, &operations).unwrap_err();
                assert_eq!(refusal.reason, Reason::UnknownPoint);
            }
            Step::Message(operations) => {
                self.seq = self.seq.next();
                self.collection.apply(self.seq, &operations).unwrap();
                self.model.apply(self.seq, &operations);
                self.log.push((self.seq, Logged::Message(operations)));
            }
            Step::CreateIndex(field, schema) => {
                self.seq = self.seq.next();
                self.collection.create_index(self.seq, &field, &schema).unwrap();
                self.model.create_index(&field, &schema);
                self.log.push((self.seq, Logged::CreateIndex(field, schema)));
            }
            Step::DeleteIndex(field) => {
                self.seq = self.seq.next();
                self.collection.delete_index(self.seq, &field);
                self.model.delete_index(&field);
                self.log.push((self.seq, Logged::DeleteIndex(field)));
            }
            Step::FillIndex => {
                self.collection.fill_index();
            }
            Step::Refused(operations) => {
                self.seq = self.seq.next();
                assert!(self.collection.apply(self.seq, &operations).is_err());
                assert!(self.collection.check(&operations).is_err());
            }
            Step::Checkpoint => {
                self.files = checkpoint(&self.collection);
                self.log.clear();
            }
            Step::FailedCheckpoint { flushed } => {
                let sealed = self.collection.seal();
                if flushed {
                    self.collection.flush(sealed).unwrap();
                }
            }
            Step::Merge => {
                merge_all(&self.collection);
            }
            Step::Graph => while self.collection.build_graph(&mut || false).unwrap() {},
            Step::Restart => {
                let path = self.directory.path();
                self.collection = open(path, schema(), eager(), &self.files).unwrap();
                for (seq, logged) in &self.log {
                    replay(&self.collection, *seq, logged);
                }
            }
        }
        self.model.check(&self.collection, &ids());
        self.check_files();
    }

    /// What the last manifest names is there, whatever has happened since.
    fn check_files(&self) {
        let columns = [("payload", &self.files.payload)];
        let vectors = schema().vectors.into_keys().enumerate();
        let vectors = vectors.filter_map(|(place, name)| {
            Some((format!("vector-{place}"), self.files.vectors.get(&name)?))
        });
        let columns = columns.map(|(name, entries)| (name.to_owned(), entries));
        for (name, entries) in columns.into_iter().chain(vectors) {
            for entry in entries {
                let file = format!("collection/{name}/{}.arrow", entry.number);
                let length = std::fs::metadata(self.directory.path().join(file)).unwrap().len();
                assert_eq!(length, entry.length_bytes);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]
    #[test]
    fn readers_agree_with_the_model(steps in prop::collection::vec(any_step(), 1..40)) {
        let mut run = Run::new();
        for step in steps {
            run.step(step);
        }
        run.step(Step::Restart);
    }
}
