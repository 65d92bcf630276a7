//! Points: writes, reads and searches. One file for each family of requests.

mod count;
mod input;
mod order;
mod params;
mod query;
mod retrieve;
mod scroll;
mod search;
mod select;
mod view;
mod write;

pub(super) use count::count;
pub(super) use query::{query, query_batch};
pub(super) use retrieve::{retrieve, retrieve_one};
pub(super) use scroll::scroll;
pub(super) use search::{search, search_batch};
pub(super) use write::{write, write_batch};

use serde::de::IgnoredAny;

use tokio::time::Instant;

use super::Deadline;
use super::error::ApiError;

/// Any request may name shards in Qdrant.
fn refuse_shard_key(given: &Option<IgnoredAny>) -> Result<(), ApiError> {
    refuse_if_given(given, "`shard_key`", "leave it out: one node has one shard")
}

/// Refuses what would be answered wrongly if it were passed over. `null` is not given.
fn refuse_if_given<T>(
    given: &Option<T>,
    what: &'static str,
    instead: &'static str,
) -> Result<(), ApiError> {
    match given {
        None => Ok(()),
        Some(_) => Err(ApiError::unsupported(what, instead)),
    }
}

/// `limit`, and what it makes together with `offset`, within the most points of one answer.
fn check_limit(limit: usize, offset: usize, max: usize) -> Result<(), ApiError> {
    if limit == 0 {
        return Err(ApiError::validation("limit", "value 0 invalid, must be 1 or larger"));
    }
    match limit.checked_add(offset) {
        Some(reach) if reach <= max => Ok(()),
        _ => {
            let what =
                format!("limit {limit} with offset {offset} invalid, together at most {max}");
            Err(ApiError::validation("limit", what))
        }
    }
}

fn check_batch(searches: usize, max: usize) -> Result<(), ApiError> {
    if searches <= max {
        return Ok(());
    }
    let what = format!("{searches} searches invalid, must be at most {max}");
    Err(ApiError::validation("searches", what))
}

/// Between two searches of a batch: nobody waits for the rest any more.
fn check_time(deadline: Deadline) -> Result<(), ApiError> {
    if Instant::now() < deadline.at {
        return Ok(());
    }
    Err(ApiError::ReadTimeout { allowed: deadline.allowed })
}
