//! Random histories: messages, refused ones among them, checkpoints, failed checkpoints, merges,
//! graphs and restarts, in any order. After every step every reader agrees with the model.

use proptest::prelude::*;
use serde_json::json;

use super::model::Model;
use super::*;

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

fn any_point() -> impl Strategy<Value = UpsertPoint> {
    let color = prop::sample::select(vec!["red", "blue"]);
    (any_id(), any_vectors(), color, 0..3).prop_map(|(id, vectors, color, size)| {
        let json = if size == 2 { json!({}) } else { json!({"color": color, "size": size}) };
        point(id, vectors, json)
    })
}

fn any_operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        3 => prop::collection::vec(any_point(), 1..4).prop_map(Operation::Upsert),
        2 => prop::collection::vec(any_id(), 1..4).prop_map(Operation::DeletePoints),
    ]
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
        2 => Just(Step::Restart),
    ]
}

struct Run {
    directory: tempfile::TempDir,
    collection: Collection,
    model: Model,
    seq: Seq,
    /// The last manifest.
    files: CollectionFiles,
    /// What the log has beyond it.
    log: Vec<(Seq, Vec<Operation>)>,
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
            Step::Message(operations) => {
                self.seq = self.seq.next();
                self.collection.check(&operations).unwrap();
                self.collection.apply(self.seq, &operations).unwrap();
                self.model.apply(self.seq, &operations);
                self.log.push((self.seq, operations));
            }
            Step::Refused(operations) => {
                self.seq = self.seq.next();
                let refusal = self.collection.apply(self.seq, &operations).unwrap_err();
                assert_eq!(self.collection.check(&operations), Err(refusal));
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
                for (seq, operations) in &self.log {
                    self.collection.apply(*seq, operations).unwrap();
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
