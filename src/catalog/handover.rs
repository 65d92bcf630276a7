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
    flags: Arc<Flags>,
}

/// The maintenance thread's end.
pub struct CheckpointWork {
    sealed: Receiver<SealedCatalog>,
    done: Sender<Checkpointed>,
    flags: Arc<Flags>,
}

#[derive(Default)]
struct Flags {
    /// Other work must make room.
    cancel: AtomicBool,
    /// The applier has ended.
    ended: AtomicBool,
}

pub fn handover() -> (CheckpointRequests, CheckpointWork) {
    let (sealed_in, sealed_out) = bounded(1);
    let (done_in, done_out) = bounded(1);
    let flags = Arc::<Flags>::default();
    (
        CheckpointRequests { sealed: sealed_in, done: done_out, flags: flags.clone() },
        CheckpointWork { sealed: sealed_out, done: done_in, flags },
    )
}

impl CheckpointRequests {
    /// Hands over one checkpoint and has merges and graphs make room. False if the other
    /// thread has ended. Ask again only after the answer.
    pub fn ask(&self, sealed: SealedCatalog) -> bool {
        self.flags.cancel.store(true, Ordering::SeqCst);
        self.sealed.send(sealed).is_ok()
    }

    /// One answer for each checkpoint; disconnected when the other thread has ended.
    pub fn done(&self) -> &Receiver<Checkpointed> {
        &self.done
    }
}

impl Drop for CheckpointRequests {
    fn drop(&mut self) {
        self.flags.ended.store(true, Ordering::SeqCst);
        self.flags.cancel.store(true, Ordering::SeqCst);
    }
}

impl CheckpointWork {
    /// Waits for the next checkpoint; `None` once the applier has ended.
    pub fn next(&self) -> Option<SealedCatalog> {
        let sealed = self.sealed.recv().ok()?;
        self.flags.cancel.store(false, Ordering::SeqCst);
        // After the last checkpoint nothing may begin that takes long.
        if self.flags.ended.load(Ordering::SeqCst) {
            self.flags.cancel.store(true, Ordering::SeqCst);
        }
        Some(sealed)
    }

    /// Set while [`CheckpointWork::next`] would return at once. Looked at between two steps of
    /// other work, and while one runs.
    pub fn cancel(&self) -> &AtomicBool {
        &self.flags.cancel
    }

    pub fn answer(&self, answer: Checkpointed) {
        // The applier asks once at a time, so there is room; it may have ended.
        let _ = self.done.try_send(answer);
    }
}
