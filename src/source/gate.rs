//! Stops one source behind a message that it may not pass (policy `halt`).
//!
//! Three take part. Whoever appends or applies *closes* the gate behind the message; from then on
//! the appender takes nothing of that source, and says nothing durable, so nothing that follows
//! is acknowledged. The source notices, forgets what it gave out, and waits. An operator decides
//! about the message, and the gate is *released*; the source *reopens* it, which makes void what
//! it had given out before, and fetches again from where the log stands.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

#[derive(Clone, Debug, Default)]
pub struct Gate(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    closed: AtomicBool,
    /// Batches up to this number were given out before the gate was opened again.
    void: AtomicU64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    why: Option<String>,
    released: bool,
}

impl Gate {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nothing passes any more. Closed already, it stays closed for the first reason.
    pub fn close(&self, why: impl Into<String>) {
        let mut state = self.state();
        state.why.get_or_insert_with(|| why.into());
        state.released = false;
        self.0.closed.store(true, Ordering::Release);
    }

    /// Cheap: asked before each batch.
    pub fn is_closed(&self) -> bool {
        self.0.closed.load(Ordering::Acquire)
    }

    pub fn why(&self) -> Option<String> {
        self.state().why.clone()
    }

    /// The operator has decided; the source may reopen.
    pub fn release(&self) {
        self.state().released = true;
    }

    /// By the source, which has forgotten everything that it gave out, up to batch `last`: opens
    /// the gate if it was released. False while it was not.
    pub fn reopen(&self, last: u64) -> bool {
        let mut state = self.state();
        if !self.is_closed() {
            return true;
        }
        if !state.released {
            return false;
        }
        *state = State::default();
        self.0.void.fetch_max(last, Ordering::AcqRel);
        self.0.closed.store(false, Ordering::Release);
        true
    }

    /// Whether the appender must drop this batch of the source without a word.
    pub fn refuses(&self, number: u64) -> bool {
        self.is_closed() || number <= self.0.void.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_before_passes_after_it_was_opened_again() {
        let gate = Gate::default();
        assert!(!gate.refuses(1));
        gate.close("a bad message");
        gate.close("another");
        assert!(gate.refuses(2) && gate.is_closed());
        assert_eq!(gate.why().as_deref(), Some("a bad message"));
        assert!(!gate.reopen(5), "nobody has decided");
        gate.release();
        assert!(gate.refuses(6), "the source has not reopened it");
        assert!(gate.reopen(5));
        assert!(gate.refuses(5) && !gate.refuses(6));
        assert_eq!(gate.why(), None);
    }

    #[test]
    fn a_release_before_the_next_message_does_not_count_for_that() {
        let gate = Gate::default();
        gate.release();
        gate.close("a bad message");
        assert!(!gate.reopen(1));
    }
}
