//! Which offsets may be committed, and which are: never beyond the watermark.

use std::collections::VecDeque;

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::KafkaResult;
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Offset as KafkaOffset, TopicPartitionList};

use super::Context;
use super::native::Committed;
use super::partitions::Partitions;
use super::pending::Index;
use crate::position::Offset;

#[derive(Default)]
pub struct Commits {
    /// Batches given out and not yet durable, oldest first.
    offered: VecDeque<Offered>,
    /// One commit at a time: while the broker is away they must not pile up.
    in_flight: bool,
}

struct Offered {
    number: u64,
    nexts: Vec<(Index, Offset)>,
}

impl Commits {
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
        !self.in_flight
            && partitions.current().all(|index| {
                let partition = &partitions[index];
                partition.durable.is_none() || partition.durable == partition.requested
            })
    }

    /// Asks the broker to commit what changed. The answer comes as an event.
    pub fn commit(
        &mut self,
        consumer: &BaseConsumer<Context>,
        partitions: &mut Partitions,
    ) -> KafkaResult<()> {
        if self.in_flight {
            return Ok(());
        }
        let changed: Vec<Index> = partitions
            .current()
            .filter(|&index| partitions[index].durable != partitions[index].requested)
            .collect();
        let mut list = TopicPartitionList::with_capacity(changed.len());
        for &index in &changed {
            let partition = &mut partitions[index];
            let Some(durable) = partition.durable else { continue };
            let offset = KafkaOffset::Offset(i64::try_from(durable.0).unwrap_or(i64::MAX));
            list.add_partition_offset(partition.stream.name(), partition.number(), offset)?;
            partition.requested = Some(durable);
        }
        if list.count() == 0 {
            return Ok(());
        }
        let sent = consumer.commit(&list, CommitMode::Async);
        match &sent {
            Ok(()) => self.in_flight = true,
            Err(_) => changed.iter().for_each(|&index| partitions[index].requested = None),
        }
        sent
    }

    /// The broker's answer. Returns the first error in it; what failed is asked for again.
    pub fn answered(
        &mut self,
        error: Option<RDKafkaErrorCode>,
        offsets: &[Committed],
        partitions: &mut Partitions,
    ) -> Option<RDKafkaErrorCode> {
        self.in_flight = false;
        let mut first = error;
        for committed in offsets {
            let place = &committed.place;
            let Some(index) = partitions.find(&place.topic, place.partition) else { continue };
            match (error.or(committed.error), u64::try_from(place.offset)) {
                (None, Ok(offset)) => partitions[index].set_committed(Offset(offset)),
                (code, _) => {
                    partitions[index].requested = None;
                    first = first.or(code);
                }
            }
        }
        first
    }
}
