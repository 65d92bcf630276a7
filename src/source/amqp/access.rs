//! How to get to a broker: what a source and the forwarding of dead letters share.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use lapin::tcp::{OwnedIdentity, OwnedTLSConfig};
use lapin::uri::{AMQPScheme, AMQPUri};
use lapin::{Connection, ConnectionProperties};

use super::{InvalidAmqpSettings, Url};

/// The part of a configuration that is about the connection.
pub struct Access<'a> {
    pub url: &'a Url,
    /// Of nodes, in place of the one of `url`.
    pub hosts: &'a [String],
    /// What to ask for where `url` says nothing of it. Else what the broker proposes.
    pub heartbeat: Option<Duration>,
    pub ca_file: Option<&'a PathBuf>,
    pub cert_file: Option<&'a PathBuf>,
    pub key_file: Option<&'a PathBuf>,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    #[error("{0}")]
    Broker(#[from] lapin::Error),
    #[error("{path}: {source}")]
    File { path: String, source: io::Error },
    #[error("no address of a broker")]
    NoAddress,
}

impl Access<'_> {
    /// Everything that can be judged without a broker.
    pub fn validate(&self) -> Result<(), InvalidAmqpSettings> {
        let addresses = self.addresses()?;
        if self.cert_file.is_some() != self.key_file.is_some() {
            return Err(InvalidAmqpSettings::Identity);
        }
        let files = [("ca_file", &self.ca_file), ("cert_file", &self.cert_file)];
        let plain = addresses.iter().any(|it| it.scheme == AMQPScheme::AMQP);
        match files.into_iter().find(|(_, file)| plain && file.is_some()) {
            Some((name, _)) => Err(InvalidAmqpSettings::NoTls(name)),
            None => Ok(()),
        }
    }

    /// Whether every file that is named can be read.
    pub fn read_files(&self) -> Result<(), AccessError> {
        self.tls().map(drop)
    }

    /// One per node, never empty.
    pub(super) fn addresses(&self) -> Result<Vec<AMQPUri>, InvalidAmqpSettings> {
        // The parser's error may quote the address, password and all.
        let mut url: AMQPUri = self.url.0.parse().map_err(|error: String| {
            InvalidAmqpSettings::Url(error.replace(&self.url.0, "(url)"))
        })?;
        let heartbeat = self.heartbeat.map(|heartbeat| heartbeat.as_secs() as u16);
        url.query.heartbeat = url.query.heartbeat.or(heartbeat);
        if self.hosts.is_empty() {
            return Ok(vec![url]);
        }
        let node = |host: &String| {
            let wrong = || InvalidAmqpSettings::Host(host.clone());
            let mut node = url.clone();
            let (name, port) = match host.rsplit_once(':') {
                Some((name, port)) => (name, port.parse().map_err(|_| wrong())?),
                None => (host.as_str(), url.authority.port),
            };
            if name.is_empty() {
                return Err(wrong());
            }
            node.authority.host = name.into();
            node.authority.port = port;
            Ok(node)
        };
        self.hosts.iter().map(node).collect()
    }

    /// Connects to the node that `attempt` chooses, under a name that the broker shows.
    pub async fn connect(&self, name: String, attempt: u32) -> Result<Connection, AccessError> {
        let addresses = self.addresses().unwrap_or_default();
        let node = attempt as usize % addresses.len().max(1);
        let address = addresses.into_iter().nth(node).ok_or(AccessError::NoAddress)?;
        let properties = ConnectionProperties::default().with_connection_name(name.into());
        let (tls, runtime) = (self.tls()?, lapin::runtime::default_runtime()?);
        Ok(Connection::connect_uri_with_config(address, properties, tls, runtime).await?)
    }

    /// Read at each connection, so that renewed certificates are used.
    fn tls(&self) -> Result<OwnedTLSConfig, AccessError> {
        let identity = match (self.cert_file, self.key_file) {
            (Some(certificate), Some(key)) => {
                let (pem, key) = (read(certificate)?.into_bytes(), read(key)?.into_bytes());
                Some(OwnedIdentity::PKCS8 { pem, key })
            }
            _ => None,
        };
        let cert_chain = self.ca_file.map(|file| read(file)).transpose()?;
        Ok(OwnedTLSConfig { identity, cert_chain })
    }
}

fn read(path: &Path) -> Result<String, AccessError> {
    let file = |source| AccessError::File { path: path.display().to_string(), source };
    std::fs::read_to_string(path).map_err(file)
}
