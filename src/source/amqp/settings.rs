//! How an AMQP source is configured.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use lapin::uri::AMQPUri;
use serde::{Deserialize, Serialize};

use super::StreamStart;
use super::access::{Access, AccessError};
use crate::source::GapPolicy;

/// As many deliveries of a queue the log remembers.
const PREFETCH_MAX: u16 = 4096;

/// Quorum queues allow no more.
const QUORUM_PREFETCH_MAX: u16 = 2000;

/// One RabbitMQ queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AmqpSettings {
    /// `amqp://user:password@host:port/vhost`, or `amqps://…` for TLS. The default virtual
    /// host is `%2f`.
    pub url: Url,
    /// Addresses of the cluster's nodes, `host` or `host:port`, tried in turn with the
    /// credentials and the virtual host of `url`. Default: the host of `url` alone.
    #[serde(default)]
    pub hosts: Vec<String>,
    /// The queue to read. Deliveries that come again are recognised exactly as long as this
    /// source is the queue's only active consumer.
    pub queue: String,
    /// The most messages the broker delivers ahead of our acks. At most 4096, and 2000 for a
    /// quorum queue. Default: 1000.
    #[serde(default = "default_prefetch")]
    pub prefetch: u16,
    /// `passive`: the queue must exist. `durable`: a durable classic queue is declared.
    /// `quorum`: a quorum queue is declared. `stream`: a stream is. Default: `passive`.
    #[serde(default)]
    pub declare: Declare,
    /// The queue is a stream. With `declare = "stream"` it is in any case. Default: false.
    #[serde(default)]
    pub stream: bool,
    /// Where a stream begins that was never read. Default: `first`.
    #[serde(default)]
    pub start: StreamStart,
    /// What to do when messages of a stream between our offset and its beginning are gone.
    /// Default: `halt`.
    #[serde(default)]
    pub gap: GapPolicy,
    /// How often the connection must show signs of life; after twice as long without one it is
    /// given up. Whole seconds. Default: `30s`.
    #[serde(default = "default_heartbeat", with = "humantime_serde")]
    pub heartbeat: Duration,
    /// PEM: certificates to trust beside the system's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// PEM: the certificate to show the broker, and its key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cert_file: Option<PathBuf>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_file: Option<PathBuf>,
    /// The most messages in a batch. Default: 512.
    #[serde(default = "default_batch_messages_max")]
    pub batch_messages_max: usize,
    /// The most bytes of bodies in a batch; one larger message is a batch of its own.
    /// Default: 1048576.
    #[serde(default = "default_batch_bytes_max")]
    pub batch_bytes_max: usize,
    /// The longest wait between two attempts to connect; the first is a hundredth of it, each
    /// further one twice the last, with some chance mixed in. Default: `30s`.
    #[serde(default = "default_reconnect_max", with = "humantime_serde")]
    pub reconnect_max: Duration,
}

fn default_prefetch() -> u16 {
    1000
}

fn default_batch_messages_max() -> usize {
    512
}

fn default_batch_bytes_max() -> usize {
    1 << 20
}

fn default_heartbeat() -> Duration {
    Duration::from_secs(30)
}

fn default_reconnect_max() -> Duration {
    Duration::from_secs(30)
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Declare {
    #[default]
    Passive,
    Durable,
    Quorum,
    Stream,
}

/// It holds a password, so it is not printed; who prints what serialises it masks that.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Url(pub String);

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(url)")
    }
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAmqpSettings {
    #[error("`url` is not an AMQP address such as `amqp://user:password@host:5672/%2f`: {0}")]
    Url(String),
    #[error("`hosts` names {0:?}: it must be `host` or `host:port`")]
    Host(String),
    #[error("`queue` is empty or longer than 255 bytes")]
    Queue,
    #[error("`{0}` is zero: it must be at least 1")]
    Zero(&'static str),
    #[error("`heartbeat` must be whole seconds, 1 to 3600")]
    Heartbeat,
    #[error("`{0}` is for `amqps://` addresses: the connection is not encrypted")]
    NoTls(&'static str),
    #[error("`cert_file` and `key_file` go together: give both or neither")]
    Identity,
    #[error(
        "`stream = true` and `declare = \"{0}\"` contradict each other: leave one of them out, or \
         give `declare = \"stream\"`"
    )]
    NoStream(&'static str),
    #[error("`start` is where a stream begins: give `stream = true` if the queue is one")]
    Start,
    #[error("`prefetch` is {0}: a quorum queue allows {QUORUM_PREFETCH_MAX} at most")]
    Prefetch(u16),
    #[error(
        "`prefetch` is {0}: at most {PREFETCH_MAX}, which is how many deliveries of a queue are \
         remembered to recognise those that come again"
    )]
    Remembered(u16),
}

