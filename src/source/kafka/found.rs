//! What the discovery thread found, and partitions that begin.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaResult;
use rdkafka::{Offset as KafkaOffset, TopicPartitionList};

use super::consume::Consume;
use super::discovery::{Finding, Found};
use super::partitions::{Partition, Phase};
use super::pending::Index;
use super::place::{Place, gap_at};
use super::probe::{Answer, Between, Question};
use crate::position::{Offset, Stream};

const ASSIGN_RETRY_INTERVAL: Duration = Duration::from_secs(1);
/// Messages are there and none came for so long: the fetch is taken for lost.
const STALLED_AFTER: Duration = Duration::from_secs(10);
/// A question that was not answered, because the cluster was not there, is asked again.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(5);

impl Consume {
    pub(super) fn take_findings(&mut self) {
        while let Ok(finding) = self.findings.try_recv() {
            match finding {
                Finding::Partitions(found) => self.found(found),
                Finding::TopicChanged { topic, found } => self.topic_changed(&topic, found),
                Finding::Looked(answer) => self.looked(answer),
                Finding::Reached => self.reached(),
                Finding::Unreachable(error) => self.unreachable(&error),
            }
        }
    }

    /// All starts of a topic go into one batch, so that they become durable together.
    fn found(&mut self, found: Vec<Found>) {
        let mut resumed = Vec::new();
        for Found { present, place, start } in found {
            let high = Offset(present.high);
            let stream = Arc::new(Stream::Partition {
                source: self.name.clone(),
                cluster: present.cluster,
                topic: present.topic,
                topic_id: present.topic_id,
                partition: present.partition,
            });
            match place {
                Place::Resume { stream, next } => {
                    tracing::info!(source = self.name, %stream, %next, "partition resumed");
                    let index = self.add(stream, Phase::Running, next, high);
                    // Durable by definition; the broker may have heard less.
                    self.partitions[index].durable = Some(next);
                    resumed.push(index);
                }
                Place::New => self.start(stream, start, high),
                Place::Gap { stream: known, next, gap } => {
                    self.found_gap(known, next, &gap, stream, Offset(present.low), high);
                }
            }
        }
        self.fetch(&resumed);
    }

    pub(super) fn add(
        &mut self,
        stream: Arc<Stream>,
        phase: Phase,
        next: Offset,
        end: Offset,
    ) -> Index {
        let (status, metrics) = (&self.wiring.status, &self.wiring.metrics);
        let mut partition = Partition::new(stream, phase, next, status, metrics);
        partition.set_end(end);
        self.partitions.add(partition)
    }

    /// Puts the start of a new stream into the next batch; fetching begins when that is
    /// durable.
    pub(super) fn start(&mut self, stream: Arc<Stream>, start: Offset, end: Offset) {
        tracing::info!(source = self.name, %stream, %start, "partition starts");
        let index = self.add_starting(stream, start, end);
        self.pending.start(index, start, self.ephemeral);
    }

    /// As `start`, for a stream that has a position: it moves to `low`.
    pub(super) fn skip_to(&mut self, stream: Arc<Stream>, low: Offset, end: Offset) {
        let index = self.add_starting(stream, low, end);
        self.pending.moved(index, low);
    }

    fn add_starting(&mut self, stream: Arc<Stream>, next: Offset, end: Offset) -> Index {
        // What is put into `pending` now is given out with the next batch that is sealed.
        let batch = self.batches + 1;
        self.add(stream, Phase::Starting { batch }, next, end)
    }

    pub(super) fn begin_started(&mut self) {
        let watermark = self.wiring.watermark.get();
        self.commits.advance(watermark, &mut self.partitions);
        let due: Vec<Index> = self
            .partitions
            .current()
            .filter(|&index| {
                matches!(self.partitions[index].phase,
                    Phase::Starting { batch } if batch <= watermark)
            })
            .collect();
        for &index in &due {
            self.partitions[index].phase = Phase::Running;
        }
        self.fetch(&due);
        self.retry_due();
    }

