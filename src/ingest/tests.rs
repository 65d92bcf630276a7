//! The intake with a real log under it: order, duplicates, and what may be acknowledged when.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use crossbeam_channel::Receiver;

use super::*;
use crate::catalog::Frame;
use crate::disk::{Disk, Step, Witness};
use crate::metrics::Metrics;
use crate::operation::{Body, Limits};
use crate::position::{Mark, Offset, Position, Stream, UnixMillis};
use crate::shutdown::Shutdown;
use crate::source::{Batch, Delivery, Item, Outlet, Watermark, What};
use crate::wal::{AppendError, Options, Wal};

/// Looks at the watermark whenever the log is synced, and fails the sync if it is told to.
struct Guard {
    watermark: Watermark,
    early: AtomicBool,
    failing: AtomicBool,
}

impl Witness for Guard {
    fn saw(&self, step: Step<'_>) -> io::Result<()> {
        if let Step::Sync { .. } = step {
            self.early.fetch_or(self.watermark.get() > 0, Ordering::SeqCst);
            if self.failing.load(Ordering::SeqCst) {
                return Err(io::Error::other("the disk is gone"));
            }
        }
        Ok(())
    }
}

struct Line {
    queue: Queue,
    watermark: Watermark,
    guard: Arc<Guard>,
    frames: Receiver<Frame>,
    appender: std::thread::JoinHandle<Result<(), AppendError>>,
    _directory: tempfile::TempDir,
}

fn line(settings: &IngestSettings) -> Line {
    let directory = tempfile::tempdir().unwrap();
    let (metrics, watermark) = (Metrics::new(), Watermark::default());
    let guard = Arc::new(Guard {
        watermark: watermark.clone(),
        early: AtomicBool::new(false),
        failing: AtomicBool::new(false),
    });
    let wal = open(&Disk::watched(guard.clone()), directory.path());
    let (queue, ends) = Queue::new(settings, Arc::new(|| false), &metrics);
    let decoder = Decoder {
        sources: Arc::new(vec![SourceDecoding {
            collection: None,
            limits: Limits { message_bytes_max: settings.message_bytes_max },
        }]),
        check: Arc::new(|_| Ok(())),
        metrics: metrics.clone(),
    };
    for _ in 0..3 {
        let (decoder, work) = (decoder.clone(), ends.work.clone());
        std::thread::spawn(move || run_worker(&decoder, &work));
    }
    let (applier, frames) = crossbeam_channel::unbounded();
    let out = AppenderEnds {
        wal,
        duplicates: Duplicates::default(),
        applier,
        offsets: DurableOffsets::default(),
        no_room: Arc::default(),
        shutdown: Shutdown::new(),
        frame_bytes_max: settings.frame_bytes_max,
        metrics,
    };
    let appender = std::thread::spawn(move || Appender::new(ends, out).run());
    Line { queue, watermark, guard, frames, appender, _directory: directory }
}

fn open(disk: &Disk, directory: &Path) -> Wal {
    let mut replay = |_| Ok::<_, io::Error>(());
    Wal::open(disk, &directory.join("wal"), Options::default(), None, &mut replay).unwrap().0
}

/// A batch of deletes at these offsets.
fn batch(number: u64, offsets: impl IntoIterator<Item = u64>) -> Batch {
    let stream = Arc::new(Stream::Partition {
        source: "s".into(),
        cluster: "c".into(),
        topic: "t".into(),
        topic_id: None,
        partition: 0,
    });
    let item = |offset: u64| Item {
        position: Position { stream: stream.clone(), mark: Mark::Next(Offset(offset + 1)) },
        what: What::Message(Delivery {
            time: UnixMillis(1),
            key: None,
            value: Some(Bytes::from(format!(
                r#"{{"collection": "c", "delete": {{"points": [{offset}]}}}}"#
            ))),
            headers: vec![],
            redelivered: None,
        }),
    };
    Batch { number, items: offsets.into_iter().map(item).collect() }
}