impl AmqpSettings {
    /// With every optional field at its default.
    pub fn new(url: &str, queue: &str) -> Self {
        AmqpSettings {
            url: Url(url.into()),
            hosts: Vec::new(),
            queue: queue.into(),
            prefetch: default_prefetch(),
            declare: Declare::default(),
            stream: false,
            start: StreamStart::default(),
            gap: GapPolicy::default(),
            heartbeat: default_heartbeat(),
            ca_file: None,
            cert_file: None,
            key_file: None,
            batch_messages_max: default_batch_messages_max(),
            batch_bytes_max: default_batch_bytes_max(),
            reconnect_max: default_reconnect_max(),
        }
    }

    /// Everything that can be judged without a broker.
    pub fn validate(&self) -> Result<(), InvalidAmqpSettings> {
        use InvalidAmqpSettings::{Heartbeat, NoStream, Prefetch, Queue, Remembered, Start, Zero};
        self.access().validate()?;
        let seconds = self.heartbeat.as_secs();
        if self.heartbeat.subsec_nanos() != 0 || !(1..=3600).contains(&seconds) {
            return Err(Heartbeat);
        }
        if self.queue.is_empty() || self.queue.len() > 255 {
            return Err(Queue);
        }
        let zeros = [
            ("prefetch", self.prefetch == 0),
            ("batch_messages_max", self.batch_messages_max == 0),
            ("batch_bytes_max", self.batch_bytes_max == 0),
            ("reconnect_max", self.reconnect_max.is_zero()),
        ];
        if let Some((name, _)) = zeros.iter().find(|(_, zero)| *zero) {
            return Err(Zero(name));
        }
        match self.declare {
            Declare::Durable if self.stream => return Err(NoStream("durable")),
            Declare::Quorum if self.stream => return Err(NoStream("quorum")),
            _ => {}
        }
        if !self.is_stream() && self.start != StreamStart::default() {
            return Err(Start);
        }
        // A stream's are recognised by their offsets.
        if self.prefetch > PREFETCH_MAX && !self.is_stream() {
            return Err(Remembered(self.prefetch));
        }
        if self.declare == Declare::Quorum && self.prefetch > QUORUM_PREFETCH_MAX {
            return Err(Prefetch(self.prefetch));
        }
        Ok(())
    }

    /// Whether every file that is named can be read.
    pub fn read_files(&self) -> Result<(), AccessError> {
        self.access().read_files()
    }

