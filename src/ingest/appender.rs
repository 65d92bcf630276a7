//! The one thread that appends: what is waiting becomes one frame, one fsync, and then the
//! acknowledgements of everything in it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use crossbeam_channel::{RecvTimeoutError, Sender, TryRecvError};
use tokio::sync::oneshot;

use super::decode::Decoded;
use super::duplicates::{Duplicates, Verdict};
use super::handed::Handed;
use super::pressure::Valve;
use super::queue::{Entry, PendingBatch, QueueEnds, Write};
use crate::catalog::{self, Durable, Outcome};
use crate::disk::ballast::Ballast;
use crate::metrics::{Metrics, stream_labels};
use crate::operation::{Body, encode};
use crate::position::{Mark, Offset, Position, Seq, Stream, UnixMillis};
use crate::shutdown::Shutdown;
use crate::source::Watermark;
use crate::wal::{AppendError, Appended, Draft, Trimmer, Wal};

/// Between two tries to append to a full disk.
const ROOM_PAUSE: Duration = Duration::from_millis(500);
/// How long a checkpoint may take to make room with what the ballast left.
const CHECKPOINT_PATIENCE: Duration = Duration::from_secs(10);
/// Between two looks at an applier that stood still.
const APPLIER_LOOK: Duration = Duration::from_millis(50);

/// What the appender writes to and tells.
pub struct AppenderEnds {
    pub wal: Wal,
    /// From the positions the log stands at after recovery.
    pub duplicates: Duplicates,
    /// Durable records in frames, to the applier, see [`super::applier_channel`]. A slow applier
    /// stops the appender, which fills the queue, which pauses the sources.
    pub applier: Sender<catalog::Frame>,
    pub frames_max: usize,
    /// Bytes of frames that may wait beyond `frames_max` when the applier stands still.
    pub reserve_bytes: u64,
    pub valve: Arc<Valve>,
    pub ballast: Option<Arc<Ballast>>,
    /// Asks for a checkpoint now.
    pub checkpoint: Sender<()>,
    pub offsets: DurableOffsets,
    /// Set while the log waits for room on the disk.
    pub no_room: Arc<AtomicBool>,
    pub shutdown: Shutdown,
    pub frame_bytes_max: usize,
    pub metrics: Metrics,
}

/// How far each partition is in the log and fsynced. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct DurableOffsets(Arc<RwLock<HashMap<Arc<Stream>, Offset>>>);

impl DurableOffsets {
    /// `None` for a queue, and for a partition of which nothing was ever appended.
    pub fn get(&self, stream: &Stream) -> Option<Offset> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(stream).copied()
    }

    /// From the positions the log stands at after recovery.
    pub fn new(positions: &[Position]) -> Self {
        let offsets = DurableOffsets::default();
        for position in positions {
            if let Mark::Next(next) = position.mark {
                offsets.set(&position.stream, next);
            }
        }
        offsets
    }

    fn set(&self, stream: &Arc<Stream>, next: Offset) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(stream.clone(), next);
    }
}

/// Takes the queue's entries in order, frame by frame.
pub struct Appender {
    queue: QueueEnds,
    ends: AppenderEnds,
    trimmer: Trimmer,
    handed: Handed,
    frame: Frame,
    /// Taken from the queue and not yet decoded when the last frame was closed.
    waiting: Option<PendingBatch>,
}

/// A frame being filled, and what to tell once it is durable.
#[derive(Default)]
struct Frame {
    drafts: Vec<Draft>,
    records: Vec<Unnumbered>,
    bytes: usize,
    watermarks: Vec<(Watermark, u64)>,
    held_bytes: usize,
}

/// A record whose seq comes with the append.
struct Unnumbered {
    time: UnixMillis,
    position: Option<Position>,
    body: Body,
    durable: Option<oneshot::Sender<Seq>>,
    reply: Option<oneshot::Sender<Outcome>>,
}

impl Appender {
    pub fn new(queue: QueueEnds, ends: AppenderEnds) -> Self {
        let trimmer = ends.wal.trimmer();
        let applier = ends.applier.clone();
        let handed = Handed::new(applier, ends.frames_max, ends.reserve_bytes, ends.valve.clone());
        Appender { queue, ends, trimmer, handed, frame: Frame::default(), waiting: None }
    }

    /// Runs until every entrance of the queue is dropped and all that came in is durable. An
    /// error means the log can take nothing more: end the process.
    pub fn run(mut self) -> Result<(), AppendError> {
        while self.fill() {
            self.write()?;
        }
        Ok(())
    }

