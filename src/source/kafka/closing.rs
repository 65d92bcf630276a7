//! Clients close on threads of their own, for that can hang (librdkafka's issue #4884).
//!
//! Promise: whoever gives a client up does not wait for it, even where no thread can be started: then it
//! is left as it is.

use std::io;
use std::mem::ManuallyDrop;
use std::thread::{Builder, JoinHandle};

/// Clients that do not close keep their memory: with so many of them left behind, no further one
/// is made.
pub const LEFT_BEHIND_MAX: usize = 8;

/// Clients given up, while they close.
#[derive(Default)]
pub struct Closing(pub(super) Vec<JoinHandle<()>>);

impl Closing {
    pub fn is_full(&mut self) -> bool {
        self.0.retain(|closing| !closing.is_finished());
        self.0.len() >= LEFT_BEHIND_MAX
    }

    /// `close` ends with the client's drop.
    pub fn aside<C: Send + 'static>(
        &mut self,
        source: &str,
        client: C,
        close: impl FnOnce(C) + Send + 'static,
    ) {
        let thread = Builder::new().name(format!("kafka-close-{source}"));
        match on(thread, client, close) {
            Ok(closing) => self.0.push(closing),
            Err(error) => {
                tracing::warn!(source, %error, "no thread to close a client: left behind")
            }
        }
    }
}

/// A thread that cannot be started drops what it was given, here, where nobody may wait: so the
/// client is forgotten then.
pub fn on<C: Send + 'static>(
    thread: Builder,
    client: C,
    close: impl FnOnce(C) + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    let client = ManuallyDrop::new(client);
    thread.spawn(move || close(ManuallyDrop::into_inner(client)))
}

#[cfg(test)]
mod tests {
    use crossbeam_channel::TryRecvError;

    use super::*;

    #[test]
    fn a_client_for_which_there_is_no_thread_is_not_closed_here() {
        let (client, closed) = crossbeam_channel::bounded::<()>(0);
        // No machine has that much.
        assert!(on(Builder::new().stack_size(usize::MAX / 4), client, drop).is_err());
        assert_eq!(closed.try_recv(), Err(TryRecvError::Empty));

        let (client, closed) = crossbeam_channel::bounded::<()>(0);
        on(Builder::new(), client, drop).unwrap().join().unwrap();
        assert_eq!(closed.try_recv(), Err(TryRecvError::Disconnected));
    }
}