    /// Begins to fetch partitions from their next offset.
    fn fetch(&mut self, indexes: &[Index]) {
        if indexes.is_empty() {
            return;
        }
        if let Err(error) = self.assign(indexes) {
            tracing::warn!(source = self.name, %error, "partitions not assigned; trying again");
            let due = Instant::now() + ASSIGN_RETRY_INTERVAL;
            self.retries.extend(indexes.iter().map(|&index| (due, index)));
        }
    }

    fn assign(&self, indexes: &[Index]) -> KafkaResult<()> {
        let mut list = TopicPartitionList::with_capacity(indexes.len());
        for &index in indexes {
            let partition = &self.partitions[index];
            let next = i64::try_from(partition.next.0).unwrap_or(i64::MAX);
            let next = KafkaOffset::Offset(next);
            list.add_partition_offset(partition.topic(), partition.number(), next)?;
        }
        self.consumer.incremental_assign(&list)?;
        if self.paused { self.consumer.pause(&list) } else { Ok(()) }
    }

    fn retry_due(&mut self) {
        if self.retries.is_empty() {
            return;
        }
        let now = Instant::now();
        let (due, later) = self.retries.drain(..).partition::<Vec<_>, _>(|(at, _)| *at <= now);
        self.retries = later;
        let partitions = &self.partitions;
        let due: Vec<Index> = due
            .into_iter()
            .map(|(_, index)| index)
            .filter(|&index| partitions[index].phase == Phase::Running)
            .collect();
        self.fetch(&due);
    }

    /// Takes over the ends that librdkafka tells, and asks about partitions that stand still
    /// before theirs.
    pub(super) fn take_ends(&mut self) {
        let Some(ends) = self.consumer.context().take_ends() else { return };
        let blocked = self.refused.is_some();
        for end in ends {
            let Some(index) = self.partitions.find(&end.topic, end.partition) else { continue };
            let partition = &mut self.partitions[index];
            if partition.phase != Phase::Running {
                continue;
            }
            if let Ok(high) = u64::try_from(end.high) {
                partition.set_end(Offset(high));
            }
            let next = partition.next;
            let ahead = u64::try_from(end.stable).is_ok_and(|stable| stable > next.0);
            // While nothing can be taken, standing still means nothing.
            let stood = !blocked && partition.stands.is_some_and(|(offset, _)| offset == next);
            if !stood {
                partition.stands = (!blocked).then(|| (next, Instant::now()));
            } else if ahead || self.suspicious > 0 {
                self.ask(index);
            }
        }
        if !blocked {
            self.suspicious = self.suspicious.saturating_sub(1);
        }
    }

    fn ask(&mut self, index: Index) {
        let partition = &mut self.partitions[index];
        if partition.asked_at.is_some_and(|asked| asked.elapsed() < ASK_AGAIN_AFTER) {
            return;
        }
        let question = Question {
            topic: partition.topic().to_owned(),
            partition: partition.number(),
            next: partition.next,
        };
        let asked = self.questions.as_ref().is_some_and(|asker| asker.try_send(question).is_ok());
        // Without room it is asked with later statistics.
        partition.asked_at = asked.then(Instant::now);
    }

    fn looked(&mut self, answer: Answer) {
        let Answer { question, low, high, between } = answer;
        let Some(index) = self.partitions.find(&question.topic, question.partition) else {
            return;
        };
        let partition = &mut self.partitions[index];
        partition.asked_at = None;
        // It went on meanwhile, or is about to.
        if partition.phase != Phase::Running
            || partition.next != question.next
            || self.refused.is_some()
        {
            return;
        }
        match (gap_at(question.next, low, high), between) {
            (Some(gap), _) => self.running_gap(index, &gap, Offset(low), Offset(high)),
            (None, Between::Nothing) => {
                partition.next = Offset(high);
                partition.set_end(Offset(high));
                self.pending.moved(index, Offset(high));
            }
            (None, Between::Messages) => {
                let (stream, next) = (&partition.stream, partition.next);
                // A slow broker needs no second fetch beside its first.
                if partition.stands.is_none_or(|(_, since)| since.elapsed() < STALLED_AFTER) {
                    return;
                }
                tracing::warn!(source = self.name, %stream, %next,
                    "the partition stands still before its end; fetching it anew");
                partition.stands = None;
                self.unfetch(index);
                self.fetch(&[index]);
            }
            (None, Between::NotAsked) => {}
        }
    }
}
