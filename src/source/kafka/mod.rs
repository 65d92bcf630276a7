//! Kafka: partitions taken with `assign`, all of them, from our own positions.
//!
//! Promise: what comes out is what a `read_committed` reader sees, in order per partition; a
//! partition starts where the log stands, or at a start that was durable before its first
//! message; the end of a partition is told as [`What::Moved`](super::What::Moved), so that
//! positions follow transaction markers; an offset is committed only behind the watermark.
//! A gap stops its partition, loudly, and no other.
//!
//! No promise: that a topic deleted and made anew under its old name is noticed before its
//! first message is read. Topic ids are compared every `metadata_interval`, leader epochs
//! with every message, offsets at every fetch; brokers before Kafka 2.8 have no ids at all.
//!
//! One thread consumes and never waits for an answer; another asks the cluster. Nobody is a
//! member of the group: there are no rebalances, and a member that somebody else adds shows
//! as a refused commit.

mod commit;
mod consume;
mod discovery;
mod halt;
mod native;
mod partitions;
mod pending;
mod place;
mod settings;
mod stop;

use std::thread::JoinHandle;

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::KafkaError;

pub use place::Gap;
pub use settings::{GapPolicy, InvalidKafkaSettings, KafkaSettings, Properties, Start};

use super::Wiring;
use crate::position::Position;

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

/// What librdkafka calls back outside the event queue, which is while a consumer closes.
struct Context;

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, text: &str) {
        log_librdkafka(level as i32, &format!("{facility} {text}"));
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "librdkafka");
    }
}

impl ConsumerContext for Context {}

/// `level` as in syslog.
fn log_librdkafka(level: i32, text: &str) {
    match level {
        // What it calls errors it goes on retrying; what needs someone is logged by us.
        ..=4 => tracing::warn!("librdkafka: {text}"),
        5 => tracing::info!("librdkafka: {text}"),
        _ => tracing::debug!("librdkafka: {text}"),
    }
}
