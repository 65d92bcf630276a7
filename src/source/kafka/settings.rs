//! How a Kafka source is configured.

use std::collections::BTreeSet;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;
use serde::{Deserialize, Serialize};

use super::client::{ClientFault, check_client, try_consumer};
use super::properties::Properties;
use super::start::Start;
use super::topics::{PATTERN, Wanted};
use crate::source::GapPolicy;

/// One Kafka source.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KafkaSettings {
    /// Where to find the cluster: `host:port`, several separated by commas.
    pub brokers: String,
    /// The topics to read: by name, or by a regular expression that begins with `^` and
    /// matches no topic whose name begins with `__`. All their partitions are read. A topic that
    /// does not exist yet is waited for.
    pub topics: Vec<String>,
    /// The group id under which offsets are committed, for tools that show lag. Nobody else
    /// may be a member of that group. Consumption itself starts from our own position.
    pub group: String,
    /// Where a new source starts, one that the log has no position of: `earliest`, `latest`, a
    /// time such as `2026-01-31T12:00:00Z`, or milliseconds since 1970. Decided once, then
    /// remembered; what appears later is read from its beginning. Default: `earliest`.
    #[serde(default)]
    pub start: Start,
    /// What happens when messages between our position and the broker's log are gone, or the
    /// topic or cluster is another one under the old name: `halt` stops that partition until
    /// an operator decides; `skip` logs it and goes on at the beginning of what is there.
    /// Default: `halt`.
    #[serde(default)]
    pub gap: GapPolicy,
    /// Passed to librdkafka as they are (`security.protocol`, `sasl.password`, …). Those that
    /// would break a promise are refused. Default: none.
    #[serde(default)]
    pub properties: Properties,
    /// How often durable offsets are committed. Default: `1s`.
    #[serde(default = "default_commit_interval", with = "humantime_serde")]
    pub commit_interval: Duration,
    /// How often the cluster is asked for new partitions and topic ids. Default: `10s`.
    #[serde(default = "default_metadata_interval", with = "humantime_serde")]
    pub metadata_interval: Duration,
    /// How long a partition may stand still before its end until it is fetched anew. If that
    /// has not helped after twice as long again, the client is given up for a new one. Default:
    /// `10s`.
    #[serde(default = "default_stall_timeout", with = "humantime_serde")]
    pub stall_timeout: Duration,
    /// The most messages in a batch. Default: 512.
    #[serde(default = "default_batch_messages_max")]
    pub batch_messages_max: usize,
    /// The most bytes of keys, values and headers in a batch; one larger message is a batch of
    /// its own. Default: 1048576.
    #[serde(default = "default_batch_bytes_max")]
    pub batch_bytes_max: usize,
}

fn default_commit_interval() -> Duration {
    Duration::from_secs(1)
}

fn default_metadata_interval() -> Duration {
    Duration::from_secs(10)
}

fn default_stall_timeout() -> Duration {
    Duration::from_secs(10)
}

fn default_batch_messages_max() -> usize {
    512
}

