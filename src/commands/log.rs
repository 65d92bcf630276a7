//! Where log lines go: standard error, one line per event, as text or JSON.

use std::fmt::{self, Write};

use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

use super::CommandError;
use crate::config::{LogFormat, LogSettings};

pub(super) fn start(settings: &LogSettings) -> Result<(), CommandError> {
    let filter = EnvFilter::try_new(&settings.level)?;
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = match settings.format {
        LogFormat::Text => lines.with_ansi(false).finish().with(WithoutRefusals).try_init(),
        LogFormat::Json => {
            lines.json().flatten_event(true).finish().with(WithoutRefusals).try_init()
        }
    };
    started?;
    Ok(())
}

/// The client that talks to RabbitMQ has an error logged for each declaration that is refused.
/// `source::amqp` asks with such declarations what a queue is, and reports a refusal that it did
/// not ask for itself.
struct WithoutRefusals;

impl<S: Subscriber> Layer<S> for WithoutRefusals {
    fn event_enabled(&self, event: &Event<'_>, _context: Context<'_, S>) -> bool {
        if event.metadata().target() != "lapin::channel" {
            return true;
        }
        let mut fields = Fields(String::new());
        event.record(&mut fields);
        !fields.0.contains("PRECONDITION_FAILED - inequivalent arg")
    }
}

/// What all of them say.
struct Fields(String);

impl Visit for Fields {
    fn record_debug(&mut self, _field: &Field, value: &dyn fmt::Debug) {
        // A string takes it all.
        let _ = write!(self.0, "{value:?} ");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn only_a_refusal_that_answers_is_left_out() {
        let lines = Lines::default();
        let written = lines.clone();
        let subscriber = tracing_subscriber::fmt().with_writer(move || written.clone());
        let refusal = "PRECONDITION_FAILED - inequivalent arg 'x-queue-type' for queue 'q'";
        tracing::subscriber::with_default(subscriber.finish().with(WithoutRefusals), || {
            tracing::error!(target: "lapin::channel", method = ?refusal, "Channel closed: asked");
            tracing::error!(target: "lapin::channel", method = ?"NOT_FOUND", "Channel closed");
            tracing::warn!(error = refusal, "the queue cannot be read");
        });
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        assert!(!text.contains("asked"), "{text}");
        assert!(text.contains("NOT_FOUND") && text.contains("cannot be read"), "{text}");
    }
}
