//! The embedded development broker: librdkafka's own mock cluster, a Kafka broker on a
//! loopback port of this process, for trying things out without installing one.
//!
//! Promise: any Kafka client can produce to its topic and read it; it ends with its handle.
//! No promise: that anything outlives the process, or that much fits. It keeps about 5 MB or
//! 100 000 messages per partition and then forgets the oldest without a word; it has no
//! transactions to speak of, no look-up by time and no access control.

use std::io;
use std::thread::{self, JoinHandle};

use crossbeam_channel::{Receiver, Sender};
use rdkafka::error::KafkaResult;
use rdkafka::mocking::MockCluster;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::GapPolicy;
use super::kafka::KafkaSettings;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmbeddedSettings {
    /// The topic's name without the part that is unique to the run: with `points` the topic is
    /// `points-1f3a9c07` or the like. Default: `points`.
    #[serde(default = "default_topic")]
    pub topic: String,
    /// Partitions of the topic. Each holds about 5 MB. Default: 16.
    #[serde(default = "default_partitions")]
    pub partitions: u16,
}

fn default_topic() -> String {
    "points".into()
}

fn default_partitions() -> u16 {
    16
}

impl Default for EmbeddedSettings {
    fn default() -> Self {
        EmbeddedSettings { topic: default_topic(), partitions: default_partitions() }
    }
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidEmbeddedSettings {
    #[error("`partitions` is zero: it must be at least 1")]
    NoPartitions,
    #[error("`topic` is {0:?}: it must be 1 to 200 of a-z, A-Z, 0-9, `.`, `_` and `-`")]
    Topic(String),
}

impl EmbeddedSettings {
    pub fn validate(&self) -> Result<(), InvalidEmbeddedSettings> {
        let legal = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if !(1..=200).contains(&self.topic.len()) || !self.topic.chars().all(legal) {
            return Err(InvalidEmbeddedSettings::Topic(self.topic.clone()));
        }
        if self.partitions == 0 {
            return Err(InvalidEmbeddedSettings::NoPartitions);
        }
        Ok(())
    }
}

#[derive(Debug, thiserror::Error)]
pub enum EmbeddedError {
    #[error(transparent)]
    Settings(#[from] InvalidEmbeddedSettings),
    #[error("the embedded broker could not be started: {0}")]
    Start(#[from] rdkafka::error::KafkaError),
    #[error("the embedded broker's thread could not be started: {0}")]
    Thread(#[from] io::Error),
}

/// A running broker. Dropping it stops it and forgets what it holds.
#[derive(Debug)]
pub struct EmbeddedBroker {
    bootstrap: String,
    topic: String,
    cluster_id: String,
    /// Dropped to stop the thread.
    running: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl EmbeddedBroker {
    pub fn start(settings: &EmbeddedSettings) -> Result<Self, EmbeddedError> {
        settings.validate()?;
        let run = Uuid::new_v4();
        // A name of its own for every run: a producer left over from an earlier one meets an
        // unknown topic, not another one under the same name.
        let topic = format!("{}-{:08x}", settings.topic, run.as_fields().0);
        let (running, stopped) = crossbeam_channel::bounded::<()>(0);
        let (tell, told) = crossbeam_channel::bounded(1);
        let (name, partitions) = (topic.clone(), i32::from(settings.partitions));
        // The mock cluster may not leave the thread it was made on.
        let thread = thread::Builder::new()
            .name("kafka-embedded".into())
            .spawn(move || serve(&name, partitions, &tell, &stopped))?;
        let bootstrap = told.recv().map_err(|_| io::Error::other("it ended at once"))??;
        let (running, thread) = (Some(running), Some(thread));
        let cluster_id = format!("embedded-{run}");
        Ok(EmbeddedBroker { bootstrap, topic, cluster_id, running, thread })
    }

    /// Its address, as `host:port`.
    pub fn bootstrap(&self) -> &str {
        &self.bootstrap
    }

    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// Unique to the run: the mock cluster's own id may come again.
    pub fn cluster_id(&self) -> &str {
        &self.cluster_id
    }

    /// Settings of a source that reads its topic.
    pub fn source_settings(&self, group: &str) -> KafkaSettings {
        let mut settings = KafkaSettings::new(&self.bootstrap, &[&self.topic], group);
        // Its partitions overflow by design; a development broker should not stand still then.
        settings.gap = GapPolicy::Skip;
        settings
    }
}

impl Drop for EmbeddedBroker {
    fn drop(&mut self) {
        self.running = None;
        if let Some(thread) = self.thread.take() {
            // It panicked or it ended; either way it is gone.
            let _ = thread.join();
        }
    }
}

fn serve(topic: &str, partitions: i32, tell: &Sender<KafkaResult<String>>, stopped: &Receiver<()>) {
    let started = MockCluster::new(1).and_then(|cluster| {
        cluster.create_topic(topic, partitions, 1)?;
        Ok(cluster)
    });
    match started {
        Ok(cluster) => {
            let _ = tell.send(Ok(cluster.bootstrap_servers()));
            // Nothing is ever sent: this returns when the handle is dropped.
            let _ = stopped.recv();
        }
        Err(error) => {
            let _ = tell.send(Err(error));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_and_clusters_of_two_runs_differ() {
        let settings = EmbeddedSettings::default();
        let first = EmbeddedBroker::start(&settings).unwrap();
        let second = EmbeddedBroker::start(&settings).unwrap();
        assert_ne!(first.topic(), second.topic());
        assert_ne!(first.cluster_id(), second.cluster_id());
        assert!(first.bootstrap().starts_with("127.0.0.1:"), "{}", first.bootstrap());
    }

    #[test]
    fn settings_without_a_topic_or_partitions_are_refused() {
        let topic = EmbeddedSettings { topic: "a b".into(), ..Default::default() };
        assert_eq!(topic.validate(), Err(InvalidEmbeddedSettings::Topic("a b".into())));
        let partitions = EmbeddedSettings { partitions: 0, ..Default::default() };
        assert_eq!(partitions.validate(), Err(InvalidEmbeddedSettings::NoPartitions));
    }
}
