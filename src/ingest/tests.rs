//! The intake with a real log under it: order, duplicates, and what may be acknowledged when.

mod gate;
mod large;
mod originals;
mod room;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Bytes;
use crossbeam_channel::Receiver;

use super::*;
use crate::catalog::Frame;
use crate::disk::ballast::Ballast;
use crate::disk::{Disk, Step, Witness};
use crate::format::{Decoding, Format, TopicCollections};
use crate::metrics::Metrics;
use crate::operation::{Body, Limits, Reason};
use crate::position::{Mark, Offset, Position, Seq, Stream, UnixMillis};
use crate::shutdown::Shutdown;
use crate::source::{Batch, Delivery, Gate, Item, Outlet, Pressure, Watermark, What};
use crate::wal::{AppendError, Options, Wal};

/// The most of a record, of a position too.
const RECORD_BYTES: usize = 4000;

/// Looks at the watermark whenever the log is synced, and fails the sync if it is told to.
struct Guard {
    watermark: Watermark,
    early: AtomicBool,
    failing: AtomicBool,
    /// No new log file can be made.
    full: AtomicBool,
}

impl Witness for Guard {
    fn saw(&self, step: Step<'_>) -> io::Result<()> {
        if let Step::Sync { .. } = step {
            self.early.fetch_or(self.watermark.get() > 0, Ordering::SeqCst);
            if self.failing.load(Ordering::SeqCst) {
                return Err(io::Error::other("the disk is gone"));
            }
        }
        match step {
            Step::Resize { .. } if self.full.load(Ordering::SeqCst) => {
                Err(io::ErrorKind::StorageFull.into())
            }
            _ => Ok(()),
        }
    }
}

struct Line {
    queue: Queue,
    watermark: Watermark,
    guard: Arc<Guard>,
    no_room: Arc<AtomicBool>,
    /// Not there before it is restored.
    ballast: Arc<Ballast>,
    asked: Receiver<()>,
    /// The seq up to which the workers see what was applied.
    applied: Arc<AtomicU64>,
    frames: Receiver<Frame>,
    appender: std::thread::JoinHandle<Result<(), AppendError>>,
    _directory: tempfile::TempDir,
}

fn line(settings: &IngestSettings) -> Line {
    line_of(settings, false)
}

/// `halts`: nothing of the source is taken behind a message that is refused.
fn line_of(settings: &IngestSettings, halts: bool) -> Line {
    let directory = tempfile::tempdir().unwrap();
    let (metrics, watermark) = (Metrics::new(), Watermark::default());
    let guard = Arc::new(Guard {
        watermark: watermark.clone(),
        early: AtomicBool::new(false),
        failing: AtomicBool::new(false),
        full: AtomicBool::new(false),
    });
    let wal = open(&Disk::watched(guard.clone()), directory.path());
    let (checkpoint, asked) = crossbeam_channel::bounded(1);
    let make_room = move || checkpoint.try_send(()).unwrap_or_default();
    let valve = Valve::new(Gauges { make_room: Arc::new(make_room), ..Gauges::open() }, &metrics);
    let (queue, ends) = Queue::new(settings, valve.clone(), &metrics);
    let applied = Arc::new(AtomicU64::new(0));
    let seen = applied.clone();
    let foresight = Foresight {
        applied: Arc::new(move || Seq(seen.load(Ordering::SeqCst))),
        fits: Arc::new(|message| match &*message.collection {
            "fault" => panic!("a decoder's fault"),
            _ => true,
        }),
    };
    let decoder = Decoder {
        sources: Arc::new(vec![SourceDecoding {
            decoding: Decoding {
                format: Format::Auto,
                collection: None,
                topics: TopicCollections::default(),
                limits: Limits { message_bytes_max: settings.message_bytes_max },
            },
            halts,
        }]),
        foresight,
        record_bytes_max: RECORD_BYTES,
        metrics: metrics.clone(),
    };
    for _ in 0..3 {
        let (decoder, work) = (decoder.clone(), ends.work.clone());
        std::thread::spawn(move || run_worker(&decoder, &work));
    }
    let (applier, frames) = crossbeam_channel::unbounded();
    let no_room = Arc::new(AtomicBool::new(false));
    let ballast = Arc::new(Ballast::new(&Disk::new(), directory.path(), 4096, 0));
    let out = AppenderEnds {
        wal,
        duplicates: Duplicates::default(),
        applier,
        offsets: DurableOffsets::default(),
        no_room: no_room.clone(),
        valve: valve.clone(),
        ballast: Some(ballast.clone()),
        reserve_bytes: settings.queue_bytes_max as u64,
        frames_max: settings.applier_frames_max,
        shutdown: Shutdown::new(),
        frame_bytes_max: settings.frame_bytes_max,
        metrics,
    };
    let appender = std::thread::spawn(move || Appender::new(ends, out).run());
    let _directory = directory;
    Line { queue, watermark, guard, no_room, ballast, asked, applied, frames, appender, _directory }
}

fn open(disk: &Disk, directory: &Path) -> Wal {
    let mut replay = |_| Ok::<_, io::Error>(());
    // Small, so that a few batches need a new file.
    let options = Options { file_bytes: 16 << 10, ..Options::default() };
    Wal::open(disk, &directory.join("wal"), options, None, &mut replay).unwrap().0
}

