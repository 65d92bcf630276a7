//! When the sources should fetch nothing more, early enough that what they fetched already
//! still finds room.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::metrics::Metrics;
use crate::source::Pressure;

/// Between two looks at the free space of the disk.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// And after so much was appended, however soon.
const LOOK_BYTES: u64 = 8 << 20;

/// Asked now and then, from any thread.
pub type Ask<T> = Arc<dyn Fn() -> T + Send + Sync>;

/// What the valve looks at.
#[derive(Clone)]
pub struct Gauges {
    /// Bytes of the disk that are free; `None` where it cannot be told.
    pub disk_free_bytes: Ask<Option<u64>>,
    /// Below so many nothing more is fetched. 0: that is never looked at.
    pub reserve_bytes: u64,
    /// As many dead letters as may be.
    pub dead_letters_full: Ask<bool>,
    /// And what was kept for messages on their way is used up, too.
    pub dead_letters_over: Ask<bool>,
}

/// Shared by the doors of the queue and the appender.
pub struct Valve {
    gauges: Gauges,
    disk_full: AtomicBool,
    applier_behind: AtomicBool,
    queue_full: AtomicBool,
    begun: Instant,
    /// When the disk is looked at again: milliseconds since `begun`.
    look_at_ms: AtomicU64,
    appended: AtomicU64,
    metrics: Metrics,
}

impl Valve {
    pub fn new(gauges: Gauges, metrics: &Metrics) -> Arc<Valve> {
        Arc::new(Valve {
            gauges,
            disk_full: AtomicBool::new(false),
            applier_behind: AtomicBool::new(false),
            queue_full: AtomicBool::new(false),
            begun: Instant::now(),
            look_at_ms: AtomicU64::new(0),
            appended: AtomicU64::new(0),
            metrics: metrics.clone(),
        })
    }

    /// Nothing presses, ever.
    #[cfg(test)]
    pub fn open(metrics: &Metrics) -> Arc<Valve> {
        let gauges = Gauges {
            disk_free_bytes: Arc::new(|| None),
            reserve_bytes: 0,
            dead_letters_full: Arc::new(|| false),
            dead_letters_over: Arc::new(|| false),
        };
        Valve::new(gauges, metrics)
    }

    /// Why nothing more should be fetched. `share` is how full the queue is, 1 at its bound.
    pub(super) fn pressure(&self, share: f64) -> Option<Pressure> {
        let letters = (self.gauges.dead_letters_full)();
        self.show(Pressure::DeadLettersFull, letters);
        // On above three quarters, off below a half: a source that pauses gives up its consumer.
        if share > 0.75 || (share < 0.5 && self.queue_full.load(Ordering::Relaxed)) {
            self.queue_full.store(share > 0.75, Ordering::Relaxed);
            self.show(Pressure::QueueFull, share > 0.75);
        }
        if self.disk_full() {
            return Some(Pressure::DiskFull);
        }
        if letters {
            return Some(Pressure::DeadLettersFull);
        }
        if self.applier_behind() {
            return Some(Pressure::ApplierBehind);
        }
        self.queue_full.load(Ordering::Relaxed).then_some(Pressure::QueueFull)
    }

    /// Not even what was delivered already is taken.
    pub(super) fn is_shut(&self) -> bool {
        (self.gauges.dead_letters_over)()
    }

    /// Whether only what is kept free is left of the disk. Looked at four times a second.
    pub fn disk_full(&self) -> bool {
        let now = self.begun.elapsed().as_millis() as u64;
        let due = self.look_at_ms.load(Ordering::Relaxed);
        if now >= due {
            let next = now + LOOK_EVERY.as_millis() as u64;
            let order = Ordering::Relaxed;
            // One of those who come at the same time looks.
            if self.look_at_ms.compare_exchange(due, next, order, order).is_ok() {
                self.look();
            }
        }
        self.disk_full.load(Ordering::Acquire)
    }

    /// By the appender.
    pub(super) fn appended(&self, bytes: u64) {
        if self.appended.fetch_add(bytes, Ordering::Relaxed) + bytes >= LOOK_BYTES {
            self.appended.store(0, Ordering::Relaxed);
            self.look();
        }
    }

    fn look(&self) {
        let Some(free) = (self.gauges.disk_free_bytes)() else { return };
        self.metrics.wal.disk_free_bytes.set(free as i64);
        let full = free < self.gauges.reserve_bytes;
        if self.disk_full.swap(full, Ordering::AcqRel) != full {
            let reserve = self.gauges.reserve_bytes;
            match full {
                true => tracing::error!(
                    free,
                    reserve,
                    "the disk is full but for the reserve: sources fetch nothing more"
                ),
                false => tracing::info!(free, reserve, "there is room on the disk again"),
            }
        }
        self.show(Pressure::DiskFull, full);
    }

    pub(super) fn applier_behind(&self) -> bool {
        self.applier_behind.load(Ordering::Acquire)
    }

    /// By the appender.
    pub(super) fn set_applier_behind(&self, behind: bool) {
        if self.applier_behind.swap(behind, Ordering::AcqRel) != behind {
            self.show(Pressure::ApplierBehind, behind);
        }
    }

    fn show(&self, pressure: Pressure, on: bool) {
        let reason = match pressure {
            Pressure::QueueFull => "queue_full",
            Pressure::ApplierBehind => "applier_behind",
            Pressure::DiskFull => "disk_full",
            Pressure::DeadLettersFull => "dead_letters_full",
        };
        self.metrics.source.pressure.with_label_values(&[reason]).set(on.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_presses_from_three_quarters_down_to_a_half() {
        let valve = Valve::open(&Metrics::new());
        let pressed = [0.7, 0.76, 0.6, 0.5, 0.49, 0.7].map(|share| valve.pressure(share).is_some());
        assert_eq!(pressed, [false, true, true, true, false, false]);
    }

    #[test]
    fn a_disk_presses_below_its_reserve_and_is_looked_at_again() {
        let free = Arc::new(AtomicU64::new(100));
        let read = free.clone();
        let gauges = Gauges {
            disk_free_bytes: Arc::new(move || Some(read.load(Ordering::SeqCst))),
            reserve_bytes: 100,
            dead_letters_full: Arc::new(|| false),
            dead_letters_over: Arc::new(|| false),
        };
        let metrics = Metrics::new();
        let valve = Valve::new(gauges, &metrics);
        assert_eq!(valve.pressure(0.0), None);
        free.store(99, Ordering::SeqCst);
        assert_eq!(valve.pressure(0.0), None, "it is not looked at for every batch");
        valve.appended(LOOK_BYTES);
        assert_eq!(valve.pressure(0.0), Some(Pressure::DiskFull));
        let gauge = metrics.source.pressure.with_label_values(&["disk_full"]);
        assert_eq!((gauge.get(), metrics.wal.disk_free_bytes.get()), (1, 99));
        free.store(100, Ordering::SeqCst);
        valve.appended(LOOK_BYTES);
        assert_eq!((valve.pressure(0.0), gauge.get()), (None, 0));
    }
}
