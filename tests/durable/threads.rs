//! The applier and the maintenance thread, as the daemon runs them.

use std::collections::BTreeSet;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};
use pointd::apply::{Applier, ApplierOptions, ApplyError, Gates, Lines, Recovered, recover};
use pointd::catalog::{Catalog, CheckpointError, Durable, Frame, Outcome, handover};
use pointd::disk::{Disk, Step, Witness};
use pointd::maintain::Maintainer;
use pointd::metrics::Metrics;
use pointd::operation::{Body, Operation, Reason};
use pointd::point::PointId;
use pointd::position::{Seq, UnixMillis};
use pointd::shutdown::Shutdown;
use pointd::wal::{Draft, Wal};
use tokio::sync::{oneshot, watch};

use super::node::{catalog_options, draft, scratch, seen, wal_options};
use super::plan::{Plan, Planned, create, message};

/// The threads between the log and the disk, at work.
struct Line {
    catalog: Arc<Catalog>,
    wal: Wal,
    metrics: Metrics,
    frames: Sender<Frame>,
    asked: Sender<()>,
    applied: watch::Receiver<Seq>,
    shutdown: Shutdown,
    applier: JoinHandle<Result<(), ApplyError>>,
    maintainer: JoinHandle<Result<(), CheckpointError>>,
}

impl Line {
    fn start(disk: &Disk, directory: &Path, options: ApplierOptions) -> Line {
        let (metrics, shutdown) = (Metrics::new(), Shutdown::new());
        let (catalog, wal) = (catalog_options(), wal_options());
        let reject = BTreeSet::new();
        let recovered = recover(disk, directory, catalog, wal, &reject, &metrics).unwrap();
        let Recovered { catalog, wal, replayed_bytes, .. } = recovered;
        let (checkpoints, work) = handover();
        let (frames, frames_out) = bounded(4);
        let (asked, asked_out) = bounded(1);
        let (raised, applied) = watch::channel(Seq(0));
        let lines = Lines {
            frames: frames_out,
            asked: asked_out,
            checkpoints,
            applied: raised,
            gates: Gates::default(),
        };
        let stop = shutdown.clone();
        let applier = Applier::new(
            catalog.clone(),
            options,
            reject,
            replayed_bytes,
            lines,
            &metrics,
            stop.clone(),
        );
        let (trimmer, log_id) = (wal.trimmer(), wal.log_id());
        let maintainer =
            Maintainer::new(catalog.clone(), work, trimmer, None, log_id, &metrics, stop);
        Line {
            catalog,
            wal,
            metrics,
            frames,
            asked,
            applied,
            shutdown,
            applier: std::thread::spawn(|| applier.run()),
            maintainer: std::thread::spawn(|| maintainer.run()),
        }
    }

    /// Appends one frame and hands it on. The answer to its last record.
    fn send(&mut self, records: &[Planned]) -> oneshot::Receiver<Outcome> {
        let drafts: Vec<Draft> = records.iter().map(draft).collect();
        let appended = self.wal.append(&drafts).unwrap();
        let (reply, answer) = oneshot::channel();
        let durable = records.iter().zip(appended.first.0..).map(|(record, seq)| Durable {
            seq: Seq(seq),
            time: record.time,
            position: record.position.clone(),
            body: record.body.clone(),
            reply: None,
        });
        let mut durable: Vec<Durable> = durable.collect();
        durable.last_mut().unwrap().reply = Some(reply);
        self.frames.send(Frame { records: durable, bytes: appended.bytes }).unwrap();
        answer
    }

    /// Closes the line and waits for its threads.
    fn end(self) -> (Result<(), ApplyError>, Result<(), CheckpointError>) {
        drop((self.frames, self.asked, self.wal));
        (self.applier.join().unwrap(), self.maintainer.join().unwrap())
    }
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(120), "waited in vain for: {what}");
        std::thread::yield_now();
    }
}

fn small() -> ApplierOptions {
    ApplierOptions { checkpoint_wal_bytes: 3000, head_bytes_max: 1 << 20 }
}

fn never() -> ApplierOptions {
    ApplierOptions { checkpoint_wal_bytes: u64::MAX, head_bytes_max: u64::MAX }
}

