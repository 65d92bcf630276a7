//! Partitions that stand still before their end, and what was found out about them.

use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer;
use rdkafka::types::RDKafkaErrorCode;

use super::consume::Consume;
use super::partitions::{Doubt, LastLook, Partition, Phase};
use super::pending::{Entry, Index};
use super::place::{Beyond, Gap, Halt, gap_at};
use super::probe::{Answer, Between, Question, Unanswered, is_refusal};
use crate::position::Offset;

/// Beside the first fetch of a stalled partition: how much longer the second one is given, in
/// stall timeouts.
const SECOND_FETCH_TIMEOUTS: u32 = 2;
/// A question that could not be answered is asked again.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(5);
/// Who found the log too short may lag behind: it is looked at once more after so long.
const CONFIRM_CUT_AFTER: Duration = Duration::from_secs(1);
/// What is halted at a cut is read, each time with a new client: whether it was cut once more.
const LOOK_AT_CUT_EVERY: Duration = Duration::from_secs(60);
/// A partition that could not be looked at so often, one time after the other, cannot be read.
pub(super) const FAILURES_MAX: u32 = 3;
/// A damaged batch is fetched again and again, and complained about each time.
const TELL_DAMAGE_EVERY: Duration = Duration::from_secs(60);

impl Consume {
    /// Takes over the ends that librdkafka tells, and asks about partitions that stand still
    /// before theirs.
    pub(super) fn take_ends(&mut self) {
        let Some(ends) = self.consumer.context().take_ends() else { return };
        let blocked = self.refused.is_some() || self.intake.paused;
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
                partition.refetched = None;
            } else if ahead
                || self.suspicious > 0
                || partition.doubt.is_some()
                || is_idle(partition, self.settings.stall_timeout)
            {
                self.ask(index);
            }
        }
        if !blocked {
            self.suspicious = self.suspicious.saturating_sub(1);
        }
    }

    pub(super) fn ask(&mut self, index: Index) {
        let partition = &mut self.partitions[index];
        let is_last_look = partition.last_look == Some(LastLook::Due);
        let again_after = match (partition.failures, partition.found_cut) {
            (0, false) => Duration::ZERO,
            (0, true) => CONFIRM_CUT_AFTER,
            _ => ASK_AGAIN_AFTER,
        };
        let recently = |at: Option<Instant>| at.is_some_and(|at| at.elapsed() < again_after);
        // Every question is answered, one way or the other.
        if partition.asked || (!is_last_look && recently(partition.looked_at)) {
            return;
        }
        let in_full = partition.is_cut() || is_last_look;
        let question = Question {
            topic: partition.topic().to_owned(),
            partition: partition.number(),
            next: partition.next,
            epoch: partition.epoch(),
            suspect: self.suspicious > 0 || partition.doubt.is_some() || in_full,
            ends_only: partition.phase == Phase::Halted && !in_full,
        };
        // Without room it is asked later.
        partition.asked =
            self.questions.as_ref().is_some_and(|asker| asker.try_send(question).is_ok());
        if is_last_look && partition.asked {
            partition.last_look = Some(LastLook::Asked);
        }
    }

    pub(super) fn ask_about_doubtful(&mut self) {
        let current: Vec<Index> = self
            .partitions
            .current()
            .filter(|&index| {
                let partition = &self.partitions[index];
                match partition.phase {
                    Phase::Doubtful => true,
                    // Nothing is fetched that would tell its end.
                    Phase::Halted => {
                        let stall_timeout = self.settings.stall_timeout;
                        let again_after = match partition.is_cut() {
                            true => stall_timeout.max(LOOK_AT_CUT_EVERY),
                            false => stall_timeout,
                        };
                        partition.looked_at.is_none_or(|at| at.elapsed() >= again_after)
                    }
                    Phase::Starting { .. } | Phase::Running => false,
                }
            })
            .collect();
        for index in current {
            self.ask(index);
        }
    }

    /// Nothing more of it is taken before somebody has looked.
    pub(super) fn doubt(&mut self, index: Index, doubt: Doubt) {
        let partition = &mut self.partitions[index];
        partition.phase = Phase::Doubtful;
        partition.doubt = Some(doubt);
        self.unfetch(index);
        self.ask(index);
    }

    /// The client does not say in which partition, and goes on behind it: from now on a hole in
    /// any of them is looked into before anything behind it is taken.
    pub(super) fn damaged_somewhere(&mut self, code: RDKafkaErrorCode, reason: &str) {
        let current: Vec<Index> = self.partitions.current().collect();
        for index in current {
            let partition = &mut self.partitions[index];
            if partition.phase == Phase::Running && partition.doubt.is_none() {
                partition.doubt = Some(Doubt::Hole);
            }
        }
        if self.damage_told.is_none_or(|told| told.elapsed() >= TELL_DAMAGE_EVERY) {
            self.damage_told = Some(Instant::now());
            tracing::error!(source = self.name, %code, reason,
                "something that the broker has cannot be read; looking where");
        }
    }

    pub(super) fn looked(&mut self, answer: Answer) {
        let Answer { question, low, high, between } = answer;
        let Some(index) = self.partitions.find(&question.topic, question.partition) else {
            return;
        };
        let partition = &mut self.partitions[index];
        partition.asked = false;
        partition.looked_at = Some(Instant::now());
        if partition.show_readable() {
            tracing::info!(source = self.name, stream = %partition.stream, "it can be read again");
        }
        if partition.phase == Phase::Halted {
            partition.show_end(Offset(high));
            return self.looked_at_halted(index, &question, (low, high), between);
        }
        let (next, doubt) = (partition.next, partition.doubt);
        let waits = match partition.phase {
            Phase::Doubtful => true,
            // It is about to go on.
            Phase::Running => self.refused.is_none(),
            Phase::Starting { .. } | Phase::Halted => false,
        };
        // It went on meanwhile, or there is more to ask.
        if !waits || next != question.next || (doubt.is_some() && !question.suspect) {
            return;
        }
        let expected = next.0;
        let gap = gap_found(next, (low, high), between).or_else(|| {
            (doubt == Some(Doubt::Epoch)).then_some(Gap::Rewritten { expected, at: expected })
        });
        if matches!(gap, Some(Gap::Cut { .. }))
            && !std::mem::replace(&mut partition.found_cut, true)
        {
            tracing::warn!(source = self.name, stream = %partition.stream, %next, high,
                "the log ends before our position; looking once more");
            return match partition.phase {
                Phase::Doubtful => {}
                _ => self.doubt(index, Doubt::Cut),
            };
        }
        partition.found_cut = false;
        match (gap, between) {
            (Some(gap), _) => self.running_gap(index, &gap, Offset(high)),
            (None, Between::Messages) => self.has_messages(index),
            (None, Between::Nothing | Between::NotAsked) => {
                if between == Between::Nothing && high > expected {
                    partition.pass(Offset(high));
                    partition.set_end(Offset(high));
                    self.pending.enter(index, Offset(high), None, Entry::Moved { why: None });
                }
                let partition = &mut self.partitions[index];
                if partition.phase == Phase::Doubtful {
                    partition.run();
                    self.fetch(&[index]);
                } else {
                    partition.doubt = None;
                }
            }
            (None, Between::Rewritten { .. } | Between::Damaged { .. }) => {}
        }
    }

    /// What was cut may be cut once more before anybody accepts that: further back. Or what was
    /// missing is there again.
    fn looked_at_halted(
        &mut self,
        index: Index,
        question: &Question,
        (low, high): (u64, u64),
        between: Between,
    ) {
        let partition = &mut self.partitions[index];
        if question.ends_only || question.next != partition.next {
            return;
        }
        if partition.last_look == Some(LastLook::Asked) {
            partition.last_look = Some(LastLook::Done);
        }
        let Some(Halt { gap: was, beyond: Some(beyond) }) = &partition.halt else { return };
        let found = gap_found(partition.next, (low, high), between);
        let is_read = matches!(between, Between::Messages | Between::Nothing);
        let halt = match (was, found) {
            (Gap::Cut { .. } | Gap::Rewritten { .. }, found) => match found {
                Some(gap @ (Gap::Cut { .. } | Gap::Rewritten { .. })) => {
                    let further = Beyond::of(&gap, &partition.stream, Offset(high));
                    (further.next < beyond.next).then_some(Halt { gap, beyond: Some(further) })
                }
                // Without an epoch, what is there may be another leader's. And where a message of
                // another leader came, that speaks against what is told now.
                None if is_read && question.epoch.is_some() && beyond.next < partition.next => {
                    return self.is_mended(index);
                }
                _ => None,
            },
            (Gap::Lost { .. } | Gap::Damaged { .. }, None) if is_read => {
                return self.is_mended(index);
            }
            // Who says that it ends before may lag behind.
            (Gap::Lost { .. } | Gap::Damaged { .. }, Some(gap))
                if !matches!(gap, Gap::Cut { .. }) =>
            {
                let beyond = Some(Beyond::of(&gap, &partition.stream, Offset(high)));
                Some(Halt { gap, beyond })
            }
            _ => None,
        };
        if let Some(halt) = halt {
            self.halt(index, halt);
        }
    }

    fn is_mended(&mut self, index: Index) {
        let partition = &mut self.partitions[index];
        tracing::info!(source = self.name, stream = %partition.stream, next = %partition.next,
            "nothing is missing there any more: partition resumed");
        partition.run();
        self.fetch(&[index]);
    }

    /// It could not be looked at.
    pub(super) fn not_looked(&mut self, unanswered: Unanswered) {
        let Unanswered { question, high, error } = unanswered;
        let Some(index) = self.partitions.find(&question.topic, question.partition) else {
            return;
        };
        let partition = &mut self.partitions[index];
        partition.asked = false;
        partition.looked_at = Some(Instant::now());
        if partition.last_look == Some(LastLook::Asked) {
            partition.last_look = Some(LastLook::Failed(error.to_string()));
        }
        if let Some(high) = high {
            match partition.phase {
                Phase::Running => partition.set_end(Offset(high)),
                _ => partition.show_end(Offset(high)),
            }
        }
        // The cluster is away, and that is told; what is halted is told too.
        let is_away = self.away.is_some();
        if is_away || partition.phase == Phase::Halted || partition.next != question.next {
            return;
        }
        partition.failures = partition.failures.saturating_add(1);
        if partition.failures < FAILURES_MAX {
            return;
        }
        if partition.failing_since.is_none() {
            tracing::error!(source = self.name, stream = %partition.stream, next = %partition.next,
                %error, "the partition cannot be read; trying again");
        }
        // Of a topic that is refused the client only knows that it has no partitions.
        let refused = self.wiring.status.refused(partition.topic());
        let is_refused = refused.is_some() || error.rdkafka_error_code().is_some_and(is_refusal);
        partition.show_unreadable(refused.unwrap_or_else(|| error.to_string()));
        let fetches = partition.phase == Phase::Running && partition.doubt.is_none();
        if fetches && !is_refused {
            self.has_messages(index);
        }
    }

    /// There are messages, and nothing is missing before them.
    fn has_messages(&mut self, index: Index) {
        let partition = &mut self.partitions[index];
        let (stream, next) = (&partition.stream, partition.next);
        if partition.phase == Phase::Doubtful {
            partition.run();
            return self.fetch(&[index]);
        }
        partition.doubt = None;
        let timeout = self.settings.stall_timeout;
        if let Some(refetched) = partition.refetched {
            if refetched.elapsed() >= timeout * SECOND_FETCH_TIMEOUTS {
                self.broken = Some(format!("{stream} stands still at {next} before its end"));
            }
            return;
        }
        // A slow broker needs no second fetch beside its first.
        if partition.stands.is_none_or(|(_, since)| since.elapsed() < timeout) {
            return;
        }
        tracing::warn!(source = self.name, %stream, %next,
            "the partition stands still before its end; fetching it anew");
        partition.refetched = Some(Instant::now());
        self.unfetch(index);
        self.fetch(&[index]);
    }
}

/// What a look says is missing at `next`.
fn gap_found(next: Offset, (low, high): (u64, u64), between: Between) -> Option<Gap> {
    let expected = next.0;
    match (gap_at(next, low, high), between) {
        (Some(gap @ Gap::Lost { .. }), _) => Some(gap),
        (_, Between::Rewritten { at }) => Some(Gap::Rewritten { expected, at }),
        (Some(gap), _) => Some(gap),
        (None, Between::Damaged { readable }) => Some(Gap::Damaged { expected, readable }),
        (None, _) => None,
    }
}

/// A fetch that got lost tells no new end: a partition that has stood still for long is looked at
/// all the same, now and then.
fn is_idle(partition: &Partition, timeout: Duration) -> bool {
    let long_ago = |at: Option<Instant>| at.is_none_or(|at| at.elapsed() >= timeout);
    long_ago(partition.stands.map(|(_, since)| since)) && long_ago(partition.looked_at)
}
