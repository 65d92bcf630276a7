//! What a source says about itself: written by the source, read by the API.
//!
//! Promise: reading never stops a source, and what is read is at most one batch old. No
//! promise: that two numbers of one report were taken at the same moment.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;

use crate::position::{Offset, Stream, UnixMillis};

/// The kind of broker behind a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Kafka,
    Embedded,
    Amqp,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum State {
    /// Connecting, or waiting for its topics to exist.
    Starting {
        why: String,
        since: UnixMillis,
    },
    Running,
    /// Nothing is fetched for the moment; it goes on by itself.
    Paused {
        why: String,
        since: UnixMillis,
    },
    /// It stands behind a message that it may not pass until an operator has decided.
    Halted {
        why: String,
        since: UnixMillis,
    },
    Reconnecting {
        since: UnixMillis,
        error: String,
    },
    Stopped,
}

impl State {
    /// All of them, as [`State::name`] gives them.
    pub const NAMES: [&str; 6] =
        ["starting", "running", "paused", "halted", "reconnecting", "stopped"];

    pub fn name(&self) -> &'static str {
        match self {
            State::Starting { .. } => "starting",
            State::Running => "running",
            State::Paused { .. } => "paused",
            State::Halted { .. } => "halted",
            State::Reconnecting { .. } => "reconnecting",
            State::Stopped => "stopped",
        }
    }

    /// Whether what the broker said last of ends and what waits still says something.
    pub fn hears_the_broker(&self) -> bool {
        match self {
            State::Starting { .. } | State::Running | State::Paused { .. } => true,
            State::Halted { .. } | State::Reconnecting { .. } | State::Stopped => false,
        }
    }
}

/// Whether a stream is consumed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum StreamState {
    Running,
    /// The broker does not give it out, again and again; it goes on by itself once it does.
    Unreadable {
        since: UnixMillis,
        error: String,
    },
    /// Needs an operator; the other streams go on.
    Halted {
        why: String,
    },
}

/// Shared by a source and whoever reports about it.
#[derive(Debug)]
pub struct Status {
    source: String,
    kind: Kind,
    state: Mutex<State>,
    commit_error: Mutex<Option<String>>,
    missing: Mutex<BTreeSet<String>>,
    refused: Mutex<BTreeMap<String, String>>,
    other_consumers: AtomicU32,
    blocked: AtomicBool,
    streams: Mutex<BTreeMap<Arc<Stream>, Arc<StreamStatus>>>,
}

const UNKNOWN: i64 = -1;

/// One stream's numbers. Its source writes them once per batch.
#[derive(Debug)]
pub struct StreamStatus {
    state: Mutex<StreamState>,
    messages: AtomicU64,
    received: AtomicI64,
    committed: AtomicI64,
    end: AtomicI64,
    waiting: AtomicI64,
    last_message: AtomicU64,
}

