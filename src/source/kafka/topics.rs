//! Which topics a source reads: by name, and by pattern.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaResult;
use rdkafka::metadata::MetadataPartition;
use rdkafka::types::RDKafkaErrorCode;
use regex::Regex;
use uuid::Uuid;

use super::Context;
use super::busy::Busy;

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
    /// Each partition, and its leader if it has one.
    pub there: BTreeMap<String, BTreeMap<i32, Option<i32>>>,
    /// Being made, or their metadata is not complete.
    pub unready: BTreeSet<String>,
    /// What the broker says nothing of, and why: no rights, most often.
    pub refused: BTreeMap<String, RDKafkaErrorCode>,
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

    /// What the cluster has of it. `timeout` is one request's longest wait.
    pub fn look(
        &self,
        client: &BaseConsumer<Context>,
        timeout: Duration,
        busy: &Busy,
    ) -> KafkaResult<Topics> {
        let mut topics = Topics::default();
        if self.patterns.is_empty() {
            for name in &self.names {
                busy.begin();
                let metadata = client.fetch_metadata(Some(name), timeout)?;
                for topic in metadata.topics() {
                    topics.take(topic.name(), topic.error().map(Into::into), topic.partitions());
                }
            }
        } else {
            let metadata = client.fetch_metadata(None, timeout)?;
            for topic in metadata.topics().iter().filter(|topic| self.has(topic.name())) {
                topics.take(topic.name(), topic.error().map(Into::into), topic.partitions());
            }
        }
        let is_missing = |name: &&String| !topics.is_known(name);
        topics.missing = self.names.iter().filter(is_missing).cloned().collect();
        Ok(topics)
    }
}

impl Topics {
    /// One that has no id yet may be any.
    pub fn without_ids_unready(&mut self, ids: &HashMap<String, Uuid>) {
        let without = self.there.keys().filter(|topic| !ids.contains_key(*topic));
        self.unready.extend(without.cloned());
        self.there.retain(|topic, _| ids.contains_key(topic));
    }

    /// As if that were all.
    pub fn only(&self, topic: &str) -> Topics {
        let there = self.there.get_key_value(topic).into_iter();
        let there = there.map(|(topic, partitions)| (topic.clone(), partitions.clone())).collect();
        Topics { there, ..Topics::default() }
    }

    /// Whether it may be there.
    pub fn is_known(&self, name: &str) -> bool {
        self.there.contains_key(name)
            || self.unready.contains(name)
            || self.refused.contains_key(name)
    }

    fn take(
        &mut self,
        name: &str,
        error: Option<RDKafkaErrorCode>,
        partitions: &[MetadataPartition],
    ) {
        let name = name.to_owned();
        match error {
            None if partitions.is_empty() => {
                self.unready.insert(name);
            }
            None => {
                let leader = |id: i32| (id >= 0).then_some(id);
                let partitions = partitions.iter();
                let partitions =
                    partitions.map(|partition| (partition.id(), leader(partition.leader())));
                self.there.insert(name, partitions.collect());
            }
            Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => {}
            Some(RDKafkaErrorCode::LeaderNotAvailable) => {
                self.unready.insert(name);
            }
            // The others go on.
            Some(code) => {
                self.refused.insert(name, code);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_without_rights_stops_no_other() {
        let mut topics = Topics::default();
        topics.take("hidden", Some(RDKafkaErrorCode::TopicAuthorizationFailed), &[]);
        topics.take("made", None, &[]);
        topics.take("none", Some(RDKafkaErrorCode::UnknownTopicOrPartition), &[]);
        assert_eq!(topics.refused["hidden"], RDKafkaErrorCode::TopicAuthorizationFailed);
        assert!(topics.is_known("hidden") && topics.is_known("made"));
        assert!(!topics.is_known("none") && topics.there.is_empty());
    }

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

    #[test]
    fn a_topic_that_has_no_id_yet_is_not_ready() {
        let mut topics = Topics::default();
        for topic in ["old", "new"] {
            topics.there.insert(topic.into(), BTreeMap::from([(0, Some(1))]));
        }
        topics.without_ids_unready(&HashMap::from([("old".into(), Uuid::from_u128(1))]));
        assert!(topics.there.contains_key("old") && topics.unready.contains("new"));
        assert_eq!(topics.there.len(), 1);
    }
}
