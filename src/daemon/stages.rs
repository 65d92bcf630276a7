//! The stages of the line behind the sources: intake, appender, applier, maintenance.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{Builder, JoinHandle};

use tokio::sync::watch;
use tracing::{info, warn};

use super::bounds::{ballast, duplicates, gauges, windows};
use super::{DaemonError, StartError};
use crate::api::Readiness;
use crate::apply::{Applier, ApplierOptions, Gates, Lines, Recovered, recover};
use crate::catalog::{Catalog, CatalogOptions, CheckpointWork, handover};
use crate::config::{OnRefusal, Settings};
use crate::disk::Disk;
use crate::disk::ballast::Ballast;
use crate::format::{Decoding, Format, TopicCollections};
use crate::ingest::{
    Appender, AppenderEnds, Decoder, DurableOffsets, Foresight, Intake, Queue, RECORD_BYTES_MAX,
    SourceDecoding, Submit, Valve, Work, applier_channel, run_worker,
};
use crate::maintain::{Indexer, Maintainer};
use crate::metrics::{Metrics, stream_labels};
use crate::operation::Limits;
use crate::position::{Mark, Position, Seq};
use crate::shutdown::Shutdown;
use crate::source::{Gate, Watermark};
use crate::wal;

/// More than intake makes: twice its own bound of 256 MiB, or one record.
const FRAME_BYTES_MAX: usize = 1 << 30;
const _: () = assert!(RECORD_BYTES_MAX + (1 << 20) < FRAME_BYTES_MAX);

pub(super) type Stage = JoinHandle<Result<(), DaemonError>>;

pub(super) struct Stages {
    pub catalog: Arc<Catalog>,
    pub offsets: DurableOffsets,
    /// The highest seq that readers see.
    pub applied: watch::Receiver<Seq>,
    pub log_id: wal::LogId,
    /// The newest seq of the log when it was opened.
    pub recovered: Seq,
    /// Whether the log waits for room on the disk.
    no_room: Arc<AtomicBool>,
    valve: Arc<Valve>,
    queue: Queue,
    gates: Gates,
    /// Decodes for the sources, in their order, and last for those that there are no longer.
    pub decoder: Decoder,
    /// In data order, with the names their panics are reported under.
    threads: Vec<(&'static str, Stage)>,
}

impl Stages {
    /// Recovers the data directory, then starts the threads, the last of the line first.
    pub fn start(
        settings: &Settings,
        reject: &BTreeSet<Seq>,
        metrics: &Metrics,
        shutdown: &Shutdown,
    ) -> Result<Stages, StartError> {
        let recovered = open(settings, reject, metrics)?;
        let catalog = recovered.catalog.clone();
        let positions = positions(settings, &catalog);
        show_positions(&positions, recovered.recovery.last, metrics);
        let (log_id, last) = (recovered.wal.log_id(), recovered.recovery.last);
        let gates = gates(settings, &catalog);
        let (requests, work) = handover();
        let ballast = ballast(settings);
        let maintainer = maintainer(&recovered, work, ballast.clone(), metrics, shutdown);
        let (raise_applied, applied) = watch::channel(Seq::default());
        let (frames, frames_out) = applier_channel(settings.ingest.applier_frames_max);
        let (checkpoint, asked) = crossbeam_channel::bounded(1);
        let lines = Lines {
            frames: frames_out,
            asked,
            checkpoints: requests,
            applied: raise_applied,
            gates: gates.clone(),
        };
        let replay_bytes = recovered.replayed_bytes;
        let applier = applier(settings, &catalog, reject, replay_bytes, lines, metrics, shutdown);
        let valve = Valve::new(gauges(settings, &catalog, checkpoint), metrics);
        let (queue, ends) = Queue::new(&settings.ingest, valve.clone(), metrics);
        let work = ends.work.clone();
        let offsets = DurableOffsets::new(&positions);
        let no_room = Arc::new(AtomicBool::new(false));
        let ends_out = AppenderEnds {
            wal: recovered.wal,
            duplicates: duplicates(settings, &catalog, positions),
            applier: frames,
            frames_max: settings.ingest.applier_frames_max,
            reserve_bytes: settings.ingest.queue_bytes_max as u64,
            valve: valve.clone(),
            ballast,
            offsets: offsets.clone(),
            no_room: no_room.clone(),
            shutdown: shutdown.clone(),
            frame_bytes_max: settings.ingest.frame_bytes_max,
            metrics: metrics.clone(),
        };
        let appender = Appender::new(ends, ends_out);
        let decoder = decoder(settings, &catalog, metrics)?;
        let mut threads = decoders(&decoder, decode_threads(settings), &work, shutdown)?;
        threads.push(spawn("append", shutdown, move || Ok(appender.run()?))?);
        threads.push(spawn("apply", shutdown, move || Ok(applier.run()?))?);
        threads.push(spawn("maintain", shutdown, move || Ok(maintainer.run()?))?);
        threads.push(indexer(&catalog, shutdown)?);
        Ok(Stages {
            catalog,
            offsets,
            applied,
            log_id,
            recovered: last,
            no_room,
            valve,
            queue,
            gates,
            decoder,
            threads,
        })
    }

