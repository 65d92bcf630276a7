//! The wiring: opens, starts and stops everything, in the order data moves.
//!
//! ```text
//!  sources ─▶ intake, workers ─▶ appender ─▶ applier ─▶ maintenance
//!  http ────────▲                                └─▶ catalog ─▶ http reads
//! ```
//!
//! It is stopped from left to right: the sources first, which wait until what they gave is
//! durable and tell their brokers; then the HTTP door; then each stage ends when the one before
//! it has ended and its queue is empty; the last checkpoint is the end.

mod bounds;
mod configured;
mod doors;
mod forward;
mod signals;
mod sources;
mod stages;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::thread::JoinHandle;
use std::time::Instant;

use tracing::info;

use crate::api::{self, BindError, Doors, Readiness};
use crate::apply::{ApplyError, RecoverError};
use crate::catalog::CheckpointError;
use crate::config::Settings;
use crate::forward::CursorError;
use crate::metrics::Metrics;
use crate::position::Seq;
use crate::shutdown::Shutdown;
use crate::source::embedded::EmbeddedBroker;
use crate::wal::AppendError;

use doors::{LogWrites, SourceReports};
use forward::Forward;
use signals::Signals;
use sources::Sources;
use stages::Stages;

/// A running daemon.
pub struct Daemon {
    address: SocketAddr,
    shutdown: Shutdown,
    sources: Sources,
    stages: Stages,
    forward: Forward,
    signals: Signals,
    http: JoinHandle<Result<(), DaemonError>>,
    deadline: std::time::Duration,
}

/// Why the daemon did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Bind(#[from] BindError),
    #[error(transparent)]
    Recover(#[from] RecoverError),
    #[error("source `{name}`: {detail}")]
    Source { name: String, detail: String },
    #[error(transparent)]
    Cursor(#[from] CursorError),
    #[error("collection `{name}` of the configuration: {detail}")]
    Collection { name: String, detail: String },
    #[error("a thread could not be started: {0}")]
    Thread(#[from] std::io::Error),
    #[error("signals cannot be listened for: {0}")]
    Signals(std::io::Error),
}

/// Why the daemon ended by itself. What was acknowledged is in the log.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    #[error("the log takes nothing more: {0}")]
    Append(#[from] AppendError),
    #[error(transparent)]
    Apply(#[from] ApplyError),
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    #[error("the HTTP door: {0}")]
    Http(#[from] std::io::Error),
    #[error("the thread `{0}` ended with a panic: see the log")]
    Panicked(&'static str),
    #[error(
        "shutdown took longer than shutdown.deadline: what had not ended was left. Nothing \
         acknowledged is lost; the next start replays more of the log"
    )]
    Deadline,
}

impl Daemon {
    /// Recovers, then starts every stage, the HTTP door, and last the sources.
    pub fn start(settings: &Settings, reject: &BTreeSet<Seq>) -> Result<Daemon, StartError> {
        let (metrics, shutdown) = (Metrics::new(), Shutdown::new());
        // The port first: a taken one is the commonest fault, and recovery may take long.
        let bound = api::bind(settings.api.listen)?;
        let stages = Stages::start(settings, reject, &metrics, &shutdown)?;
        stages.create_configured(&settings.collections)?;
        let sources = Sources::start(settings, &stages, &metrics, &shutdown)?;
        let forward = Forward::start(settings, &stages, &metrics, &shutdown)?;
        let readiness = Readiness::new();
        stages.add_readiness(&readiness);
        let doors = Doors {
            catalog: stages.catalog.clone(),
            collection: settings.storage.collection_options(),
            writes: std::sync::Arc::new(LogWrites::new(stages.submit(), stages.catalog.clone())),
            sources: std::sync::Arc::new(SourceReports::new(
                sources.statuses(),
                sources.orders(),
                stages.offsets.clone(),
            )),
            readiness,
            metrics,
            shutdown: shutdown.clone(),
            applied: stages.applied.clone(),
            redecode: doors::redecode(settings, stages.decoder.clone()),
            forwarding: forward.report(),
            log_id: stages.log_id,
        };
        let address = bound.address();
        // Whoever sees the door open may stop the process, in an orderly way.
        let signals = Signals::listen().map_err(StartError::Signals)?;
        let http = doors::serve(bound, settings.api.clone(), doors)?;
        info!(%address, "serving");
        let deadline = settings.shutdown.deadline;
        Ok(Daemon { address, shutdown, sources, stages, forward, signals, http, deadline })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Asks the daemon to stop, from anywhere.
    pub fn shutdown(&self) -> Shutdown {
        self.shutdown.clone()
    }

    /// The embedded broker, if a source is one.
    pub fn embedded(&self) -> Option<&EmbeddedBroker> {
        self.sources.embedded()
    }

    /// Runs until SIGTERM, SIGINT or a failure, then stops everything in data order. An error
    /// is the first failure.
    pub fn run(self) -> Result<(), DaemonError> {
        let Daemon { shutdown, sources, stages, forward, signals, http, deadline, .. } = self;
        signals.wait_until_asked(&shutdown);
        let begun = Instant::now();
        info!(deadline_seconds = deadline.as_secs(), "stopping");
        let (ended, end) = crossbeam_channel::bounded(1);
        std::thread::Builder::new().name("stop".into()).spawn(move || {
            let sources = sources.join();
            let http = http.join().unwrap_or(Err(DaemonError::Panicked("http")));
            let forward = forward.join();
            let _ = ended.send(stages.join().and(sources).and(http).and(forward));
        })?;
        match end.recv_timeout(deadline) {
            Ok(result) => {
                info!(seconds = begun.elapsed().as_secs_f64(), "stopped");
                result
            }
            Err(_) => Err(DaemonError::Deadline),
        }
    }
}
