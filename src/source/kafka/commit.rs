//! Which offsets may be committed, and which are: never beyond the watermark.
//!
//! Through the safe interface of librdkafka only a commit that waits tells its outcome, so one
//! thread does nothing else.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::thread;

use crossbeam_channel::{Receiver, Sender, TryRecvError};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Offset as KafkaOffset, TopicPartitionList};

use super::Context;
use super::partitions::Partitions;
use super::pending::Index;
use crate::position::Offset;

pub struct Commits {
    /// Batches given out and not yet durable, oldest first.
    offered: VecDeque<Offered>,
    /// What the broker is being asked to commit. One commit at a time: while the broker is
    /// away they must not pile up.
    in_flight: Option<Offsets>,
    ask: Sender<Offsets>,
    answers: Receiver<Option<RDKafkaErrorCode>>,
}

/// The thread that commits has ended.
#[derive(Debug)]
pub struct Gone;

type Offsets = Vec<(Index, String, i32, Offset)>;

struct Offered {
    number: u64,
    nexts: Vec<(Index, Offset)>,
}

impl Commits {
    /// Starts the thread that commits; it ends with this.
    pub fn start(source: &str, consumer: &Arc<BaseConsumer<Context>>) -> io::Result<Self> {
        let (ask, asked) = crossbeam_channel::bounded::<Offsets>(1);
        let (answer, answers) = crossbeam_channel::bounded(1);
        let consumer = Arc::clone(consumer);
        thread::Builder::new().name(format!("kafka-commit-{source}")).spawn(move || {
            for offsets in asked {
                let outcome = commit(&consumer, &offsets).err();
                let code = outcome
                    .map(|error| error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail));
                if answer.send(code).is_err() {
                    return;
                }
            }
        })?;
        Ok(Commits { offered: VecDeque::new(), in_flight: None, ask, answers })
    }

    #[cfg(test)]
    pub fn whose_thread_has_ended() -> Commits {
        let (ask, _) = crossbeam_channel::bounded(1);
        let (_, answers) = crossbeam_channel::bounded(1);
        Commits { offered: VecDeque::new(), in_flight: None, ask, answers }
    }

    /// Each commit is answered with the next of `answers`, and then none any more.
    #[cfg(test)]
    pub fn answered_with(answers: Vec<Option<RDKafkaErrorCode>>) -> Commits {
        let (ask, asked) = crossbeam_channel::bounded::<Offsets>(1);
        let (answer, given) = crossbeam_channel::bounded(1);
        thread::spawn(move || {
            let mut left = answers.into_iter();
            for _offsets in asked {
                if let Some(next) = left.next() {
                    let _ = answer.send(next);
                }
            }
        });
        Commits { offered: VecDeque::new(), in_flight: None, ask, answers: given }
    }

    /// Likewise, with what was given out before.
    #[cfg(test)]
    pub fn then_answered_with(self, answers: Vec<Option<RDKafkaErrorCode>>) -> Commits {
        Commits { offered: self.offered, ..Commits::answered_with(answers) }
    }

    /// What was given out will not become durable.
    pub fn forget(&mut self) {
        self.offered.clear();
    }

    pub fn offered(&mut self, number: u64, nexts: Vec<(Index, Offset)>) {
        self.offered.push_back(Offered { number, nexts });
    }

    /// Takes over what has become durable.
    pub fn advance(&mut self, watermark: u64, partitions: &mut Partitions) {
        while let Some(first) = self.offered.front()
            && first.number <= watermark
        {
            for (index, next) in &first.nexts {
                partitions[*index].durable = Some(*next);
                // It went and came back since.
                if let Some(heir) = partitions.heir(*index) {
                    partitions[heir].durable = Some(*next);
                }
            }
            self.offered.pop_front();
        }
    }

    /// Whether everything given out is durable.
    pub fn all_durable(&self) -> bool {
        self.offered.is_empty()
    }

    /// Whether every durable offset is committed, as far as the broker has answered.
    pub fn all_committed(&self, partitions: &Partitions) -> bool {
        self.in_flight.is_none()
            && partitions.current().all(|index| {
                let partition = &partitions[index];
                partition.durable.is_none() || partition.durable == partition.requested
            })
    }

    /// Asks the broker to commit what changed.
    pub fn commit(&mut self, partitions: &mut Partitions) {
        if self.in_flight.is_some() {
            return;
        }
        let current: Vec<Index> = partitions.current().collect();
        let mut offsets = Offsets::new();
        for index in current {
            let partition = &mut partitions[index];
            if let Some(durable) = partition.durable
                && partition.requested != Some(durable)
            {
                partition.requested = Some(durable);
                let topic = partition.topic().to_owned();
                offsets.push((index, topic, partition.number(), durable));
            }
        }
        // With nothing in flight there is room; without it the thread is gone, and so are we.
        if !offsets.is_empty() && self.ask.try_send(offsets.clone()).is_ok() {
            self.in_flight = Some(offsets);
        }
    }

    /// The broker's answer, if it came: the error, if it was one. What failed is asked for
    /// again.
    pub fn answered(
        &mut self,
        partitions: &mut Partitions,
    ) -> Result<Option<Option<RDKafkaErrorCode>>, Gone> {
        let answer = match self.answers.try_recv() {
            Ok(answer) => answer,
            Err(TryRecvError::Empty) => return Ok(None),
            Err(TryRecvError::Disconnected) => return Err(Gone),
        };
        for (index, _, _, offset) in self.in_flight.take().unwrap_or_default() {
            match answer {
                None => partitions[index].set_committed(offset),
                Some(_) => partitions[index].requested = None,
            }
        }
        Ok(Some(answer))
    }
}

/// Whether the coordinator may take a moment later what it refuses: a stranger in the group stays
/// there, and a right stays away.
pub fn is_transient(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode::{
        AllBrokersDown, BrokerTransportFailure, CoordinatorLoadInProgress, CoordinatorNotAvailable,
        NotCoordinator, OperationTimedOut, RequestTimedOut, Resolve, WaitingForCoordinator,
    };
    matches!(
        code,
        AllBrokersDown
            | BrokerTransportFailure
            | CoordinatorLoadInProgress
            | CoordinatorNotAvailable
            | NotCoordinator
            | OperationTimedOut
            | RequestTimedOut
            | Resolve
            | WaitingForCoordinator
    )
}

fn commit(consumer: &BaseConsumer<Context>, offsets: &Offsets) -> Result<(), KafkaError> {
    let mut list = TopicPartitionList::with_capacity(offsets.len());
    for (_, topic, partition, offset) in offsets {
        let offset = KafkaOffset::Offset(i64::try_from(offset.0).unwrap_or(i64::MAX));
        list.add_partition_offset(topic, *partition, offset)?;
    }
    consumer.commit(&list, CommitMode::Sync)?;
    // The answer to the whole is good when at least one partition's is.
    list.elements().iter().try_for_each(|element| element.error())
}
