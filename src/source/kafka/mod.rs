//! Kafka: partitions taken with `assign`, all of them, from our own positions.
//!
//! Promise: what comes out is what a `read_committed` reader sees, in order per partition; a
//! partition starts where the log stands, or at a start that was durable before its first
//! message; where nothing but transaction markers is left before the end, that is told as
//! [`What::Moved`](super::What::Moved), so that lag reaches zero; an offset is committed only
//! behind the watermark. A gap (messages that are gone, a log that was cut, a batch that is
//! damaged, another topic or cluster under the old name) stops its partition, loudly, and no
//! other; what is given up is in the log, with a reason.
//!
//! No promise: that a topic deleted and made anew under its old name is noticed before its
//! first message is read. Topic ids are compared every `metadata_interval`; where the broker
//! tells none (before Kafka 3.1) offsets and leader epochs alone must give it away. Nor that a cut
//! is noticed of a log that was written on past our position meanwhile, where that stands behind
//! transaction markers or a gap: no message there tells its leader.
//!
//! Three threads: one consumes, one asks the cluster, one commits. The first has a client of its
//! own, which it gives up for a new one when it stands still; the others share one. Nobody is a
//! member of the group: there are no rebalances, and a member that somebody else adds shows as
//! a refused commit.

mod accept;
mod busy;
mod claims;
mod client;
mod closing;
mod commit;
mod consume;
mod context;
mod discovery;
mod epochs;
mod found;
mod halt;
mod ids;
mod known;
mod native;
mod opening;
mod partitions;
mod pending;
mod place;
mod pressure;
mod probe;
mod properties;
mod readers;
mod rebuild;
mod settings;
mod spawn;
mod stalled;
mod start;
mod stop;
#[cfg(test)]
mod tests;
mod topics;
mod turns;
mod unfound;
mod unseen;

use std::thread::JoinHandle;

pub use claims::Claims;
pub use client::{ClientFault, check_client, try_producer};
pub use place::Gap;
pub use properties::Properties;
pub use settings::{InvalidKafkaSettings, KafkaSettings};
pub use start::Start;

use super::Wiring;
use crate::position::Position;
use context::Context;

/// A Kafka source, ready to be started.
pub struct KafkaSource {
    /// Its name in the configuration.
    pub name: String,
    pub settings: KafkaSettings,
    /// Where the log stands: this source's positions, of every cluster and topic.
    pub positions: Vec<Position>,
    /// Whether messages are recognised by their header `message-id` when their publisher sends
    /// them again.
    pub identify: bool,
    /// The id of the embedded broker, if that is what `settings` points to. Its data ends with
    /// the process, so positions in earlier ones are no gap.
    pub embedded: Option<String>,
    /// Shared by the sources of the process: what another reads already stays halted.
    pub claims: Claims,
}

#[derive(Debug, thiserror::Error)]
pub enum KafkaSourceError {
    #[error(transparent)]
    Settings(#[from] InvalidKafkaSettings),
    #[error(transparent)]
    Client(#[from] ClientFault),
    #[error("a thread of the Kafka source could not be started: {0}")]
    Thread(#[from] std::io::Error),
}

impl KafkaSource {
    /// Starts consuming on threads of its own. The handle ends after shutdown was asked for
    /// and everything durable is committed, or the drain timeout has passed. A file of the
    /// settings that cannot be read is waited for.
    pub fn spawn(self, wiring: Wiring) -> Result<JoinHandle<()>, KafkaSourceError> {
        self.settings.validate()?;
        spawn::spawn(self, wiring)
    }
}