/// A source's status at one moment, as the API prints it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SourceReport {
    pub source: String,
    pub kind: Kind,
    #[serde(flatten)]
    pub state: State,
    /// Why the broker refused the last commit or ack, if it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit_error: Option<String>,
    /// Topics asked for by name that do not exist. They are waited for.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub missing_topics: BTreeSet<String>,
    /// Topics of which the broker says nothing, and why. The others go on.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub refused_topics: BTreeMap<String, String>,
    /// Of a queue: consumers beside this one, if there have been some for a while. Redeliveries
    /// are not recognised exactly then.
    #[serde(skip_serializing_if = "is_zero")]
    pub other_consumers: u32,
    /// The broker, short of memory or disk, takes nothing from publishers. Consuming goes on.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub blocked: bool,
    pub streams: Vec<StreamReport>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StreamReport {
    pub stream: Arc<Stream>,
    #[serde(flatten)]
    pub state: StreamState,
    /// Messages delivered since the process started.
    pub received_messages: u64,
    /// The offset after the last message delivered. A queue has none.
    pub received: Option<Offset>,
    /// The offset committed at the broker. A queue has none.
    pub committed: Option<Offset>,
    /// The broker's end of the partition. A queue has none.
    pub end: Option<Offset>,
    /// Messages that wait in the queue, as it said some seconds ago. A partition has none.
    pub waiting: Option<u64>,
    /// The broker's or the publisher's time of the last message.
    pub last_message_time: Option<UnixMillis>,
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// A panic elsewhere must not hide the status: what is behind these locks is always whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Status {
    pub fn new(source: impl Into<String>, kind: Kind) -> Arc<Status> {
        Arc::new(Status {
            source: source.into(),
            kind,
            state: Mutex::new(State::Starting {
                why: "connecting".into(),
                since: UnixMillis::now(),
            }),
            commit_error: Mutex::new(None),
            missing: Mutex::default(),
            refused: Mutex::default(),
            other_consumers: AtomicU32::new(0),
            blocked: AtomicBool::new(false),
            streams: Mutex::default(),
        })
    }

    pub fn source(&self) -> &str {
        &self.source
    }

    pub fn kind(&self) -> Kind {
        self.kind
    }

    pub fn state(&self) -> State {
        lock(&self.state).clone()
    }

    pub fn set_state(&self, state: State) {
        *lock(&self.state) = state;
    }

    /// It pauses, from now on unless it did before.
    pub fn pause(&self, why: impl fmt::Display) {
        let mut state = lock(&self.state);
        let since = match &*state {
            State::Paused { since, .. } => *since,
            _ => UnixMillis::now(),
        };
        *state = State::Paused { why: why.to_string(), since };
    }

    /// It has not begun to read, from now on unless it did not before.
    pub fn starting(&self, why: impl fmt::Display) {
        let mut state = lock(&self.state);
        let since = match &*state {
            State::Starting { since, .. } => *since,
            _ => UnixMillis::now(),
        };
        *state = State::Starting { why: why.to_string(), since };
    }

    pub fn set_commit_error(&self, error: Option<String>) {
        *lock(&self.commit_error) = error;
    }

    /// The topics that do not exist.
    pub fn set_missing(&self, topics: BTreeSet<String>) {
        *lock(&self.missing) = topics;
    }

    /// The topics that do not exist, and those of which the broker says nothing.
    pub fn unseen(&self) -> (Vec<String>, Vec<String>) {
        let missing = lock(&self.missing).iter().cloned().collect();
        (missing, lock(&self.refused).keys().cloned().collect())
    }

    pub fn set_other_consumers(&self, consumers: u32) {
        self.other_consumers.store(consumers, Ordering::Relaxed);
    }

    /// The topics of which the broker says nothing, and why.
    pub fn set_refused(&self, topics: BTreeMap<String, String>) {
        *lock(&self.refused) = topics;
    }

    /// Why the broker says nothing of this topic, if it does not.
    pub fn refused(&self, topic: &str) -> Option<String> {
        lock(&self.refused).get(topic).cloned()
    }

    pub fn set_blocked(&self, blocked: bool) {
        self.blocked.store(blocked, Ordering::Relaxed);
    }

    /// The numbers of `stream`, made on first use.
    pub fn stream(&self, stream: &Arc<Stream>) -> Arc<StreamStatus> {
        let mut streams = lock(&self.streams);
        Arc::clone(streams.entry(Arc::clone(stream)).or_insert_with(|| {
            Arc::new(StreamStatus {
                state: Mutex::new(StreamState::Running),
                messages: AtomicU64::new(0),
                received: AtomicI64::new(UNKNOWN),
                committed: AtomicI64::new(UNKNOWN),
                end: AtomicI64::new(UNKNOWN),
                waiting: AtomicI64::new(UNKNOWN),
                last_message: AtomicU64::new(0),
            })
        }))
    }

    /// The stream is no longer there.
    pub fn remove(&self, stream: &Stream) {
        lock(&self.streams).remove(stream);
    }

    pub fn report(&self) -> SourceReport {
        let streams = lock(&self.streams);
        let streams = streams.iter().map(|(stream, status)| status.report(stream)).collect();
        SourceReport {
            source: self.source.clone(),
            kind: self.kind,
            state: self.state(),
            commit_error: lock(&self.commit_error).clone(),
            missing_topics: lock(&self.missing).clone(),
            refused_topics: lock(&self.refused).clone(),
            other_consumers: self.other_consumers.load(Ordering::Relaxed),
            blocked: self.blocked.load(Ordering::Relaxed),
            streams,
        }
    }
}

