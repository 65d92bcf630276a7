//! One record at a time into the state.

use std::sync::Arc;

use bytes::Bytes;

use super::{Applied, Catalog, DeadLetter, Held, Outcome, collection_directory};
use crate::collection::Collection;
use crate::operation::{Body, Message, Operation, Original, Reason, Refusal, to_json};
use crate::point::{FieldSchema, Path, Schema};
use crate::position::Seq;

/// The longest name a collection may have, in bytes, as in Qdrant.
const NAME_BYTES_MAX: usize = 255;

/// What a message comes down to, seen from here.
enum Change<'a> {
    Create { schema: &'a Schema, from_config: bool },
    Delete,
    CreateIndex { field: &'a Path, schema: &'a FieldSchema, from_config: bool },
    DeleteIndex { field: &'a Path },
    Points(&'a [Operation]),
}

impl Catalog {
    /// Applies the next record: the applier's only verb, and replay's. It cannot fail; what
    /// cannot be applied becomes a dead letter.
    pub fn apply(&self, record: Applied) -> Outcome {
        let outcome = match &record.body {
            Body::Message(message) => match self.change(record.seq, message) {
                Ok(()) => Outcome::Applied,
                Err(refusal) => Outcome::Refused(refusal),
            },
            Body::Rejected(rejection) => Outcome::Refused(rejection.refusal.clone()),
            Body::Redrive(redrive) => self.redrive(record.seq, redrive),
            Body::DropLetters(letters) => self.drops(letters),
            Body::Duplicate | Body::Moved { .. } | Body::Start { .. } => Outcome::Nothing,
        };
        let letter = match &outcome {
            Outcome::Refused(refusal) => letter(&record, refusal),
            _ => None,
        };
        let mut state = self.state_mut();
        let counters = &mut state.counters;
        let counter = match (&record.body, &outcome) {
            (Body::Duplicate, _) => &mut counters.duplicates,
            (Body::Moved { .. }, _) => &mut counters.moved,
            (Body::Start { .. }, _) => &mut counters.starts,
            (Body::Redrive(_), _) => &mut counters.redrives,
            (Body::DropLetters(_), _) => &mut counters.drops,
            (_, Outcome::Refused(_)) if letter.is_some() => &mut counters.dead_letters,
            (_, Outcome::Refused(_)) => &mut counters.refused,
            _ => &mut counters.operations,
        };
        *counter += 1;
        if let Some(position) = &record.position {
            state.streams.take(position, &record.body, record.time);
            state.windows.take(position, &record.body);
        }
        if let Some(letter) = letter {
            state.dead_letters.push(letter);
        }
        state.decide(record.seq, &record.body, &outcome);
        state.applied = record.seq;
        outcome
    }

    /// Would this message be refused as things stand? The intake asks, to decide whether its
    /// record keeps the original bytes. The answer may be another by the time it is applied.
    pub fn check(&self, message: &Message) -> Result<(), Refusal> {
        match change(message)? {
            Change::Create { schema, from_config } => {
                let configured =
                    from_config && self.state().configured.contains(&message.collection);
                if configured { Ok(()) } else { self.check_create(message, schema, from_config) }
            }
            Change::Delete | Change::DeleteIndex { .. } => {
                self.held(&message.collection).map(|_| ())
            }
            Change::CreateIndex { field, schema, .. } => {
                self.held(&message.collection)?.collection.check_index(field, schema)
            }
            Change::Points(operations) => {
                self.held(&message.collection)?.collection.check(operations)
            }
        }
    }

    pub(super) fn change(&self, seq: Seq, message: &Message) -> Result<(), Refusal> {
        match change(message)? {
            Change::Create { schema, from_config } => {
                self.create(seq, message, schema, from_config)
            }
            Change::Delete => self.delete(&message.collection),
            Change::CreateIndex { field, schema, from_config } => {
                let held = self.held(&message.collection)?;
                // What was asked for over HTTP counts for more than the configuration.
                if from_config && held.collection.has_index(field) {
                    return Ok(());
                }
                held.collection.create_index(seq, field, schema)?;
                // A word that waits already is word enough.
                let _ = self.indexes.0.try_send(());
                Ok(())
            }
            Change::DeleteIndex { field } => {
                self.held(&message.collection)?.collection.delete_index(seq, field);
                Ok(())
            }
            Change::Points(operations) => {
                self.held(&message.collection)?.collection.apply(seq, operations)
            }
        }
    }

    fn held(&self, name: &str) -> Result<Held, Refusal> {
        let held = self.state().collections.get(name).cloned();
        held.ok_or_else(|| {
            let detail = format!("collection `{}` does not exist", shown(name));
            Refusal::new(Reason::UnknownCollection, detail)
        })
    }

    fn create(
        &self,
        seq: Seq,
        message: &Message,
        schema: &Schema,
        from_config: bool,
    ) -> Result<(), Refusal> {
        let name = &message.collection;
        if from_config && self.state().configured.contains(name) {
            return Ok(());
        }
        self.check_create(message, schema, from_config)?;
        let collection = Collection::create(
            name,
            collection_directory(&self.directory, seq),
            schema.clone(),
            self.options.collection.clone(),
            self.disk.clone(),
            self.metrics.clone(),
        );
        let mut state = self.state_mut();
        if from_config {
            state.configured.insert(name.clone());
        }
        // One that was created over HTTP before the configuration named it stays as it is.
        let held = Held { created: seq, collection: Arc::new(collection) };
        state.collections.entry(name.clone()).or_insert(held);
        Ok(())
    }

    fn check_create(
        &self,
        message: &Message,
        schema: &Schema,
        from_config: bool,
    ) -> Result<(), Refusal> {
        let name = &message.collection;
        if name.is_empty() || name.len() > NAME_BYTES_MAX {
            let detail = format!("a collection's name has 1 to {NAME_BYTES_MAX} bytes");
            return Err(Refusal::new(Reason::InvalidSchema, detail));
        }
        schema
            .validate()
            .map_err(|error| Refusal::new(Reason::InvalidSchema, error.to_string()))?;
        if !from_config && self.state().collections.contains_key(name) {
            let detail = format!("collection `{name}` already exists");
            return Err(Refusal::new(Reason::CollectionExists, detail));
        }
        Ok(())
    }

    /// Its files go after the next checkpoint; who reads it now reads to the end.
    fn delete(&self, name: &str) -> Result<(), Refusal> {
        let held = self.held(name)?;
        held.collection.forget_metrics();
        self.state_mut().collections.remove(name);
        Ok(())
    }
}

fn change(message: &Message) -> Result<Change<'_>, Refusal> {
    match &message.operations[..] {
        [Operation::CreateCollection { schema, from_config }] => {
            Ok(Change::Create { schema, from_config: *from_config })
        }
        [Operation::DeleteCollection] => Ok(Change::Delete),
        [Operation::CreateIndex { field, schema, from_config }] => {
            Ok(Change::CreateIndex { field, schema, from_config: *from_config })
        }
        [Operation::DeleteIndex { field }] => Ok(Change::DeleteIndex { field }),
        operations if operations.iter().all(is_of_points) => Ok(Change::Points(operations)),
        _ => {
            let detail = "creating or deleting a collection or an index is a message of its own";
            Err(Refusal::new(Reason::InvalidMessage, detail))
        }
    }
}

fn is_of_points(operation: &Operation) -> bool {
    !matches!(
        operation,
        Operation::CreateCollection { .. }
            | Operation::DeleteCollection
            | Operation::CreateIndex { .. }
            | Operation::DeleteIndex { .. }
    )
}

fn shown(name: &str) -> String {
    name.chars().take(80).collect()
}

/// The dead letter of a refused record; none if its writer is there to be told.
fn letter(record: &Applied, refusal: &Refusal) -> Option<Arc<DeadLetter>> {
    let (original, collection, rewritten) = match &record.body {
        Body::Message(message) if message.waits => return None,
        Body::Message(message) => {
            let rewritten = message.original.is_none();
            (original(message), Some(message.collection.clone()), rewritten)
        }
        Body::Rejected(rejection) => (owned(&rejection.original), None, rejection.rewritten),
        _ => return None,
    };
    Some(Arc::new(DeadLetter {
        seq: record.seq,
        time: record.time,
        position: record.position.clone(),
        refusal: refusal.clone(),
        original,
        collection,
        rewritten,
        redrives: 0,
        redriven_at: None,
    }))
}

fn original(message: &Message) -> Original {
    match &message.original {
        Some(original) => owned(original),
        None => Original::of(to_json(message)),
    }
}

/// A record's bytes are slices of a whole frame of the log; a letter must not keep the frame.
fn owned(original: &Original) -> Original {
    let own = |bytes: &Bytes| Bytes::copy_from_slice(bytes);
    let headers = original.headers.iter();
    Original {
        key: original.key.as_ref().map(own),
        value: original.value.as_ref().map(own),
        headers: headers.map(|(name, value)| (name.clone(), own(value))).collect(),
    }
}
