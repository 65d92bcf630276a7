//! The sources' watermarks, and their end.
//!
//! Promise: when the appender has ended, be it because an fsync failed, every watermark says that it
//! rises no more: a source that stops waits for what can still come, and for nothing else.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::source::Watermark;

#[derive(Clone, Default)]
pub(super) struct Watermarks(Arc<Mutex<Known>>);

#[derive(Default)]
struct Known {
    watermarks: Vec<Watermark>,
    ended: bool,
}

impl Watermarks {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn add(&self, watermark: &Watermark) {
        let mut known = self.known();
        if known.ended {
            watermark.end();
        }
        known.watermarks.push(watermark.clone());
    }
}

/// Held by whoever raises them; they end with it.
pub(super) struct WatermarksEnd(pub Watermarks);

impl Drop for WatermarksEnd {
    fn drop(&mut self) {
        let mut known = self.0.known();
        known.ended = true;
        known.watermarks.iter().for_each(Watermark::end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_watermark_ends_with_who_raises_them_also_one_that_comes_later() {
        let (watermarks, early, late) =
            (Watermarks::default(), Watermark::default(), Watermark::default());
        watermarks.add(&early);
        let end = WatermarksEnd(watermarks.clone());
        assert!(!early.is_ended());
        drop(end);
        watermarks.add(&late);
        assert!(early.is_ended() && late.is_ended());
    }
}
