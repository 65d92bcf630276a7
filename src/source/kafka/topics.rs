//! Which topics a source reads: by name, and by pattern.

use std::collections::{BTreeMap, BTreeSet};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::metadata::MetadataTopic;
use rdkafka::types::RDKafkaErrorCode;
use regex::Regex;

use super::Context;
use super::discovery::REQUEST_TIMEOUT;

/// A topic of this beginning is the cluster's own: no pattern matches it.
const INTERNAL: &str = "__";

/// What begins a pattern.
pub const PATTERN: char = '^';

/// Names and patterns, as configured.
pub struct Wanted {
    names: BTreeSet<String>,
    patterns: Vec<Regex>,
}

/// The topics that are there.
#[derive(Default)]
pub struct Topics {
    /// Each partition, and whether it has a leader.
    pub there: BTreeMap<String, BTreeMap<i32, bool>>,
    /// Being made, or their metadata is not complete.
    pub unready: BTreeSet<String>,
    /// Asked for by name, and not there.
    pub missing: BTreeSet<String>,
}

impl Wanted {
    pub fn new(topics: &[String]) -> Result<Wanted, regex::Error> {
        let (patterns, names): (Vec<&String>, Vec<&String>) =
            topics.iter().partition(|topic| topic.starts_with(PATTERN));
        let patterns = patterns.into_iter().map(|pattern| Regex::new(pattern));
        Ok(Wanted {
            names: names.into_iter().cloned().collect(),
            patterns: patterns.collect::<Result<_, _>>()?,
        })
    }

    pub fn has(&self, topic: &str) -> bool {
        let matched = || self.patterns.iter().any(|pattern| pattern.is_match(topic));
        self.names.contains(topic) || (!topic.starts_with(INTERNAL) && matched())
    }

    /// What the cluster has of it.
    pub fn look(&self, client: &BaseConsumer<Context>) -> KafkaResult<Topics> {
        let mut topics = Topics::default();
        if self.patterns.is_empty() {
            for name in &self.names {
                let metadata = client.fetch_metadata(Some(name), REQUEST_TIMEOUT)?;
                for topic in metadata.topics() {
                    topics.take(topic)?;
                }
            }
        } else {
            let metadata = client.fetch_metadata(None, REQUEST_TIMEOUT)?;
            for topic in metadata.topics().iter().filter(|topic| self.has(topic.name())) {
                topics.take(topic)?;
            }
        }
        let is_missing =
            |name: &&String| !topics.there.contains_key(*name) && !topics.unready.contains(*name);
        topics.missing = self.names.iter().filter(is_missing).cloned().collect();
        Ok(topics)
    }
}

impl Topics {
    fn take(&mut self, topic: &MetadataTopic) -> KafkaResult<()> {
        let name = topic.name().to_owned();
        match topic.error().map(RDKafkaErrorCode::from) {
            None if topic.partitions().is_empty() => {
                self.unready.insert(name);
            }
            None => {
                let partitions = topic.partitions().iter();
                let partitions =
                    partitions.map(|partition| (partition.id(), partition.leader() >= 0));
                self.there.insert(name, partitions.collect());
            }
            Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => {}
            Some(RDKafkaErrorCode::LeaderNotAvailable) => {
                self.unready.insert(name);
            }
            Some(code) => return Err(KafkaError::MetadataFetch(code)),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_no_internal_topic_and_a_name_only_itself() {
        let wanted = |topics: &[&str]| {
            let topics: Vec<String> = topics.iter().map(|&topic| topic.into()).collect();
            Wanted::new(&topics)
        };
        let some = wanted(&["orders", "^points-.*"]).unwrap();
        for (topic, has) in [
            ("orders", true),
            ("orders-2", false),
            ("points-eu", true),
            ("old-points-eu", false),
            ("points", false),
        ] {
            assert_eq!(some.has(topic), has, "{topic}");
        }
        let all = wanted(&["^.*", "__mine"]).unwrap();
        assert!(all.has("anything") && all.has("__mine"));
        assert!(!all.has("__consumer_offsets"));
        assert!(wanted(&["^points-("]).is_err());
    }
}
