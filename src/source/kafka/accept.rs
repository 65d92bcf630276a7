//! An operator accepts a gap: the partition goes on behind it, and the log keeps why.

use std::sync::Arc;

use super::consume::Consume;
use super::partitions::Phase;
use super::pending::{Entry, Index};
use super::place::{Beyond, Gap, Halt};
use crate::position::Offset;
use crate::source::{HALTED_BEFORE, Order};

impl Consume {
    pub(super) fn take_orders(&mut self) {
        while let Ok(order) = self.wiring.orders.try_recv() {
            let Order::AcceptGap { topic, partition, answer } = order;
            match self.accept(topic.as_deref(), partition) {
                // What goes on behind a gap is in the next batch.
                Ok(done) => self.accepted.push((self.batches + 1, answer, done)),
                // Who asked may have stopped waiting.
                Err(why) => drop(answer.send(Err(why))),
            }
        }
    }

    /// Answers who asked for what is now in the log.
    pub(super) fn answer_accepted(&mut self) {
        let watermark = self.wiring.watermark.get();
        let pending = !self.pending.is_empty() || self.refused.is_some();
        self.accepted.retain(|(batch, answer, done)| {
            // Nothing was decided: there is no such batch.
            let waits = *batch > watermark && (pending || *batch <= self.batches);
            if !waits {
                let _ = answer.send(Ok(done.clone()));
            }
            waits
        });
    }

    /// What was decided is forgotten with the batch that it was in.
    pub(super) fn forget_accepted(&mut self) {
        for (_, answer, _) in self.accepted.drain(..) {
            let _ = answer.send(Err(HALTED_BEFORE.into()));
        }
    }

    fn accept(&mut self, topic: Option<&str>, number: Option<i32>) -> Result<Vec<String>, String> {
        if self.held.is_some() || self.wiring.gate.is_closed() {
            return Err("the whole source stands behind a message: decide about that first".into());
        }
        let halted: Vec<Index> = self
            .partitions
            .current()
            .filter(|&index| {
                let partition = &self.partitions[index];
                partition.phase == Phase::Halted
                    && topic.is_none_or(|topic| topic == partition.topic())
                    && number.is_none_or(|number| number == partition.number())
            })
            .collect();
        if halted.is_empty() {
            return Err("no such partition is halted".into());
        }
        Ok(halted.into_iter().map(|index| self.accept_one(index)).collect())
    }

    fn accept_one(&mut self, index: Index) -> String {
        let partition = &self.partitions[index];
        let (was, next) = (Arc::clone(&partition.stream), partition.next);
        if let Some(Halt { gap: gap @ Gap::ReadBy(_), .. }) = &partition.halt {
            return format!("{was} stays halted: {gap}. {}", gap.remedy());
        }
        let Some(Halt { gap, beyond: Some(beyond) }) = partition.halt.clone() else {
            return format!(
                "{was} stays halted: nothing of it is there yet. Ask again when the topic is there"
            );
        };
        let to = beyond.next;
        self.go_beyond(beyond, format!("accepted by an operator: {gap}"));
        format!("{was} goes on at offset {to}; it stood at {next}. {gap}")
    }

    /// A message came where nothing was to be found: who was asked about it lagged behind. Nothing
    /// that stands behind it was given out, so nobody has to decide.
    pub(super) fn go_back(&mut self, index: Index, at: Offset) {
        let partition = &self.partitions[index];
        let (stream, passed) = (Arc::clone(&partition.stream), partition.next);
        let why = format!(
            "a message with offset {at} came, although nothing was to be found there before {passed}"
        );
        tracing::warn!(source = self.name, %stream, next = %at, why, "going back");
        self.unfetch(index);
        let entry = Entry::Start { forget_others: false, why: Some(why) };
        let _index = self.enter(stream, at, passed, entry);
    }

    /// Goes on behind a gap, once that is in the log.
    pub(super) fn go_beyond(&mut self, beyond: Beyond, why: String) -> Index {
        let Beyond { stream, next, end, starts } = beyond;
        tracing::warn!(source = self.name, %stream, %next, why, "going on behind a gap");
        let why = Some(why);
        let entry = match starts {
            true => Entry::Start { forget_others: false, why },
            false => Entry::Moved { why },
        };
        self.enter(stream, next, end, entry)
    }
}
