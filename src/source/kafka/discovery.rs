//! Asks the cluster, on a thread of its own, so that the thread that consumes never waits for
//! an answer: cluster id, topics, their ids, partitions, and where the log of a new partition
//! starts and ends.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::types::RDKafkaErrorCode;
use uuid::Uuid;

use super::Context;
use super::ids::Ids;
use super::known::Known;
use super::opening::Opening;
use super::place::Present;
use super::probe::{self, Answer, Question, Unanswered};
use super::readers::Readers;
use super::settings::KafkaSettings;
use super::start::Start;
use super::topics::{Topics, Wanted};
use super::turns::between_rounds;
use super::unfound::NotFound;
use crate::position::Offset;

/// One request's longest wait.
pub(super) const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the consuming client's connection may hold up the first round.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// Between two rounds while something is missing: a topic, a leader, the whole cluster.
const RETRY_INTERVAL: Duration = Duration::from_millis(500);
/// A topic is gone that was not there for so many rounds, one after the other: a broker that
/// has just started may not know of all yet.
pub(super) const ROUNDS_GONE: u32 = 3;

/// What the consuming thread is told.
pub enum Finding {
    /// New partitions: one, or all that a new source begins with.
    Partitions(Vec<Found>),
    /// A topic has another id than when its partitions were found. They are told anew.
    TopicChanged {
        topic: String,
        /// `None`: its partitions were found without; they may be of one that had this or another.
        expected: Option<Uuid>,
        found: Uuid,
        /// Those that it has now.
        partitions: BTreeSet<i32>,
    },
    /// Another cluster answers. All partitions are told anew.
    ClusterChanged {
        expected: String,
        found: String,
    },
    /// Asked for by name, and not there. All others are, or are refused.
    Missing(BTreeSet<String>),
    /// The broker says nothing of these topics, and why; of all others it does.
    Refused(BTreeMap<String, String>),
    TopicGone(String),
    /// A partition that is there, and of which nobody tells where its log begins and ends.
    NotFound(Box<NotFound>),
    /// What is between a partition's next offset and its end.
    Looked(Answer),
    NotLooked(Box<Unanswered>),
    /// The cluster answered.
    Reached {
        /// Why nothing is found yet.
        undecided: Option<String>,
    },
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
    pub readers: Readers,
    pub wanted: Wanted,
    /// Whether the log has no position of the source.
    pub is_new: bool,
    /// The clusters whose topic ids the log has.
    pub with_ids: BTreeSet<String>,
    /// The embedded broker's id, which stands for the mock cluster's own.
    pub embedded: Option<String>,
    pub findings: Sender<Finding>,
    /// Partitions that stand still. Closed when the source stops.
    pub questions: Receiver<Question>,
}

/// A partition that is asked about.
pub struct Asked<'a> {
    pub topic: &'a str,
    pub topic_id: Option<Uuid>,
    pub partition: i32,
    pub leader: Option<i32>,
}

/// Leaders that have not answered in this round: each of their other partitions would take until
/// the time is up again.
pub type Silent = BTreeSet<i32>;

/// What is known after the rounds so far.
pub(super) struct Survey {
    known: BTreeMap<String, Known>,
    /// Where a new source begins, until that is decided.
    opening: Option<Opening>,
    /// Topics that were refused then: each is decided about by itself.
    withheld: BTreeMap<String, Opening>,
    /// Told as missing.
    pub(super) missing: BTreeSet<String>,
    pub(super) ids: Ids,
    /// Why the ids of the topics that are there are not known.
    pub(super) without_ids: Option<String>,
    cluster: Option<String>,
    pub(super) refused: BTreeMap<String, String>,
}

