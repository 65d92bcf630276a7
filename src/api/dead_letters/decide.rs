//! `POST /dead-letters/redrive` and `POST /dead-letters/drop`.

use std::sync::Arc;

use axum::extract::State;
use bytes::Bytes;
use serde::Serialize;
use tokio::time::Instant;

use super::super::answer::Answer;
use super::super::body::{Json, Params};
use super::super::error::ApiError;
use super::super::writes::{WriteError, Written};
use super::super::{Context, Deadline, Shared};
use super::Redecode;
use super::select::{DecisionBody, Meant};
use super::view::Content;
use crate::catalog::{DeadLetter, Outcome};
use crate::operation::{Body, Message, Original, Reason, Redrive, Refusal, decode_written};
use crate::position::Seq;

/// Attempts that are decoded and on their way to the log at the same time.
const ATTEMPTS_AT_ONCE: usize = 64;
/// And the bytes of their letters; one that is larger is alone.
const ATTEMPT_BYTES_MAX: u64 = 8 << 20;

#[derive(Serialize)]
struct Decisions {
    letters: Vec<Decided>,
    /// Where to go on: what the request means from there on was not tried.
    next_page_offset: Option<Seq>,
}

/// What became of one letter.
#[derive(Serialize)]
struct Decided {
    seq: Seq,
    status: Fate,
    #[serde(skip_serializing_if = "Option::is_none")]
    operation_id: Option<Seq>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<Reason>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
}

#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
enum Fate {
    /// It is no letter any more.
    Applied,
    /// It is a letter still, with its new reason.
    Refused,
    Dropped,
    /// It was none any more.
    Gone,
    /// Durable, and not applied within the time of the request.
    Acknowledged,
    /// Not durable within the time of the request, and on its way to the log all the same: what
    /// becomes of it shows later.
    Unknown,
    /// The log had no room for it: nothing has changed.
    NotTaken,
    WouldApply,
    WouldBeRefused,
    WouldDrop,
}

/// What is tried of one letter.
type Attempt = Result<Message, Refusal>;

pub(in super::super) async fn redrive(
    State(shared): Context,
    params: Params,
    Json { mut body, .. }: Json<DecisionBody>,
) -> Result<Answer, ApiError> {
    let deadline = shared.deadline(params.timeout_seconds());
    let (letters, mut next_page_offset) = body.select(&shared)?;
    let mended = match &body.value {
        Some(value) => {
            value.bytes().map_err(|what| ApiError::validation("value", what))?;
            Some(Arc::new(value.clone()))
        }
        None => None,
    };
    let mut decided = Vec::with_capacity(letters.len());
    let mut rest = &letters[..];
    while let Some((first, _)) = rest.first() {
        let turn = tokio::time::timeout_at(deadline.at, shared.redrives.acquire()).await;
        if turn.is_err() || Instant::now() >= deadline.at || shared.doors.shutdown.is_asked() {
            next_page_offset = Some(*first);
            break;
        }
        let (chunk, behind) = rest.split_at(at_once(rest));
        rest = behind;
        let attempts = shared.attempts(chunk.to_vec(), mended.clone()).await?;
        match body.dry_run {
            true => decided.extend(attempts.into_iter().map(|it| shared.foresee(it))),
            false => shared.carry_out(attempts, deadline, &mut decided).await,
        }
    }
    let decisions = Decisions { letters: decided, next_page_offset };
    Answer::of(&decisions, shared.settings.answer_bytes_max)
}

