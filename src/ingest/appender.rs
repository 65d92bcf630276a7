//! The one thread that appends: what is waiting becomes one frame, one fsync, and then the
//! acknowledgements of everything in it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use crossbeam_channel::{RecvTimeoutError, Sender, TryRecvError};

use super::decode::{Decoded, DecodedBatch};
use super::doubt::Doubts;
use super::duplicates::{Duplicates, Verdict};
use super::frame::{Frame, Unnumbered, first_frame};
use super::handed::Handed;
use super::offsets::{DurableOffsets, last_offsets};
use super::pressure::Valve;
use super::queue::{Entry, PendingBatch, QueueEnds, Write};
use super::record::{Fitted, RECORD_BYTES_MAX, fit};
use crate::catalog;
use crate::disk::ballast::Ballast;
use crate::metrics::{Metrics, stream_labels};
use crate::operation::{Body, Message, Original, Redrive, encode};
use crate::position::Seq;
use crate::shutdown::Shutdown;
use crate::wal::{AppendError, Appended, Draft, Trimmer, Wal};

/// Between two tries to append to a full disk.
const ROOM_PAUSE: Duration = Duration::from_millis(500);
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
    pub offsets: DurableOffsets,
    /// Set while the log waits for room on the disk.
    pub no_room: Arc<AtomicBool>,
    pub shutdown: Shutdown,
    pub frame_bytes_max: usize,
    pub metrics: Metrics,
}

/// Takes the queue's entries in order, frame by frame.
pub struct Appender {
    queue: QueueEnds,
    ends: AppenderEnds,
    trimmer: Trimmer,
    handed: Handed,
    doubts: Doubts,
    frame: Frame,
    /// Taken from the queue and not yet decoded when the last frame was closed.
    waiting: Option<PendingBatch>,
}

impl Appender {
    pub fn new(queue: QueueEnds, ends: AppenderEnds) -> Self {
        let trimmer = ends.wal.trimmer();
        let applier = ends.applier.clone();
        let handed = Handed::new(applier, ends.frames_max, ends.reserve_bytes, ends.valve.clone());
        let (doubts, frame) = (Doubts::default(), Frame::default());
        Appender { queue, ends, trimmer, handed, doubts, frame, waiting: None }
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

    /// Judged as a whole, however many frames come of it.
    fn take_batch(&mut self, batch: PendingBatch, decoded: DecodedBatch) {
        self.queue.ahead.0.taken();
        self.frame.held_bytes += batch.bytes;
        self.frame.decoded_bytes += decoded.bytes;
        let decoded = decoded.items;
        if batch.gate.refuses(batch.number) {
            return;
        }
        let run = decoded.iter().map_while(|item| {
            let came = item.redelivered.filter(|came| came.again)?;
            Some((&item.position, came.connection))
        });
        let cut = decoded.iter().any(|item| item.redelivered.is_some_and(|came| came.cut));
        let repeated = self.ends.duplicates.repeated(run, cut);
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
            Verdict::New => {
                self.with_doubts(item.body, item.body_encoded, item.original, item.seen)
            }
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
        self.push(record, Some(item.position_encoded), encoded);
        why
    }

    /// What was delivered goes into the record where the message may be refused for what stands
    /// between the state that its decoder saw and here.
    fn with_doubts(
        &self,
        body: Body,
        encoded: Bytes,
        original: Option<Original>,
        seen: Seq,
    ) -> (Body, Bytes) {
        match (body, original) {
            (Body::Message(message), Some(original)) if self.doubts.doubts(&message, seen) => {
                let message = Message { original: Some(original), ..message };
                let Fitted { body, encoded, .. } =
                    fit(Body::Message(message), None, RECORD_BYTES_MAX);
                (body, encoded)
            }
            (body, _) => (body, encoded),
        }
    }

    fn push(&mut self, record: Unnumbered, position: Option<Bytes>, encoded: Bytes) {
        let seq = Seq(self.ends.wal.next_seq().0 + self.frame.records.len() as u64);
        match &record.body {
            Body::Message(message) | Body::Redrive(Redrive { attempt: Ok(message), .. }) => {
                self.doubts.note(seq, message);
            }
            _ => {}
        }
        self.frame.push(record, position, encoded);
    }

    fn take_write(&mut self, write: Write) {
        self.frame.written_bytes += write.bytes;
        let record = Unnumbered {
            time: write.time,
            position: None,
            body: write.body,
            durable: Some(write.durable),
            reply: write.applied,
        };
        self.push(record, None, write.encoded);
    }

    /// Of a batch in several frames nothing is acknowledged before the last: what comes again of
    /// it is recognised.
    fn write(&mut self) -> Result<(), AppendError> {
        let mut frame = std::mem::take(&mut self.frame);
        let mut records = std::mem::take(&mut frame.records);
        let mut drafts = std::mem::take(&mut frame.drafts);
        let mut rest = &drafts[..];
        while !rest.is_empty() {
            let count = first_frame(rest, &records, self.ends.frame_bytes_max);
            let (first, behind) = rest.split_at(count);
            let appended = self.append(first)?;
            self.count(&appended, count);
            self.show_offsets(&records[..count]);
            if behind.is_empty() {
                frame.acknowledge();
            }
            let seqs = appended.first.0..=appended.last.0;
            let durable =
                records.drain(..count).zip(seqs).map(|(record, seq)| record.durable(Seq(seq)));
            // The applier outlives the appender; if it is gone it has said why and the process
            // is ending. What is durable is applied at the next start.
            let handed = catalog::Frame { records: durable.collect(), bytes: appended.bytes };
            self.ends.valve.appended(appended.bytes);
            self.handed.send(handed);
            rest = behind;
        }
        frame.acknowledge();
        self.queue.held.give_back(frame.held_bytes);
        self.queue.written.give_back(frame.written_bytes);
        self.queue.ahead.0.give_back(frame.decoded_bytes);
        drafts.clear();
        self.frame.drafts = drafts;
        Ok(())
    }

    /// Appends, and waits for room where the disk is full: nothing of the frame was written, the
    /// queue fills behind it, the sources pause, and reads go on.
    fn append(&mut self, drafts: &[Draft]) -> Result<Appended, AppendError> {
        loop {
            self.hold_off(drafts);
            match self.ends.wal.append(drafts) {
                Err(error @ AppendError::NoRoom { .. }) if !self.ends.shutdown.is_asked() => {
                    if !self.ends.no_room.swap(true, Ordering::AcqRel) {
                        tracing::error!(%error, "no room for the log: waiting until there is");
                    }
                    let lent = self.ends.ballast.as_ref().is_some_and(|it| it.give_up());
                    self.ends.valve.make_room();
                    if !lent {
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

    /// The ballast's room is the checkpoint's: only that makes log files go. Until it has ended
    /// no new one is made.
    fn hold_off(&self, drafts: &[Draft]) {
        let Some(ballast) = &self.ends.ballast else { return };
        while ballast.is_lent()
            && self.ends.wal.needs_file(drafts)
            && !self.ends.shutdown.is_asked()
        {
            self.ends.no_room.store(true, Ordering::Release);
            self.ends.valve.make_room();
            std::thread::sleep(APPLIER_LOOK);
        }
    }

    /// Sets the durable offset of each partition in the frame, once.
    fn show_offsets(&self, records: &[Unnumbered]) {
        for (stream, next) in last_offsets(records, &self.ends.offsets) {
            let labels = stream_labels(stream);
            let gauge = &self.ends.metrics.source.durable_offset;
            gauge.with_label_values(&labels.each()).set(next.0 as i64);
            self.ends.offsets.set(stream, next);
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