#[test]
fn what_was_sent_is_applied_checkpointed_and_there_again() {
    let home = scratch();
    let plan = Plan::new(3, 200);
    let mut line = Line::start(&Disk::new(), home.path(), small());
    let applied = line.applied.clone();
    for (at, records) in plan.records.chunks(3).enumerate() {
        let answer = line.send(records);
        if at % 10 == 0 {
            answer.blocking_recv().unwrap();
            // Who was answered sees the frame.
            assert!(applied.borrow().0 as usize >= (at * 3 + records.len()));
        }
    }
    let (catalog, metrics) = (line.catalog.clone(), line.metrics.clone());
    let (applier, maintainer) = line.end();
    applier.unwrap();
    maintainer.unwrap();
    assert_eq!(seen(&catalog), plan.states[200]);
    assert_eq!(catalog.anchor().unwrap().applied, Seq(200));
    assert!(metrics.wal.checkpoint_seconds.get_sample_count() > 2);
    drop(catalog);
    let (options, wal) = (catalog_options(), wal_options());
    let again = recover(&Disk::new(), home.path(), options, wal, &BTreeSet::new(), &metrics);
    let again = again.unwrap();
    assert_eq!((again.recovery.records, again.recovery.last), (0, Seq(200)));
    assert_eq!(seen(&again.catalog), plan.states[200]);
}

fn upsert_of(bytes: usize) -> Planned {
    let payload = serde_json::json!({ "text": "x".repeat(bytes) });
    let point = pointd::operation::UpsertPoint {
        id: PointId::Number(1),
        vectors: vec![],
        payload: pointd::point::Payload::from_map(payload.as_object().unwrap()),
    };
    let body = message("a", vec![Operation::Upsert(vec![point])]);
    Planned { time: UnixMillis(1), position: None, body }
}

fn creation() -> Planned {
    Planned { time: UnixMillis(1), position: None, body: create("a", false) }
}

/// Holds every sync of a segment file until the gate opens.
struct Gate {
    open: Receiver<()>,
}

impl Witness for Gate {
    fn saw(&self, step: Step<'_>) -> io::Result<()> {
        if matches!(step, Step::Sync { path, .. } if path.extension().is_some_and(|it| it == "arrow"))
        {
            // Open once the sender is dropped.
            let _ = self.open.recv();
        }
        Ok(())
    }
}

#[test]
fn applying_waits_while_memory_cannot_be_written_out() {
    let home = scratch();
    let (gate, open) = bounded(0);
    let disk = Disk::watched(Arc::new(Gate { open }));
    let options = ApplierOptions { checkpoint_wal_bytes: u64::MAX, head_bytes_max: 10_000 };
    let mut line = Line::start(&disk, home.path(), options);
    line.send(&[creation()]);
    let held = line.metrics.wal.apply_held.clone();
    let mut sent = 0;
    while held.get() == 0 && sent < 100 {
        let mut answer = line.send(&[upsert_of(4_000)]);
        sent += 1;
        // It is held after it has answered: so one more may be sent, and gets no answer.
        until("an answer", || held.get() == 1 || answer.try_recv().is_ok());
    }
    until("applying to be held", || held.get() == 1);
    assert!((4..20).contains(&sent), "held after {sent}");
    assert_eq!(line.catalog.anchor().unwrap().applied, Seq(0));
    let later = line.send(&[upsert_of(10)]);
    drop::<Sender<()>>(gate);
    assert_eq!(later.blocking_recv().unwrap(), Outcome::Applied);
    until("the applier to go on", || held.get() == 0);
    let (applier, maintainer) = line.end();
    applier.unwrap();
    maintainer.unwrap();
}

