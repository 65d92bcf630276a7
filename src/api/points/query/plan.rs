//! What a query comes down to.

use std::sync::Arc;

use super::super::order::OrderBy;
use super::super::select::{Unsaid, select};
use super::super::view::NOT_SCORED;
use super::super::{check_limit, refuse_if_given, refuse_shard_key};
use super::input::{LookupFrom, QueryInput};
use super::{ApiError, QueryBody, Shared};
use crate::collection::{
    Collection, Like, Objective, Ordered, PointView, Query, ReadError, Sample, ScoredPoint, Scroll,
    Search,
};
use crate::index::OrderValue;
use crate::point::UNNAMED;
use serde_json::Value;

const LIMIT_DEFAULT: usize = 10;

pub(super) enum Plan {
    Search(Search),
    /// A search by the points of another collection.
    SearchLike(Search, Objective, Lookup),
    /// No query: by id. So many are passed over first.
    Scroll(Scroll, usize),
    /// By a field, after so many.
    Ordered(Ordered, usize),
    Sample(Sample),
}

/// The other collection, and which of its vectors.
pub(super) struct Lookup {
    name: String,
    collection: Arc<Collection>,
    vector: String,
}

pub(super) enum Found {
    Scored(Vec<ScoredPoint>),
    Ordered(Vec<(PointView, OrderValue)>),
}

impl QueryBody {
    /// `name` is that of the collection that is asked.
    pub(super) fn into_plan(self, shared: &Shared, name: &str) -> Result<Plan, ApiError> {
        refuse_shard_key(&self.shard_key)?;
        let prefetch = self.prefetch.filter(|given| *given != Value::Array(Vec::new()));
        refuse_if_given(&prefetch, "`prefetch`", "ask each query on its own")?;
        let limit = self.limit.unwrap_or(LIMIT_DEFAULT);
        let offset = self.offset.unwrap_or(0);
        check_limit(limit, offset, shared.settings.limit_max)?;
        let filter = self.filter.unwrap_or_default();
        let select = select(self.with_payload, self.with_vector, Unsaid::Nothing);
        let threshold = self.score_threshold;
        let objective = match self.query {
            Some(QueryInput::Like(objective)) => objective,
            Some(QueryInput::OrderBy(OrderBy { key, direction, start_from })) => {
                let instead = "its points are not scored: leave it out";
                refuse_if_given(&threshold, "`score_threshold` with `order_by`", instead)?;
                let limit = limit + offset;
                let ordered = Ordered { filter, key, direction, start_from, limit, select };
                return Ok(Plan::Ordered(ordered, offset));
            }
            // As in Qdrant, which passes over no points of an order that never comes again.
            Some(QueryInput::Sample) => {
                return Ok(Plan::Sample(Sample { filter, limit, select, seed: rand::random() }));
            }
            None => {
                let instead = "points come by id, without a score; give a `query` to score by";
                refuse_if_given(&threshold, "`score_threshold` without `query`", instead)?;
                let limit = limit + offset;
                return Ok(Plan::Scroll(Scroll { filter, offset: None, limit, select }, offset));
            }
        };
        let params = self.params.unwrap_or_default();
        let search = Search {
            vector: self.using.unwrap_or_else(|| UNNAMED.to_owned()),
            query: Query::Like(Like { objective: objective.clone(), lender: None }),
            filter,
            limit,
            offset,
            score_threshold: threshold,
            exact: params.exact,
            ef: params.hnsw_ef,
            select,
        };
        look_up(search, objective, self.lookup_from, shared, name)
    }
}

/// The search, with its examples looked up where they should be. Without a point among them
/// there is nothing to look up.
fn look_up(
    search: Search,
    objective: Objective,
    from: Option<LookupFrom>,
    shared: &Shared,
    name: &str,
) -> Result<Plan, ApiError> {
    let Some(from) = from.filter(|_| objective.names_points()) else {
        return Ok(Plan::Search(search));
    };
    let instead = "leave it out: one node has one shard";
    refuse_if_given(&from.shard_key, "`shard_key` of `lookup_from`", instead)?;
    let collection = shared.collection(&from.collection)?;
    let vector = from.vector.unwrap_or_else(|| search.vector.clone());
    let lookup = Lookup { name: from.collection, collection, vector };
    lookup.check(&*shared.collection(name)?, &search.vector)?;
    if lookup.name != name {
        return Ok(Plan::SearchLike(search, objective, lookup));
    }
    let query = Query::Like(Like { objective, lender: Some(lookup.vector) });
    Ok(Plan::Search(Search { query, ..search }))
}

impl Lookup {
    /// Whether its vectors can be compared with those that are searched.
    fn check(&self, searched: &Collection, using: &str) -> Result<(), ApiError> {
        let size = |collection: &Collection, vector: &str| {
            collection.schema().vectors.get(vector).map(|params| params.size)
        };
        let (found, wanted) = (size(&self.collection, &self.vector), size(searched, using));
        match (found, wanted) {
            (Some(found), Some(wanted)) if found != wanted => Err(ApiError::BadInput(format!(
                "Vector dimension error: lookup_from: vector `{}` of collection `{}` has {found} \
                 dimensions, vector `{using}` has {wanted}: look up one with as many",
                self.vector, self.name
            ))),
            _ => Ok(()),
        }
    }

    fn objective(&self, objective: Objective) -> Result<Objective, ApiError> {
        self.collection.lend(&self.vector, objective).map_err(|error| {
            let what = format!("lookup_from: in collection `{}`: {error}", self.name);
            match error {
                ReadError::NoSuchPoint(_) | ReadError::NoVector(_) => ApiError::NotFound(what),
                _ => ApiError::BadInput(what),
            }
        })
    }
}

impl Plan {
    /// How many vectors each row is compared with.
    pub(super) fn comparisons(&self) -> usize {
        match self {
            Plan::Search(Search { query: Query::Like(like), .. }) => like.objective.comparisons(),
            Plan::SearchLike(_, objective, _) => objective.comparisons(),
            _ => 1,
        }
    }

    pub(super) fn run(self, collection: &Collection) -> Result<Found, ApiError> {
        let unscored = |points: Vec<PointView>, skipped| {
            let scored = |point| ScoredPoint { point, score: NOT_SCORED };
            Found::Scored(points.into_iter().skip(skipped).map(scored).collect())
        };
        Ok(match self {
            Plan::Search(search) => Found::Scored(collection.search(&search)?),
            Plan::SearchLike(search, objective, lookup) => {
                let objective = lookup.objective(objective)?;
                let query = Query::Like(Like { objective, lender: None });
                Found::Scored(collection.search(&Search { query, ..search })?)
            }
            Plan::Scroll(scroll, skipped) => unscored(collection.scroll(&scroll)?.points, skipped),
            Plan::Ordered(ordered, skipped) => {
                Found::Ordered(collection.ordered(&ordered)?.into_iter().skip(skipped).collect())
            }
            Plan::Sample(sample) => unscored(collection.sample(&sample)?, 0),
        })
    }
}
