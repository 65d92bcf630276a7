//! One flag that every thread and task can watch.

use std::sync::Arc;

use tokio::sync::watch;

/// Asks everyone to stop. Cheap to clone; once asked it stays asked.
#[derive(Clone)]
pub struct Shutdown {
    asked: Arc<watch::Sender<bool>>,
}

impl Default for Shutdown {
    fn default() -> Self {
        Shutdown { asked: Arc::new(watch::channel(false).0) }
    }
}

impl Shutdown {
    pub fn new() -> Self {
        Shutdown::default()
    }

    pub fn ask(&self) {
        self.asked.send_replace(true);
    }

    /// For threads, which look between two steps.
    pub fn is_asked(&self) -> bool {
        *self.asked.borrow()
    }

    /// For tasks: returns once asked.
    pub async fn asked(&self) {
        let mut receiver = self.asked.subscribe();
        // The sender lives in `self`, so waiting cannot fail.
        let _ = receiver.wait_for(|asked| *asked).await;
    }
}
