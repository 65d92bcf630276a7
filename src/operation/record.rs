//! The record form of Qdrant's sink for Kafka Connect: one point, written flat.

use serde::de::{Error, IgnoredAny, MapAccess};

use super::selector::unsupported;
use super::vectors::VectorsBody;
use super::{Operation, Reason, Refusal, UpsertPoint};
use crate::point::{Payload, PointId};

/// `{"collection_name", "id", "vector", "payload"}`, collected from an object's fields.
#[derive(Debug, Default)]
pub(super) struct RecordBody {
    pub(super) collection: Option<String>,
    id: Option<PointId>,
    vector: Option<VectorsBody>,
    payload: Option<Payload>,
    shard_key: Option<IgnoredAny>,
    /// The names that were there, in order.
    given: Vec<&'static str>,
}

/// What shows that an object is a record, and no message with operations.
const COLLECTION: &str = "collection_name";
const FIELDS: [&str; 5] = [COLLECTION, "id", "vector", "payload", "shard_key_selector"];

impl RecordBody {
    /// Reads the value of `name`, if that is one of the record's fields, and says whether it is.
    pub(super) fn read<'de, A: MapAccess<'de>>(
        &mut self,
        name: &str,
        map: &mut A,
    ) -> Result<bool, A::Error> {
        let Some(field) = FIELDS.into_iter().find(|field| *field == name) else {
            return Ok(false);
        };
        if self.given.contains(&field) {
            return Err(A::Error::duplicate_field(field));
        }
        self.given.push(field);
        match field {
            COLLECTION => self.collection = map.next_value()?,
            "id" => self.id = map.next_value()?,
            "vector" => self.vector = map.next_value()?,
            "payload" => self.payload = map.next_value()?,
            _ => self.shard_key = map.next_value()?,
        }
        Ok(true)
    }

    /// Whether it says of itself that it is a record.
    pub(super) fn is_named(&self) -> bool {
        self.given.contains(&COLLECTION)
    }

    pub(super) fn first_field(&self) -> Option<&'static str> {
        self.given.first().copied()
    }

    /// The upsert of its point.
    pub(super) fn into_operation(self) -> Result<Operation, Refusal> {
        if self.shard_key.is_some() {
            let instead = "leave it out: one node has one shard";
            return Err(unsupported("`shard_key_selector`", instead));
        }
        let Some(id) = self.id else {
            let detail = "the record has no `id`: give an unsigned 64-bit integer or a UUID";
            return Err(Refusal::new(Reason::MissingId, detail));
        };
        let vectors = self.vector.map_or(Ok(Vec::new()), |vector| vector.into_named(id))?;
        let payload = self.payload.unwrap_or_else(Payload::empty);
        Ok(Operation::Upsert(vec![UpsertPoint { id, vectors, payload }]))
    }
}