    pub fn submit(&self) -> Submit {
        self.queue.submit()
    }

    /// Closed behind a message of this source that it may not pass.
    pub fn gate(&self, source: &str) -> Gate {
        self.gates.of(source)
    }

    /// The door of the source at this place in the configuration.
    pub fn intake(&self, source: usize, watermark: Watermark, gate: Gate) -> Intake {
        self.queue.intake(source, watermark, gate, self.offsets.clone())
    }

    pub fn add_readiness(&self, readiness: &Readiness) {
        let no_room = self.no_room.clone();
        readiness.add(move || {
            no_room.load(Ordering::Acquire).then(|| {
                "the disk is full: intake waits, reads go on; make room and it resumes".into()
            })
        });
        let valve = self.valve.clone();
        readiness.add(move || {
            valve.disk_full().then(|| {
                "the disk is full but for storage.reserve_bytes: sources fetch nothing more, \
                 reads and deletes go on; make room and it resumes"
                    .into()
            })
        });
        let valve = self.valve.clone();
        readiness.add(move || {
            valve.dead_letters_full().then(|| {
                "so many dead letters are kept that sources fetch nothing more, reads go on: \
                 redrive or drop letters until a tenth of the bound is free and it resumes, or \
                 raise storage.dead_letters_max or dead_letter_bytes_max and restart"
                    .into()
            })
        });
    }

