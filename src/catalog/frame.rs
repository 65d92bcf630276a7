//! What the log hands over once it is durable. It is defined here because both sides of the
//! handover, intake and applier, stand above the catalog and beside each other.

use tokio::sync::oneshot;

use super::Outcome;
use crate::operation::Body;
use crate::position::{Position, Seq, UnixMillis};

/// A durable record on its way to the collections.
#[derive(Debug)]
pub struct Durable {
    pub seq: Seq,
    pub time: UnixMillis,
    pub position: Option<Position>,
    pub body: Body,
    /// The HTTP caller that waits for the outcome. Dropped without an answer when the applier
    /// ends first: the record is durable all the same.
    pub reply: Option<oneshot::Sender<Outcome>>,
}

/// The records that one fsync made durable.
#[derive(Debug)]
pub struct Frame {
    pub records: Vec<Durable>,
    /// Its size in the log.
    pub bytes: u64,
}
