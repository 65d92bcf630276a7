//! Places of a message: ours (the [`Seq`]) and the broker's (the [`Position`]).

mod codec;

use std::fmt;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use codec::InvalidPosition;

/// Our place of a message: its number in the log, counted from 1. The API's `operation_id`.
/// 0 stands before the first message.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Seq(pub u64);

impl Seq {
    pub fn next(self) -> Seq {
        Seq(self.0 + 1)
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UnixMillis(pub u64);

impl UnixMillis {
    /// A time such as `2026-01-31T12:00:00Z`; `None` if it is none, or lies before 1970.
    pub fn parse(text: &str) -> Option<Self> {
        let time = humantime_serde::re::humantime::parse_rfc3339_weak(text).ok()?;
        let since = time.duration_since(UNIX_EPOCH).ok()?;
        Some(UnixMillis(since.as_millis() as u64))
    }

    pub fn now() -> Self {
        let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        UnixMillis(elapsed.as_millis() as u64)
    }
}

/// The offset a Kafka partition's next message has. Not a [`Seq`].
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Offset(pub u64);

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Something messages come from in one order: a partition of a topic, or a queue.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Stream {
    Partition {
        /// The source's name in the configuration.
        source: String,
        /// The broker cluster's own id: offsets mean nothing in another cluster.
        cluster: String,
        topic: String,
        /// Kafka's topic id, where the broker tells one: a topic deleted and created again
        /// under its old name has another.
        topic_id: Option<Uuid>,
        partition: i32,
    },
    Queue {
        source: String,
        /// A slash and the virtual host. Before that, earlier versions had the host list as
        /// configured: see [`Stream::without_nodes`].
        cluster: String,
        queue: String,
    },
}

impl Stream {
    pub fn source(&self) -> &str {
        match self {
            Stream::Partition { source, .. } | Stream::Queue { source, .. } => source,
        }
    }

    /// Positions of two clusters have nothing to do with each other.
    pub fn cluster(&self) -> &str {
        match self {
            Stream::Partition { cluster, .. } | Stream::Queue { cluster, .. } => cluster,
        }
    }

    /// The topic or queue.
    pub fn name(&self) -> &str {
        match self {
            Stream::Partition { topic, .. } => topic,
            Stream::Queue { queue, .. } => queue,
        }
    }

    /// A queue under the name it has now, where an earlier version had the addresses of its
    /// broker's nodes in it. Those hold no slash.
    pub fn without_nodes(&self) -> Option<Stream> {
        match self {
            Stream::Queue { source, cluster, queue } if !cluster.starts_with('/') => {
                let vhost = &cluster[cluster.find('/')?..];
                let (source, queue) = (source.clone(), queue.clone());
                Some(Stream::Queue { source, cluster: vhost.to_owned(), queue })
            }
            _ => None,
        }
    }

    /// The partition's topic; a queue is of none.
    pub fn topic(&self) -> Option<&str> {
        match self {
            Stream::Partition { topic, .. } => Some(topic),
            Stream::Queue { .. } => None,
        }
    }

    /// The partition's number; a queue has none.
    pub fn partition(&self) -> Option<i32> {
        match self {
            Stream::Partition { partition, .. } => Some(*partition),
            Stream::Queue { .. } => None,
        }
    }
}

impl fmt::Display for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Stream::Partition { topic, partition, .. } => write!(f, "{topic}/{partition}"),
            Stream::Queue { queue, .. } => f.write_str(queue),
        }
    }
}

/// Where in its stream a message stands.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mark {
    /// The offset *after* the message: where consumption goes on.
    Next(Offset),
    /// A queue has no offsets; a delivery is recognised by what it says.
    Fingerprint(Fingerprint),
}

/// What a queue's delivery is recognised by when it comes again.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Fingerprint {
    /// xxh3, 128 bits, of the body. 32 hexadecimal digits in JSON, where many readers keep no
    /// more than 53 bits of a number.
    #[serde(with = "hex_u128")]
    pub body: u128,
    /// The publisher's `message-id` property, if it set one.
    pub message_id: Option<String>,
}

mod hex_u128 {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(number: &u128, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{number:032x}"))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u128, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        u128::from_str_radix(&text, 16).map_err(D::Error::custom)
    }
}

/// The broker's place of a message. Streams are shared: a million positions of one partition
/// hold one copy of its names.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Position {
    pub stream: Arc<Stream>,
    pub mark: Mark,
    /// Of a Kafka message: the epoch of the leader that had it. An offset that an older leader
    /// gave and a newer one does not know was cut off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leader_epoch: Option<i32>,
    /// What a message with an offset is recognised by when its publisher sends it again; there
    /// only where its source looks for such. A queue's message has it in its mark.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<Fingerprint>,
}

impl Position {
    pub fn new(stream: Arc<Stream>, mark: Mark) -> Self {
        Position { stream, mark, leader_epoch: None, identity: None }
    }

    /// What the message is recognised by, if it is by anything.
    pub fn fingerprint(&self) -> Option<&Fingerprint> {
        match &self.mark {
            Mark::Fingerprint(print) => Some(print),
            Mark::Next(_) => self.identity.as_ref(),
        }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.mark {
            Mark::Next(offset) => write!(f, "{} next {offset}", self.stream),
            Mark::Fingerprint(print) => write!(f, "{} body {:032x}", self.stream, print.body),
        }
    }
}