impl StreamStatus {
    pub fn set_state(&self, state: StreamState) {
        *lock(&self.state) = state;
    }

    pub fn received(&self, messages: u64, last: UnixMillis) {
        self.messages.fetch_add(messages, Ordering::Relaxed);
        self.last_message.store(last.0, Ordering::Relaxed);
    }

    pub fn set_received(&self, next: Offset) {
        self.received.store(next.0 as i64, Ordering::Relaxed);
    }

    pub fn set_committed(&self, offset: Offset) {
        self.committed.store(offset.0 as i64, Ordering::Relaxed);
    }

    pub fn set_waiting(&self, messages: u64) {
        self.waiting.store(messages as i64, Ordering::Relaxed);
    }

    pub fn set_end(&self, offset: Offset) {
        self.end.store(offset.0 as i64, Ordering::Relaxed);
    }

    fn report(&self, stream: &Arc<Stream>) -> StreamReport {
        let offset =
            |cell: &AtomicI64| u64::try_from(cell.load(Ordering::Relaxed)).ok().map(Offset);
        let last = self.last_message.load(Ordering::Relaxed);
        StreamReport {
            stream: Arc::clone(stream),
            state: lock(&self.state).clone(),
            received_messages: self.messages.load(Ordering::Relaxed),
            received: offset(&self.received),
            committed: offset(&self.committed),
            end: offset(&self.end),
            waiting: offset(&self.waiting).map(|waiting| waiting.0),
            last_message_time: (last > 0).then_some(UnixMillis(last)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_says_what_was_set_and_leaves_out_what_is_unknown() {
        let status = Status::new("orders", Kind::Kafka);
        let stream = Arc::new(Stream::Partition {
            source: "orders".into(),
            cluster: "c".into(),
            topic: "points".into(),
            topic_id: None,
            partition: 3,
        });
        status.stream(&stream).received(5, UnixMillis(77));
        status.stream(&stream).received(2, UnixMillis(78));
        status.stream(&stream).set_end(Offset(9));
        status.stream(&stream).set_received(Offset(8));
        status.stream(&stream).set_state(StreamState::Halted { why: "a gap".into() });
        let report = serde_json::to_value(status.report()).unwrap();
        assert_eq!(report["state"], "starting");
        assert_eq!(report["streams"][0]["received_messages"], 7);
        assert_eq!(report["streams"][0]["received"], 8);
        assert_eq!(report["streams"][0]["committed"], serde_json::Value::Null);
        assert_eq!(report["streams"][0]["end"], 9);
        assert_eq!(report["streams"][0]["state"], "halted");
        assert_eq!(report["streams"][0]["why"], "a gap");
        assert_eq!(report["streams"][0]["last_message_time"], 78);
    }

    #[test]
    fn every_state_is_among_the_names_as_it_is_printed() {
        let (since, text) = (UnixMillis(1), String::new());
        let states = [
            State::Starting { why: text.clone(), since },
            State::Running,
            State::Paused { why: text.clone(), since },
            State::Halted { why: text.clone(), since },
            State::Reconnecting { since, error: text },
            State::Stopped,
        ];
        for state in &states {
            assert_eq!(serde_json::to_value(state).unwrap()["state"], state.name());
        }
        assert_eq!(states.each_ref().map(State::name), State::NAMES);
    }
}
