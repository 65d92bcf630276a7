//! What a cluster tells of its topics' ids, and when it is believed to tell none.
//!
//! A topic without an id beside others that have one is not ready, nor is any at first: whether
//! the broker tells ids shows after some rounds.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::types::RDKafkaErrorCode;
use uuid::Uuid;

use super::discovery::{Discovery, REQUEST_TIMEOUT, Survey};
use super::native;
use super::topics::Topics;

/// So many answers without an id, and there are none.
const ROUNDS_WITHOUT: u32 = 3;
/// One that did not answer may have been overloaded: it is asked once more after so long.
const ASK_SILENT_EVERY: Duration = Duration::from_secs(60);

/// What the rounds so far have shown.
#[derive(Default)]
pub struct Ids {
    /// Whether the cluster ever told one, in this process or before.
    told: bool,
    /// Rounds in which it told none.
    without: u32,
    /// It did not answer when it was asked for them.
    silent: bool,
    /// When it last was.
    asked: Option<Instant>,
    warned: bool,
}

impl Ids {
    /// The log has ids that this cluster told: one that is silent at first is not believed to have
    /// none. A topic that was made anew meanwhile would be read on in silence.
    pub fn were_told(&mut self) {
        self.told = true;
    }

    /// Whether it is worth asking: seldom one that answers everything else, and never this.
    pub fn are_asked_for(&self) -> bool {
        let never_answers = self.silent && self.without >= ROUNDS_WITHOUT;
        let recently = self.asked.is_some_and(|asked| asked.elapsed() < ASK_SILENT_EVERY);
        self.told || !(never_answers && recently)
    }

    /// Takes the answer of one round: the ids, and topics that have none yet are not ready. Empty
    /// where the broker tells none.
    pub fn answered(
        &mut self,
        source: &str,
        topics: &mut Topics,
        answer: KafkaResult<HashMap<String, Uuid>>,
    ) -> KafkaResult<HashMap<String, Uuid>> {
        self.asked = Some(Instant::now());
        let ids = match answer {
            Err(KafkaError::AdminOp(RDKafkaErrorCode::UnsupportedFeature)) => {
                self.without = ROUNDS_WITHOUT;
                HashMap::new()
            }
            Err(KafkaError::AdminOp(RDKafkaErrorCode::OperationTimedOut)) if !self.told => {
                self.silent = true;
                HashMap::new()
            }
            answered => answered?,
        };
        self.told |= !ids.is_empty();
        if ids.is_empty() {
            self.without = self.without.saturating_add(1);
        }
        if self.told || self.without < ROUNDS_WITHOUT {
            topics.without_ids_unready(&ids);
        } else if !std::mem::replace(&mut self.warned, true) {
            tracing::warn!(
                source,
                "the broker tells no topic ids: a topic that is deleted and made anew is noticed \
                 by its offsets and leader epochs only"
            );
        }
        Ok(ids)
    }
}

