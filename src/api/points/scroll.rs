//! `POST …/points/scroll`.

use axum::extract::State;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use super::super::Context;
use super::super::answer::Answer;
use super::super::body::{Body, Json, Name};
use super::super::error::ApiError;
use super::super::reading::Reading;
use super::order::OrderBy;
use super::select::{Unsaid, WithPayload, WithVector, select};
use super::view::{ordered_records, records};
use super::{check_limit, refuse_if_given, refuse_shard_key};
use crate::collection::{Ordered, Scroll};
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
    order_by: Option<OrderBy>,
    shard_key: Option<IgnoredAny>,
}

impl Body for ScrollBody {}

#[derive(Serialize)]
struct Page<P> {
    points: P,
    next_page_offset: Option<PointId>,
}

enum Plan {
    ById(Scroll),
    ByField(Ordered),
}

impl ScrollBody {
    fn into_plan(self, limit: usize) -> Result<Plan, ApiError> {
        let filter = self.filter.unwrap_or_default();
        let select = select(self.with_payload, self.with_vector, Unsaid::Payload);
        let Some(order_by) = self.order_by else {
            return Ok(Plan::ById(Scroll { filter, offset: self.offset, limit, select }));
        };
        let instead = "page with `order_by.start_from`, and a filter that leaves out the ids of \
                       the page before";
        refuse_if_given(&self.offset, "`offset` with `order_by`", instead)?;
        let OrderBy { key, direction, start_from } = order_by;
        Ok(Plan::ByField(Ordered { filter, key, direction, start_from, limit, select }))
    }
}

pub(in super::super) async fn scroll(
    State(shared): Context,
    Name(name): Name,
    reading: Reading,
    Json { body, .. }: Json<ScrollBody>,
) -> Result<Answer, ApiError> {
    refuse_shard_key(&body.shard_key)?;
    let limit = body.limit.unwrap_or(LIMIT_DEFAULT);
    check_limit(limit, 0, shared.settings.limit_max)?;
    let plan = body.into_plan(limit)?;
    let collection = shared.collection(&name)?;
    let bytes_max = shared.settings.answer_bytes_max;
    let work = move || match plan {
        Plan::ById(scroll) => {
            let page = collection.scroll(&scroll)?;
            let next_page_offset = page.next_page_offset;
            Answer::of(&Page { points: records(&page.points), next_page_offset }, bytes_max)
        }
        Plan::ByField(ordered) => {
            let points = collection.ordered(&ordered)?;
            Answer::of(
                &Page { points: ordered_records(&points), next_page_offset: None },
                bytes_max,
            )
        }
    };
    shared.read(reading, work).await
}
