//! Between the thread that applies and the thread that checkpoints: one checkpoint at a time,
//! and the wish that whatever else runs there make room for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam_channel::{Receiver, Sender, bounded};

use super::SealedCatalog;
use crate::position::Seq;

/// The answer to one checkpoint that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checkpointed {
    Done(Seq),
    /// Nothing is lost; ask again, with what has been applied since.
    Failed,
}

/// The applier's end. Dropping it ends the other thread, after what was asked for.
pub struct CheckpointRequests {
    sealed: Sender<SealedCatalog>,
    done: Receiver<Checkpointed>,
    cancel: Arc<AtomicBool>,
}

/// The maintenance thread's end.
pub struct CheckpointWork {
    sealed: Receiver<SealedCatalog>,
    done: Sender<Checkpointed>,
    cancel: Arc<AtomicBool>,
}

pub fn handover() -> (CheckpointRequests, CheckpointWork) {
    let (sealed_in, sealed_out) = bounded(1);
    let (done_in, done_out) = bounded(1);
    let cancel = Arc::new(AtomicBool::new(false));
    (
        CheckpointRequests { sealed: sealed_in, done: done_out, cancel: cancel.clone() },
        CheckpointWork { sealed: sealed_out, done: done_in, cancel },
    )
}

impl CheckpointRequests {
    /// Hands over one checkpoint and has merges and graphs make room. False if the other
    /// thread has ended. Ask again only after the answer.
    pub fn ask(&self, sealed: SealedCatalog) -> bool {
        self.cancel.store(true, Ordering::Release);
        self.sealed.send(sealed).is_ok()
    }

    /// One answer for each checkpoint; disconnected when the other thread has ended.
    pub fn done(&self) -> &Receiver<Checkpointed> {
        &self.done
    }
}

impl Drop for CheckpointRequests {
    fn drop(&mut self) {
        self.cancel.store(true, Ordering::Release);
    }
}

impl CheckpointWork {
    /// Waits for the next checkpoint; `None` once the applier has ended.
    pub fn next(&self) -> Option<SealedCatalog> {
        let sealed = self.sealed.recv().ok()?;
        self.cancel.store(false, Ordering::Release);
        Some(sealed)
    }

    /// Whether [`CheckpointWork::next`] would return at once. Looked at between two steps of
    /// other work, and while one runs.
    pub fn cancel(&self) -> &AtomicBool {
        &self.cancel
    }

    pub fn answer(&self, answer: Checkpointed) {
        // The applier asks once at a time, so there is room; it may have ended.
        let _ = self.done.try_send(answer);
    }
}
