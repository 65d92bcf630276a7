//! Whether the daemon is fit to serve, and if not, why.

use std::sync::{Arc, RwLock};

/// Asked at each `GET /readyz`: `None` means nothing is wrong, else what is, in a sentence.
type Check = Box<dyn Fn() -> Option<String> + Send + Sync>;

/// A list of checks that those who know add, and `/readyz` asks. Cheap to clone. Halted
/// streams and shutdown need no check: the door sees them by itself.
#[derive(Clone, Default)]
pub struct Readiness(Arc<RwLock<Vec<Check>>>);

impl Readiness {
    pub fn new() -> Self {
        Readiness::default()
    }

    /// `check` must be quick: it runs on a thread that serves connections.
    pub fn add(&self, check: impl Fn() -> Option<String> + Send + Sync + 'static) {
        self.0.write().unwrap_or_else(|broken| broken.into_inner()).push(Box::new(check));
    }

    pub fn reasons(&self) -> Vec<String> {
        let checks = self.0.read().unwrap_or_else(|broken| broken.into_inner());
        checks.iter().filter_map(|check| check()).collect()
    }
}
