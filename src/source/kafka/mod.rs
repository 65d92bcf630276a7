//! Kafka: partitions taken with `assign`, all of them, from our own positions.
//!
//! Promise: what comes out is what a `read_committed` reader sees, in order per partition; a
//! partition starts where the log stands, or at a start that was durable before its first
//! message; where nothing but transaction markers is left before the end, that is told as
//! [`What::Moved`](super::What::Moved), so that lag reaches zero; an offset is committed only
//! behind the watermark. A gap stops its partition, loudly, and no other.
//!
//! No promise: that a topic deleted and made anew under its old name is noticed before its
//! first message is read. Topic ids are compared every `metadata_interval`; where the broker
//! tells none (before Kafka 3.1, or over TLS or SASL) offsets alone must give it away, and a
//! new topic that is longer than our offset does not.
//!
//! Three threads: one consumes and never waits for an answer, one asks the cluster, one
//! commits. Nobody is a member of the group: there are no rebalances, and a member that
//! somebody else adds shows as a refused commit.

mod commit;
mod consume;
mod context;
mod discovery;
mod found;
mod halt;
mod partitions;
mod pending;
mod place;
mod probe;
mod settings;
mod stop;
mod topic_ids;

use std::thread::JoinHandle;

use rdkafka::error::KafkaError;

pub use place::Gap;
pub use settings::{GapPolicy, InvalidKafkaSettings, KafkaSettings, Properties, Start};

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
    /// The id of the embedded broker, if that is what `settings` points to. Its data ends with
    /// the process, so positions in earlier ones are no gap.
    pub embedded: Option<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum KafkaSourceError {
    #[error(transparent)]
    Settings(#[from] InvalidKafkaSettings),
    #[error("the Kafka client could not be made: {0}")]
    Client(#[from] KafkaError),
    #[error("a thread of the Kafka source could not be started: {0}")]
    Thread(#[from] std::io::Error),
}

impl KafkaSource {
    /// Starts consuming on threads of its own. The handle ends after shutdown was asked for
    /// and everything durable is committed, or the drain timeout has passed.
    pub fn spawn(self, wiring: Wiring) -> Result<JoinHandle<()>, KafkaSourceError> {
        self.settings.validate()?;
        consume::spawn(self, wiring)
    }
}
