//! From the log to the collections: replay at start, then frame by frame as they become
//! durable.
//!
//! Promise: records are applied in the order of their seqs, each exactly once; readers see the
//! records of a frame before [`Applier::run`] raises `applied` to its last seq, and an HTTP
//! caller is answered after that. What is applied depends on the log alone: a panic in a record
//! ends the process rather than skip it, and the next replay meets it again. No promise: that
//! what is applied is in any file but the log's.
//!
//! `--reject-seq` takes the place of a record that makes the applier panic. The choice is not
//! in the log: it holds for the records applied by the process that was given it, and for ever
//! once a checkpoint has passed the seq. If the process ends before that checkpoint, give it
//! again.

mod gauges;
mod guard;
mod letters;
mod pace;
mod recover;
mod run;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::Receiver;
use tokio::sync::watch;

use crate::catalog::{Catalog, CheckpointRequests, Frame};
use crate::metrics::Metrics;
use crate::position::Seq;
use crate::shutdown::Shutdown;

pub use guard::ApplyError;
pub use letters::Gates;
pub use recover::{RecoverError, Recovered, recover};

/// After a checkpoint that failed, the next is tried no sooner.
const RETRY_AFTER: Duration = Duration::from_secs(5);

#[derive(Clone, Debug)]
pub struct ApplierOptions {
    /// A checkpoint begins when the log has grown by so much since the last one: what a
    /// restart replays. Default 256 MiB.
    pub checkpoint_wal_bytes: u64,
    /// And when the unwritten rows of one collection have. Default 64 MiB.
    pub head_bytes_max: u64,
}

impl Default for ApplierOptions {
    fn default() -> Self {
        ApplierOptions { checkpoint_wal_bytes: 256 << 20, head_bytes_max: 64 << 20 }
    }
}

/// What an applier is connected to.
pub struct Lines {
    /// Bounded; when the sender is dropped, the applier makes a last checkpoint and ends.
    pub frames: Receiver<Frame>,
    /// Each message asks for a checkpoint now, due or not: for instance to make room.
    pub asked: Receiver<()>,
    pub checkpoints: CheckpointRequests,
    /// Raised to the highest seq that readers see.
    pub applied: watch::Sender<Seq>,
    pub gates: Gates,
}

/// Applies what is durable. Runs on a thread of its own.
pub struct Applier {
    catalog: Arc<Catalog>,
    reject: BTreeSet<Seq>,
    frames: Receiver<Frame>,
    asked: Receiver<()>,
    applied: watch::Sender<Seq>,
    pace: pace::Pace,
    gauges: gauges::Gauges,
    letters: letters::Letters,
}

impl Applier {
    /// `replayed_bytes` is how much of the log no checkpoint holds, see [`Recovered`].
    pub fn new(
        catalog: Arc<Catalog>,
        options: ApplierOptions,
        reject: BTreeSet<Seq>,
        replayed_bytes: u64,
        lines: Lines,
        metrics: &Metrics,
        shutdown: Shutdown,
    ) -> Applier {
        let held = metrics.wal.apply_held.clone();
        let pace = pace::Pace::new(options, replayed_bytes, lines.checkpoints, held, shutdown);
        lines.applied.send_replace(catalog.applied());
        Applier {
            gauges: gauges::Gauges::new(metrics),
            letters: letters::Letters::new(lines.gates, metrics),
            catalog,
            reject,
            frames: lines.frames,
            asked: lines.asked,
            applied: lines.applied,
            pace,
        }
    }
}
