//! Broker to log: decode in parallel, append in order, acknowledge after the fsync.
//!
//! ```text
//!  source ─▶ Intake::offer ─┬─▶ queue (order) ────────────▶ Appender ─▶ applier
//!                           └─▶ workers: decode ─▶ cell ──▶    │
//!  http ───▶ Submit::write ───▶ queue                          └─▶ watermark, answers
//! ```
//!
//! A batch enters the queue and the workers at once; the appender takes the queue's entries in
//! order and waits for the one in front to be decoded. Order is therefore the queue's, however
//! the workers race.
//!
//! Promise: a watermark rises and a write is answered only after the fsync of the frame that
//! holds it. Duplicates are recognised here, at the one place where everything passes in
//! order, and nowhere else.

mod again;
mod ahead;
mod appender;
mod decode;
mod doubt;
mod duplicates;
mod frame;
mod handed;
mod offsets;
mod pressure;
mod queue;
mod record;
#[cfg(test)]
mod tests;
mod watermarks;
mod window;

use serde::{Deserialize, Serialize};

pub use appender::{Appender, AppenderEnds};
pub use decode::{Decoder, SourceDecoding, Work, run_worker};
pub use doubt::Foresight;
pub use duplicates::Duplicates;
pub use handed::applier_channel;
pub use offsets::DurableOffsets;
pub use pressure::{Ask, Gauges, Valve};
pub use queue::{Intake, Queue, QueueEnds, Submit, SubmitError, Submitted};
pub use record::RECORD_BYTES_MAX;

/// Bounds of the intake.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IngestSettings {
    /// Bytes taken from sources and not yet in the log; when full, sources pause. Four times as many
    /// may be of HTTP writes; when full, they are refused.
    pub queue_bytes_max: usize,
    /// Batches and HTTP writes waiting; when full, sources pause and writes are refused.
    pub queue_batches_max: usize,
    /// Bytes of one message's value, packed and unpacked; a larger one is a dead letter.
    pub message_bytes_max: usize,
    /// Bytes of one frame: what one fsync covers.
    pub frame_bytes_max: usize,
    /// Threads that decode. 0: one per core.
    pub decode_threads: usize,
    /// Frames that are durable and wait for the applier; when full, the appender waits.
    pub applier_frames_max: usize,
}

/// Larger frames gain nothing, and a crash would tear more.
const FRAME_BYTES_LIMIT: usize = 256 << 20;

impl Default for IngestSettings {
    fn default() -> Self {
        IngestSettings {
            queue_bytes_max: 64 << 20,
            queue_batches_max: 1024,
            message_bytes_max: 8 << 20,
            frame_bytes_max: 4 << 20,
            decode_threads: 0,
            applier_frames_max: 16,
        }
    }
}

impl IngestSettings {
    /// The first value that cannot work, as `(key, what would be right)`.
    pub fn validate(&self) -> Result<(), (&'static str, String)> {
        let at_least_one = [
            ("queue_batches_max", self.queue_batches_max),
            ("message_bytes_max", self.message_bytes_max),
            ("frame_bytes_max", self.frame_bytes_max),
            ("applier_frames_max", self.applier_frames_max),
        ];
        for (key, value) in at_least_one {
            if value == 0 {
                return Err((key, "give at least 1".into()));
            }
        }
        if self.frame_bytes_max > FRAME_BYTES_LIMIT {
            return Err(("frame_bytes_max", format!("give at most {FRAME_BYTES_LIMIT}")));
        }
        if self.message_bytes_max > FRAME_BYTES_LIMIT {
            return Err(("message_bytes_max", format!("give at most {FRAME_BYTES_LIMIT}")));
        }
        if self.queue_bytes_max < self.message_bytes_max {
            let least = self.message_bytes_max;
            let detail =
                format!("give at least message_bytes_max ({least}), so that one message fits");
            return Err(("queue_bytes_max", detail));
        }
        Ok(())
    }
}
