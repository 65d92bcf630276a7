//! What was handed to the applier and not taken by it yet.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};

use super::pressure::Valve;
use crate::catalog::Frame;

/// How long the appender waits for the applier before it presses.
const PATIENCE: Duration = Duration::from_secs(2);
/// Between two looks at a queue that is full.
const LOOK_EVERY: Duration = Duration::from_millis(1);
/// Frames that may wait beyond the first bound, so that what was delivered becomes durable.
const RESERVE_FRAMES: usize = 8192;

/// The channel to the applier, with room for `frames_max` frames and the reserve.
pub fn applier_channel(frames_max: usize) -> (Sender<Frame>, Receiver<Frame>) {
    bounded(frames_max + RESERVE_FRAMES)
}

/// The appender's end of that channel. Full at `frames_max` it waits, for two seconds; from then
/// on sources are told to fetch nothing, and a reserve of `reserve_bytes` may be used until the
/// applier has come down to half of the bound.
pub(super) struct Handed {
    frames: Sender<Frame>,
    frames_max: usize,
    reserve_bytes: u64,
    /// Sizes of those that wait, and of some that have been taken since.
    sizes: VecDeque<u64>,
    bytes: u64,
    valve: Arc<Valve>,
}

impl Handed {
    pub fn new(
        frames: Sender<Frame>,
        frames_max: usize,
        reserve_bytes: u64,
        valve: Arc<Valve>,
    ) -> Handed {
        Handed { frames, frames_max, reserve_bytes, sizes: VecDeque::new(), bytes: 0, valve }
    }

    /// Waits where there is no room. What the applier does not take because it has ended is
    /// durable, and is applied at the next start.
    pub fn send(&mut self, frame: Frame) {
        let since = Instant::now();
        while !self.has_room(frame.bytes) {
            if !self.valve.applier_behind() && since.elapsed() >= PATIENCE {
                tracing::warn!(
                    frames = self.frames.len(),
                    "applying stands still: sources fetch nothing more"
                );
                self.valve.set_applier_behind(true);
                continue;
            }
            // An applier that has ended leaves an empty channel behind.
            std::thread::sleep(LOOK_EVERY);
        }
        self.bytes += frame.bytes;
        self.sizes.push_back(frame.bytes);
        let _ = self.frames.send(frame);
        self.look();
    }

    /// Whether sources still wait for the applier: then it is to be looked at again.
    pub fn look(&mut self) -> bool {
        if self.valve.applier_behind() && self.frames.len() * 2 < self.frames_max.max(2) {
            tracing::info!("applying goes on");
            self.valve.set_applier_behind(false);
        }
        self.valve.applier_behind()
    }

    fn has_room(&mut self, bytes: u64) -> bool {
        let waiting = self.frames.len();
        while self.sizes.len() > waiting {
            self.bytes -= self.sizes.pop_front().unwrap_or(0);
        }
        let reserve = self.valve.applier_behind()
            && waiting < self.frames_max + RESERVE_FRAMES
            && self.bytes + bytes <= self.reserve_bytes;
        waiting < self.frames_max || reserve
    }
}
