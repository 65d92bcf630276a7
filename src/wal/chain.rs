//! Where a log's chain of frames stands: what the next frame has to say to belong to it.

use super::LogId;
use crate::position::Seq;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    pub log_id: LogId,
    /// The seq of the next record.
    pub seq: Seq,
    /// The number of the next frame, counted from 1 over the whole log.
    pub frame: u64,
    /// The checksum of the frame before it; 0 before the first.
    pub previous: u32,
}

impl Link {
    pub fn first(log_id: LogId) -> Link {
        Link { log_id, seq: Seq(1), frame: 1, previous: 0 }
    }

    /// Where the chain stands after a frame with this many records.
    pub fn after(self, records: u32, checksum: u32) -> Link {
        Link {
            // Saturating: a crafted file must not be able to end the process.
            seq: Seq(self.seq.0.saturating_add(u64::from(records))),
            frame: self.frame.saturating_add(1),
            previous: checksum,
            ..self
        }
    }
}
