//! The HTTP door: what today's Qdrant clients speak, over the catalog.
//!
//! Paths, bodies, status codes and the envelope are Qdrant's. Beside them are `GET /sources`
//! and `GET /dead-letters`. What Qdrant has and pointd has not is refused with a sentence that
//! says so; it is never answered with something else.
//!
//! - A body is JSON whatever its content type says. Fields that nobody knows are passed over,
//!   as in Qdrant, except where a typo would change what is answered, stored or deleted: inside
//!   a filter, a point, and every body that says which points to change.
//! - A write is checked against the collection as it stands, then logged. A write that is
//!   durable is answered at least `acknowledged` with its seq, also when its time is up or the
//!   daemon stops.
//! - `GET /` answers the Qdrant version whose requests are understood ([`QDRANT_VERSION`]),
//!   because clients compare its major and minor with their own; pointd's version stands
//!   beside it.
//!
//! Promise: a `completed` write is seen by every read that starts after the answer, and
//! everything here has a maximum ([`ApiSettings`]). No promise: that an `acknowledged` write
//! can be read yet, or that a read that ran out of time stopped working at once.

mod answer;
mod auth;
mod body;
mod collections;
mod create;
mod dead_letters;
mod error;
mod indexes;
mod points;
mod readiness;
mod reading;
mod routes;
mod server;
mod service;
mod settings;
mod sources;
mod writes;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;

use crate::catalog::Catalog;
use crate::collection::{Collection, CollectionOptions};
use crate::metrics::Metrics;
use crate::position::Seq;
use crate::shutdown::Shutdown;
use crate::wal::LogId;

use answer::Answer;
use error::ApiError;
use reading::Reading;

pub use dead_letters::{Forwarding, Redecode};
pub use readiness::Readiness;
pub use routes::router;
pub use server::{BindError, Bound, bind};
pub use settings::{ApiKey, ApiSettings, InvalidSettings};
pub use sources::{OrderError, Sources};
pub use writes::{WriteError, Writes, Written};

/// The Qdrant version that `GET /` answers. The Python client warns when its own minor is
/// further than one away.
pub const QDRANT_VERSION: &str = "1.20.0";

/// Everything the handlers read from and write to.
#[derive(Clone)]
pub struct Doors {
    pub catalog: Arc<Catalog>,
    /// What the catalog's collections were opened with, for their descriptions.
    pub collection: CollectionOptions,
    pub writes: Arc<dyn Writes>,
    pub sources: Arc<dyn Sources>,
    pub readiness: Readiness,
    pub metrics: Metrics,
    pub shutdown: Shutdown,
    /// The highest seq that readers see, as the applier raises it.
    pub applied: watch::Receiver<Seq>,
    /// Which log the seqs are numbers of.
    pub log_id: LogId,
    pub redecode: Redecode,
    /// How the forwarding of dead letters stands, if there is any.
    pub forwarding: Option<Forwarding>,
}

/// What a handler is given: the doors, the limits, and the permits that keep them.
struct Shared {
    doors: Doors,
    settings: ApiSettings,
    /// One permit for each read that may use a CPU.
    searches: Arc<Semaphore>,
    /// One permit for each KiB of request bodies in memory.
    bodies: Arc<Semaphore>,
    /// One permit: redrives of one request at a time are decoded and in memory.
    redrives: Semaphore,
    /// The highest seq that a write was answered with.
    acknowledged: AtomicU64,
}

type Context = axum::extract::State<Arc<Shared>>;

/// When a request's time is up.
#[derive(Clone, Copy)]
struct Deadline {
    at: Instant,
    allowed: Duration,
}

impl Shared {
    fn new(settings: ApiSettings, doors: Doors) -> Arc<Shared> {
        let searches = Arc::new(Semaphore::new(settings.searches_max));
        let bodies = Arc::new(Semaphore::new(settings.bodies_bytes_max.div_ceil(1024)));
        let (redrives, acknowledged) = (Semaphore::new(1), AtomicU64::new(0));
        Arc::new(Shared { doors, settings, searches, bodies, redrives, acknowledged })
    }

    fn collection(&self, name: &str) -> Result<Arc<Collection>, ApiError> {
        self.doors
            .catalog
            .collection(name)
            .ok_or_else(|| ApiError::UnknownCollection(name.to_owned()))
    }

    /// The request's own `timeout` in seconds may be shorter than the configured one, not longer.
    fn deadline(&self, timeout_seconds: Option<u64>) -> Deadline {
        let most = self.settings.request_timeout;
        let allowed = timeout_seconds.map_or(most, |given| most.min(Duration::from_secs(given)));
        Deadline { at: answer::started() + allowed, allowed }
    }

    /// Runs a read on a thread of its own: scoring, filtering and printing would keep every
    /// other connection of this thread waiting. What has started runs to its end even if
    /// nobody waits any more, and keeps its permit until then.
    async fn read<F>(&self, reading: Reading, work: F) -> Result<Answer, ApiError>
    where
        F: FnOnce() -> Result<Answer, ApiError> + Send + 'static,
    {
        let deadline = reading.deadline;
        let late = |_| ApiError::ReadTimeout { allowed: deadline.allowed };
        let permit = tokio::time::timeout_at(deadline.at, self.searches.clone().acquire_owned());
        let permit = permit.await.map_err(late)?;
        let task = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            work()
        });
        match tokio::time::timeout_at(deadline.at, task).await.map_err(late)? {
            Ok(answer) => answer,
            Err(error) => Err(ApiError::Broken(format!("the read ended early: {error}"))),
        }
    }
}
