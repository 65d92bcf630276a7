//! What each message, or each entry of a batch, asks for.

use std::collections::HashMap;

use proto::points_selector::PointsSelectorOneOf;
use proto::points_update_operation::{self as update, Operation as Update};
use qdrant_client::qdrant as proto;

use super::points::{keys, payload, point_ids, point_vectors, upsert_point};
use super::{filter, invalid};
use crate::operation::{Operation, Refusal, Selector, unsupported};

type ShardKey = Option<proto::ShardKeySelector>;

impl TryFrom<proto::UpsertPoints> for Operation {
    type Error = Refusal;

    fn try_from(message: proto::UpsertPoints) -> Result<Self, Refusal> {
        let proto::UpsertPoints { points, shard_key_selector, update_filter, update_mode, .. } =
            message;
        upsert(points, &shard_key_selector, update_filter, update_mode)
    }
}

impl TryFrom<proto::DeletePoints> for Operation {
    type Error = Refusal;

    fn try_from(message: proto::DeletePoints) -> Result<Self, Refusal> {
        selector(message.points, &message.shard_key_selector).map(Operation::DeletePoints)
    }
}

impl TryFrom<proto::UpdatePointVectors> for Operation {
    type Error = Refusal;

    fn try_from(message: proto::UpdatePointVectors) -> Result<Self, Refusal> {
        update_vectors(message.points, &message.shard_key_selector, message.update_filter)
    }
}

impl TryFrom<proto::DeletePointVectors> for Operation {
    type Error = Refusal;

    fn try_from(message: proto::DeletePointVectors) -> Result<Self, Refusal> {
        delete_vectors(message.points_selector, message.vectors, &message.shard_key_selector)
    }
}

impl TryFrom<proto::SetPayloadPoints> for Operation {
    type Error = Refusal;

    fn try_from(message: proto::SetPayloadPoints) -> Result<Self, Refusal> {
        let proto::SetPayloadPoints { payload, points_selector, shard_key_selector, key, .. } =
            message;
        set_payload(payload, points_selector, &shard_key_selector, key)
    }
}

/// Overwriting has the message of setting.
pub fn overwrite_payload(message: proto::SetPayloadPoints) -> Result<Operation, Refusal> {
    let proto::SetPayloadPoints { payload, points_selector, shard_key_selector, key, .. } = message;
    overwrite(payload, points_selector, &shard_key_selector, key.as_deref())
}

impl TryFrom<proto::DeletePayloadPoints> for Operation {
    type Error = Refusal;

    fn try_from(message: proto::DeletePayloadPoints) -> Result<Self, Refusal> {
        let points = selector(message.points_selector, &message.shard_key_selector)?;
        Ok(Operation::DeletePayload { points, keys: keys(message.keys)? })
    }
}

impl TryFrom<proto::ClearPayloadPoints> for Operation {
    type Error = Refusal;

    fn try_from(message: proto::ClearPayloadPoints) -> Result<Self, Refusal> {
        selector(message.points, &message.shard_key_selector).map(Operation::ClearPayload)
    }
}

/// The operation that stands at `at` in a batch. A refusal begins with its place.
pub fn in_batch(at: usize, entry: proto::PointsUpdateOperation) -> Result<Operation, Refusal> {
    let Some(entry) = entry.operation else {
        return Err(invalid(format!(
            "operations[{at}] is empty, or of a kind that this version does not know"
        )));
    };
    let (name, operation) = from_entry(entry);
    operation.map_err(|Refusal { reason, detail }| {
        Refusal::new(reason, format!("operations[{at}].{name}: {detail}"))
    })
}

#[allow(deprecated, reason = "older clients send nothing else")]
fn from_entry(entry: Update) -> (&'static str, Result<Operation, Refusal>) {
    match entry {
        Update::Upsert(update::PointStructList {
            points,
            shard_key_selector,
            update_filter,
            update_mode,
        }) => ("upsert", upsert(points, &shard_key_selector, update_filter, update_mode)),
        Update::DeleteDeprecated(points) => {
            ("delete_points", selector(Some(points), &None).map(Operation::DeletePoints))
        }
        Update::DeletePoints(update::DeletePoints { points, shard_key_selector }) => {
            ("delete_points", selector(points, &shard_key_selector).map(Operation::DeletePoints))
        }
        Update::SetPayload(update::SetPayload {
            payload,
            points_selector,
            shard_key_selector,
            key,
        }) => ("set_payload", set_payload(payload, points_selector, &shard_key_selector, key)),
        Update::OverwritePayload(update::OverwritePayload {
            payload,
            points_selector,
            shard_key_selector,
            key,
        }) => {
            let key = key.as_deref();
            ("overwrite_payload", overwrite(payload, points_selector, &shard_key_selector, key))
        }
        Update::DeletePayload(entry) => {
            let points = selector(entry.points_selector, &entry.shard_key_selector);
            let deleted = points.and_then(|points| {
                Ok(Operation::DeletePayload { points, keys: keys(entry.keys)? })
            });
            ("delete_payload", deleted)
        }
        Update::ClearPayloadDeprecated(points) => {
            ("clear_payload", selector(Some(points), &None).map(Operation::ClearPayload))
        }
        Update::ClearPayload(update::ClearPayload { points, shard_key_selector }) => {
            ("clear_payload", selector(points, &shard_key_selector).map(Operation::ClearPayload))
        }
        Update::UpdateVectors(update::UpdateVectors {
            points,
            shard_key_selector,
            update_filter,
        }) => ("update_vectors", update_vectors(points, &shard_key_selector, update_filter)),
        Update::DeleteVectors(update::DeleteVectors {
            points_selector,
            vectors,
            shard_key_selector,
        }) => ("delete_vectors", delete_vectors(points_selector, vectors, &shard_key_selector)),
    }
}

