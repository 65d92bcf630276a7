//! From a request to the log and back.

use std::sync::atomic::Ordering;

use axum::http::StatusCode;
use futures_util::future::BoxFuture;
use serde::Serialize;
use tokio::sync::oneshot;

use super::error::ApiError;
use super::{Deadline, Shared};
use crate::catalog::Outcome;
use crate::operation::{Body, Message, Operation};
use crate::position::Seq;

/// Where the HTTP door puts its writes. The daemon connects it to the log.
pub trait Writes: Send + Sync {
    /// Appends one message. Ready when its record is fsynced, not before. If the message
    /// `waits`, the answer carries a receiver that hears of the outcome once readers see it;
    /// a receiver that is dropped changes nothing.
    fn write(&self, message: Message) -> BoxFuture<'static, Result<Written, WriteError>>;

    /// Appends what an operator decided about dead letters, in the order of the calls. Taken
    /// however many letters are kept; the answer carries the outcome's receiver always.
    fn decide(&self, body: Body) -> BoxFuture<'static, Result<Written, WriteError>>;
}

/// A durable write.
#[derive(Debug)]
pub struct Written {
    pub seq: Seq,
    /// There if the message waits, and for a decision.
    pub outcome: Option<oneshot::Receiver<Outcome>>,
}

/// Why a write was not taken. Nothing of it is in the log.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum WriteError {
    #[error("Too many writes are waiting for the log: try again in a second")]
    Full,
    #[error("Writes are not taken yet, the log is being replayed: wait until /readyz says ready")]
    Recovering,
    #[error("This write is not taken: {why}. Reads go on, and so do writes with wait=true")]
    Stopped { why: String },
    #[error("This write is too large: {why}")]
    TooLarge { why: String },
    #[error("pointd is shutting down: try again after its restart")]
    Closed,
}

impl WriteError {
    pub(super) fn status(&self) -> StatusCode {
        match self {
            WriteError::Full => StatusCode::TOO_MANY_REQUESTS,
            WriteError::Stopped { .. } => StatusCode::INSUFFICIENT_STORAGE,
            WriteError::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            WriteError::Recovering | WriteError::Closed => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    pub(super) fn retry_after_seconds(&self) -> Option<u32> {
        match self {
            WriteError::Full => Some(1),
            WriteError::Recovering | WriteError::Closed => Some(5),
            WriteError::Stopped { .. } | WriteError::TooLarge { .. } => None,
        }
    }
}

/// The answer to a write of points.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Update {
    operation_id: Seq,
    pub(super) status: UpdateStatus,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum UpdateStatus {
    /// Durable. It will be applied, in its turn.
    Acknowledged,
    /// Visible to every read from now on.
    Completed,
}

impl Shared {
    /// Writes one message. Checked first, so that what cannot be applied is answered at
    /// once and does not become a dead letter; the log's order decides all the same.
    pub(super) async fn write(
        &self,
        collection: &str,
        operations: Vec<Operation>,
        wait: bool,
        deadline: Deadline,
    ) -> Result<Update, ApiError> {
        let message =
            Message { collection: collection.to_owned(), operations, original: None, waits: wait };
        self.check(&message, deadline).await?;
        let written = tokio::time::timeout_at(deadline.at, self.doors.writes.write(message));
        let late = |_| ApiError::WriteTimeout { allowed: deadline.allowed };
        let Written { seq, outcome } = written.await.map_err(late)??;
        self.acknowledged.fetch_max(seq.0, Ordering::AcqRel);
        let acknowledged = Update { operation_id: seq, status: UpdateStatus::Acknowledged };
        let Some(outcome) = outcome else { return Ok(acknowledged) };
        let told = tokio::select! {
            told = tokio::time::timeout_at(deadline.at, outcome) => told,
            // The applier may stop before this message's turn; the log has it.
            () = self.doors.shutdown.asked() => return Ok(acknowledged),
        };
        match told {
            Ok(Ok(Outcome::Refused(refusal))) => {
                Err(ApiError::refused_late(collection, refusal, seq))
            }
            Ok(Ok(_)) => Ok(Update { status: UpdateStatus::Completed, ..acknowledged }),
            // Time is up, or the applier went away: durable, and no more is known.
            Ok(Err(_)) | Err(_) => Ok(acknowledged),
        }
    }

    /// Refused is what cannot be applied once every write is that was answered before: a point
    /// may be named as soon as its upsert was acknowledged.
    async fn check(&self, message: &Message, deadline: Deadline) -> Result<(), ApiError> {
        let catalog = &self.doors.catalog;
        if catalog.check(message).is_ok() {
            return Ok(());
        }
        let before = Seq(self.acknowledged.load(Ordering::Acquire));
        let mut applied = self.doors.applied.clone();
        // Should it not come in time, or not at all, what is there now decides.
        let _ = tokio::time::timeout_at(deadline.at, applied.wait_for(|seq| *seq >= before)).await;
        catalog.check(message).map_err(|refusal| ApiError::refused(&message.collection, refusal))
    }
}
