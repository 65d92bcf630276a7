//! Checkpoints, merges and graphs, on one thread with low priority.
//!
//! Promise: a checkpoint that is asked for is what the thread does next. A merge is given up for
//! it, seven times of eight; a graph, which takes minutes, is interrupted and goes on. Log files
//! go only after the manifest that holds their records is durable. No promise: when merges and
//! graphs are done; search is exact and complete without them.

mod indexes;

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use crate::catalog::{Answer, Catalog, CheckpointError, CheckpointWork, SealedCatalog};
use crate::disk::ballast::Ballast;
use crate::metrics::Metrics;
use crate::shutdown::Shutdown;
use crate::wal::{LogId, Trimmer};

pub use indexes::Indexer;

/// These threads give way to queries and to intake. 0 is normal, 19 the lowest.
const NICENESS: i32 = 10;

/// In one of so many turns a merge is seen through: were all given up for checkpoints, a steady
/// intake would leave ever more segments. The applier waits if it outgrows its bounds meanwhile.
const TURNS: u32 = 8;

pub struct Maintainer {
    catalog: Arc<Catalog>,
    work: CheckpointWork,
    trimmer: Trimmer,
    ballast: Option<Arc<Ballast>>,
    log_id: LogId,
    metrics: Metrics,
    shutdown: Shutdown,
    turn: Cell<u32>,
}

impl Maintainer {
    pub fn new(
        catalog: Arc<Catalog>,
        work: CheckpointWork,
        trimmer: Trimmer,
        ballast: Option<Arc<Ballast>>,
        log_id: LogId,
        metrics: &Metrics,
        shutdown: Shutdown,
    ) -> Maintainer {
        Maintainer {
            catalog,
            work,
            trimmer,
            ballast,
            log_id,
            metrics: metrics.clone(),
            shutdown,
            turn: Cell::new(1),
        }
    }

    /// Works until the applier has ended and its last checkpoint is made. An error means that
    /// this process can make no checkpoint any more: it asks everyone to stop.
    pub fn run(self) -> Result<(), CheckpointError> {
        be_nice("maintenance is done");
        loop {
            if let Err(error) = self.improve() {
                self.shutdown.ask();
                return Err(error);
            }
            let Some(sealed) = self.work.next() else { return Ok(()) };
            if let Err(error) = self.checkpoint(sealed) {
                self.shutdown.ask();
                return Err(error);
            }
        }
    }

    /// An error is final; one that the next attempt may mend is logged here.
    fn checkpoint(&self, sealed: SealedCatalog) -> Result<(), CheckpointError> {
        let begun = Instant::now();
        let ballast = self.ballast.as_ref();
        // What is given up while this one runs is the next one's, unless this one is made.
        let had_ballast = ballast.is_some_and(|ballast| ballast.is_lent());
        let seq = match self.catalog.checkpoint(sealed, self.log_id) {
            Ok(seq) => seq,
            Err(error) => {
                self.metrics.wal.checkpoint_failures.inc();
                if error.is_final() {
                    return Err(error);
                }
                tracing::error!(%error, "checkpoint failed");
                if let Some(ballast) = ballast {
                    if had_ballast {
                        ballast.settle();
                    }
                    // The next attempt has its room; without one no log file ever goes.
                    if error.is_no_room() {
                        ballast.give_up();
                    }
                }
                self.work.answer(Answer::Failed);
                return Ok(());
            }
        };
        // What cannot be removed now is removed after the next checkpoint, or at the next start.
        if let Err(error) = self.catalog.sweep() {
            tracing::warn!(%error, "files that the checkpoint made needless could not be removed");
        }
        if let Err(error) = self.trimmer.trim(seq) {
            tracing::warn!(%error, "log files that the checkpoint holds could not be removed");
        }
        if let Some(ballast) = ballast {
            ballast.settle();
            ballast.restore();
        }
        self.metrics.wal.checkpoint_seq.set(seq.0 as i64);
        self.metrics.wal.bytes.set(self.trimmer.bytes() as i64);
        self.metrics.wal.checkpoint_seconds.observe(begun.elapsed().as_secs_f64());
        tracing::debug!(%seq, seconds = begun.elapsed().as_secs_f64(), "checkpoint");
        self.work.answer(Answer::Done(seq));
        Ok(())
    }

    /// Merges until there is nothing to do or a checkpoint is wanted, then builds graphs. What
    /// fails is left until after the next checkpoint; an error is one of a checkpoint.
    fn improve(&self) -> Result<(), CheckpointError> {
        let cancel = self.work.cancel();
        let turn = self.turn.replace((self.turn.get() + 1) % TURNS);
        for (name, collection) in self.catalog.collections() {
            let merges = match turn {
                // Not at the end: there a merge would only use up the deadline.
                0 if !self.shutdown.is_asked() => {
                    collection.merge(&AtomicBool::new(false)).map(|_| ())
                }
                _ => repeat(cancel, || collection.merge(cancel)),
            };
            if let Err(error) = merges {
                tracing::warn!(collection = name, %error, "merge failed");
            }
            let mut checkpoint = Ok(());
            let mut stop = || self.interrupt(&mut checkpoint);
            let graphs = repeat(cancel, || collection.build_graph(&mut stop));
            if let Err(error) = graphs {
                tracing::warn!(collection = name, %error, "graph not built");
            }
            checkpoint?;
        }
        Ok(())
    }

    /// Between two steps of a graph: makes the checkpoint that is wanted, if one is. A busy
    /// intake wants one every few seconds, so a graph given up for each would never be built.
    /// True at the end, or when `checkpoint` has failed for good.
    fn interrupt(&self, checkpoint: &mut Result<(), CheckpointError>) -> bool {
        if !self.work.cancel().load(Ordering::SeqCst) {
            return false;
        }
        let Some(sealed) = self.work.next() else { return true };
        *checkpoint = self.checkpoint(sealed);
        checkpoint.is_err()
    }
}

/// Lowers the calling thread's priority: on Linux this is not the whole process's.
fn be_nice(what: &str) {
    if let Err(error) = rustix::process::setpriority_process(None, NICENESS) {
        tracing::warn!(%error, "{what} with normal priority");
    }
}

/// Repeats a step until there is nothing more to do, or something else comes first.
fn repeat<E>(cancel: &AtomicBool, mut step: impl FnMut() -> Result<bool, E>) -> Result<(), E> {
    while !cancel.load(Ordering::SeqCst) && step()? {}
    Ok(())
}