fn default_batch_bytes_max() -> usize {
    1 << 20
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKafkaSettings {
    #[error("`{0}` is empty")]
    Empty(&'static str),
    #[error("`topics` names {0:?} twice")]
    Twice(String),
    #[error("`topics` has a pattern that is no regular expression: {0}")]
    Pattern(String),
    #[error("`{0}` is zero: it must be at least 1")]
    Zero(&'static str),
    #[error("`properties` may not set {name:?}: {reason}")]
    Refused { name: String, reason: &'static str },
    #[error("librdkafka refuses the properties: {0}")]
    Client(String),
}

/// How often librdkafka tells the ends of the partitions it fetches.
const STATISTICS_INTERVAL_MS: &str = "500";

/// Properties that are ours to set, and why.
const OURS: &[(&str, &str)] = &[
    ("group.id", "set `group` instead"),
    ("enable.auto.commit", "an offset is committed only when its message is durable"),
    ("auto.commit.enable", "an offset is committed only when its message is durable"),
    ("auto.commit.interval.ms", "set `commit_interval` instead"),
    ("enable.auto.offset.store", "an offset is committed only when its message is durable"),
    ("auto.offset.reset", "a missing offset must be reported, never reset in silence"),
    ("enable.partition.eof", "ends are watched by other means"),
    ("statistics.interval.ms", "ends are watched with it"),
    ("group.instance.id", "partitions are assigned without group membership"),
    ("group.protocol", "partitions are assigned without group membership"),
    ("group.remote.assignor", "partitions are assigned without group membership"),
    ("partition.assignment.strategy", "partitions are assigned without group membership"),
    ("topic.metadata.refresh.interval.ms", "set `metadata_interval` instead"),
    ("allow.auto.create.topics", "reading a topic must not create it"),
    ("offset.store.method", "offsets are kept in the log"),
    ("test.mock.num.brokers", "use a source of kind `embedded` instead"),
    ("topic.blacklist", "choose with `topics`"),
];

/// Properties that may be set to one value only.
const FIXED: &[(&str, &str, &str)] = &[
    ("isolation.level", "read_committed", "aborted transactions would be applied"),
    ("check.crcs", "true", "damaged messages would be applied"),
];

impl KafkaSettings {
    /// With every optional field at its default.
    pub fn new(brokers: &str, topics: &[&str], group: &str) -> Self {
        KafkaSettings {
            brokers: brokers.into(),
            topics: topics.iter().map(|&topic| topic.into()).collect(),
            group: group.into(),
            start: Start::default(),
            gap: GapPolicy::default(),
            properties: Properties::default(),
            commit_interval: default_commit_interval(),
            metadata_interval: default_metadata_interval(),
            stall_timeout: default_stall_timeout(),
            batch_messages_max: default_batch_messages_max(),
            batch_bytes_max: default_batch_bytes_max(),
        }
    }

    /// Everything that can be judged without a broker.
    pub fn validate(&self) -> Result<(), InvalidKafkaSettings> {
        use InvalidKafkaSettings::{Client, Empty, Refused, Twice, Zero};
        if self.brokers.trim().is_empty() {
            return Err(Empty("brokers"));
        }
        if self.topics.is_empty() || self.topics.iter().any(String::is_empty) {
            return Err(Empty("topics"));
        }
        for (index, topic) in self.topics.iter().enumerate() {
            if self.topics[..index].contains(topic) {
                return Err(Twice(topic.clone()));
            }
        }
        self.wanted()?;
        if self.group.is_empty() {
            return Err(Empty("group"));
        }
        let zeros = [
            ("commit_interval", self.commit_interval.is_zero()),
            ("metadata_interval", self.metadata_interval.is_zero()),
            ("stall_timeout", self.stall_timeout.is_zero()),
            ("batch_messages_max", self.batch_messages_max == 0),
            ("batch_bytes_max", self.batch_bytes_max == 0),
        ];
        if let Some((name, _)) = zeros.iter().find(|(_, zero)| *zero) {
            return Err(Zero(name));
        }
        if let Some((name, reason)) = self.properties.refused(OURS) {
            return Err(Refused { name, reason });
        }
        for (name, value) in &self.properties.0 {
            let fixed = FIXED.iter().find(|(fixed, right, _)| fixed == name && value != right);
            if let Some((_, _, reason)) = fixed {
                return Err(Refused { name: name.clone(), reason });
            }
        }
        check_client(&self.client_config()).map_err(Client)
    }

    /// Whether librdkafka makes a client of it, which reads the files that are named.
    pub fn try_client(&self) -> Result<(), ClientFault> {
        try_consumer(&self.client_config())
    }

    /// A topic that both would read of one cluster, as far as names and brokers tell.
    pub fn overlap(&self, other: &KafkaSettings) -> Option<String> {
        let brokers = |settings: &KafkaSettings| -> BTreeSet<String> {
            let brokers = settings.brokers.split(',').map(|broker| {
                let broker = broker.trim().to_ascii_lowercase();
                let address = broker.rsplit_once("://").map_or(&*broker, |(_, address)| address);
                let has_port = address.rsplit_once(':').is_some();
                if has_port { address.to_owned() } else { format!("{address}:9092") }
            });
            brokers.collect()
        };
        if brokers(self).is_disjoint(&brokers(other)) {
            return None;
        }
        let (ours, theirs) = (self.wanted().ok()?, other.wanted().ok()?);
        let name = |topic: &&String| !topic.starts_with(PATTERN);
        let in_theirs = self.topics.iter().filter(name).find(|topic| theirs.has(topic));
        let in_ours = || other.topics.iter().filter(name).find(|topic| ours.has(topic));
        let same = || self.topics.iter().find(|topic| other.topics.contains(topic));
        in_theirs.or_else(in_ours).or_else(same).cloned()
    }

    pub(super) fn wanted(&self) -> Result<Wanted, InvalidKafkaSettings> {
        Wanted::new(&self.topics).map_err(|error| InvalidKafkaSettings::Pattern(error.to_string()))
    }

    /// Whether a topic of this name is read, by name or by pattern.
    pub fn reads(&self, topic: &str) -> bool {
        Wanted::new(&self.topics).is_ok_and(|wanted| wanted.has(topic))
    }

    pub(super) fn client_config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        // A 1 s back-off when the local queue is full would show as 1 s gaps.
        config.set("fetch.queue.backoff.ms", "20");
        // librdkafka's own 64 MiB per partition is no bound; the outlet's queue is the buffer.
        config.set("queued.max.messages.kbytes", "32768");
        // A broker's one answer comes on top of that bound, and is as large as is asked for.
        // It must not be smaller than the largest message.
        if !self.properties.0.contains_key("message.max.bytes") {
            config.set("fetch.max.bytes", "16777216");
        }
        config.set("fetch.wait.max.ms", "100");
        config.set("client.id", "pointd");
        for (name, value) in &self.properties.0 {
            config.set(name, value);
        }
        config.set("bootstrap.servers", &self.brokers);
        config.set("group.id", &self.group);
        config.set("enable.auto.commit", "false");
        config.set("enable.auto.offset.store", "false");
        config.set("auto.offset.reset", "error");
        config.set("enable.partition.eof", "false");
        config.set("statistics.interval.ms", STATISTICS_INTERVAL_MS);
        config.set("isolation.level", "read_committed");
        config.set("check.crcs", "true");
        config.set("allow.auto.create.topics", "false");
        // The discovery thread logs what happens; below that, librdkafka's own words.
        config.set_log_level(RDKafkaLogLevel::Info);
        config
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: serde_json::Value) -> Result<KafkaSettings, serde_json::Error> {
        serde_json::from_value(json)
    }

    #[test]
    fn what_is_left_out_has_its_default() {
        let settings = parse(serde_json::json!({
            "brokers": "a:9092", "topics": ["points"], "group": "pointd",
        }));
        let settings = settings.unwrap();
        assert_eq!(settings, KafkaSettings::new("a:9092", &["points"], "pointd"));
        settings.validate().unwrap();
    }

    #[test]
    fn properties_that_would_break_a_promise_are_refused_by_name() {
        let refused = |name: &str, value: &str| {
            let mut settings = KafkaSettings::new("a:9092", &["points"], "g");
            settings.properties.0.insert(name.into(), value.into());
            settings.validate()
        };
        for (name, value) in [
            ("enable.auto.commit", "true"),
            ("auto.offset.reset", "earliest"),
            ("group.instance.id", "one"),
            ("isolation.level", "read_uncommitted"),
            ("check.crcs", "false"),
            ("ssl.engine.location", "foreign.so"),
            ("sasl.mechanism", "OAUTHBEARER"),
            ("sasl.mechanisms", "OAUTHBEARER"),
        ] {
            let error = refused(name, value).unwrap_err();
            let is_refused = matches!(error, InvalidKafkaSettings::Refused { .. });
            assert!(is_refused && error.to_string().contains(name), "{error}");
        }
        assert!(matches!(
            refused("no.such.thing", "1"),
            Err(InvalidKafkaSettings::Client(why)) if why.contains("no.such.thing")
        ));
        assert_eq!(refused("isolation.level", "read_committed"), Ok(()));
        assert_eq!(refused("fetch.min.bytes", "10"), Ok(()));
        assert_eq!(refused("sasl.mechanism", "SCRAM-SHA-512"), Ok(()));
        assert_eq!(refused("message.max.bytes", "100000000"), Ok(()));
    }

    #[test]
    fn sources_that_would_read_the_same_topic_are_found() {
        let of = |brokers: &str, topics: &[&str]| KafkaSettings::new(brokers, topics, "g");
        let points = of("a:9092, b:9092", &["points"]);
        for (other, overlap) in [
            (of("B:9092", &["points"]), Some("points")),
            (of("b", &["orders", "^poi.*"]), Some("points")),
            (of("PLAINTEXT://a:9092", &["points"]), Some("points")),
            (of("c:9092", &["points"]), None),
            (of("a:9092", &["^orders-.*", "point"]), None),
        ] {
            assert_eq!(points.overlap(&other).as_deref(), overlap, "{other:?}");
            assert_eq!(other.overlap(&points).as_deref(), overlap, "{other:?}");
        }
        let pattern = of("a:9092", &["^p.*"]);
        assert_eq!(pattern.overlap(&pattern.clone()).as_deref(), Some("^p.*"));
    }

    #[test]
    fn passwords_are_not_printed() {
        let mut settings = KafkaSettings::new("a:9092", &["points"], "g");
        settings.properties.0.insert("sasl.password".into(), "hush".into());
        let printed = format!("{settings:?}");
        assert!(printed.contains("sasl.password") && !printed.contains("hush"), "{printed}");
    }
}
