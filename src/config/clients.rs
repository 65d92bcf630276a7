//! Whether connections can be made as configured: all of it that no broker need be asked for.

use super::settings::{Fault, Settings};
use super::source::SourceKind;
use crate::forward::ForwardSettings;
use crate::source::kafka::ClientFault;

/// What it means that a file which is named cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Files {
    /// A fault.
    Must,
    /// It may come: who needs it waits for it.
    May,
}

impl Settings {
    /// The first source, or the forwarding of dead letters, that could never connect.
    pub(super) fn try_clients(&self, files: Files) -> Result<(), Fault> {
        for (at, source) in self.source.iter().enumerate() {
            let (kind, tried) = match source.kind() {
                Some(SourceKind::Kafka(kafka)) => ("kafka", kafka.try_client()),
                Some(SourceKind::Amqp(amqp)) => {
                    let read = amqp.read_files();
                    ("amqp", read.map_err(|error| ClientFault::File(error.to_string())))
                }
                Some(SourceKind::Embedded(_)) | None => continue,
            };
            let named = |detail| format!("source `{}`: {detail}", source.name);
            judge(tried, files)
                .map_err(|detail| (format!("source[{at}].{kind}"), named(detail)))?;
        }
        let forward = self.dead_letters.forward.iter();
        for (kind, tried) in forward.map(ForwardSettings::try_client) {
            judge(tried, files)
                .map_err(|detail| (format!("dead_letters.forward.{kind}"), detail))?;
        }
        Ok(())
    }
}

fn judge(tried: Result<(), ClientFault>, files: Files) -> Result<(), String> {
    match tried {
        Err(ClientFault::File(_)) if files == Files::May => Ok(()),
        tried => tried.map_err(|fault| fault.to_string()),
    }
}
