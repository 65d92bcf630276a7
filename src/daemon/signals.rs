//! What asks the process to stop from outside.

use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::info;

use crate::shutdown::Shutdown;

/// SIGTERM and SIGINT, from the moment this is made: those that come before they are waited for
/// end nothing at once, and are not lost.
pub(super) struct Signals {
    runtime: Runtime,
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    pub fn listen() -> std::io::Result<Signals> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let (terminate, interrupt) = {
            let _entered = runtime.enter();
            (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?)
        };
        Ok(Signals { runtime, terminate, interrupt })
    }

    /// Returns when one came, or when anyone asked for shutdown; it is asked then.
    pub fn wait_until_asked(self, shutdown: &Shutdown) {
        let Signals { runtime, mut terminate, mut interrupt } = self;
        runtime.block_on(async {
            tokio::select! {
                _ = terminate.recv() => info!("SIGTERM"),
                _ = interrupt.recv() => info!("SIGINT"),
                () = shutdown.asked() => {}
            }
        });
        shutdown.ask();
    }
}