impl Discovery {
    /// Nothing is begun without them, but what is read is read on: they come from one broker, and
    /// the others deliver.
    pub(super) fn topic_ids(
        &self,
        topics: &mut Topics,
        survey: &mut Survey,
    ) -> HashMap<String, Uuid> {
        if self.embedded.is_some() || topics.there.is_empty() || !survey.ids.are_asked_for() {
            return HashMap::new();
        }
        let names: Vec<String> = topics.there.keys().cloned().collect();
        self.readers.busy.begin();
        let answer = native::topic_ids(&self.asker, &names, REQUEST_TIMEOUT);
        let failed = match survey.ids.answered(&self.source, topics, answer) {
            Ok(ids) => {
                if survey.without_ids.take().is_some() {
                    tracing::info!(source = self.source, "the topics' ids are told again");
                }
                return ids;
            }
            Err(error) => error.to_string(),
        };
        topics.without_ids_unready(&HashMap::new());
        let why = format!(
            "whether a topic was made anew cannot be told, so no further partition is begun: the \
             topics' ids cannot be asked for ({failed})"
        );
        if survey.without_ids.is_none() {
            tracing::warn!(source = self.source, "{why}");
        }
        survey.without_ids = Some(why);
        HashMap::new()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    type Answer = KafkaResult<HashMap<String, Uuid>>;

    fn failed(code: RDKafkaErrorCode) -> Answer {
        Err(KafkaError::AdminOp(code))
    }

    fn id(topic: &str) -> Answer {
        Ok(HashMap::from([(topic.to_owned(), Uuid::from_u128(1))]))
    }

    /// The topics that are ready after this answer.
    fn ready(ids: &mut Ids, answer: Answer) -> KafkaResult<Vec<String>> {
        let mut topics = Topics::default();
        for topic in ["new", "old"] {
            topics.there.insert(topic.into(), BTreeMap::from([(0, Some(1))]));
        }
        ids.answered("s", &mut topics, answer)?;
        Ok(topics.there.into_keys().collect())
    }

    #[test]
    fn one_that_told_ids_to_an_earlier_process_is_waited_for() {
        let mut ids = Ids::default();
        ids.were_told();
        for _round in 0..ROUNDS_WITHOUT * 2 {
            assert!(ready(&mut ids, failed(RDKafkaErrorCode::OperationTimedOut)).is_err());
            assert!(ready(&mut ids, Ok(HashMap::new())).unwrap().is_empty());
            assert!(ids.are_asked_for());
        }
        assert_eq!(ready(&mut ids, id("old")).unwrap(), ["old"]);
    }

    #[test]
    fn one_that_never_answers_is_not_asked_for_ever() {
        let mut ids = Ids::default();
        let timed_out = || failed(RDKafkaErrorCode::OperationTimedOut);
        for _round in 0..ROUNDS_WITHOUT - 1 {
            assert!(ids.are_asked_for());
            assert!(ready(&mut ids, timed_out()).unwrap().is_empty(), "it may still tell one");
        }
        assert!(ids.are_asked_for());
        assert_eq!(ready(&mut ids, timed_out()).unwrap(), ["new", "old"]);
        assert!(!ids.are_asked_for());
        // Now and then it is, should that have been a bad moment.
        ids.asked = ids.asked.map(|asked| asked - ASK_SILENT_EVERY);
        assert!(ids.are_asked_for());
    }

    #[test]
    fn one_that_told_an_id_once_is_asked_again_whatever_it_says() {
        let mut ids = Ids::default();
        assert_eq!(ready(&mut ids, id("old")).unwrap(), ["old"]);
        for _round in 0..ROUNDS_WITHOUT * 2 {
            // Without the ids of this round, a topic made anew would go by unnoticed.
            assert!(ready(&mut ids, failed(RDKafkaErrorCode::OperationTimedOut)).is_err());
            assert!(ready(&mut ids, Ok(HashMap::new())).unwrap().is_empty());
            assert!(ids.are_asked_for());
        }
    }

    #[test]
    fn one_that_was_silent_at_first_and_told_an_id_then_is_asked_again() {
        let mut ids = Ids::default();
        ready(&mut ids, failed(RDKafkaErrorCode::OperationTimedOut)).unwrap();
        assert_eq!(ready(&mut ids, id("old")).unwrap(), ["old"]);
        for _round in 0..ROUNDS_WITHOUT {
            assert!(ready(&mut ids, Ok(HashMap::new())).unwrap().is_empty());
            assert!(ids.are_asked_for());
        }
    }

    #[test]
    fn one_that_knows_none_is_believed_at_once_and_one_that_tells_none_after_some_rounds() {
        let mut old = Ids::default();
        let unsupported = failed(RDKafkaErrorCode::UnsupportedFeature);
        assert_eq!(ready(&mut old, unsupported).unwrap(), ["new", "old"]);
        // Asked again: it may be replaced by a newer one.
        assert!(old.are_asked_for());
        let mut quiet = Ids::default();
        for round in 1..=ROUNDS_WITHOUT {
            let ready = ready(&mut quiet, Ok(HashMap::new())).unwrap();
            assert_eq!(ready.is_empty(), round < ROUNDS_WITHOUT, "{round}");
        }
    }
}
