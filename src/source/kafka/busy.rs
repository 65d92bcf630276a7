//! Since when the thread that asks the cluster has been at one thing: a call into librdkafka that does
//! not return would show nowhere else.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Shared by that thread and who listens to it. It begins idle.
#[derive(Clone)]
pub struct Busy(Arc<Shared>);

struct Shared {
    epoch: Instant,
    /// In milliseconds since `epoch`; 0 while it waits.
    since: AtomicU64,
}

impl Default for Busy {
    fn default() -> Busy {
        Busy(Arc::new(Shared { epoch: Instant::now(), since: AtomicU64::new(0) }))
    }
}

impl Busy {
    /// It begins the next thing.
    pub fn begin(&self) {
        let millis = u64::try_from(self.0.epoch.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.0.since.store(millis.max(1), Ordering::Relaxed);
    }

    /// It waits until there is something to do.
    pub fn wait(&self) {
        self.0.since.store(0, Ordering::Relaxed);
    }

    /// How long it has been at one thing.
    pub fn how_long(&self) -> Option<Duration> {
        let since = Some(self.0.since.load(Ordering::Relaxed)).filter(|since| *since > 0)?;
        Some(self.0.epoch.elapsed().saturating_sub(Duration::from_millis(since)))
    }

    #[cfg(test)]
    pub fn for_so_long(time: Duration) -> Busy {
        let epoch = Instant::now().checked_sub(time).unwrap();
        Busy(Arc::new(Shared { epoch, since: AtomicU64::new(1) }))
    }
}
