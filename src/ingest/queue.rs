//! The queue between sources and the appender: ordered, bounded by count and bytes.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use crossbeam_channel::{Receiver, Sender, TrySendError, bounded, unbounded};
use tokio::sync::oneshot;

use super::ahead::{Ahead, AheadEnd};
use super::decode::{DecodedBatch, Work};
use super::pressure::Valve;
use super::record::{RECORD_BYTES_MAX, memory_bytes};
use super::watermarks::{Watermarks, WatermarksEnd};
use super::{DurableOffsets, IngestSettings};
use crate::catalog::Outcome;
use crate::metrics::Metrics;
use crate::operation::{Body, Message, encode};
use crate::position::{Offset, Seq, Stream, UnixMillis};
use crate::source::{Batch, Gate, Outlet, Pressure, Watermark};

/// So many times what sources may hold may be held by HTTP writes. Those whose callers wait are
/// bounded by the bodies of requests, which take about as much by default: so what is refused is
/// what would pile up behind callers that have gone.
const WRITTEN_TIMES: usize = 4;

/// What the appender takes, in order.
pub(super) enum Entry {
    /// A batch that a worker is decoding, or has decoded.
    Batch(PendingBatch),
    Write(Write),
}

pub(super) struct PendingBatch {
    pub number: u64,
    pub bytes: usize,
    pub watermark: Watermark,
    pub gate: Gate,
    /// One value, once the batch is decoded.
    pub decoded: Receiver<DecodedBatch>,
}

/// An HTTP write: decoded by its handler.
pub(super) struct Write {
    pub time: UnixMillis,
    pub body: Body,
    pub encoded: Bytes,
    /// What it takes in memory, about.
    pub bytes: usize,
    /// Told the seq once it is durable.
    pub durable: oneshot::Sender<Seq>,
    /// Told the outcome once it is applied.
    pub applied: Option<oneshot::Sender<Outcome>>,
}

/// The entrance, shared by every source and by the HTTP door.
#[derive(Clone)]
pub struct Queue {
    entries: Sender<Entry>,
    work: Sender<Work>,
    held: Arc<HeldBytes>,
    /// Apart from what sources hold: they fill theirs whenever the log is slow.
    written: Arc<HeldBytes>,
    ahead: Arc<Ahead>,
    watermarks: Watermarks,
    /// How many batches were let in. Held while one is, so that entries and work have one order.
    batches: Arc<Mutex<u64>>,
    valve: Arc<Valve>,
}

/// The bytes between an entrance and the log.
pub(super) struct HeldBytes {
    bytes: AtomicUsize,
    bytes_max: usize,
    metrics: Metrics,
}

impl HeldBytes {
    /// While there is any room a batch is let in, however large: in the midst of others it would
    /// wait for room of its own for ever. So the bound is passed by one batch at most.
    fn take(&self, bytes: usize) -> bool {
        let taken = self.bytes.fetch_update(Ordering::AcqRel, Ordering::Acquire, |held| {
            (held < self.bytes_max.max(1)).then_some(held + bytes)
        });
        if taken.is_ok() {
            self.metrics.wal.queue_bytes.add(bytes as i64);
        }
        taken.is_ok()
    }

    pub(super) fn give_back(&self, bytes: usize) {
        self.bytes.fetch_sub(bytes, Ordering::AcqRel);
        self.metrics.wal.queue_bytes.sub(bytes as i64);
    }
}

/// The two exits: entries for the appender, work for the decoders.
pub struct QueueEnds {
    pub(super) entries: Receiver<Entry>,
    pub(super) held: Arc<HeldBytes>,
    pub(super) written: Arc<HeldBytes>,
    pub(super) ahead: AheadEnd,
    /// Nothing is durable any more when this is dropped.
    _watermarks: WatermarksEnd,
    pub work: Receiver<Work>,
}

impl Queue {
    pub fn new(
        settings: &IngestSettings,
        valve: Arc<Valve>,
        metrics: &Metrics,
    ) -> (Queue, QueueEnds) {
        let (entries, entries_out) = bounded(settings.queue_batches_max);
        // As many as there are entries: a batch is offered to both or to neither.
        let (work, work_out) = unbounded();
        let held_bytes = |bytes_max| {
            let bytes = AtomicUsize::new(0);
            Arc::new(HeldBytes { bytes, bytes_max, metrics: metrics.clone() })
        };
        let held = held_bytes(settings.queue_bytes_max);
        let written = held_bytes(settings.queue_bytes_max.saturating_mul(WRITTEN_TIMES));
        let ahead = Ahead::new(settings.queue_bytes_max);
        let (end, watermarks) = (AheadEnd(ahead.clone()), Watermarks::default());
        let ends = QueueEnds {
            entries: entries_out,
            held: held.clone(),
            written: written.clone(),
            ahead: end,
            _watermarks: WatermarksEnd(watermarks.clone()),
            work: work_out,
        };
        let batches = Arc::default();
        (Queue { entries, work, held, written, ahead, watermarks, batches, valve }, ends)
    }

    /// The door of the source with this number in the decoders' list.
    pub fn intake(
        &self,
        source: usize,
        watermark: Watermark,
        gate: Gate,
        offsets: DurableOffsets,
    ) -> Intake {
        self.watermarks.add(&watermark);
        Intake { queue: self.clone(), source, watermark, gate, offsets }
    }