pub(in super::super) async fn drop(
    State(shared): Context,
    params: Params,
    Json { mut body, .. }: Json<DecisionBody>,
) -> Result<Answer, ApiError> {
    if body.value.is_some() {
        return Err(ApiError::validation("value", "what is dropped takes no value"));
    }
    let deadline = shared.deadline(params.timeout_seconds());
    let (letters, next_page_offset) = body.select(&shared)?;
    let there = |(_, letter): &&Meant| letter.is_some();
    let seqs: Vec<Seq> = letters.iter().filter(there).map(|(seq, _)| *seq).collect();
    let (fate, operation_id) = match (body.dry_run, seqs.is_empty()) {
        (true, _) => (Fate::WouldDrop, None),
        (false, true) => (Fate::Gone, None),
        // One record: all of them, or none.
        (false, false) => {
            let written = shared.doors.writes.decide(Body::DropLetters(seqs));
            let written = tokio::time::timeout_at(deadline.at, written).await;
            let late = |_| ApiError::WriteTimeout { allowed: deadline.allowed };
            let written = written.map_err(late)??;
            let seq = written.seq;
            let fate = match shared.outcome(written, deadline).await {
                None => Fate::Acknowledged,
                Some(_) => Fate::Dropped,
            };
            (fate, Some(seq))
        }
    };
    let decided = letters.into_iter().map(|(seq, letter)| match letter {
        Some(_) => Decided { operation_id, ..Decided::of(seq, fate) },
        None => Decided::of(seq, Fate::Gone),
    });
    let decisions = Decisions { letters: decided.collect(), next_page_offset };
    Answer::of(&decisions, shared.settings.answer_bytes_max)
}

impl Decided {
    fn of(seq: Seq, status: Fate) -> Decided {
        Decided { seq, status, operation_id: None, reason: None, detail: None }
    }

    fn refused(seq: Seq, status: Fate, refusal: Refusal) -> Decided {
        let (reason, detail) = (Some(refusal.reason), Some(refusal.detail));
        Decided { reason, detail, ..Decided::of(seq, status) }
    }
}

impl Shared {
    /// Decodes on a thread of its own, as reads do. `None` for those that are gone.
    async fn attempts(
        &self,
        letters: Vec<Meant>,
        mended: Option<Arc<Content>>,
    ) -> Result<Vec<(Seq, Option<Attempt>)>, ApiError> {
        let redecode = Arc::clone(&self.doors.redecode);
        let work = move || {
            let each = letters.into_iter().map(|(seq, letter)| {
                let attempt = letter.map(|letter| attempt(&redecode, &letter, mended.as_deref()));
                (seq, attempt)
            });
            each.collect()
        };
        let done = tokio::task::spawn_blocking(work).await;
        done.map_err(|error| ApiError::Broken(format!("decoding ended early: {error}")))
    }

    fn foresee(&self, (seq, attempt): (Seq, Option<Attempt>)) -> Decided {
        let Some(attempt) = attempt else { return Decided::of(seq, Fate::Gone) };
        match attempt.and_then(|message| self.doors.catalog.check(&message)) {
            Ok(()) => Decided::of(seq, Fate::WouldApply),
            Err(refusal) => Decided::refused(seq, Fate::WouldBeRefused, refusal),
        }
    }

    /// Puts all of them into the log's queue, then hears what became of each.
    async fn carry_out(
        &self,
        attempts: Vec<(Seq, Option<Attempt>)>,
        deadline: Deadline,
        decided: &mut Vec<Decided>,
    ) {
        let submit = |(letter, attempt): (Seq, Option<Attempt>)| {
            let redrive = |attempt| Body::Redrive(Redrive { letter, attempt });
            (letter, attempt.map(|attempt| self.doors.writes.decide(redrive(attempt))))
        };
        let submitted: Vec<_> = attempts.into_iter().map(submit).collect();
        for (seq, written) in submitted {
            let Some(written) = written else {
                decided.push(Decided::of(seq, Fate::Gone));
                continue;
            };
            let one = match tokio::time::timeout_at(deadline.at, written).await {
                Ok(Ok(written)) => self.told(seq, written, deadline).await,
                Ok(Err(error)) => not_taken(seq, &error),
                // It is in the queue, and not durable yet.
                Err(_) => Decided::of(seq, Fate::Unknown),
            };
            decided.push(one);
        }
    }