fn upsert(
    points: Vec<proto::PointStruct>,
    shard_key: &ShardKey,
    update_filter: Option<proto::Filter>,
    update_mode: Option<i32>,
) -> Result<Operation, Refusal> {
    refuse_shard_key(shard_key)?;
    let instead = "upsert replaces points whole, whether they exist or not";
    if update_filter.is_some() {
        return Err(unsupported("`update_filter`", instead));
    }
    if update_mode.is_some_and(|mode| mode != i32::from(proto::UpdateMode::Upsert)) {
        return Err(unsupported("an `update_mode` other than `Upsert`", instead));
    }
    let each = points.into_iter().enumerate();
    each.map(|(at, point)| upsert_point(at, point)).collect::<Result<_, _>>().map(Operation::Upsert)
}

fn update_vectors(
    points: Vec<proto::PointVectors>,
    shard_key: &ShardKey,
    update_filter: Option<proto::Filter>,
) -> Result<Operation, Refusal> {
    refuse_shard_key(shard_key)?;
    if update_filter.is_some() {
        let instead = "name the points; their vectors are updated whatever their payload";
        return Err(unsupported("`update_filter`", instead));
    }
    if points.is_empty() {
        return Err(invalid("`points` is empty: give at least one point with its vectors"));
    }
    let each = points.into_iter().enumerate();
    each.map(|(at, point)| point_vectors(at, point))
        .collect::<Result<_, _>>()
        .map(Operation::UpdateVectors)
}

fn delete_vectors(
    points: Option<proto::PointsSelector>,
    names: Option<proto::VectorsSelector>,
    shard_key: &ShardKey,
) -> Result<Operation, Refusal> {
    let points = selector(points, shard_key)?;
    let names = names.unwrap_or_default().names;
    if names.is_empty() {
        return Err(invalid("`vectors` is empty: give the names of the vectors to delete"));
    }
    Ok(Operation::DeleteVectors { points, names })
}

fn set_payload(
    given: HashMap<String, proto::Value>,
    points: Option<proto::PointsSelector>,
    shard_key: &ShardKey,
    key: Option<String>,
) -> Result<Operation, Refusal> {
    let points = selector(points, shard_key)?;
    let key = key.map(|key| key.parse().map_err(|error| invalid(format!("`key`: {error}"))));
    Ok(Operation::SetPayload { points, payload: payload(given)?, key: key.transpose()? })
}

fn overwrite(
    given: HashMap<String, proto::Value>,
    points: Option<proto::PointsSelector>,
    shard_key: &ShardKey,
    key: Option<&str>,
) -> Result<Operation, Refusal> {
    let points = selector(points, shard_key)?;
    if key.is_some() {
        return Err(invalid("`key` is for setting: overwriting replaces the payload whole"));
    }
    Ok(Operation::OverwritePayload { points, payload: payload(given)? })
}

fn selector(
    given: Option<proto::PointsSelector>,
    shard_key: &ShardKey,
) -> Result<Selector, Refusal> {
    refuse_shard_key(shard_key)?;
    match given.and_then(|given| given.points_selector_one_of) {
        Some(PointsSelectorOneOf::Points(list)) => point_ids(list.ids).map(Selector::Ids),
        Some(PointsSelectorOneOf::Filter(given)) => Selector::by_filter(filter::read(given)?),
        None => Err(invalid(
            "say which points with a selector of either `points` or `filter`: neither is given",
        )),
    }
}

fn refuse_shard_key(given: &ShardKey) -> Result<(), Refusal> {
    match given {
        None => Ok(()),
        Some(_) => Err(unsupported("`shard_key_selector`", "leave it out: one node has one shard")),
    }
}
