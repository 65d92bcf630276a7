//! The bodies of what changes a part of points: their vectors or their payload.

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::selector::{refuse_shard_key, selector, unsupported};
use super::vectors::VectorsBody;
use super::{Operation, PointVectors, Reason, Refusal};
use crate::filter::Filter;
use crate::point::{Path, Payload, PointId};

/// `{"points": [{"id", "vector"}, …]}`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object with `points`")]
pub struct UpdateVectorsBody {
    points: Vec<PointVectorsBody>,
    update_filter: Option<IgnoredAny>,
    shard_key: Option<IgnoredAny>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object with `id` and `vector`")]
struct PointVectorsBody {
    id: Option<PointId>,
    vector: VectorsBody,
}

/// `{"vector": [names]}` and a selector. Older requests spell the names `vectors`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object with `vector`, and `points` or `filter`")]
pub struct DeleteVectorsBody {
    #[serde(alias = "vectors")]
    vector: Vec<String>,
    points: Option<Vec<PointId>>,
    filter: Option<Filter>,
    shard_key: Option<IgnoredAny>,
}

/// `{"payload": {…}}` and a selector; `key` says where in the payload.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object with `payload`, and `points` or `filter`")]
pub struct SetPayloadBody {
    payload: Payload,
    points: Option<Vec<PointId>>,
    filter: Option<Filter>,
    key: Option<Path>,
    shard_key: Option<IgnoredAny>,
}

/// Has [`SetPayloadBody`]'s fields, but no place in a payload that is replaced whole.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub struct OverwritePayloadBody(SetPayloadBody);

/// `{"keys": [keys]}` and a selector.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object with `keys`, and `points` or `filter`")]
pub struct DeletePayloadBody {
    keys: Vec<Path>,
    points: Option<Vec<PointId>>,
    filter: Option<Filter>,
    shard_key: Option<IgnoredAny>,
}

impl TryFrom<UpdateVectorsBody> for Operation {
    type Error = Refusal;

    fn try_from(body: UpdateVectorsBody) -> Result<Self, Refusal> {
        refuse_shard_key(&body.shard_key)?;
        if body.update_filter.is_some() {
            let instead = "name the points; their vectors are updated whatever their payload";
            return Err(unsupported("`update_filter`", instead));
        }
        if body.points.is_empty() {
            let detail = "`points` is empty: give at least one point with its vectors";
            return Err(Refusal::new(Reason::InvalidMessage, detail));
        }
        let points = body.points.into_iter().enumerate();
        points
            .map(|(at, point)| point.into_vectors(at))
            .collect::<Result<_, _>>()
            .map(Operation::UpdateVectors)
    }
}

impl PointVectorsBody {
    fn into_vectors(self, at: usize) -> Result<PointVectors, Refusal> {
        let Some(id) = self.id else {
            let detail = format!("points[{at}] has no `id`: give the id of a point that exists");
            return Err(Refusal::new(Reason::MissingId, detail));
        };
        let vectors = self.vector.into_named(id)?;
        if vectors.is_empty() {
            let detail = format!("points[{at}].vector is empty: give at least one vector by name");
            return Err(Refusal::new(Reason::InvalidMessage, detail));
        }
        Ok(PointVectors { id, vectors })
    }
}

impl TryFrom<DeleteVectorsBody> for Operation {
    type Error = Refusal;

    fn try_from(body: DeleteVectorsBody) -> Result<Self, Refusal> {
        let points = selector(body.points, body.filter, &body.shard_key)?;
        if body.vector.is_empty() {
            let detail = "`vector` is empty: give the names of the vectors to delete";
            return Err(Refusal::new(Reason::InvalidMessage, detail));
        }
        Ok(Operation::DeleteVectors { points, names: body.vector })
    }
}

impl TryFrom<SetPayloadBody> for Operation {
    type Error = Refusal;

    fn try_from(body: SetPayloadBody) -> Result<Self, Refusal> {
        let points = selector(body.points, body.filter, &body.shard_key)?;
        Ok(Operation::SetPayload { points, payload: body.payload, key: body.key })
    }
}

impl TryFrom<OverwritePayloadBody> for Operation {
    type Error = Refusal;

    fn try_from(OverwritePayloadBody(body): OverwritePayloadBody) -> Result<Self, Refusal> {
        let points = selector(body.points, body.filter, &body.shard_key)?;
        if body.key.is_some() {
            let detail = "`key` is for `set_payload`: overwriting replaces the payload whole";
            return Err(Refusal::new(Reason::InvalidMessage, detail));
        }
        Ok(Operation::OverwritePayload { points, payload: body.payload })
    }
}

impl TryFrom<DeletePayloadBody> for Operation {
    type Error = Refusal;

    fn try_from(body: DeletePayloadBody) -> Result<Self, Refusal> {
        let points = selector(body.points, body.filter, &body.shard_key)?;
        Ok(Operation::DeletePayload { points, keys: body.keys })
    }
}