    async fn told(&self, letter: Seq, written: Written, deadline: Deadline) -> Decided {
        let operation_id = Some(written.seq);
        let one = match self.outcome(written, deadline).await {
            None => Decided::of(letter, Fate::Acknowledged),
            Some(Outcome::Applied) => Decided::of(letter, Fate::Applied),
            Some(Outcome::Nothing) => Decided::of(letter, Fate::Gone),
            Some(Outcome::Refused(refusal)) => Decided::refused(letter, Fate::Refused, refusal),
        };
        Decided { operation_id, ..one }
    }

    /// `None` if it is not known within the time.
    async fn outcome(&self, written: Written, deadline: Deadline) -> Option<Outcome> {
        let told = tokio::time::timeout_at(deadline.at, written.outcome?);
        tokio::select! {
            told = told => told.ok()?.ok(),
            // The applier may stop before this record's turn; the log has it.
            () = self.doors.shutdown.asked() => None,
        }
    }
}

/// How many of the first letters are tried together.
fn at_once(letters: &[Meant]) -> usize {
    let mut bytes = 0;
    let fits = |(_, letter): &&Meant| {
        bytes += letter.as_ref().map_or(0, |letter| letter.bytes());
        bytes <= ATTEMPT_BYTES_MAX
    };
    letters.iter().take(ATTEMPTS_AT_ONCE).take_while(fits).count().max(1)
}

fn not_taken(seq: Seq, error: &WriteError) -> Decided {
    Decided { detail: Some(error.to_string()), ..Decided::of(seq, Fate::NotTaken) }
}

/// A text that mends is a JSON message, whatever the letter's headers say of its own value; bytes
/// that mend are of the kind that the headers say.
fn attempt(redecode: &Redecode, letter: &DeadLetter, mended: Option<&Content>) -> Attempt {
    let stream = letter.position.as_ref().map(|position| &*position.stream);
    let Some(mended) = mended else {
        if letter.rewritten {
            let text = std::str::from_utf8(letter.original.value.as_deref().unwrap_or_default());
            let text = text.map_err(|error| Refusal::new(Reason::NotUtf8, error.to_string()))?;
            return decode_written(text);
        }
        return redecode(stream, &letter.original, false);
    };
    let invalid = |what| Refusal::new(Reason::InvalidMessage, what);
    let value = Some(mended.bytes().map_err(invalid)?);
    let mut original = Original { value, ..letter.original.clone() };
    if let Content::Text(_) = mended {
        let of_value = ["content-type", "content-encoding", "type"];
        original.headers.retain(|(name, _)| !of_value.contains(&name.to_lowercase().as_str()));
        let json = Bytes::from_static(b"application/json");
        original.headers.push(("content-type".to_owned(), json));
    }
    redecode(stream, &original, matches!(mended, Content::Text(_)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::position::UnixMillis;

    #[test]
    fn letters_are_tried_together_within_a_bound_and_one_at_least() {
        let letter = |seq, mebibytes: usize| {
            let letter = DeadLetter {
                seq: Seq(seq),
                time: UnixMillis(1),
                position: None,
                refusal: Refusal::new(Reason::NotJson, "why"),
                original: Original::of(vec![7; mebibytes << 20]),
                collection: None,
                rewritten: true,
                redrives: 0,
                redriven_at: None,
            };
            (Seq(seq), Some(Arc::new(letter)))
        };
        assert_eq!(at_once(&[letter(1, 3), letter(2, 3), letter(3, 3), letter(4, 3)]), 2);
        assert_eq!(at_once(&[letter(1, 9), letter(2, 0)]), 1);
        let gone: Vec<Meant> = (0..100).map(|seq| (Seq(seq), None)).collect();
        assert_eq!(at_once(&gone), ATTEMPTS_AT_ONCE);
    }
}
