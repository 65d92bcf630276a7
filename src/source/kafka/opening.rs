//! Where a new source begins, with a start other than the beginning: decided once.
//!
//! The rule: a source of which the log has no position is new. What the cluster has of its
//! topics at the first look starts where the settings say, each partition resolved once, and all
//! of them go into one batch: either the log has the whole decision, and from then on whatever
//! has no position is new and starts at its beginning; or it has nothing of it, nothing was
//! consumed, and the next start decides afresh. So a partition without a leader at the first look
//! holds the decision back for all. A source that has found none of its topics has nothing to
//! decide; if it is restarted before one appears, it is still new.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Offset as KafkaOffset, TopicPartitionList};
use uuid::Uuid;

use super::discovery::{Discovery, Found, REQUEST_TIMEOUT};
use super::place::Present;
use super::settings::Start;
use super::topics::Topics;
use crate::position::Offset;

type Partition = (String, i32);

/// A decision in the making.
#[derive(Default)]
pub struct Opening {
    /// What was there at the first look.
    first: Option<BTreeSet<Partition>>,
    resolved: BTreeMap<Partition, Found>,
    /// The first partition that could not be resolved, and why.
    waits_for: Option<(Partition, String)>,
}

impl Opening {
    /// Everything that the source begins with, once all of it is resolved.
    pub fn decide(
        &mut self,
        discovery: &Discovery,
        cluster: &str,
        topics: &Topics,
        ids: &HashMap<String, Uuid>,
    ) -> Option<Vec<Found>> {
        if self.first.is_none() && !topics.unready.is_empty() {
            let topic = topics.unready.first().cloned().unwrap_or_default();
            self.waits_for = Some(((topic, 0), "the topic is being made".into()));
            return None;
        }
        let now: BTreeSet<Partition> = topics
            .there
            .iter()
            .flat_map(|(topic, partitions)| {
                partitions.keys().map(|&partition| (topic.clone(), partition))
            })
            .collect();
        let first = self.first.get_or_insert_with(|| now.clone());
        // What is deleted meanwhile is not waited for.
        first.retain(|partition| now.contains(partition));
        self.resolved.retain(|(topic, partition), found| {
            let same = ids.get(topic).copied() == found.present.topic_id;
            same && now.contains(&(topic.clone(), *partition))
        });
        self.waits_for = None;
        for (topic, partition) in first.iter() {
            let key = (topic.clone(), *partition);
            if self.resolved.contains_key(&key) {
                continue;
            }
            let id = ids.get(topic).copied();
            let has_leader =
                topics.there.get(topic).is_some_and(|known| known.get(partition) == Some(&true));
            let found = match has_leader {
                true => resolve(discovery, topic, cluster, id, *partition),
                false => Err(KafkaError::MetadataFetch(RDKafkaErrorCode::LeaderNotAvailable)),
            };
            match found {
                Ok(found) => {
                    self.resolved.insert(key, found);
                }
                Err(error) => {
                    self.waits_for.get_or_insert_with(|| (key, error.to_string()));
                }
            }
        }
        match self.waits_for {
            None => Some(std::mem::take(&mut self.resolved).into_values().collect()),
            Some(_) => None,
        }
    }

    /// What it waits for.
    pub fn why(&self) -> Option<String> {
        let ((topic, partition), error) = self.waits_for.as_ref()?;
        Some(format!(
            "where this new source begins is decided for all partitions at once, and \
             {topic}/{partition} does not answer: {error}"
        ))
    }
}

fn resolve(
    discovery: &Discovery,
    topic: &str,
    cluster: &str,
    id: Option<Uuid>,
    partition: i32,
) -> KafkaResult<Found> {
    let present = discovery.present(topic, cluster, id, partition)?;
    let start = match discovery.settings.start {
        Start::Earliest => Offset(present.low),
        Start::Latest => Offset(present.high),
        Start::At(time) => at_time(discovery, time.0, &present, REQUEST_TIMEOUT)?,
    };
    Ok(Found { present, start })
}

fn at_time(
    discovery: &Discovery,
    time: u64,
    present: &Present,
    timeout: Duration,
) -> KafkaResult<Offset> {
    let mut asked = TopicPartitionList::new();
    let (topic, partition) = (&present.topic, present.partition);
    let time = KafkaOffset::Offset(i64::try_from(time).unwrap_or(i64::MAX));
    asked.add_partition_offset(topic, partition, time)?;
    let answered = discovery.asker.offsets_for_times(asked, timeout)?;
    let Some(element) = answered.find_partition(topic, partition) else {
        return Err(KafkaError::MetadataFetch(RDKafkaErrorCode::UnknownPartition));
    };
    element.error()?;
    Ok(match element.offset() {
        KafkaOffset::Offset(offset) => Offset(u64::try_from(offset).unwrap_or(present.low)),
        // No message is that young.
        _ => Offset(present.high),
    })
}
