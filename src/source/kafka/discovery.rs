//! Asks the cluster, on a thread of its own, so that the thread that consumes never waits for
//! an answer: cluster id, topics, their ids, partitions, and where the log of a new partition
//! starts and ends.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::types::RDKafkaErrorCode;
use uuid::Uuid;

use super::ids::Ids;
use super::opening::Opening;
use super::place::Present;
use super::probe::{self, Answer, Question, Unanswered};
use super::settings::KafkaSettings;
use super::start::Start;
use super::topics::{Topics, Wanted};
use super::turns::between_rounds;
use super::{Context, native};
use crate::position::Offset;

/// One request's longest wait.
pub(super) const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the consuming client's connection may hold up the first round.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// Between two rounds while something is missing: a topic, a leader, the whole cluster.
const RETRY_INTERVAL: Duration = Duration::from_millis(500);
/// A topic is gone that was not there for so many rounds, one after the other: a broker that
/// has just started may not know of all yet.
const ROUNDS_GONE: u32 = 3;

/// What the consuming thread is told.
pub enum Finding {
    /// New partitions: of one topic, or all that a new source begins with.
    Partitions(Vec<Found>),
    /// A topic has another id than when its partitions were found. They are told anew.
    TopicChanged {
        topic: String,
        expected: Uuid,
        found: Uuid,
        /// Those that it has now.
        partitions: BTreeSet<i32>,
    },
    /// Another cluster answers. All partitions are told anew.
    ClusterChanged {
        expected: String,
        found: String,
    },
    /// The broker says nothing of these topics, and why; of all others it does.
    Refused(BTreeMap<String, String>),
    TopicGone(String),
    /// What is between a partition's next offset and its end.
    Looked(Answer),
    NotLooked(Box<Unanswered>),
    /// Why it is not decided yet where the source begins.
    Undecided(String),
    /// The cluster answered.
    Reached,
    /// It did not.
    Unreachable(String),
}

pub struct Found {
    pub present: Present,
    /// Where it starts if nothing is known of it.
    pub start: Offset,
}

pub struct Discovery {
    pub source: String,
    pub asker: Arc<BaseConsumer<Context>>,
    /// The client that consumes, at the beginning.
    pub consumer: Option<Arc<BaseConsumer<Context>>>,
    pub settings: KafkaSettings,
    pub wanted: Wanted,
    /// Whether the log has no position of the source.
    pub is_new: bool,
    /// The embedded broker's id, which stands for the mock cluster's own.
    pub embedded: Option<String>,
    pub findings: Sender<Finding>,
    /// Partitions that stand still. Closed when the source stops.
    pub questions: Receiver<Question>,
}

/// What is known of a topic that exists.
#[derive(Default)]
struct Known {
    id: Option<Uuid>,
    found: BTreeSet<i32>,
    /// Rounds in which it was not there.
    absent: u32,
}

/// What is known after the rounds so far.
struct Survey {
    known: BTreeMap<String, Known>,
    /// Where a new source begins, until that is decided.
    opening: Option<Opening>,
    /// Told as missing.
    missing: BTreeSet<String>,
    ids: Ids,
    cluster: Option<String>,
    refused: BTreeMap<String, String>,
}

impl Discovery {
    pub fn run(mut self) {
        // A client connects when it is asked something, or else looks once a second whether it
        // should: nothing is fetched until then.
        if let Some(consumer) = self.consumer.take() {
            let _ = self.wanted.look(&consumer, CONNECT_TIMEOUT);
        }
        // At the beginning of what is there, nothing has to be decided at once.
        let opens = self.is_new && self.settings.start != Start::Earliest;
        let mut survey = Survey {
            known: BTreeMap::new(),
            opening: opens.then(Opening::default),
            missing: BTreeSet::new(),
            ids: Ids::default(),
            cluster: None,
            refused: BTreeMap::new(),
        };
        loop {
            let began = Instant::now();
            let complete = self.round(&mut survey);
            let answers = complete.is_ok();
            self.let_client_speak();
            let pause = match complete {
                Ok(complete) => {
                    self.asker.context().forget_reason();
                    self.tell(Finding::Reached);
                    if let Some(why) = survey.opening.as_ref().and_then(Opening::why) {
                        self.tell(Finding::Undecided(why));
                    }
                    if complete { self.settings.metadata_interval } else { RETRY_INTERVAL }
                }
                Err(error) => {
                    let reason = self.asker.context().reason();
                    let error = if reason.is_empty() { error.to_string() } else { reason };
                    self.tell(Finding::Unreachable(error));
                    RETRY_INTERVAL
                }
            };
            let next =
                began + pause.min(self.settings.metadata_interval).max(Duration::from_millis(10));
            if !between_rounds(&self.questions, next, |question| self.look(question, answers)) {
                return;
            }
        }
    }

    /// Takes what the client has to say beside its answers; it is assigned nothing.
    fn let_client_speak(&self) {
        for _ in 0..1000 {
            if self.asker.poll(Duration::ZERO).is_none() {
                return;
            }
        }
    }

    pub(super) fn tell(&self, finding: Finding) {
        // The consuming thread outlives this one, or is ending and will not miss it.
        let _ = self.findings.send(finding);
    }

    /// `answers`: whether the client that asks got its last answers. Its connections may be what
    /// stands still.
    fn look(&self, question: Question, answers: bool) {
        let Question { topic, partition, .. } = question.clone();
        let asker = answers.then_some(&*self.asker);
        match probe::look(asker, &self.settings.client_config(), question) {
            Ok(answer) => self.tell(Finding::Looked(answer)),
            Err(unanswered) => {
                let error = &unanswered.error;
                tracing::debug!(source = self.source, topic, partition, %error, "not looked at");
                self.tell(Finding::NotLooked(unanswered));
            }
        }
    }

