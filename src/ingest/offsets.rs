//! How far each partition is in the log.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use crate::position::{Mark, Offset, Position, Stream};

/// How far each partition is in the log and fsynced. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct DurableOffsets(Arc<RwLock<HashMap<Arc<Stream>, Offset>>>);

impl DurableOffsets {
    /// `None` for a queue, and for a partition of which nothing was ever appended.
    pub fn get(&self, stream: &Stream) -> Option<Offset> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(stream).copied()
    }

    /// From the positions the log stands at after recovery.
    pub fn new(positions: &[Position]) -> Self {
        let offsets = DurableOffsets::default();
        for position in positions {
            if let Mark::Next(next) = position.mark {
                offsets.set(&position.stream, next);
            }
        }
        offsets
    }

    pub(super) fn set(&self, stream: &Arc<Stream>, next: Offset) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(stream.clone(), next);
    }
}
