//! Brokers: where messages come from.
//!
//! A source takes deliveries from its broker, gives them out in *batches* that it numbers
//! from 1, in order, and tells the broker (offset commit, ack) only what has become durable.
//! It never learns what makes a batch durable: it reads a [`Watermark`].
//!
//! Promise: the items of one stream come out in the broker's order; nothing is committed or
//! acked beyond the watermark. No promise: that an item comes out only once. After a restart
//! or a reconnect a broker delivers again, and the room that appends recognises it.
//!
//! The items of a batch share one buffer: whoever keeps a value for longer than the batch
//! should copy it, or it keeps the whole batch in memory.

pub mod amqp;
pub mod embedded;
mod gate;
mod identity;
pub mod kafka;
pub mod status;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use crossbeam_channel::{Receiver, Sender};
use serde::{Deserialize, Serialize};

use crate::metrics::Metrics;
use crate::position::{Offset, Position, Stream, UnixMillis};
use crate::shutdown::Shutdown;

pub use gate::Gate;
pub use status::Status;

/// One thing that happened in a stream.
#[derive(Clone, Debug)]
pub struct Item {
    pub position: Position,
    pub what: What,
}

#[derive(Clone, Debug)]
pub enum What {
    Message(Delivery),
    /// The position moved and nothing was delivered: transaction markers, compaction, the end
    /// of a partition. With a `why`, messages were in between, and it was decided to go on
    /// without them.
    Moved {
        why: Option<String>,
    },
    /// Where consumption of a stream begins that had no position yet: decided once, made
    /// durable before anything is consumed. With a `why` it has one, and it was decided that it
    /// begins anew, be it further back. With `forget_others`, positions that the same
    /// source has in any other cluster will never be needed again (an embedded broker's data
    /// ends with its process).
    Start {
        forget_others: bool,
        why: Option<String>,
    },
}

/// What a broker delivered, as it was.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// The broker's or the publisher's time of the message; the time of arrival if it has none.
    pub time: UnixMillis,
    pub key: Option<Bytes>,
    /// `None` is a Kafka tombstone.
    pub value: Option<Bytes>,
    /// In order; names may repeat. AMQP's properties `content-type`, `content-encoding`,
    /// `type` and `message-id` come first, under those names.
    pub headers: Vec<(String, Bytes)>,
    /// Of a queue without offsets: how it came.
    pub redelivered: Option<Redelivery>,
}

/// How a queue's delivery came, so that what comes again is told from what is new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Redelivery {
    /// The number of the connection it came on, from 1.
    pub connection: u64,
    /// Whether the broker says that it may have delivered this before.
    pub again: bool,
    /// Whether the run of redeliveries was cut behind this one: the rest of it is still to come.
    pub cut: bool,
}

/// A run of items, taken together. Numbered from 1 by its source, without holes.
#[derive(Debug)]
pub struct Batch {
    pub number: u64,
    pub items: Vec<Item>,
}

/// Where a source puts its batches. Full means: keep the batch, stop fetching, offer it again.
pub trait Outlet: Send + Sync {
    /// Never blocks; gives the batch back when there is no room.
    fn offer(&self, batch: Batch) -> Result<(), Batch>;

    /// Why nothing more should be fetched. What was delivered already is still offered, and
    /// there is room kept for it.
    fn pressure(&self) -> Option<Pressure>;

    /// Where consumption of this stream goes on, as far as it is durable.
    fn durable(&self, stream: &Stream) -> Option<Offset>;
}

/// Why nothing more should be fetched for the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Pressure {
    #[error("what was taken is not in the log yet and fills its queue")]
    QueueFull,
    #[error("what is in the log is not applied yet")]
    ApplierBehind,
    #[error("the disk is full, but for what is kept free")]
    DiskFull,
    #[error("as many dead letters are kept as may be")]
    DeadLettersFull,
}

/// What happens at a gap: where what should come next is gone, or is another's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GapPolicy {
    #[default]
    Halt,
    Skip,
}

/// What an operator tells a running source.
#[derive(Debug)]
pub enum Order {
    /// Go on at the beginning of what the broker has. `None` stands for every halted partition.
    AcceptGap { topic: Option<String>, partition: Option<i32>, answer: Answer },
}

/// What was done, a sentence for each stream, or why nothing was.
pub type Answer = Sender<Result<Vec<String>, String>>;

/// To who accepted a gap, when the batch with that decision was refused.
const HALTED_BEFORE: &str =
    "the source was halted before that was in the log: ask again when it goes on";

/// The highest batch number up to which everything is durable. Written by whoever makes
/// batches durable, read by the source.
#[derive(Clone, Debug, Default)]
pub struct Watermark(Arc<Level>);

#[derive(Debug, Default)]
struct Level {
    number: AtomicU64,
    ended: AtomicBool,
}

impl Watermark {
    pub fn get(&self) -> u64 {
        self.0.number.load(Ordering::Acquire)
    }

    /// Batches of one source become durable in order, so this only ever rises.
    pub fn raise(&self, number: u64) {
        self.0.number.fetch_max(number, Ordering::AcqRel);
    }

    /// Says that it will rise no more: a source that is stopping need not wait for it.
    pub fn end(&self) {
        self.0.ended.store(true, Ordering::Release);
    }

    pub fn is_ended(&self) -> bool {
        self.0.ended.load(Ordering::Acquire)
    }
}

/// What a source of any kind is connected to.
#[derive(Clone)]
pub struct Wiring {
    pub outlet: Arc<dyn Outlet>,
    pub watermark: Watermark,
    pub gate: Gate,
    pub orders: Receiver<Order>,
    pub status: Arc<Status>,
    pub metrics: Metrics,
    pub shutdown: Shutdown,
    /// After shutdown was asked for: how long a source waits for its batches to become
    /// durable, and then for its broker to take the last commit or ack.
    pub drain_timeout: Duration,
}