    /// Ends when everything that came in is durable, applied and checkpointed.
    pub fn join(self) -> Result<(), DaemonError> {
        // The last entrance: the workers and the appender end when the queue is empty.
        drop(self.queue);
        let mut result = Ok(());
        for (name, thread) in self.threads {
            result = result.and(thread.join().unwrap_or(Err(DaemonError::Panicked(name))));
        }
        result
    }
}

/// A stage that fails or panics asks everyone to stop.
pub(super) fn spawn(
    name: &'static str,
    shutdown: &Shutdown,
    run: impl FnOnce() -> Result<(), DaemonError> + Send + 'static,
) -> std::io::Result<(&'static str, Stage)> {
    struct AskWhenDropped(Option<Shutdown>);
    impl Drop for AskWhenDropped {
        fn drop(&mut self) {
            if let Some(shutdown) = &self.0 {
                shutdown.ask();
            }
        }
    }
    let ask = AskWhenDropped(Some(shutdown.clone()));
    let run = move || {
        // Whole, so that it is dropped here and not with its last use.
        let mut ask = ask;
        let result = run();
        if result.is_ok() {
            ask.0 = None;
        }
        result
    };
    Ok((name, Builder::new().name(name.into()).spawn(run)?))
}

fn report(catalog: &Catalog, recovery: &wal::Recovery) {
    if let Some(torn) = &recovery.torn {
        warn!(
            file = %torn.file.display(), offset = torn.offset, bytes = torn.bytes,
            kept_at = %torn.kept_at.display(),
            "the log ended in a write that was interrupted and never acknowledged: it was cut",
        );
    }
    info!(
        replayed_records = recovery.records, seq = %recovery.last,
        collections = catalog.collections().len(), "recovered",
    );
}

/// After a restart the series of every partition that is found are there before its first message.
fn show_positions(positions: &[Position], last: Seq, metrics: &Metrics) {
    metrics.wal.durable_seq.set(last.0 as i64);
    for position in positions {
        let Mark::Next(next) = position.mark else { continue };
        let labels = stream_labels(&position.stream);
        for gauge in [&metrics.source.durable_offset, &metrics.source.applied_offset] {
            gauge.with_label_values(&labels.each()).set(next.0 as i64);
        }
    }
}

fn positions(settings: &Settings, catalog: &Catalog) -> Vec<Position> {
    settings.source.iter().flat_map(|source| catalog.positions(&source.name)).collect()
}

fn open(
    settings: &Settings,
    reject: &BTreeSet<Seq>,
    metrics: &Metrics,
) -> Result<Recovered, StartError> {
    let storage = &settings.storage;
    let log = wal::Options {
        file_bytes: storage.log_file_bytes,
        // What goes into one frame is twice ingest.frame_bytes_max at most, or one record.
        frame_bytes_max: FRAME_BYTES_MAX,
    };
    let mut catalog = storage.catalog_options();
    catalog.windows = windows(settings).collect();
    let recovered = recover(&Disk::new(), &storage.dir, catalog, log, reject, metrics)?;
    report(&recovered.catalog, &recovered.recovery);
    Ok(recovered)
}

/// Of the sources that may not pass a message that is refused. Those of which letters are kept
/// begin behind a closed one.
fn gates(settings: &Settings, catalog: &Catalog) -> Gates {
    let halting = settings.source.iter().filter(|source| source.on_refusal == OnRefusal::Halt);
    let gates = Gates::new(halting.map(|source| source.name.clone()));
    gates.close_behind_kept(catalog);
    gates
}

fn decoder(
    settings: &Settings,
    catalog: &Arc<Catalog>,
    metrics: &Metrics,
) -> std::io::Result<Decoder> {
    let limits = Limits { message_bytes_max: settings.ingest.message_bytes_max };
    let each = settings.source.iter().map(|source| {
        let halts = source.on_refusal == OnRefusal::Halt;
        source.decoding(&limits).map(|decoding| SourceDecoding { decoding, halts })
    });
    let mut sources = each.collect::<Result<Vec<_>, _>>().map_err(std::io::Error::other)?;
    // Letters of a source that is no longer configured are read like those that came over HTTP.
    let (format, topics) = (Format::Auto, TopicCollections::default());
    let gone = Decoding { format, collection: None, topics, limits };
    sources.push(SourceDecoding { decoding: gone, halts: false });
    let foresight = Foresight::of(catalog);
    let (sources, metrics) = (Arc::new(sources), metrics.clone());
    Ok(Decoder { sources, foresight, record_bytes_max: RECORD_BYTES_MAX, metrics })
}

fn maintainer(
    recovered: &Recovered,
    work: CheckpointWork,
    ballast: Option<Arc<Ballast>>,
    metrics: &Metrics,
    shutdown: &Shutdown,
) -> Maintainer {
    let (catalog, wal) = (recovered.catalog.clone(), &recovered.wal);
    let (trimmer, log_id) = (wal.trimmer(), wal.log_id());
    Maintainer::new(catalog, work, trimmer, ballast, log_id, metrics, shutdown.clone())
}

fn applier(
    settings: &Settings,
    catalog: &Arc<Catalog>,
    reject: &BTreeSet<Seq>,
    replayed_bytes: u64,
    lines: Lines,
    metrics: &Metrics,
    shutdown: &Shutdown,
) -> Applier {
    let (options, reject) = (settings.storage.applier_options(), reject.clone());
    Applier::new(catalog.clone(), options, reject, replayed_bytes, lines, metrics, shutdown.clone())
}

/// The thread that fills payload indexes.
fn indexer(catalog: &Arc<Catalog>, shutdown: &Shutdown) -> std::io::Result<(&'static str, Stage)> {
    let indexer = Indexer::new(catalog.clone(), shutdown.clone());
    spawn("index", shutdown, move || {
        indexer.run();
        Ok(())
    })
}

/// The threads that decode, for every source.
fn decoders(
    decoder: &Decoder,
    count: usize,
    work: &crossbeam_channel::Receiver<Work>,
    shutdown: &Shutdown,
) -> std::io::Result<Vec<(&'static str, Stage)>> {
    let each = (0..count).map(|_| {
        let (decoder, work) = (decoder.clone(), work.clone());
        spawn("decode", shutdown, move || {
            run_worker(&decoder, &work);
            Ok(())
        })
    });
    each.collect()
}

fn decode_threads(settings: &Settings) -> usize {
    match settings.ingest.decode_threads {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        threads => threads,
    }
}

impl crate::config::StorageSettings {
    /// Unless set: three log files and what a checkpoint of a full head writes.
    pub(super) fn reserve_bytes(&self) -> u64 {
        let enough = self.log_file_bytes.saturating_mul(3).saturating_add(self.head_bytes_max);
        self.reserve_bytes.unwrap_or(enough)
    }

    pub(super) fn collection_options(&self) -> crate::collection::CollectionOptions {
        crate::collection::CollectionOptions {
            graph_rows_min: self.graph_rows_min,
            segment_rows_max: self.segment_rows_max,
            dead_share_max: self.dead_share_max,
            automatic_indexes_max: self.automatic_indexes_max,
            reserve_bytes: self.reserve_bytes(),
        }
    }

    fn catalog_options(&self) -> CatalogOptions {
        CatalogOptions {
            collection: self.collection_options(),
            dead_letters_max: self.dead_letters_max,
            dead_letter_bytes_max: self.dead_letter_bytes_max,
            ..CatalogOptions::default()
        }
    }

    fn applier_options(&self) -> ApplierOptions {
        ApplierOptions {
            checkpoint_wal_bytes: self.checkpoint_wal_bytes,
            head_bytes_max: self.head_bytes_max,
        }
    }
}
