//! Payload indexes are filled on a thread of their own: one that was just asked for should not
//! wait until a graph is built.
//!
//! Promise: every index becomes complete, in the background. No promise: when; filters are right
//! before, and read payloads.

use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError};

use super::be_nice;
use crate::catalog::Catalog;
use crate::shutdown::Shutdown;

/// How often it looks by itself, without having been told of a new index.
const LOOK_EVERY: Duration = Duration::from_millis(500);

pub struct Indexer {
    catalog: Arc<Catalog>,
    wanted: Receiver<()>,
    shutdown: Shutdown,
}

impl Indexer {
    pub fn new(catalog: Arc<Catalog>, shutdown: Shutdown) -> Indexer {
        let wanted = catalog.indexes_wanted().clone();
        Indexer { catalog, wanted, shutdown }
    }

    /// Works until the process is to stop: an index half filled is begun anew after the start.
    pub fn run(self) {
        be_nice("indexes are filled");
        while !self.shutdown.is_asked() {
            self.fill();
            match self.wanted.recv_timeout(LOOK_EVERY) {
                Ok(()) | Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn fill(&self) {
        for (_, collection) in self.catalog.collections() {
            while !self.shutdown.is_asked() && collection.fill_index() {}
        }
    }
}