    /// Waits for something to append, then takes what else is ready. `false` at the end.
    fn fill(&mut self) -> bool {
        while self.frame.is_empty() {
            let entry = match self.waiting.take() {
                Some(batch) => Entry::Batch(batch),
                None => match self.next_entry() {
                    Some(entry) => entry,
                    None => return false,
                },
            };
            match entry {
                Entry::Batch(batch) => match batch.decoded.recv() {
                    Ok(decoded) => self.take_batch(batch, decoded),
                    // Its worker is gone: the process is ending without it.
                    Err(_) => return false,
                },
                Entry::Write(write) => self.take_write(write),
            }
        }
        while self.frame.bytes < self.ends.frame_bytes_max && self.take_ready() {}
        true
    }

    /// Waits for an entry; `None` at the end.
    fn next_entry(&mut self) -> Option<Entry> {
        // Sources that wait for the applier give nothing that would wake this thread.
        while self.handed.look() {
            match self.queue.entries.recv_timeout(APPLIER_LOOK) {
                Ok(entry) => return Some(entry),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return None,
            }
        }
        self.queue.entries.recv().ok()
    }

    /// Takes the entry in front if it is decoded.
    fn take_ready(&mut self) -> bool {
        let entry = match self.waiting.take() {
            Some(batch) => Entry::Batch(batch),
            None => match self.queue.entries.try_recv() {
                Ok(entry) => entry,
                Err(_) => return false,
            },
        };
        match entry {
            Entry::Write(write) => self.take_write(write),
            Entry::Batch(batch) => match batch.decoded.try_recv() {
                Ok(decoded) => self.take_batch(batch, decoded),
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => {
                    self.waiting = Some(batch);
                    return false;
                }
            },
        }
        true
    }

    fn take_batch(&mut self, batch: PendingBatch, decoded: Vec<Decoded>) {
        self.frame.held_bytes += batch.bytes;
        if batch.gate.refuses(batch.number) {
            return;
        }
        let run = decoded.iter().map_while(|item| {
            let came = item.redelivered.filter(|came| came.again)?;
            Some((&item.position, came.connection))
        });
        let repeated = self.ends.duplicates.repeated(run);
        for (at, item) in decoded.into_iter().enumerate() {
            if let Some(why) = self.take_item(item, at < repeated) {
                // What stands before it is in the log and will be recognised when it comes again;
                // the batch as a whole is not acknowledged.
                return batch.gate.close(why);
            }
        }
        self.frame.watermarks.push((batch.watermark, batch.number));
    }

    /// `repeated`: already known as a duplicate. Gives the reason why nothing of its source may
    /// be taken behind it, if so.
    fn take_item(&mut self, item: Decoded, repeated: bool) -> Option<String> {
        let duplicates = &mut self.ends.duplicates;
        let verdict = match &item.body {
            Body::Moved { .. } => duplicates.judge_move(&item.position),
            Body::Start { why, .. } => duplicates.judge_start(&item.position, why.is_some()),
            _ if repeated => Verdict::Duplicate,
            _ => {
                let connection = item.redelivered.map_or(0, |came| came.connection);
                duplicates.judge(&item.position, connection)
            }
        };
        let (body, encoded) = match verdict {
            Verdict::Passed => return None,
            Verdict::New => (item.body, item.body_encoded),
            Verdict::Duplicate => {
                self.ends.metrics.duplicate(&item.position);
                (Body::Duplicate, encode(&Body::Duplicate))
            }
        };
        let why = match &body {
            Body::Rejected(rejection) if item.halts => {
                let why = rejection.refusal.halts_its_source();
                let source = item.position.stream.source();
                tracing::error!(source, why, "nothing more is taken of a source");
                Some(why)
            }
            _ => None,
        };
        let record = Unnumbered {
            time: item.time,
            position: Some(item.position),
            body,
            durable: None,
            reply: None,
        };
        self.frame.push(record, Some(item.position_encoded), encoded);
        why
    }

    fn take_write(&mut self, write: Write) {
        let record = Unnumbered {
            time: write.time,
            position: None,
            body: write.body,
            durable: Some(write.durable),
            reply: write.applied,
        };
        self.frame.push(record, None, write.encoded);
    }

