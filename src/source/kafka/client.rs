//! librdkafka's clients, and why there is none.
//!
//! What a name or a value keeps from being made is kept from it for ever. A file may come: a
//! certificate that is being renewed, a volume that is not mounted yet.

use std::fs::File;
use std::sync::Arc;

use rdkafka::ClientConfig;
use rdkafka::consumer::BaseConsumer;
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::producer::BaseProducer;

use super::Context;
use super::settings::KafkaSettings;

/// Why there is no client.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientFault {
    /// A name or a value.
    #[error("{0}")]
    Wrong(String),
    /// A file that is missing, or is not what it should be.
    #[error("{0}")]
    File(String),
}

/// Properties that name a file which is read when a client is made.
const FILES: &[&str] = &[
    "ssl.ca.location",
    "ssl.certificate.location",
    "ssl.key.location",
    "ssl.keystore.location",
    "ssl.crl.location",
    "https.ca.location",
];

pub(super) fn new_consumer(settings: &KafkaSettings) -> KafkaResult<Arc<BaseConsumer<Context>>> {
    settings.client_config().create_with_context(Context::default()).map(Arc::new)
}

/// The clients of a source.
pub(super) struct Clients {
    pub consumer: Arc<BaseConsumer<Context>>,
    /// Asks and commits; it fetches nothing, and lives as long as the source.
    pub asker: Arc<BaseConsumer<Context>>,
}

impl Clients {
    pub fn new(settings: &KafkaSettings) -> Result<Clients, ClientFault> {
        let made = || {
            let consumer = new_consumer(settings)?;
            let mut config = settings.client_config();
            config.set("statistics.interval.ms", "0");
            let asker = config.create_with_context(Context::default()).map(Arc::new)?;
            Ok(Clients { consumer, asker })
        };
        made().map_err(|error| fault(&settings.client_config(), &error, &consumer))
    }
}

/// Whether a consumer can be made of it. Asks no broker.
pub(super) fn try_consumer(config: &ClientConfig) -> Result<(), ClientFault> {
    attempt(config, &consumer)
}

/// Likewise a producer.
pub fn try_producer(config: &ClientConfig) -> Result<(), ClientFault> {
    let producer = |config: &ClientConfig| config.create::<BaseProducer>().map(drop);
    attempt(config, &producer)
}

type Make = dyn Fn(&ClientConfig) -> KafkaResult<()>;

fn consumer(config: &ClientConfig) -> KafkaResult<()> {
    config.create_with_context::<_, BaseConsumer<Context>>(Context::default()).map(drop)
}

fn attempt(config: &ClientConfig, make: &Make) -> Result<(), ClientFault> {
    make(&alone(config)).map_err(|error| fault(config, &error, make))
}

/// Without brokers and without a group whose coordinator it would look for.
fn alone(config: &ClientConfig) -> ClientConfig {
    let mut config = config.clone();
    config.remove("bootstrap.servers").remove("group.id");
    config
}

/// What `error` of making a client comes from.
fn fault(config: &ClientConfig, error: &KafkaError, make: &Make) -> ClientFault {
    let named = FILES.iter().filter_map(|name| Some((*name, config.get(name)?)));
    let named: Vec<(&str, &str)> = named.collect();
    let mut without = alone(config);
    for (name, _) in &named {
        without.remove(name);
    }
    if config.get("ssl.certificate.location").is_some() {
        // Its key, which fits nothing without it.
        without.remove("ssl.key.pem");
    }
    if named.is_empty() || make(&without).is_err() {
        return ClientFault::Wrong(said(error));
    }
    let missing = named.iter().find_map(|(name, path)| {
        let error = File::open(path).err()?;
        Some(format!("`{name}`: {path}: {error}"))
    });
    ClientFault::File(missing.unwrap_or_else(|| said(error)))
}

/// What librdkafka says against it.
pub fn check_client(config: &ClientConfig) -> Result<(), String> {
    config.create_native_config().map(|_| ()).map_err(|error| said(&error))
}

fn said(error: &KafkaError) -> String {
    match error {
        // Its own text shows the value, which may be a secret under a misspelt name.
        KafkaError::ClientConfig(_, fault, name, _) => format!("{fault} (`{name}`)"),
        KafkaError::ClientCreation(why) => format!("librdkafka makes no client of it: {why}"),
        error => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(properties: &[(&str, &str)]) -> ClientConfig {
        let mut config = KafkaSettings::new("nobody:1", &["t"], "g").client_config();
        for (name, value) in properties {
            config.set(*name, *value);
        }
        config
    }

    #[test]
    fn what_no_client_can_be_made_of_is_told_from_what_a_file_keeps_from_it() {
        let ssl = ("security.protocol", "ssl");
        let wrong = [
            vec![("sasl.mechanism", "GSSAPI"), ("security.protocol", "sasl_plaintext")],
            vec![ssl, ("ssl.ca.pem", "no certificate")],
            // The file is not all that is wrong.
            vec![ssl, ("ssl.ca.location", "/nowhere.pem"), ("ssl.cipher.suites", "none")],
        ];
        for properties in wrong {
            let fault = try_consumer(&config(&properties)).unwrap_err();
            assert!(matches!(fault, ClientFault::Wrong(_)), "{properties:?}: {fault:?}");
        }
        let dir = tempfile::tempdir().unwrap();
        let empty = dir.path().join("empty.pem");
        std::fs::write(&empty, "").unwrap();
        let empty = empty.to_str().unwrap();
        let file = [
            vec![ssl, ("ssl.ca.location", "/nowhere.pem")],
            vec![ssl, ("ssl.key.location", "/nowhere.pem")],
            vec![ssl, ("ssl.certificate.location", "/nowhere.pem")],
            vec![ssl, ("ssl.ca.location", empty)],
        ];
        for properties in file {
            let fault = try_consumer(&config(&properties)).unwrap_err();
            assert!(matches!(fault, ClientFault::File(_)), "{properties:?}: {fault:?}");
            if properties[1].1 == "/nowhere.pem" {
                let told = fault.to_string();
                assert!(told.contains(properties[1].0) && told.contains("No such file"), "{told}");
            }
        }
        // What is not encrypted reads none.
        assert_eq!(try_consumer(&config(&[("ssl.ca.location", "/nowhere.pem")])), Ok(()));
        assert_eq!(try_consumer(&config(&[ssl])), Ok(()));
    }
}
