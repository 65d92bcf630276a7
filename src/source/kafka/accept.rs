//! An operator accepts a gap: the partition goes on behind it, and the log keeps why.

use std::sync::Arc;

use super::consume::Consume;
use super::partitions::{LastLook, Phase};
use super::pending::{Entry, Index};
use super::place::{Beyond, Gap, Halt};
use crate::position::Offset;
use crate::source::{Answer, HALTED_BEFORE, Order};

const BEHIND_A_MESSAGE: &str = "the whole source stands behind a message: decide about that first";

/// Gaps that somebody accepts.
pub struct Accepting {
    gaps: Vec<(Index, Gap)>,
    answer: Answer,
}

impl Consume {
    /// What a partition is halted for may be mended since: that is looked at once more before it is
    /// given up.
    pub(super) fn take_orders(&mut self) {
        while let Ok(order) = self.wiring.orders.try_recv() {
            let Order::AcceptGap { topic, partition, answer } = order;
            match self.halted(topic.as_deref(), partition) {
                Ok(gaps) => self.orders.push(Accepting { gaps, answer }),
                // Who asked may have stopped waiting.
                Err(why) => drop(answer.send(Err(why))),
            }
        }
        for Accepting { gaps, answer } in std::mem::take(&mut self.orders) {
            if self.stands_behind_a_message() {
                let _ = answer.send(Err(BEHIND_A_MESSAGE.into()));
            } else if self.are_looked_at(&gaps) {
                let done = gaps.iter().map(|(index, gap)| self.accept(*index, gap)).collect();
                // What goes on behind a gap is in the next batch.
                self.accepted.push((self.batches + 1, answer, done));
            } else {
                self.orders.push(Accepting { gaps, answer });
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

    fn stands_behind_a_message(&self) -> bool {
        self.held.is_some() || self.wiring.gate.is_closed()
    }

    /// What is halted, and for what.
    fn halted(
        &mut self,
        topic: Option<&str>,
        number: Option<i32>,
    ) -> Result<Vec<(Index, Gap)>, String> {
        if self.stands_behind_a_message() {
            return Err(BEHIND_A_MESSAGE.into());
        }
        let current: Vec<Index> = self.partitions.current().collect();
        let mut halted = Vec::new();
        for index in current {
            let partition = &mut self.partitions[index];
            let is_meant = topic.is_none_or(|topic| topic == partition.topic())
                && number.is_none_or(|number| number == partition.number());
            let Some(Halt { gap, .. }) = partition.halt.as_ref().filter(|_| is_meant) else {
                continue;
            };
            halted.push((index, gap.clone()));
            if gap.may_be_mended() {
                partition.last_look = Some(LastLook::Due);
            }
        }
        if halted.is_empty() { Err("no such partition is halted".into()) } else { Ok(halted) }
    }

    fn are_looked_at(&mut self, gaps: &[(Index, Gap)]) -> bool {
        let mut all = true;
        for &(index, _) in gaps {
            let partition = &self.partitions[index];
            let waits = matches!(partition.last_look, Some(LastLook::Due | LastLook::Asked));
            if waits && partition.phase == Phase::Halted && self.is_current(index) {
                all = false;
                self.ask(index);
            }
        }
        all
    }

    fn is_current(&self, index: Index) -> bool {
        let partition = &self.partitions[index];
        self.partitions.find(partition.topic(), partition.number()) == Some(index)
    }

    /// `was` is what was accepted.
    fn accept(&mut self, index: Index, was: &Gap) -> String {
        let is_current = self.is_current(index);
        let partition = &mut self.partitions[index];
        let last_look = partition.last_look.take();
        let (stream, next) = (Arc::clone(&partition.stream), partition.next);
        if !is_current {
            return format!("{stream} was found anew meanwhile. Ask again if it is halted");
        }
        let Some(Halt { gap, beyond }) = partition.halt.clone() else {
            return format!("{stream} goes on at offset {next}: nothing is missing there any more");
        };
        if matches!(gap, Gap::ReadBy(_)) {
            return format!("{stream} stays halted: {gap}. {}", gap.remedy());
        }
        if std::mem::discriminant(&gap) != std::mem::discriminant(was) {
            return format!("{stream} stays halted, for something else by now: {gap}. Ask again");
        }
        if let Some(LastLook::Failed(error)) = last_look {
            return format!(
                "{stream} stays halted: whether that is so still could not be looked at ({error}). \
                 Ask again"
            );
        }
        let Some(beyond) = beyond else {
            return format!(
                "{stream} stays halted: nothing of it is there yet. Ask again when the topic is there"
            );
        };
        let to = beyond.next;
        self.go_beyond(beyond, format!("accepted by an operator: {gap}"));
        format!("{stream} goes on at offset {to}; it stood at {next}. {gap}")
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