    /// Whether everything that is there is known.
    fn round(&self, survey: &mut Survey) -> KafkaResult<bool> {
        // First, because asking for the id alone makes no connection.
        let mut topics = self.wanted.look(&self.asker, REQUEST_TIMEOUT)?;
        let cluster = match &self.embedded {
            Some(id) => id.clone(),
            None => self
                .asker
                .client()
                .fetch_cluster_id(REQUEST_TIMEOUT)
                .ok_or(KafkaError::MetadataFetch(RDKafkaErrorCode::BrokerTransportFailure))?,
        };
        self.same_cluster(survey, &cluster);
        let ids = self.topic_ids(&mut topics, &mut survey.ids)?;
        self.tell_refused(survey, &topics);
        for topic in topics.missing.difference(&survey.missing) {
            tracing::warn!(source = self.source, topic, "the topic does not exist; waiting for it");
        }
        let mut complete = topics.missing.is_empty() && topics.unready.is_empty();
        survey.missing.clone_from(&topics.missing);
        complete &= self.let_go(survey, &topics);
        if let Some(opening) = &mut survey.opening {
            let Some(found) = opening.decide(self, &cluster, &topics, &ids) else {
                return Ok(false);
            };
            survey.opening = None;
            for Found { present, .. } in &found {
                let known = survey.known.entry(present.topic.clone()).or_default();
                known.id = present.topic_id;
                known.found.insert(present.partition);
            }
            if !found.is_empty() {
                self.tell(Finding::Partitions(found));
            }
        }
        for (topic, partitions) in &topics.there {
            let id = ids.get(topic).copied();
            let known = survey.known.entry(topic.clone()).or_default();
            known.absent = 0;
            if let (Some(expected), Some(found)) = (known.id, id)
                && expected != found
            {
                let partitions = partitions.keys().copied().collect();
                let topic = topic.clone();
                self.tell(Finding::TopicChanged { topic, expected, found, partitions });
                *known = Known::default();
            }
            known.id = known.id.or(id);
            complete &= self.new_partitions(topic, &cluster, known, partitions);
        }
        Ok(complete)
    }

    /// Lets topics go that are not there any more. Whether there is none that may be.
    fn let_go(&self, survey: &mut Survey, topics: &Topics) -> bool {
        let mut complete = true;
        survey.known.retain(|topic, known| {
            if topics.is_known(topic) {
                return true;
            }
            known.absent += 1;
            let gone = known.absent >= ROUNDS_GONE;
            if gone {
                self.tell(Finding::TopicGone(topic.clone()));
            } else {
                complete = false;
            }
            !gone
        });
        complete
    }

    fn same_cluster(&self, survey: &mut Survey, found: &str) {
        let expected = survey.cluster.replace(found.to_owned());
        if let Some(expected) = expected
            && expected != found
        {
            survey.known.clear();
            self.tell(Finding::ClusterChanged { expected, found: found.to_owned() });
        }
    }

    fn tell_refused(&self, survey: &mut Survey, topics: &Topics) {
        let refused = topics.refused.iter().map(|(topic, code)| (topic.clone(), code.to_string()));
        let refused: BTreeMap<String, String> = refused.collect();
        if refused == survey.refused {
            return;
        }
        for (topic, error) in
            refused.iter().filter(|(topic, _)| !survey.refused.contains_key(*topic))
        {
            tracing::warn!(
                source = self.source,
                topic,
                error,
                "the broker tells nothing of this topic; the others go on"
            );
        }
        survey.refused.clone_from(&refused);
        self.tell(Finding::Refused(refused));
    }

    fn topic_ids(&self, topics: &mut Topics, ids: &mut Ids) -> KafkaResult<HashMap<String, Uuid>> {
        if self.embedded.is_some() || topics.there.is_empty() || !ids.are_asked_for() {
            return Ok(HashMap::new());
        }
        let names: Vec<String> = topics.there.keys().cloned().collect();
        let answer = native::topic_ids(&self.asker, &names, REQUEST_TIMEOUT);
        ids.answered(&self.source, topics, answer)
    }

    /// Whether every partition was found.
    fn new_partitions(
        &self,
        topic: &str,
        cluster: &str,
        known: &mut Known,
        partitions: &BTreeMap<i32, bool>,
    ) -> bool {
        let mut found = Vec::new();
        let mut complete = true;
        let new = partitions.iter().filter(|(partition, _)| !known.found.contains(partition));
        for (&partition, &has_leader) in new {
            if !has_leader {
                // Asking for its ends would take until the time is up.
                complete = false;
                continue;
            }
            match self.present(topic, cluster, known.id, partition) {
                Ok(present) => {
                    let start = Offset(present.low);
                    found.push(Found { present, start });
                }
                Err(error) => {
                    tracing::debug!(source = self.source, topic, partition, %error, "not found");
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

    pub(super) fn present(
        &self,
        topic: &str,
        cluster: &str,
        topic_id: Option<Uuid>,
        partition: i32,
    ) -> KafkaResult<Present> {
        let (low, high) = self.asker.fetch_watermarks(topic, partition, REQUEST_TIMEOUT)?;
        let offset = |raw: i64| {
            u64::try_from(raw).map_err(|_| KafkaError::MetadataFetch(RDKafkaErrorCode::NoOffset))
        };
        Ok(Present {
            cluster: cluster.to_owned(),
            topic: topic.to_owned(),
            topic_id,
            partition,
            low: offset(low)?,
            high: offset(high)?,
        })
    }
}
