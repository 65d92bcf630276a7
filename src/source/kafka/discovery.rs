//! Asks the cluster, on a thread of its own, so that the thread that consumes never waits for
//! an answer: cluster id, topic ids, partitions, and where the log of a new partition starts
//! and ends.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use rdkafka::Offset as KafkaOffset;
use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::types::RDKafkaErrorCode;
use uuid::Uuid;

use super::Context;
use super::place::{Place, Present, place};
use super::probe::{self, Answer, Question};
use super::settings::KafkaSettings;
use super::settings::Start;
use super::topic_ids;
use crate::position::{Offset, Position, Stream};

/// One request's longest wait.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// Between two rounds while something is missing: a topic, a leader, the whole cluster.
const RETRY_INTERVAL: Duration = Duration::from_millis(500);

/// What the consuming thread is told.
pub enum Finding {
    /// New partitions of one topic.
    Partitions(Vec<Found>),
    /// A topic has another id than when its partitions were found.
    TopicChanged { topic: String, found: Uuid },
    /// What is between a partition's next offset and its end.
    Looked(Answer),
    /// The cluster answered.
    Reached,
    /// It did not.
    Unreachable(String),
}

pub struct Found {
    pub present: Present,
    pub place: Place,
    /// Where it starts if nothing is known of it.
    pub start: Offset,
}

pub struct Discovery {
    pub source: String,
    pub consumer: Arc<BaseConsumer<Context>>,
    pub settings: KafkaSettings,
    pub positions: Vec<Position>,
    /// The embedded broker's id, which stands for the mock cluster's own.
    pub embedded: Option<String>,
    pub findings: Sender<Finding>,
    /// Partitions that stand still. Closed when the source stops.
    pub questions: Receiver<Question>,
}

/// What is known of a topic that exists.
struct Known {
    id: Option<Uuid>,
    found: BTreeSet<i32>,
    /// The partitions that the configured start applies to; later ones start at their
    /// beginning.
    at_start: BTreeSet<i32>,
    change_told: Option<Uuid>,
}

impl Discovery {
    pub fn run(self) {
        let mut known: BTreeMap<String, Known> = BTreeMap::new();
        let mut first_round = true;
        let mut missing = BTreeSet::new();
        loop {
            let began = Instant::now();
            let pause = match self.round(&mut known, first_round) {
                Ok(round) => {
                    first_round = false;
                    self.tell_missing(&mut missing, round.missing);
                    self.tell(Finding::Reached);
                    if round.complete { self.settings.metadata_interval } else { RETRY_INTERVAL }
                }
                Err(error) => {
                    self.tell(Finding::Unreachable(error.to_string()));
                    RETRY_INTERVAL
                }
            };
            let next =
                began + pause.min(self.settings.metadata_interval).max(Duration::from_millis(10));
            loop {
                match self.questions.recv_deadline(next) {
                    Ok(question) => self.look(question),
                    Err(RecvTimeoutError::Timeout) => break,
                    Err(RecvTimeoutError::Disconnected) => return,
                }
            }
        }
    }

    fn tell(&self, finding: Finding) {
        // The consuming thread outlives this one, or is ending and will not miss it.
        let _ = self.findings.send(finding);
    }

    fn look(&self, question: Question) {
        let Question { topic, partition, .. } = question.clone();
        match probe::look(&self.consumer, &self.settings.client_config(), question) {
            Ok(answer) => self.tell(Finding::Looked(answer)),
            // It will be asked again if the partition still stands.
            Err(error) => {
                tracing::debug!(source = self.source, topic, partition, %error, "not looked at");
            }
        }
    }

    fn tell_missing(&self, told: &mut BTreeSet<String>, missing: BTreeSet<String>) {
        for topic in missing.difference(told) {
            tracing::warn!(source = self.source, topic, "the topic does not exist; waiting for it");
        }
        *told = missing;
    }

    fn round(&self, known: &mut BTreeMap<String, Known>, first_round: bool) -> KafkaResult<Round> {
        let cluster = match &self.embedded {
            Some(id) => id.clone(),
            None => self
                .consumer
                .client()
                .fetch_cluster_id(REQUEST_TIMEOUT)
                .ok_or(KafkaError::MetadataFetch(RDKafkaErrorCode::BrokerTransportFailure))?,
        };
        let ids = self.topic_ids()?;
        let mut round = Round { complete: true, missing: BTreeSet::new() };
        for topic in &self.settings.topics {
            let partitions = self.partitions(topic)?;
            if partitions.is_empty() {
                round.missing.insert(topic.clone());
                round.complete = false;
                continue;
            }
            let id = ids.get(topic).copied();
            let entry = known.entry(topic.clone()).or_insert_with(|| Known {
                id,
                found: BTreeSet::new(),
                at_start: self.starting(topic, &cluster, first_round, &partitions),
                change_told: None,
            });
            if let (Some(expected), Some(found)) = (entry.id, id)
                && expected != found
            {
                if entry.change_told.replace(found) != Some(found) {
                    self.tell(Finding::TopicChanged { topic: topic.clone(), found });
                }
                continue;
            }
            entry.id = entry.id.or(id);
            round.complete &= self.new_partitions(topic, &cluster, entry, &partitions);
        }
        Ok(round)
    }

