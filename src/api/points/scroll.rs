//! `POST …/points/scroll`.

use axum::extract::State;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use super::super::Context;
use super::super::answer::Answer;
use super::super::body::{Body, Json, Name};
use super::super::error::ApiError;
use super::super::reading::Reading;
use super::select::{Unsaid, WithPayload, WithVector, select};
use super::view::records;
use super::{check_limit, refuse_if_given, refuse_shard_key};
use crate::collection::Scroll;
use crate::filter::Filter;
use crate::point::PointId;

const LIMIT_DEFAULT: usize = 10;

#[derive(Deserialize)]
pub(in super::super) struct ScrollBody {
    offset: Option<PointId>,
    limit: Option<usize>,
    filter: Option<Filter>,
    with_payload: Option<WithPayload>,
    #[serde(alias = "with_vectors")]
    with_vector: Option<WithVector>,
    order_by: Option<IgnoredAny>,
    shard_key: Option<IgnoredAny>,
}

impl Body for ScrollBody {}

#[derive(Serialize)]
struct Page<P> {
    points: P,
    next_page_offset: Option<PointId>,
}

pub(in super::super) async fn scroll(
    State(shared): Context,
    Name(name): Name,
    reading: Reading,
    Json { body, .. }: Json<ScrollBody>,
) -> Result<Answer, ApiError> {
    refuse_shard_key(&body.shard_key)?;
    refuse_if_given(&body.order_by, "`order_by`", "a scroll goes by id")?;
    let limit = body.limit.unwrap_or(LIMIT_DEFAULT);
    check_limit(limit, 0, shared.settings.limit_max)?;
    let scroll = Scroll {
        filter: body.filter.unwrap_or_default(),
        offset: body.offset,
        limit,
        select: select(body.with_payload, body.with_vector, Unsaid::Payload),
    };
    let collection = shared.collection(&name)?;
    let bytes_max = shared.settings.answer_bytes_max;
    let work = move || {
        let page = collection.scroll(&scroll)?;
        let next_page_offset = page.next_page_offset;
        Answer::of(&Page { points: records(&page.points), next_page_offset }, bytes_max)
    };
    shared.read(reading, work).await
}