/// Ends the line and gives every record that went to the applier: its next offset, and whether
/// it was a duplicate.
fn end(line: Line) -> Vec<(u64, bool)> {
    drop(line.queue);
    line.appender.join().unwrap().unwrap();
    let records = line.frames.iter().flat_map(|frame| frame.records);
    records
        .map(|record| match record.position.unwrap().mark {
            Mark::Next(next) => (next.0, record.body == Body::Duplicate),
            Mark::Fingerprint(_) => unreachable!("only partitions here"),
        })
        .collect()
}

#[test]
fn order_is_the_queues_however_the_workers_race() {
    let line = line(&IngestSettings::default());
    let intake = line.queue.intake(0, line.watermark.clone());
    let mut offset = 0;
    for number in 1..=200 {
        // Long and short ones in turn, so that a later batch is decoded first.
        let count = if number % 2 == 0 { 1 } else { 50 };
        let mut next = batch(number, offset..offset + count);
        while let Err(back) = intake.offer(next) {
            next = back;
            std::thread::yield_now();
        }
        offset += count;
    }
    let watermark = line.watermark.clone();
    drop(intake);
    let records = end(line);
    let expected: Vec<(u64, bool)> = (1..=offset).map(|next| (next, false)).collect();
    assert_eq!(records, expected);
    assert_eq!(watermark.get(), 200);
}

#[test]
fn what_is_delivered_again_is_one_duplicate_record() {
    let line = line(&IngestSettings::default());
    let intake = line.queue.intake(0, line.watermark.clone());
    intake.offer(batch(1, 0..3)).unwrap();
    intake.offer(batch(2, 1..5)).unwrap();
    drop(intake);
    let duplicates: Vec<u64> =
        end(line).into_iter().filter(|(_, again)| *again).map(|(next, _)| next).collect();
    assert_eq!(duplicates, [2, 3]);
}

#[test]
fn the_watermark_rises_only_after_the_fsync() {
    let line = line(&IngestSettings::default());
    let (guard, watermark) = (line.guard.clone(), line.watermark.clone());
    let intake = line.queue.intake(0, watermark.clone());
    intake.offer(batch(1, 0..3)).unwrap();
    drop(intake);
    assert_eq!(end(line).len(), 3);
    assert!(!guard.early.load(Ordering::SeqCst), "it rose before the frame was synced");
    assert_eq!(watermark.get(), 1);
}

#[test]
fn a_failed_fsync_acknowledges_nothing_and_ends_the_appender() {
    let line = line(&IngestSettings::default());
    line.guard.failing.store(true, Ordering::SeqCst);
    let intake = line.queue.intake(0, line.watermark.clone());
    intake.offer(batch(1, 0..3)).unwrap();
    let ended = line.appender.join().unwrap();
    assert!(matches!(ended, Err(AppendError::Failed { .. })), "{ended:?}");
    assert_eq!(line.watermark.get(), 0);
    assert_eq!(line.frames.iter().count(), 0, "something was applied that is not durable");
}

#[test]
fn a_full_queue_gives_the_batch_back() {
    let settings = IngestSettings { queue_bytes_max: 1, ..IngestSettings::default() };
    let (queue, _ends) = Queue::new(&settings, Arc::new(|| false), &Metrics::new());
    let intake = queue.intake(0, Watermark::default());
    // One is always let in, or a large one could never pass.
    assert!(intake.offer(batch(1, 0..3)).is_ok());
    assert_eq!(intake.offer(batch(2, 3..5)).unwrap_err().number, 2);
}

#[test]
fn nothing_is_taken_while_intake_is_stopped() {
    let (queue, _ends) = Queue::new(&IngestSettings::default(), Arc::new(|| true), &Metrics::new());
    let intake = queue.intake(0, Watermark::default());
    assert!(intake.offer(batch(1, 0..1)).is_err());
}