/// A batch of deletes at these offsets.
fn batch(number: u64, offsets: impl IntoIterator<Item = u64>) -> Batch {
    batch_of("c", number, offsets)
}

fn batch_of(collection: &str, number: u64, offsets: impl IntoIterator<Item = u64>) -> Batch {
    let stream = Arc::new(Stream::Partition {
        source: "s".into(),
        cluster: "c".into(),
        topic: "t".into(),
        topic_id: None,
        partition: 0,
    });
    let item = |offset: u64| Item {
        position: Position::new(stream.clone(), Mark::Next(Offset(offset + 1))),
        what: What::Message(Delivery {
            time: UnixMillis(1),
            key: None,
            value: Some(Bytes::from(format!(
                r#"{{"collection": "{collection}", "delete": {{"points": [{offset}]}}}}"#
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

fn intake(queue: &Queue, watermark: &Watermark) -> Intake {
    queue.intake(0, watermark.clone(), Gate::default(), DurableOffsets::default())
}

#[test]
fn order_is_the_queues_however_the_workers_race() {
    let line = line(&IngestSettings::default());
    let intake = intake(&line.queue, &line.watermark);
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
    let intake = intake(&line.queue, &line.watermark);
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
    let intake = intake(&line.queue, &watermark);
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
    let intake = intake(&line.queue, &line.watermark);
    intake.offer(batch(1, 0..3)).unwrap();
    let ended = line.appender.join().unwrap();
    assert!(matches!(ended, Err(AppendError::Failed { .. })), "{ended:?}");
    assert_eq!(line.watermark.get(), 0);
    assert_eq!(line.frames.iter().count(), 0, "something was applied that is not durable");
}

#[test]
fn a_full_disk_is_waited_for_and_nothing_is_acknowledged_meanwhile() {
    let line = line(&IngestSettings::default());
    let intake = intake(&line.queue, &line.watermark);
    line.guard.full.store(true, Ordering::SeqCst);
    // More than the first file has room for.
    for number in 1..=20 {
        intake.offer(batch(number, (number - 1) * 50..number * 50)).unwrap();
    }
    while !line.no_room.load(Ordering::SeqCst) {
        assert!(!line.appender.is_finished(), "it ended instead of waiting");
        std::thread::yield_now();
    }
    assert!(line.watermark.get() < 20);
    line.guard.full.store(false, Ordering::SeqCst);
    let (watermark, no_room) = (line.watermark.clone(), line.no_room.clone());
    drop(intake);
    let expected: Vec<(u64, bool)> = (1..=1000).map(|next| (next, false)).collect();
    assert_eq!(end(line), expected);
    assert_eq!(watermark.get(), 20);
    assert!(!no_room.load(Ordering::SeqCst));
}

#[test]
fn a_full_queue_gives_the_batch_back() {
    let settings = IngestSettings { queue_bytes_max: 1, ..IngestSettings::default() };
    let (queue, _ends) = Queue::new(&settings, Valve::open(&Metrics::new()), &Metrics::new());
    let intake = intake(&queue, &Watermark::default());
    // One is always let in, or a large one could never pass.
    assert!(intake.offer(batch(1, 0..3)).is_ok());
    assert_eq!(intake.offer(batch(2, 3..5)).unwrap_err().number, 2);
}

/// Dead letters at their bound, and beyond what is kept for messages on their way if `over`.
fn letters(over: bool) -> Arc<Valve> {
    let gauges = Gauges {
        dead_letters_share: Arc::new(|| 1.0),
        dead_letters_over: Arc::new(move || over),
        ..Gauges::open()
    };
    Valve::new(gauges, &Metrics::new())
}

#[test]
fn what_was_delivered_is_taken_when_dead_letters_are_full_until_they_are_over() {
    for over in [false, true] {
        let settings = IngestSettings::default();
        let (queue, _ends) = Queue::new(&settings, letters(over), &Metrics::new());
        let intake = intake(&queue, &Watermark::default());
        assert_eq!(intake.pressure(), Some(Pressure::DeadLettersFull));
        assert_eq!(intake.offer(batch(1, 0..1)).is_err(), over);
    }
}

#[test]
fn what_was_delivered_becomes_durable_though_the_applier_stands() {
    let settings = IngestSettings { applier_frames_max: 2, ..IngestSettings::default() };
    let line = line(&settings);
    let intake = intake(&line.queue, &line.watermark);
    assert_eq!(intake.pressure(), None);
    // Each its own frame, since the one before is waited for; nobody takes them.
    for number in 1..=9 {
        intake.offer(batch(number, number..number + 1)).unwrap();
        while line.watermark.get() < number {
            std::thread::yield_now();
        }
    }
    while intake.pressure() != Some(Pressure::ApplierBehind) {
        std::thread::yield_now();
    }
    while line.frames.len() < 9 {
        std::thread::yield_now();
    }
    let mut taken = line.frames.iter();
    for _ in 0..9 {
        taken.next().unwrap();
    }
    while intake.pressure().is_some() {
        std::thread::yield_now();
    }
    drop(intake);
    assert_eq!(end(line).len(), 0);
}