    /// Empty where the broker tells none.
    fn topic_ids(&self) -> KafkaResult<HashMap<String, Uuid>> {
        if self.embedded.is_some() || !topic_ids::can_ask(&self.settings) {
            return Ok(HashMap::new());
        }
        topic_ids::topic_ids(&self.settings.brokers, &self.settings.topics).map_err(|error| {
            tracing::debug!(source = self.source, %error, "topic ids");
            KafkaError::MetadataFetch(RDKafkaErrorCode::BrokerTransportFailure)
        })
    }

    /// Empty when the topic does not exist.
    fn partitions(&self, topic: &str) -> KafkaResult<BTreeSet<i32>> {
        let metadata = self.consumer.fetch_metadata(Some(topic), REQUEST_TIMEOUT)?;
        let Some(found) = metadata.topics().iter().find(|found| found.name() == topic) else {
            return Ok(BTreeSet::new());
        };
        match found.error().map(RDKafkaErrorCode::from) {
            None => Ok(found.partitions().iter().map(|partition| partition.id()).collect()),
            Some(
                RDKafkaErrorCode::UnknownTopicOrPartition
                | RDKafkaErrorCode::UnknownTopic
                | RDKafkaErrorCode::LeaderNotAvailable,
            ) => Ok(BTreeSet::new()),
            Some(code) => Err(KafkaError::MetadataFetch(code)),
        }
    }

    /// A topic that was there at the first look and of which nothing is known starts where the
    /// settings say; one that appeared later was waited for, and is read from its beginning.
    fn starting(
        &self,
        topic: &str,
        cluster: &str,
        first_round: bool,
        partitions: &BTreeSet<i32>,
    ) -> BTreeSet<i32> {
        let known = self.positions.iter().any(|position| {
            matches!(&*position.stream, Stream::Partition { cluster: c, topic: t, .. }
                if t == topic && (c == cluster || self.embedded.is_none()))
        });
        if first_round && !known { partitions.clone() } else { BTreeSet::new() }
    }

    /// Whether every partition could be placed.
    fn new_partitions(
        &self,
        topic: &str,
        cluster: &str,
        known: &mut Known,
        partitions: &BTreeSet<i32>,
    ) -> bool {
        let mut found = Vec::new();
        let mut complete = true;
        for &partition in partitions.difference(&known.found) {
            match self.find(topic, cluster, known, partition) {
                Ok(new) => found.push(new),
                Err(error) => {
                    tracing::debug!(source = self.source, topic, partition, %error, "not placed");
                    complete = false;
                }
            }
        }
        known.found.extend(found.iter().map(|found| found.present.partition));
        if !found.is_empty() {
            self.tell(Finding::Partitions(found));
        }
        complete
    }

    fn find(
        &self,
        topic: &str,
        cluster: &str,
        known: &Known,
        partition: i32,
    ) -> KafkaResult<Found> {
        let (low, high) = self.consumer.fetch_watermarks(topic, partition, REQUEST_TIMEOUT)?;
        let offset = |raw: i64| {
            u64::try_from(raw).map_err(|_| KafkaError::MetadataFetch(RDKafkaErrorCode::NoOffset))
        };
        let present = Present {
            cluster: cluster.to_owned(),
            topic: topic.to_owned(),
            topic_id: known.id,
            partition,
            low: offset(low)?,
            high: offset(high)?,
        };
        let place = place(&self.positions, &present, self.embedded.is_some());
        let start = match (&place, self.settings.start) {
            (Place::New, start) if known.at_start.contains(&partition) => {
                self.resolve(start, &present)?
            }
            _ => Offset(present.low),
        };
        Ok(Found { present, place, start })
    }

    fn resolve(&self, start: Start, present: &Present) -> KafkaResult<Offset> {
        let time = match start {
            Start::Earliest => return Ok(Offset(present.low)),
            Start::Latest => return Ok(Offset(present.high)),
            Start::At(time) => i64::try_from(time.0).unwrap_or(i64::MAX),
        };
        let mut asked = TopicPartitionList::new();
        let (topic, partition) = (&present.topic, present.partition);
        asked.add_partition_offset(topic, partition, KafkaOffset::Offset(time))?;
        let answered = self.consumer.offsets_for_times(asked, REQUEST_TIMEOUT)?;
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
}

struct Round {
    complete: bool,
    missing: BTreeSet<String>,
}
