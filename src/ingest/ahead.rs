//! How far the workers may decode ahead of the appender.
//!
//! Promise: beside the batch in front, what is decoded and not in the log yet stays within a
//! bound, passed by one message a worker at most. The batch in front is decoded however large it
//! is, so that nothing waits for itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

/// Between two looks of a worker that is too far ahead.
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// Shared by the workers and the appender, which alone gives room back.
pub(super) struct Ahead {
    bytes_max: usize,
    bytes: AtomicUsize,
    /// The batch in front: so many have been taken by the appender.
    front: AtomicU64,
    /// Nobody takes anything any more.
    closed: AtomicBool,
}

impl Ahead {
    pub fn new(bytes_max: usize) -> Arc<Ahead> {
        Arc::new(Ahead {
            bytes_max,
            bytes: AtomicUsize::new(0),
            front: AtomicU64::new(0),
            closed: AtomicBool::new(false),
        })
    }

    /// Before a message of the batch with this place in the queue is decoded: waits while there
    /// is no room and another batch is in front.
    pub fn wait(&self, place: u64) {
        while self.bytes.load(Ordering::Acquire) >= self.bytes_max
            && self.front.load(Ordering::Acquire) < place
            && !self.closed.load(Ordering::Acquire)
        {
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// After one was.
    pub fn decoded(&self, bytes: usize) {
        self.bytes.fetch_add(bytes, Ordering::AcqRel);
    }

    /// The appender has taken the batch in front; its bytes come back with
    /// [`Ahead::give_back`].
    pub fn taken(&self) {
        self.front.fetch_add(1, Ordering::AcqRel);
    }

    pub fn give_back(&self, bytes: usize) {
        self.bytes.fetch_sub(bytes, Ordering::AcqRel);
    }

    #[cfg(test)]
    pub fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Acquire)
    }
}

/// The appender's: lets the workers run to their end when it goes.
pub(super) struct AheadEnd(pub Arc<Ahead>);

impl Drop for AheadEnd {
    fn drop(&mut self) {
        self.0.closed.store(true, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_not_in_front_waits_for_room() {
        let ahead = Ahead::new(100);
        ahead.decoded(100);
        // The one in front is never held up.
        ahead.wait(0);
        let (sender, passed) = std::sync::mpsc::channel();
        let other = ahead.clone();
        let worker = std::thread::spawn(move || {
            other.wait(2);
            sender.send(other.bytes()).unwrap();
        });
        ahead.taken();
        assert!(passed.recv_timeout(20 * LOOK_EVERY).is_err(), "it ran ahead");
        ahead.give_back(1);
        assert_eq!(passed.recv().unwrap(), 99);
        worker.join().unwrap();
        ahead.decoded(1);
        drop(AheadEnd(ahead.clone()));
        ahead.wait(7);
    }
}
