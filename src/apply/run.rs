//! The applier's loop.

use crossbeam_channel::select;

use super::Applier;
use super::guard::{ApplyError, apply};
use super::letters::Letters;
use crate::catalog::{Applied, Durable, Frame, Outcome};
use crate::operation::Body;

/// What woke the applier.
enum Wake {
    Frame(Frame),
    /// One was asked for, goes on, has ended, or may be tried again.
    Checkpoint,
    /// No frame will come any more.
    Ended,
}

impl Applier {
    /// Applies until the frames end, then has a last checkpoint made. An error asks everyone to
    /// stop: the state may be torn, so no checkpoint is made of it.
    pub fn run(mut self) -> Result<(), ApplyError> {
        // A long replay makes one due at once.
        self.pace.want_if_due(&self.catalog);
        self.publish();
        loop {
            match self.wake() {
                Wake::Frame(frame) => {
                    let bytes = frame.bytes;
                    let applied = self.frame(frame);
                    self.publish();
                    if applied.is_err() {
                        self.pace.shutdown().ask();
                        return applied;
                    }
                    self.pace.after_frame(&self.catalog, bytes);
                }
                Wake::Checkpoint => self.pace.want_if_due(&self.catalog),
                Wake::Ended => {
                    self.pace.last(&self.catalog);
                    return Ok(());
                }
            }
        }
    }

    fn publish(&mut self) {
        self.gauges.publish(&self.catalog);
        self.letters.publish(&self.catalog);
    }

    fn wake(&mut self) -> Wake {
        let (answers, retry) = (self.pace.answers(), self.pace.retry());
        select! {
            recv(self.frames) -> frame => frame.map_or(Wake::Ended, Wake::Frame),
            recv(self.asked) -> asked => {
                match asked {
                    Ok(()) => self.pace.ask(&self.catalog),
                    Err(_) => self.asked = crossbeam_channel::never(),
                }
                Wake::Checkpoint
            }
            recv(answers) -> answer => {
                match answer {
                    Ok(answer) => self.pace.answer(&self.catalog, answer),
                    Err(_) => self.pace.abandoned(),
                }
                Wake::Checkpoint
            }
            recv(retry) -> _ => {
                self.pace.rested();
                Wake::Checkpoint
            }
        }
    }

    /// Applies a frame's records, then lets everyone know. On an error, those before it stand.
    fn frame(&mut self, frame: Frame) -> Result<(), ApplyError> {
        let mut replies = Vec::new();
        let mut result = Ok(());
        for Durable { seq, time, position, body, reply } in frame.records {
            let waits = matches!(&body, Body::Message(message) if message.waits);
            let again = matches!(&body, Body::Duplicate);
            let decision = Letters::decision(&self.catalog, &body);
            let record = Applied { seq, time, position: position.clone(), body };
            match apply(&self.catalog, record, &self.reject) {
                Ok(outcome) => {
                    let rejected = self.reject.contains(&seq);
                    let moved = position.as_ref().filter(|_| !again);
                    let letter = decision.is_none() && (rejected || !waits);
                    self.gauges.record(moved, &outcome, letter);
                    match (&decision, &outcome) {
                        (Some(decision), _) => {
                            self.letters.decided(&self.catalog, decision, &outcome);
                        }
                        (None, Outcome::Refused(refusal)) if letter => {
                            self.letters.kept(position.as_ref(), refusal);
                        }
                        _ => {}
                    }
                    replies.extend(reply.map(|reply| (reply, outcome)));
                }
                Err(error) => {
                    result = Err(error);
                    break;
                }
            }
        }
        self.applied.send_replace(self.catalog.applied());
        for (reply, outcome) in replies {
            // A caller that has gone away no longer wants to know.
            let _: Result<(), Outcome> = reply.send(outcome);
        }
        result
    }
}