    pub(super) fn access(&self) -> Access<'_> {
        Access {
            url: &self.url,
            hosts: &self.hosts,
            heartbeat: Some(self.heartbeat),
            ca_file: self.ca_file.as_ref(),
            cert_file: self.cert_file.as_ref(),
            key_file: self.key_file.as_ref(),
        }
    }

    /// Whether both read the same queue, by a node that both name.
    pub fn overlaps(&self, other: &AmqpSettings) -> bool {
        let nodes = |settings: &AmqpSettings| -> Vec<(String, u16, String)> {
            let addresses = settings.access().addresses().unwrap_or_default().into_iter();
            let node =
                |it: AMQPUri| (it.authority.host.to_ascii_lowercase(), it.authority.port, it.vhost);
            addresses.map(node).collect()
        };
        let theirs = nodes(other);
        self.queue == other.queue && nodes(self).iter().any(|node| theirs.contains(node))
    }

    pub(super) fn is_stream(&self) -> bool {
        self.stream || self.declare == Declare::Stream
    }

    /// What a position names: a slash and the virtual host. Nodes come and go, and the protocol
    /// tells no cluster's own name through this client.
    pub(super) fn cluster(&self) -> Result<String, InvalidAmqpSettings> {
        let addresses = self.access().addresses()?;
        Ok(format!("/{}", addresses.first().map_or("/", |node| node.vhost.as_str())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_names_the_virtual_host_and_neither_nodes_nor_credentials() {
        let mut settings = AmqpSettings::new("amqp://me:hush@one:5673/points", "q");
        assert_eq!(settings.cluster().unwrap(), "/points");
        settings.hosts = vec!["two".into(), "three:9".into()];
        assert_eq!(settings.cluster().unwrap(), "/points");
        assert!(!format!("{settings:?}").contains("hush"));
        settings.validate().unwrap();
    }

    #[test]
    fn every_node_is_asked_for_the_heartbeat_but_an_address_may_have_its_own() {
        let mut settings = AmqpSettings::new("amqp://one", "q");
        settings.heartbeat = Duration::from_secs(7);
        settings.hosts = vec!["two".into(), "three".into()];
        let heartbeats = |settings: &AmqpSettings| -> Vec<Option<u16>> {
            settings.access().addresses().unwrap().iter().map(|node| node.query.heartbeat).collect()
        };
        assert_eq!(heartbeats(&settings), [Some(7); 2]);
        settings.url.0 = "amqp://one?heartbeat=3".into();
        assert_eq!(heartbeats(&settings), [Some(3); 2]);
    }

    #[test]
    fn two_that_read_one_queue_overlap() {
        let of = |url: &str, queue: &str| AmqpSettings::new(url, queue);
        let ours = of("amqp://me:hush@one/points", "q");
        let mut third = of("amqp://you@two/points", "q");
        assert!(ours.overlaps(&of("amqp://you@ONE:5672/points", "q")));
        assert!(!ours.overlaps(&third));
        third.hosts = vec!["two".into(), "one".into()];
        assert!(ours.overlaps(&third) && third.overlaps(&ours));
        for other in
            [("amqp://one/points", "r"), ("amqp://one/other", "q"), ("amqp://one:7/points", "q")]
        {
            assert!(!ours.overlaps(&of(other.0, other.1)), "{other:?}");
        }
    }

    #[test]
    fn wrong_settings_are_refused_by_name() {
        let with = |change: fn(&mut AmqpSettings)| {
            let mut settings = AmqpSettings::new("amqp://one", "q");
            change(&mut settings);
            settings.validate().map_err(|error| error.to_string())
        };
        assert_eq!(with(|_| {}), Ok(()));
        let refused = |change, name: &str| {
            let error = with(change).unwrap_err();
            assert!(error.contains(name), "{error}");
        };
        refused(|settings| settings.url = Url("http://one".into()), "url");
        refused(|settings| settings.hosts = vec!["two:port".into()], "two:port");
        refused(|settings| settings.queue.clear(), "queue");
        refused(|settings| settings.prefetch = 0, "prefetch");
        refused(|settings| settings.prefetch = 4097, "4097");
        refused(|settings| settings.start = StreamStart::Next, "`start`");
        for declare in [Declare::Durable, Declare::Quorum] {
            let mut settings = AmqpSettings::new("amqp://one", "q");
            (settings.stream, settings.declare) = (true, declare);
            let error = settings.validate().unwrap_err().to_string();
            assert!(error.contains("contradict"), "{error}");
        }
        for declare in [Declare::Passive, Declare::Stream] {
            let mut settings = AmqpSettings::new("amqp://one", "q");
            (settings.stream, settings.declare) = (true, declare);
            settings.start = StreamStart::Next;
            assert_eq!(settings.validate(), Ok(()));
        }
        refused(|settings| settings.heartbeat = Duration::from_millis(1500), "heartbeat");
        refused(|settings| settings.ca_file = Some("ca.pem".into()), "ca_file");
        refused(|settings| settings.key_file = Some("key.pem".into()), "cert_file");
        refused(
            |settings| {
                settings.declare = Declare::Quorum;
                settings.prefetch = 2001;
            },
            "2001",
        );
    }
}
