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

/// Between two checkpoints that are asked for while the disk is full.
const ASK_EVERY: Duration = Duration::from_secs(5);
/// Letters that were too many press until no larger share of their bound is kept.
const LETTERS_OFF: f64 = 0.9;

/// Asked now and then, from any thread.
pub type Ask<T> = Arc<dyn Fn() -> T + Send + Sync>;

/// What the valve looks at.
#[derive(Clone)]
pub struct Gauges {
    /// Bytes of the disk that are free; `None` where it cannot be told.
    pub disk_free_bytes: Ask<Option<u64>>,
    /// Below so many nothing more is fetched. 0: that is never looked at.
    pub reserve_bytes: Ask<u64>,
    /// Beyond a tenth more than that, so many have to be free before something is fetched again.
    pub resume_bytes: u64,
    /// How many dead letters are kept, 1 at their bound.
    pub dead_letters_share: Ask<f64>,
    /// And what was kept for messages on their way is used up, too.
    pub dead_letters_over: Ask<bool>,
    /// Asks for a checkpoint, which lets log files go and those of deleted collections.
    pub make_room: Ask<()>,
}

#[cfg(test)]
impl Gauges {
    /// Nothing presses, ever.
    pub fn open() -> Gauges {
        Gauges {
            disk_free_bytes: Arc::new(|| None),
            reserve_bytes: Arc::new(|| 0),
            resume_bytes: 0,
            dead_letters_share: Arc::new(|| 0.0),
            dead_letters_over: Arc::new(|| false),
            make_room: Arc::new(|| ()),
        }
    }
}

/// Shared by the doors of the queue and the appender.
pub struct Valve {
    gauges: Gauges,
    disk_full: AtomicBool,
    applier_behind: AtomicBool,
    queue_full: AtomicBool,
    letters_full: AtomicBool,
    begun: Instant,
    /// When the disk is looked at again: milliseconds since `begun`.
    look_at_ms: AtomicU64,
    /// And when a checkpoint is asked for again.
    ask_at_ms: AtomicU64,
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
            letters_full: AtomicBool::new(false),
            begun: Instant::now(),
            look_at_ms: AtomicU64::new(0),
            ask_at_ms: AtomicU64::new(0),
            appended: AtomicU64::new(0),
            metrics: metrics.clone(),
        })
    }

    /// Nothing presses, ever.
    #[cfg(test)]
    pub fn open(metrics: &Metrics) -> Arc<Valve> {
        Valve::new(Gauges::open(), metrics)
    }

    /// Why nothing more should be fetched. `share` is how full the queue is, 1 at its bound.
    pub(super) fn pressure(&self, share: f64) -> Option<Pressure> {
        let letters = self.dead_letters_full();
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

    /// As many dead letters as may be, or as many as were a while ago and not enough have gone.
    pub fn dead_letters_full(&self) -> bool {
        let share = (self.gauges.dead_letters_share)();
        let was = self.letters_full.load(Ordering::Relaxed);
        let full = match was {
            true => share > LETTERS_OFF,
            false => share >= 1.0,
        };
        self.show(Pressure::DeadLettersFull, full);
        let order = Ordering::Relaxed;
        // Every source asks: one of them says it.
        if was != full && self.letters_full.compare_exchange(was, full, order, order).is_ok() {
            match full {
                true => tracing::error!(
                    "dead letters are at their bound: sources fetch nothing more until letters are \
                     redriven or dropped"
                ),
                false => tracing::info!("there is room for dead letters again"),
            }
        }
        full
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
        let reserve = (self.gauges.reserve_bytes)();
        self.metrics.wal.disk_reserve_bytes.set(i64::try_from(reserve).unwrap_or(i64::MAX));
        // What a checkpoint frees must not make sources fetch until it is used up again.
        let resume = reserve.saturating_add(reserve / 10).saturating_add(self.gauges.resume_bytes);
        let full = match self.disk_full.load(Ordering::Acquire) {
            true => reserve > 0 && free < resume,
            false => free < reserve,
        };
        if full {
            self.make_room();
        }
        if self.disk_full.swap(full, Ordering::AcqRel) != full {
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

    /// Asks for a checkpoint, at once and then every few seconds for as long as this is called: one
    /// that fails leaves everything as it was.
    pub(super) fn make_room(&self) {
        let now = self.begun.elapsed().as_millis() as u64;
        if now >= self.ask_at_ms.load(Ordering::Relaxed) {
            self.ask_at_ms.store(now + ASK_EVERY.as_millis() as u64, Ordering::Relaxed);
            (self.gauges.make_room)();
        }
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
    fn a_disk_presses_below_its_reserve_until_there_is_a_good_deal_more() {
        let (free, asked) = (Arc::new(AtomicU64::new(100)), Arc::new(AtomicU64::new(0)));
        let (read, count) = (free.clone(), asked.clone());
        let gauges = Gauges {
            disk_free_bytes: Arc::new(move || Some(read.load(Ordering::SeqCst))),
            reserve_bytes: Arc::new(|| 100),
            resume_bytes: 20,
            make_room: Arc::new(move || {
                count.fetch_add(1, Ordering::SeqCst);
            }),
            ..Gauges::open()
        };
        let metrics = Metrics::new();
        let valve = Valve::new(gauges, &metrics);
        assert_eq!(valve.pressure(0.0), None);
        // A test that stands still for a moment must not reach the next look.
        let next = valve.look_at_ms.swap(u64::MAX, Ordering::SeqCst);
        assert!(next >= LOOK_EVERY.as_millis() as u64, "{next}");
        free.store(99, Ordering::SeqCst);
        assert_eq!(valve.pressure(0.0), None, "it is not looked at for every batch");
        valve.appended(LOOK_BYTES);
        assert_eq!(valve.pressure(0.0), Some(Pressure::DiskFull));
        let gauge = metrics.source.pressure.with_label_values(&["disk_full"]);
        assert_eq!((gauge.get(), metrics.wal.disk_free_bytes.get()), (1, 99));
        assert_eq!(metrics.wal.disk_reserve_bytes.get(), 100);
        assert_eq!(asked.load(Ordering::SeqCst), 1, "no checkpoint was asked for");
        for (bytes, pressed) in [(100, true), (129, true), (130, false), (100, false), (99, true)] {
            free.store(bytes, Ordering::SeqCst);
            valve.appended(LOOK_BYTES);
            assert_eq!(valve.pressure(0.0).is_some(), pressed, "{bytes}");
        }
        // While it holds, again and again: here the time has come.
        let before = asked.load(Ordering::SeqCst);
        valve.ask_at_ms.fetch_sub(ASK_EVERY.as_millis() as u64, Ordering::SeqCst);
        valve.appended(LOOK_BYTES);
        assert_eq!(asked.load(Ordering::SeqCst), before + 1, "it is not asked for again");
    }

    #[test]
    fn dead_letters_press_from_their_bound_down_to_nine_tenths() {
        let kept = Arc::new(AtomicU64::new(0));
        let read = kept.clone();
        let share = move || read.load(Ordering::SeqCst) as f64 / 100.0;
        let gauges = Gauges { dead_letters_share: Arc::new(share), ..Gauges::open() };
        let valve = Valve::new(gauges, &Metrics::new());
        for (letters, pressed) in [(99, false), (100, true), (91, true), (90, false), (99, false)] {
            kept.store(letters, Ordering::SeqCst);
            assert_eq!(valve.pressure(0.0).is_some(), pressed, "{letters}");
        }
    }
}