    pub fn submit(&self) -> Submit {
        Submit { queue: self.clone() }
    }

    /// How full it is, 1 at its bound.
    fn share(&self) -> f64 {
        let bytes = self.held.bytes.load(Ordering::Relaxed) as f64 / self.held.bytes_max as f64;
        let entries = self.entries.capacity().unwrap_or(usize::MAX);
        bytes.max(self.entries.len() as f64 / entries as f64)
    }
}

/// Where one source puts its batches.
pub struct Intake {
    queue: Queue,
    source: usize,
    watermark: Watermark,
    gate: Gate,
    offsets: DurableOffsets,
}

impl Outlet for Intake {
    fn offer(&self, batch: Batch) -> Result<(), Batch> {
        if self.queue.valve.is_shut() {
            return Err(batch);
        }
        let bytes = batch_bytes(&batch);
        if !self.queue.held.take(bytes) {
            return Err(batch);
        }
        let (decoded, decoded_out) = bounded(1);
        let entry = PendingBatch {
            number: batch.number,
            bytes,
            watermark: self.watermark.clone(),
            gate: self.gate.clone(),
            decoded: decoded_out,
        };
        let mut batches = self.queue.batches.lock().unwrap_or_else(PoisonError::into_inner);
        if self.queue.entries.try_send(Entry::Batch(entry)).is_err() {
            self.queue.held.give_back(bytes);
            return Err(batch);
        }
        // The workers live as long as the queue has entrances. If they are gone the process is
        // ending, and the appender finds the cell closed and stops before this batch.
        let (place, ahead) = (*batches, self.queue.ahead.clone());
        *batches += 1;
        let _ = self.queue.work.send(Work { place, ahead, source: self.source, batch, decoded });
        Ok(())
    }

    fn pressure(&self) -> Option<Pressure> {
        self.queue.valve.pressure(self.queue.share())
    }

    fn durable(&self, stream: &Stream) -> Option<Offset> {
        self.offsets.get(stream)
    }
}

fn batch_bytes(batch: &Batch) -> usize {
    use crate::source::What;
    // Beside its bytes, what an item costs in memory.
    const ITEM_BYTES: usize = 128;
    batch
        .items
        .iter()
        .map(|item| match &item.what {
            What::Message(delivery) => {
                delivery.value.as_ref().map_or(0, Bytes::len)
                    + delivery.key.as_ref().map_or(0, Bytes::len)
                    + headers_bytes(&delivery.headers)
                    + ITEM_BYTES
            }
            What::Moved { .. } | What::Start { .. } => ITEM_BYTES,
        })
        .sum()
}

/// With what each takes beside its text.
fn headers_bytes(headers: &[(String, Bytes)]) -> usize {
    let each =
        |(name, value): &(String, Bytes)| name.len() + value.len() + size_of::<(String, Bytes)>();
    headers.iter().map(each).sum()
}

/// The HTTP door's entrance.
#[derive(Clone)]
pub struct Submit {
    queue: Queue,
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SubmitError {
    #[error("the log is behind and its queue is full: try again later")]
    Full,
    #[error("it would take {0} bytes in the log, more than {RECORD_BYTES_MAX}: send several")]
    TooLarge(usize),
    #[error("the daemon is shutting down")]
    Closed,
}

/// Who to ask about a queued message. A receiver that is dropped stops nothing.
pub struct Submitted {
    /// Told the seq when it is durable.
    pub durable: oneshot::Receiver<Seq>,
    /// Told the outcome when it is applied, if the message says that its writer waits.
    pub applied: Option<oneshot::Receiver<Outcome>>,
}

impl Submit {
    /// Whether only what is kept free is left of the disk.
    pub fn disk_full(&self) -> bool {
        self.queue.valve.disk_full()
    }

    pub fn write(&self, message: Message) -> Result<Submitted, SubmitError> {
        let waits = message.waits;
        self.put(Body::Message(message), waits)
    }

    /// Appends what an operator decided about dead letters. Taken however many of them are kept.
    pub fn decide(&self, body: Body) -> Result<Submitted, SubmitError> {
        self.put(body, true)
    }

    fn put(&self, body: Body, waits: bool) -> Result<Submitted, SubmitError> {
        let (durable, durable_out) = oneshot::channel();
        let (applied, applied_out) = waits.then(oneshot::channel).unzip();
        let (time, encoded) = (UnixMillis::now(), encode(&body));
        if encoded.len() > RECORD_BYTES_MAX {
            return Err(SubmitError::TooLarge(encoded.len()));
        }
        let bytes = size_of::<Write>() + memory_bytes(&body, encoded.len());
        if !self.queue.written.take(bytes) {
            return Err(SubmitError::Full);
        }
        let write = Write { time, body, encoded, bytes, durable, applied };
        let refused = match self.queue.entries.try_send(Entry::Write(write)) {
            Ok(()) => return Ok(Submitted { durable: durable_out, applied: applied_out }),
            Err(TrySendError::Full(_)) => SubmitError::Full,
            Err(TrySendError::Disconnected(_)) => SubmitError::Closed,
        };
        self.queue.written.give_back(bytes);
        Err(refused)
    }
}