/// Fails some of the steps.
struct Faulty {
    failing: AtomicBool,
    failed: AtomicUsize,
    fails: fn(Step<'_>) -> bool,
}

impl Faulty {
    fn new(fails: fn(Step<'_>) -> bool) -> Arc<Faulty> {
        Arc::new(Faulty { failing: AtomicBool::new(false), failed: AtomicUsize::new(0), fails })
    }
}

impl Witness for Faulty {
    fn saw(&self, step: Step<'_>) -> io::Result<()> {
        if self.failing.load(Ordering::SeqCst) && (self.fails)(step) {
            self.failed.fetch_add(1, Ordering::SeqCst);
            return Err(ErrorKind::StorageFull.into());
        }
        Ok(())
    }
}

#[test]
fn a_checkpoint_that_finds_the_disk_full_is_made_later() {
    let home = scratch();
    let faulty = Faulty::new(
        |step| matches!(step, Step::Write { path, .. } if path.ends_with("MANIFEST.tmp")),
    );
    let mut line = Line::start(&Disk::watched(faulty.clone()), home.path(), never());
    line.send(&[creation(), upsert_of(10)]);
    faulty.failing.store(true, Ordering::SeqCst);
    line.asked.send(()).unwrap();
    let failures = line.metrics.wal.checkpoint_failures.clone();
    until("a failed checkpoint", || failures.get() == 1);
    let answer = line.send(&[upsert_of(20)]);
    assert_eq!(answer.blocking_recv().unwrap(), Outcome::Applied);
    faulty.failing.store(false, Ordering::SeqCst);
    line.asked.send(()).unwrap();
    until("the checkpoint", || line.catalog.anchor().unwrap().applied == Seq(3));
    let before = seen(&line.catalog);
    assert!(!line.shutdown.is_asked());
    let (applier, maintainer) = line.end();
    applier.unwrap();
    maintainer.unwrap();
    let line = Line::start(&Disk::new(), home.path(), never());
    assert_eq!(seen(&line.catalog), before);
    line.end().0.unwrap();
}

#[test]
fn a_manifest_that_may_or_may_not_be_there_ends_the_process() {
    let home = scratch();
    let faulty = Faulty::new(
        |step| matches!(step, Step::SyncDir { why, .. } if why.contains("the manifest's name")),
    );
    let mut line = Line::start(&Disk::watched(faulty.clone()), home.path(), never());
    line.send(&[creation(), upsert_of(10)]).blocking_recv().unwrap();
    let before = seen(&line.catalog);
    faulty.failing.store(true, Ordering::SeqCst);
    line.asked.send(()).unwrap();
    until("everyone to be stopped", || line.shutdown.is_asked());
    // Applying goes on until the frames end, without another try.
    let (applier, maintainer) = line.end();
    applier.unwrap();
    assert!(matches!(maintainer.unwrap_err(), CheckpointError::Unknown { .. }));
    assert_eq!(faulty.failed.load(Ordering::SeqCst), 1);
    let line = Line::start(&Disk::new(), home.path(), never());
    assert_eq!(seen(&line.catalog), before);
    line.end().0.unwrap();
}

#[test]
fn a_record_that_cannot_be_read_stops_every_start_until_it_is_rejected() {
    let home = scratch();
    let open = |reject: BTreeSet<Seq>| {
        let (catalog, wal) = (catalog_options(), wal_options());
        recover(&Disk::new(), home.path(), catalog, wal, &reject, &Metrics::new())
    };
    let mut first = open(BTreeSet::new()).unwrap();
    let unreadable = Draft { time: UnixMillis(1), position: None, body: vec![0xff; 9].into() };
    let drafts = [draft(&creation()), unreadable, draft(&upsert_of(10))];
    first.wal.append(&drafts).unwrap();
    drop(first);
    let Err(error) = open(BTreeSet::new()) else { panic!("read the unreadable") };
    assert!(error.to_string().contains("serve --reject-seq 2"), "{error}");
    // Also one that could be applied, because the operator said so.
    let rejected = open(BTreeSet::from([Seq(2), Seq(3)])).unwrap();
    let reasons = |catalog: &Catalog| -> Vec<(Seq, Reason)> {
        let letters = catalog.dead_letters();
        letters.iter().map(|letter| (letter.seq, letter.refusal.reason)).collect()
    };
    let expected = [(Seq(2), Reason::RejectedByOperator), (Seq(3), Reason::RejectedByOperator)];
    assert_eq!(reasons(&rejected.catalog), expected);
    let letter = &rejected.catalog.dead_letters()[1];
    assert!(
        String::from_utf8_lossy(letter.original.value.as_deref().unwrap()).contains("\"upsert\"")
    );
    rejected.catalog.checkpoint(rejected.catalog.seal(), rejected.wal.log_id()).unwrap();
    drop(rejected);
    assert_eq!(reasons(&open(BTreeSet::new()).unwrap().catalog), expected);
}

#[test]
fn a_refused_write_is_answered_and_kept_only_if_nobody_waits() {
    let home = scratch();
    let mut line = Line::start(&Disk::new(), home.path(), never());
    let mut unknown = upsert_of(10);
    for waits in [true, false] {
        if let Body::Message(message) = &mut unknown.body {
            message.waits = waits;
        }
        let answer = line.send(&[unknown.clone()]).blocking_recv().unwrap();
        assert!(matches!(answer, Outcome::Refused(it) if it.reason == Reason::UnknownCollection));
        assert_eq!(line.catalog.dead_letters().len(), usize::from(!waits));
    }
    let counters = line.catalog.counters();
    assert_eq!((counters.refused, counters.dead_letters), (1, 1));
    line.end().0.unwrap();
}
