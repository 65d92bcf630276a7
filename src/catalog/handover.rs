//! Between the thread that applies and the thread that checkpoints.
//!
//! The applier wants a checkpoint; merges and graphs are given up for it; the other thread
//! says that it is ready; the applier seals between two records and gives what it sealed. The
//! state must not be sealed while a merge runs: the files of a checkpoint would be those of a
//! later seq, where rows are gone that its seq still has.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam_channel::{Receiver, Sender, bounded};

use super::SealedCatalog;
use crate::position::Seq;

/// What the maintenance thread says of the one checkpoint that is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Nothing else runs: seal, and give.
    Ready,
    Done(Seq),
    /// Nothing is lost; want another, with what has been applied since.
    Failed,
}

/// The applier's end. Dropping it ends the other thread, after what was given.
pub struct CheckpointRequests {
    wanted: Sender<()>,
    sealed: Sender<SealedCatalog>,
    answers: Receiver<Answer>,
    flags: Arc<Flags>,
}

/// The maintenance thread's end.
pub struct CheckpointWork {
    wanted: Receiver<()>,
    sealed: Receiver<SealedCatalog>,
    answers: Sender<Answer>,
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
    let (want, wanted) = bounded(1);
    let (give, given) = bounded(1);
    let (answer, answers) = bounded(1);
    let flags = Arc::<Flags>::default();
    (
        CheckpointRequests { wanted: want, sealed: give, answers, flags: flags.clone() },
        CheckpointWork { wanted, sealed: given, answers: answer, flags },
    )
}

impl CheckpointRequests {
    /// Wants one checkpoint; no other before the answer `Done` or `Failed`. False if the other
    /// thread has ended.
    pub fn want(&self) -> bool {
        self.flags.cancel.store(true, Ordering::SeqCst);
        self.wanted.try_send(()).is_ok()
    }

    /// After the answer `Ready`. False if the other thread has ended.
    pub fn give(&self, sealed: SealedCatalog) -> bool {
        self.sealed.try_send(sealed).is_ok()
    }

    /// For each checkpoint `Ready`, then `Done` or `Failed`. Disconnected when the other thread
    /// has ended.
    pub fn answers(&self) -> &Receiver<Answer> {
        &self.answers
    }
}

impl Drop for CheckpointRequests {
    fn drop(&mut self) {
        self.flags.ended.store(true, Ordering::SeqCst);
        self.flags.cancel.store(true, Ordering::SeqCst);
    }
}

impl CheckpointWork {
    /// Waits for the next checkpoint, with nothing else running; `None` once the applier has
    /// ended.
    pub fn next(&self) -> Option<SealedCatalog> {
        self.wanted.recv().ok()?;
        self.answer(Answer::Ready);
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

    pub fn answer(&self, answer: Answer) {
        // One checkpoint at a time, so there is room; the applier may have ended.
        let _ = self.answers.try_send(answer);
    }
}
