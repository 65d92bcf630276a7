//! How forwarding stands, for whoever asks.

use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;

use crate::position::{Seq, UnixMillis};

/// Written by the forwarder, read by the API.
#[derive(Debug)]
pub struct Status(Mutex<Shown>);

#[derive(Clone, Debug, Serialize)]
struct Shown {
    /// In words.
    target: String,
    state: State,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failing_since: Option<UnixMillis>,
    /// Every letter up to here that is to be forwarded has been.
    cursor: Seq,
    pending: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum State {
    Idle,
    Forwarding,
    Failing,
    Stopped,
}

impl Status {
    pub fn new(target: String, cursor: Seq) -> Status {
        Status(Mutex::new(Shown {
            target,
            // Not before it has looked.
            state: State::Forwarding,
            error: None,
            failing_since: None,
            cursor,
            pending: 0,
        }))
    }

    /// As the API prints it.
    pub fn to_json(&self) -> serde_json::Value {
        // Words and numbers always print.
        serde_json::to_value(&*self.shown()).unwrap_or_default()
    }

    fn shown(&self) -> MutexGuard<'_, Shown> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_well(&self, state: State) {
        let mut shown = self.shown();
        (shown.state, shown.error, shown.failing_since) = (state, None, None);
    }

    pub(super) fn idle(&self) {
        self.set_well(State::Idle);
    }

    pub(super) fn stopped(&self) {
        self.set_well(State::Stopped);
    }

    /// A failure stays shown until an attempt has gone well.
    pub(super) fn forwarding(&self) {
        let mut shown = self.shown();
        if shown.state != State::Failing {
            shown.state = State::Forwarding;
        }
    }

    /// True if it is news.
    pub(super) fn failing(&self, error: &str) -> bool {
        let mut shown = self.shown();
        let news = shown.error.as_deref() != Some(error);
        shown.state = State::Failing;
        shown.error = Some(error.to_owned());
        shown.failing_since.get_or_insert_with(UnixMillis::now);
        news
    }

    pub(super) fn set_cursor(&self, cursor: Seq) {
        self.shown().cursor = cursor;
    }

    pub(super) fn set_pending(&self, pending: usize) {
        self.shown().pending = pending;
    }
}
