//! Where a new source begins, with a start other than the beginning: decided once.
//!
//! The rule: a source of which the log has no position is new. What the cluster has of its
//! topics at the first look starts where the settings say, each partition resolved once, and all
//! of them go into one batch: either the log has the whole decision, and from then on whatever
//! has no position is new and starts at its beginning; or it has nothing of it, nothing was
//! consumed, and the next start decides afresh. So a partition without a leader at the first look
//! holds the decision back for all. A source that has found none of its topics has nothing to
//! decide; if it is restarted before one appears, it is still new.
//!
//! A topic asked for by name that the broker does not know may be one that it does not know yet: the
//! first look is the one that finds them all, or the last of some rounds. One that is refused holds
//! nothing back: it is decided about by itself when it may be read, if that is in the same process.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Offset as KafkaOffset, TopicPartitionList};
use uuid::Uuid;

use super::discovery::{Asked, Discovery, Found, REQUEST_TIMEOUT, ROUNDS_GONE, Silent};
use super::place::Present;
use super::start::Start;
use super::topics::Topics;
use crate::position::Offset;

type Partition = (String, i32);

/// A decision in the making.
#[derive(Default)]
pub struct Opening {
    /// What was there at the first look.
    first: Option<BTreeSet<Partition>>,
    /// What was refused then.
    pub refused: BTreeSet<String>,
    /// Rounds before it in which one was missing.
    rounds_missing: u32,
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
        silent: &mut Silent,
    ) -> Option<Vec<Found>> {
        if self.first.is_none() {
            if let Some((topic, why)) = self.not_to_be_looked_at(topics) {
                self.waits_for = Some(((topic, 0), why.into()));
                return None;
            }
            self.refused = topics.refused.keys().cloned().collect();
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
            let (topic_id, partition) = (ids.get(topic).copied(), *partition);
            let leader = topics.there.get(topic).and_then(|known| *known.get(&partition)?);
            let asked = Asked { topic, topic_id, partition, leader };
            match resolve(discovery, cluster, &asked, silent) {
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

    /// A topic that keeps this from being the first look, and why.
    fn not_to_be_looked_at(&mut self, topics: &Topics) -> Option<(String, &'static str)> {
        if let Some(topic) = topics.unready.first() {
            return Some((topic.clone(), "the topic is being made"));
        }
        let missing = topics.missing.first()?;
        self.rounds_missing += 1;
        let waits = self.rounds_missing < ROUNDS_GONE;
        waits.then(|| (missing.clone(), "the broker does not know the topic"))
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
    cluster: &str,
    asked: &Asked<'_>,
    silent: &mut Silent,
) -> KafkaResult<Found> {
    let present = discovery.present(cluster, asked, silent)?;
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