impl Discovery {
    pub fn run(mut self) {
        // A client connects when it is asked something, or else looks once a second whether it
        // should: nothing is fetched until then.
        if let Some(consumer) = self.consumer.take() {
            let _ = self.wanted.look(&consumer, CONNECT_TIMEOUT, &self.readers.busy);
            // It may be given up by now.
            self.readers.close(consumer);
        }
        // At the beginning of what is there, nothing has to be decided at once.
        let opens = self.is_new && self.settings.start != Start::Earliest;
        let mut survey = Survey {
            known: BTreeMap::new(),
            opening: opens.then(Opening::default),
            withheld: BTreeMap::new(),
            missing: BTreeSet::new(),
            ids: Ids::default(),
            without_ids: None,
            cluster: None,
            refused: BTreeMap::new(),
        };
        loop {
            let began = Instant::now();
            self.readers.busy.begin();
            let complete = self.round(&mut survey);
            let answers = complete.is_ok();
            self.let_client_speak();
            let pause = match complete {
                Ok(complete) => {
                    self.asker.context().forget_reason();
                    let opening = || survey.opening.as_ref().and_then(Opening::why);
                    let undecided = survey.without_ids.clone().or_else(opening);
                    self.tell(Finding::Reached { undecided });
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
            self.readers.busy.wait();
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
        // While the source is held nobody listens.
        self.readers.busy.wait();
        // The consuming thread outlives this one, or is ending and will not miss it.
        let _ = self.findings.send(finding);
        self.readers.busy.begin();
    }

    /// `answers`: whether the client that asks got its last answers. Its connections may be what
    /// stands still.
    fn look(&self, question: Question, answers: bool) {
        let Question { topic, partition, .. } = question.clone();
        let asker = answers.then_some(&*self.asker);
        self.readers.busy.begin();
        match probe::look(asker, &self.readers, question) {
            Ok(answer) => self.tell(Finding::Looked(answer)),
            Err(unanswered) => {
                let error = &unanswered.error;
                tracing::debug!(source = self.source, topic, partition, %error, "not looked at");
                self.tell(Finding::NotLooked(unanswered));
            }
        }
        self.readers.busy.wait();
    }

    /// Whether everything that is there is known.
    fn round(&self, survey: &mut Survey) -> KafkaResult<bool> {
        // First, because asking for the id alone makes no connection.
        let mut topics = self.wanted.look(&self.asker, REQUEST_TIMEOUT, &self.readers.busy)?;
        let cluster = match &self.embedded {
            Some(id) => id.clone(),
            None => self
                .asker
                .client()
                .fetch_cluster_id(REQUEST_TIMEOUT)
                .ok_or(KafkaError::MetadataFetch(RDKafkaErrorCode::BrokerTransportFailure))?,
        };
        self.same_cluster(survey, &cluster);
        if self.with_ids.contains(&cluster) {
            survey.ids.were_told();
        }
        let ids = self.topic_ids(&mut topics, survey);
        self.tell_unseen(survey, &topics);
        let mut complete = topics.missing.is_empty() && topics.unready.is_empty();
        complete &= self.let_go(survey, &topics);
        let mut silent = Silent::new();
        if let Some(opening) = &mut survey.opening {
            let Some(found) = opening.decide(self, &cluster, &topics, &ids, &mut silent) else {
                return Ok(false);
            };
            let refused = std::mem::take(&mut opening.refused).into_iter();
            survey.withheld = refused.map(|topic| (topic, Opening::default())).collect();
            survey.opening = None;
            self.opened(survey, found);
        }
        // One that may be seen now and is not there will be a new one.
        survey.withheld.retain(|topic, _| !topics.missing.contains(topic));
        for (topic, partitions) in &topics.there {
            if let Some(opening) = survey.withheld.get_mut(topic) {
                let topics = topics.only(topic);
                let Some(found) = opening.decide(self, &cluster, &topics, &ids, &mut silent) else {
                    complete = false;
                    continue;
                };
                survey.withheld.remove(topic);
                self.opened(survey, found);
            }
            let id = ids.get(topic).copied();
            let known = survey.known.entry(topic.clone()).or_default();
            known.absent = 0;
            if let Some(found) = known.change(id) {
                let (topic, expected) = (topic.clone(), known.id);
                let partitions = partitions.keys().copied().collect();
                self.tell(Finding::TopicChanged { topic, expected, found, partitions });
                *known = Known::default();
            }
            known.id = known.id.or(id);
            complete &= self.new_partitions(topic, &cluster, known, partitions, &mut silent);
        }
        Ok(complete)
    }

    /// Where something begins is decided.
    fn opened(&self, survey: &mut Survey, found: Vec<Found>) {
        for Found { present, .. } in &found {
            let known = survey.known.entry(present.topic.clone()).or_default();
            known.id = present.topic_id;
            known.found.insert(present.partition);
        }
        if !found.is_empty() {
            self.tell(Finding::Partitions(found));
        }
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

    /// Whether every partition was found. Each is told at once: the next one's leader may take its
    /// time.
    fn new_partitions(
        &self,
        topic: &str,
        cluster: &str,
        known: &mut Known,
        partitions: &BTreeMap<i32, Option<i32>>,
        silent: &mut Silent,
    ) -> bool {
        let mut complete = true;
        for (&partition, &leader) in partitions {
            if known.found.contains(&partition) {
                continue;
            }
            let asked = Asked { topic, topic_id: known.id, partition, leader };
            match self.present(cluster, &asked, silent) {
                Ok(present) => {
                    let start = Offset(present.low);
                    known.found.insert(partition);
                    self.tell(Finding::Partitions(vec![Found { present, start }]));
                }
                Err(error) => {
                    tracing::debug!(source = self.source, topic, partition, %error, "not found");
                    complete = false;
                    let (cluster, topic) = (cluster.to_owned(), topic.to_owned());
                    let (topic_id, error) = (known.id, error.to_string());
                    let not_found = NotFound { cluster, topic, topic_id, partition, error };
                    self.tell(Finding::NotFound(Box::new(not_found)));
                }
            }
        }
        complete
    }

    pub(super) fn present(
        &self,
        cluster: &str,
        asked: &Asked<'_>,
        silent: &mut Silent,
    ) -> KafkaResult<Present> {
        let &Asked { topic, topic_id, partition, leader } = asked;
        // Asking for its ends would take until the time is up.
        let leader = leader.filter(|leader| !silent.contains(leader));
        let leader =
            leader.ok_or(KafkaError::MetadataFetch(RDKafkaErrorCode::LeaderNotAvailable))?;
        self.readers.busy.begin();
        let ends = self.asker.fetch_watermarks(topic, partition, REQUEST_TIMEOUT);
        let code = ends.as_ref().err().and_then(KafkaError::rdkafka_error_code);
        if code == Some(RDKafkaErrorCode::OperationTimedOut) {
            silent.insert(leader);
        }
        let (low, high) = ends?;
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