    fn write(&mut self) -> Result<(), AppendError> {
        let mut frame = std::mem::take(&mut self.frame);
        let records = std::mem::take(&mut frame.records);
        if !frame.drafts.is_empty() {
            let appended = self.append(&frame.drafts)?;
            self.count(&appended, frame.drafts.len());
            self.show_offsets(&records);
            frame.acknowledge();
            let seqs = appended.first.0..=appended.last.0;
            let durable =
                records.into_iter().zip(seqs).map(|(record, seq)| record.durable(Seq(seq)));
            // The applier outlives the appender; if it is gone it has said why and the process
            // is ending. What is durable is applied at the next start.
            let frame = catalog::Frame { records: durable.collect(), bytes: appended.bytes };
            self.ends.valve.appended(appended.bytes);
            self.handed.send(frame);
        }
        frame.acknowledge();
        self.queue.held.give_back(frame.held_bytes);
        frame.drafts.clear();
        self.frame.drafts = frame.drafts;
        Ok(())
    }

    /// Appends, and waits for room where the disk is full: nothing of the frame was written, the
    /// queue fills behind it, the sources pause, and reads go on.
    fn append(&mut self, drafts: &[Draft]) -> Result<Appended, AppendError> {
        loop {
            match self.ends.wal.append(drafts) {
                Err(error @ AppendError::NoRoom { .. }) if !self.ends.shutdown.is_asked() => {
                    if !self.ends.no_room.swap(true, Ordering::AcqRel) {
                        tracing::error!(%error, "no room for the log: waiting until there is");
                    }
                    if !self.make_room() {
                        std::thread::sleep(ROOM_PAUSE);
                    }
                }
                appended => {
                    if self.ends.no_room.swap(false, Ordering::AcqRel) && appended.is_ok() {
                        tracing::info!("there is room for the log again");
                    }
                    return appended;
                }
            }
        }
    }

    /// Gives up the ballast, if it is there, and lets a checkpoint use it before the log does:
    /// only that makes log files go.
    fn make_room(&self) -> bool {
        if !self.ends.ballast.as_ref().is_some_and(|ballast| ballast.give_up()) {
            return false;
        }
        let before = self.trimmer.bytes();
        // One that is asked for already will do.
        let _ = self.ends.checkpoint.try_send(());
        let deadline = Instant::now() + CHECKPOINT_PATIENCE;
        while self.trimmer.bytes() >= before
            && Instant::now() < deadline
            && !self.ends.shutdown.is_asked()
        {
            std::thread::sleep(APPLIER_LOOK);
        }
        true
    }

    /// Sets the durable offset of each partition in the frame, once.
    fn show_offsets(&self, records: &[Unnumbered]) {
        let mut shown: Vec<&Arc<Stream>> = Vec::new();
        for position in records.iter().rev().filter_map(|record| record.position.as_ref()) {
            let Mark::Next(next) = position.mark else { continue };
            if !shown.iter().any(|stream| Arc::ptr_eq(stream, &position.stream)) {
                let labels = stream_labels(&position.stream);
                let gauge = &self.ends.metrics.source.durable_offset;
                gauge.with_label_values(&labels.each()).set(next.0 as i64);
                self.ends.offsets.set(&position.stream, next);
                shown.push(&position.stream);
            }
        }
    }

    fn count(&self, appended: &Appended, records: usize) {
        let wal = &self.ends.metrics.wal;
        wal.appended_bytes.inc_by(appended.bytes);
        wal.appended_records.inc_by(records as u64);
        wal.frame_bytes.observe(appended.bytes as f64);
        wal.fsync_seconds.observe(appended.fsync.as_secs_f64());
        wal.durable_seq.set(appended.last.0 as i64);
        wal.bytes.set(self.trimmer.bytes() as i64);
    }
}

impl Frame {
    /// Nothing to write and nothing to tell.
    fn is_empty(&self) -> bool {
        self.drafts.is_empty() && self.watermarks.is_empty() && self.held_bytes == 0
    }

    /// Lets the sources commit or ack what is durable now.
    fn acknowledge(&mut self) {
        for (watermark, number) in self.watermarks.drain(..) {
            watermark.raise(number);
        }
    }

    fn push(&mut self, record: Unnumbered, position: Option<Bytes>, body: Bytes) {
        let draft = Draft { time: record.time, position, body };
        self.bytes += draft.frame_bytes();
        self.drafts.push(draft);
        self.records.push(record);
    }
}

impl Unnumbered {
    /// Tells who waits for durability, and goes on to the applier.
    fn durable(self, seq: Seq) -> Durable {
        if let Some(durable) = self.durable {
            // A caller that has gone away stops nothing.
            let _ = durable.send(seq);
        }
        Durable {
            seq,
            time: self.time,
            position: self.position,
            body: self.body,
            reply: self.reply,
        }
    }
}
