//! `[dead_letters.forward]` of the configuration.

use std::path::PathBuf;

use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;
use serde::{Deserialize, Serialize};

use crate::source::amqp::{Access, InvalidAmqpSettings, Url};
use crate::source::kafka::{ClientFault, Properties, check_client, try_producer};

/// Where dead letters are sent: exactly one of `kafka` and `amqp`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ForwardSettings {
    /// Only the letters of these sources; `http` stands for none. Default: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sources: Option<Vec<String>>,
    /// What becomes of a letter that the target has confirmed. Default: `keep`.
    #[serde(default)]
    pub then: Then,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kafka: Option<KafkaTargetSettings>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amqp: Option<AmqpTargetSettings>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Then {
    /// It stays: it can be redriven, and counts towards the bounds.
    #[default]
    Keep,
    /// It is dropped, as by an operator.
    Drop,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KafkaTargetSettings {
    /// `host:port`, several separated by commas.
    pub brokers: String,
    pub topic: String,
    /// Passed to librdkafka as they are. Default: none.
    #[serde(default)]
    pub properties: Properties,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AmqpTargetSettings {
    /// `amqp://user:password@host:port/vhost`, or `amqps://…`.
    pub url: Url,
    /// Addresses of the cluster's nodes, tried in turn. Default: the host of `url` alone.
    #[serde(default)]
    pub hosts: Vec<String>,
    /// PEM: certificates to trust beside the system's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// PEM: the certificate to show the broker, and its key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cert_file: Option<PathBuf>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_file: Option<PathBuf>,
    /// Empty: the default exchange, where the routing key is a queue's name. Default: empty.
    #[serde(default)]
    pub exchange: String,
    pub routing_key: String,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidForwardSettings {
    #[error("give exactly one of `kafka`, `amqp`")]
    Targets,
    #[error("`{0}` is empty")]
    Empty(&'static str),
    #[error("`{0}` is longer than 255 bytes")]
    Long(&'static str),
    #[error("`kafka.properties` may not set {name:?}: {reason}")]
    Refused { name: String, reason: &'static str },
    #[error("librdkafka refuses the properties: {0}")]
    Client(String),
    #[error("`amqp`: {0}")]
    Access(#[from] InvalidAmqpSettings),
}

/// Properties that are ours to set, and why.
const OURS: &[(&str, &str)] = &[
    ("enable.idempotence", "letters would be reordered"),
    ("enable.gapless.guarantee", "letters would be reordered"),
    ("acks", "a letter counts as sent when all replicas have it"),
    ("request.required.acks", "a letter counts as sent when all replicas have it"),
    ("transactional.id", "nothing would commit it"),
];

impl ForwardSettings {
    /// Everything that can be judged without a broker.
    pub fn validate(&self) -> Result<(), InvalidForwardSettings> {
        match (&self.kafka, &self.amqp) {
            (Some(kafka), None) => kafka.validate(),
            (None, Some(amqp)) => amqp.validate(),
            _ => Err(InvalidForwardSettings::Targets),
        }
    }

    /// Whether a connection can be made of it as far as no broker need be asked, and to what.
    pub fn try_client(&self) -> (&'static str, Result<(), ClientFault>) {
        match (&self.kafka, &self.amqp) {
            (Some(kafka), _) => ("kafka", try_producer(&kafka.client_config())),
            (None, Some(amqp)) => {
                let read = amqp.access().read_files();
                ("amqp", read.map_err(|error| ClientFault::File(error.to_string())))
            }
            (None, None) => ("kafka", Ok(())),
        }
    }

    pub fn wants(&self, source: &str) -> bool {
        self.sources.as_ref().is_none_or(|sources| sources.iter().any(|name| name == source))
    }

    /// What the cursor is about, in words, without hosts and credentials: those may change.
    pub fn target(&self) -> String {
        match (&self.kafka, &self.amqp) {
            (Some(kafka), _) => format!("topic {}", kafka.topic),
            (None, Some(amqp)) if amqp.exchange.is_empty() => format!("queue {}", amqp.routing_key),
            (None, Some(amqp)) => format!("exchange {}, key {}", amqp.exchange, amqp.routing_key),
            (None, None) => String::new(),
        }
    }
}

impl KafkaTargetSettings {
    fn validate(&self) -> Result<(), InvalidForwardSettings> {
        use InvalidForwardSettings::{Client, Empty, Refused};
        if self.brokers.trim().is_empty() {
            return Err(Empty("kafka.brokers"));
        }
        if self.topic.is_empty() {
            return Err(Empty("kafka.topic"));
        }
        if let Some((name, reason)) = self.properties.refused(OURS) {
            return Err(Refused { name, reason });
        }
        check_client(&self.client_config()).map_err(Client)
    }

    pub(super) fn client_config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("client.id", "pointd-dead-letters");
        config.set("linger.ms", "5");
        config.set("compression.type", "zstd");
        // As Kafka's own clients choose: letters of one key stay in order.
        config.set("partitioner", "murmur2_random");
        // Then the whole rest of the batch fails, and is sent again.
        config.set("message.timeout.ms", "30000");
        // The broker's limit is the one that counts.
        config.set("message.max.bytes", "300000000");
        for (name, value) in &self.properties.0 {
            config.set(name, value);
        }
        config.set("bootstrap.servers", &self.brokers);
        config.set("acks", "all");
        config.set("enable.idempotence", "true");
        // No letter behind one that failed is taken.
        config.set("enable.gapless.guarantee", "true");
        config.set_log_level(RDKafkaLogLevel::Warning);
        config
    }
}

impl AmqpTargetSettings {
    fn validate(&self) -> Result<(), InvalidForwardSettings> {
        use InvalidForwardSettings::{Empty, Long};
        self.access().validate()?;
        if self.exchange.is_empty() && self.routing_key.is_empty() {
            return Err(Empty("amqp.routing_key"));
        }
        let names = [("amqp.exchange", &self.exchange), ("amqp.routing_key", &self.routing_key)];
        match names.iter().find(|(_, name)| name.len() > 255) {
            Some((name, _)) => Err(Long(name)),
            None => Ok(()),
        }
    }

    pub(super) fn access(&self) -> Access<'_> {
        Access {
            url: &self.url,
            hosts: &self.hosts,
            heartbeat: None,
            ca_file: self.ca_file.as_ref(),
            cert_file: self.cert_file.as_ref(),
            key_file: self.key_file.as_ref(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn to_kafka(properties: BTreeMap<String, String>) -> ForwardSettings {
        let kafka = KafkaTargetSettings {
            brokers: "b:9092".into(),
            topic: "dead".into(),
            properties: Properties(properties),
        };
        ForwardSettings { sources: None, then: Then::Keep, kafka: Some(kafka), amqp: None }
    }

    #[test]
    fn wrong_settings_are_refused_by_name() {
        let with = |name: &str, value: &str| {
            let properties = BTreeMap::from([(name.to_owned(), value.to_owned())]);
            to_kafka(properties).validate()
        };
        assert_eq!(with("linger.ms", "1"), Ok(()));
        for (name, value) in [("acks", "1"), ("enable.idempotence", "false"), ("no.such", "1")] {
            let error = with(name, value).unwrap_err().to_string();
            assert!(error.contains(name), "{error}");
        }
        // They would load foreign code.
        for name in ["plugin.library.paths", "interceptors", "ssl.engine.location"] {
            let error = with(name, "foreign.so").unwrap_err();
            assert!(matches!(error, InvalidForwardSettings::Refused { .. }), "{error}");
        }
        let mut both = to_kafka(BTreeMap::new());
        both.amqp = Some(AmqpTargetSettings {
            url: Url("amqp://me:hush@host/%2f".into()),
            hosts: vec!["other".into()],
            ca_file: None,
            cert_file: None,
            key_file: None,
            exchange: String::new(),
            routing_key: "dead".into(),
        });
        assert_eq!(both.validate(), Err(InvalidForwardSettings::Targets));
        both.kafka = None;
        assert_eq!(both.validate(), Ok(()));
        assert_eq!(both.target(), "queue dead");
        let refused = |change: fn(&mut AmqpTargetSettings), name: &str| {
            let mut wrong = both.clone();
            change(wrong.amqp.as_mut().unwrap());
            let error = wrong.validate().unwrap_err().to_string();
            assert!(error.contains("`amqp`: ") && error.contains(name), "{error}");
            assert!(!error.contains("hush"), "{error}");
        };
        refused(|amqp| amqp.url = Url("amqp://me:hush@:/::".into()), "`url`");
        refused(|amqp| amqp.hosts = vec!["two:port".into()], "two:port");
        refused(|amqp| amqp.ca_file = Some("ca.pem".into()), "ca_file");
    }

    #[test]
    fn letters_can_be_chosen_by_source() {
        let mut settings = to_kafka(BTreeMap::new());
        assert!(settings.wants("orders") && settings.wants("http"));
        settings.sources = Some(vec!["orders".into()]);
        assert!(settings.wants("orders") && !settings.wants("http"));
    }
}
