//! Where log lines go: standard error, one line per event, as text or JSON.

use tracing_subscriber::EnvFilter;

use super::CommandError;
use crate::config::{LogFormat, LogSettings};

pub(super) fn start(settings: &LogSettings) -> Result<(), CommandError> {
    let filter = EnvFilter::try_new(&settings.level)?;
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match settings.format {
        LogFormat::Text => lines.with_ansi(false).try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    }
}
