//! Which points an operation changes: by id or by filter, and the bodies that say only that.
//!
//! A misspelt `points` or `filter` must never change more points than were meant: every body
//! with a selector refuses fields it does not know, and needs exactly one of the two. An empty
//! filter (`{}`) selects every point, as in Qdrant.

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::{Operation, Reason, Refusal, Selector};
use crate::filter::Filter;
use crate::point::PointId;

/// `{"points": [ids]}` or `{"filter": {…}}`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object with `points` or `filter`")]
struct SelectorBody {
    points: Option<Vec<PointId>>,
    filter: Option<Filter>,
    shard_key: Option<IgnoredAny>,
}

#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub struct DeleteBody(SelectorBody);

#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub struct ClearPayloadBody(SelectorBody);

impl TryFrom<DeleteBody> for Operation {
    type Error = Refusal;

    fn try_from(DeleteBody(body): DeleteBody) -> Result<Self, Refusal> {
        selector(body.points, body.filter, &body.shard_key).map(Operation::DeletePoints)
    }
}

impl TryFrom<ClearPayloadBody> for Operation {
    type Error = Refusal;

    fn try_from(ClearPayloadBody(body): ClearPayloadBody) -> Result<Self, Refusal> {
        selector(body.points, body.filter, &body.shard_key).map(Operation::ClearPayload)
    }
}

/// One of `points` and `filter`, of a body that has both fields.
pub(super) fn selector(
    points: Option<Vec<PointId>>,
    filter: Option<Filter>,
    shard_key: &Option<IgnoredAny>,
) -> Result<Selector, Refusal> {
    refuse_shard_key(shard_key)?;
    let given = match (points, filter) {
        (Some(ids), None) => return Ok(Selector::Ids(ids)),
        (None, Some(filter)) => return Selector::by_filter(filter),
        (None, None) => "neither is given",
        (Some(_), Some(_)) => "both are given",
    };
    let detail =
        format!("say which points with either `points` (a list of point ids) or `filter`: {given}");
    Err(Refusal::new(Reason::InvalidMessage, detail))
}

impl Selector {
    /// The log keeps the filter as it is printed: one that cannot be may not get there.
    pub fn by_filter(filter: Filter) -> Result<Selector, Refusal> {
        match serde_json::to_vec(&filter) {
            Ok(_) => Ok(Selector::Filter(filter)),
            Err(error) => {
                let detail = format!("the filter cannot be kept in the log: {error}");
                Err(Refusal::new(Reason::InvalidMessage, detail))
            }
        }
    }
}

/// Any body may name shards in Qdrant.
pub(super) fn refuse_shard_key(given: &Option<IgnoredAny>) -> Result<(), Refusal> {
    match given {
        None => Ok(()),
        Some(_) => Err(unsupported("`shard_key`", "leave it out: one node has one shard")),
    }
}

/// The refusal of what Qdrant has and pointd has not; `instead` is what to do.
pub fn unsupported(what: &str, instead: &str) -> Refusal {
    let detail = format!("{what} is not supported by pointd: {instead}");
    Refusal::new(Reason::InvalidMessage, detail)
}
