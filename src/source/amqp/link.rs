//! A connection with its channel, ready to consume.

use std::io;
use std::path::Path;
use std::time::Duration;

use lapin::options::{
    BasicConsumeOptions, BasicQosOptions, QueueDeclareOptions, QueueDeleteOptions,
};
use lapin::tcp::{OwnedIdentity, OwnedTLSConfig};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, Connection, ConnectionProperties, Consumer};

use super::AmqpSettings;
use super::settings::Declare;

/// A broker that accepts a connection and then says nothing.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);

pub struct Link {
    pub connection: Connection,
    pub channel: Channel,
    /// While messages are wanted.
    pub consumer: Option<Consumer>,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    #[error("{0}")]
    Broker(#[from] lapin::Error),
    #[error("{path}: {source}")]
    File { path: String, source: io::Error },
    #[error("no answer within {CONNECT_TIMEOUT:?}")]
    Silent,
    #[error("no address of a broker")]
    NoAddress,
}

impl Link {
    /// Connects to the node that `attempt` chooses, and declares the queue.
    pub async fn open(
        settings: &AmqpSettings,
        name: &str,
        attempt: u32,
    ) -> Result<Link, LinkError> {
        let connecting = Link::connect(settings, name, attempt);
        tokio::time::timeout(CONNECT_TIMEOUT, connecting).await.map_err(|_| LinkError::Silent)?
    }

    async fn connect(settings: &AmqpSettings, name: &str, attempt: u32) -> Result<Link, LinkError> {
        let addresses = settings.addresses().unwrap_or_default();
        let node = attempt as usize % addresses.len().max(1);
        let address = addresses.into_iter().nth(node).ok_or(LinkError::NoAddress)?;
        let properties = ConnectionProperties::default()
            .with_connection_name(format!("pointd source {name}").into());
        let tls = tls(settings)?;
        let runtime = lapin::runtime::default_runtime()?;
        let connection =
            Connection::connect_uri_with_config(address, properties, tls, runtime).await?;
        let channel = connection.create_channel().await?;
        declare(settings, &channel).await?;
        channel.basic_qos(settings.prefetch, BasicQosOptions::default()).await?;
        Ok(Link { connection, channel, consumer: None })
    }

    /// `offset` is where a stream is read from.
    pub async fn consume(
        &self,
        settings: &AmqpSettings,
        offset: Option<AMQPValue>,
    ) -> lapin::Result<Consumer> {
        consume(&self.channel, settings, offset).await
    }

    /// A channel for a look at a stream, without the consumer's deliveries in it.
    pub async fn look(
        &self,
        settings: &AmqpSettings,
        offset: AMQPValue,
    ) -> lapin::Result<(Channel, Consumer)> {
        let channel = self.connection.create_channel().await?;
        channel.basic_qos(settings.prefetch, BasicQosOptions::default()).await?;
        let consumer = consume(&channel, settings, Some(offset)).await?;
        Ok((channel, consumer))
    }

    /// Whether the queue is a quorum queue without a dead-letter exchange among its arguments;
    /// `None` if that cannot be told. The protocol has no question for it, but a declaration
    /// that does not fit is refused with a sentence that says what there is instead.
    pub async fn lacks_dead_letter_exchange(
        &self,
        settings: &AmqpSettings,
    ) -> lapin::Result<Option<bool>> {
        if settings.declare == Declare::Quorum {
            return Ok(Some(true));
        }
        let channel = self.connection.create_channel().await?;
        let mut arguments = of_type("quorum");
        let unlikely = format!("pointd-asks-{:08x}", rand::random::<u32>());
        let exchange = AMQPValue::LongString(unlikely.into());
        arguments.insert("x-dead-letter-exchange".into(), exchange);
        // Declared passively on the way here, so the queue is there and is not made by this.
        let options = QueueDeclareOptions::durable();
        let declared = channel.queue_declare(settings.queue.as_str().into(), options, arguments);
        match declared.await {
            Err(refused) => Ok(without_exchange(&refused.to_string())),
            Ok(_) => {
                // It was deleted in between, and this made it: nobody else would have declared
                // it with these arguments.
                let unused = QueueDeleteOptions { if_unused: true, if_empty: true, nowait: false };
                channel.queue_delete(settings.queue.as_str().into(), unused).await?;
                Ok(None)
            }
        }
    }
}

/// RabbitMQ names the first argument that differs.
fn without_exchange(refusal: &str) -> Option<bool> {
    let (_, about) = refusal.split_once("inequivalent arg 'x-dead-letter-exchange'")?;
    Some(about.contains("but current is none"))
}

async fn consume(
    channel: &Channel,
    settings: &AmqpSettings,
    offset: Option<AMQPValue>,
) -> lapin::Result<Consumer> {
    let mut arguments = FieldTable::default();
    if let Some(offset) = offset {
        arguments.insert("x-stream-offset".into(), offset);
    }
    let queue = settings.queue.as_str().into();
    channel.basic_consume(queue, "".into(), BasicConsumeOptions::default(), arguments).await
}

async fn declare(settings: &AmqpSettings, channel: &Channel) -> lapin::Result<()> {
    let (options, arguments) = match settings.declare {
        Declare::Passive => {
            let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
            (passive, FieldTable::default())
        }
        Declare::Durable => (QueueDeclareOptions::durable(), FieldTable::default()),
        Declare::Quorum => (QueueDeclareOptions::durable(), of_type("quorum")),
        Declare::Stream => (QueueDeclareOptions::durable(), of_type("stream")),
    };
    channel.queue_declare(settings.queue.as_str().into(), options, arguments).await.map(|_| ())
}

fn of_type(kind: &str) -> FieldTable {
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString(kind.into()));
    arguments
}

/// Read at each connection, so that renewed certificates are used.
fn tls(settings: &AmqpSettings) -> Result<OwnedTLSConfig, LinkError> {
    let read = |path: &Path| {
        let file = |source| LinkError::File { path: path.display().to_string(), source };
        std::fs::read_to_string(path).map_err(file)
    };
    let identity = match (&settings.cert_file, &settings.key_file) {
        (Some(certificate), Some(key)) => {
            let (pem, key) = (read(certificate)?.into_bytes(), read(key)?.into_bytes());
            Some(OwnedIdentity::PKCS8 { pem, key })
        }
        _ => None,
    };
    let cert_chain = settings.ca_file.as_deref().map(read).transpose()?;
    Ok(OwnedTLSConfig { identity, cert_chain })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_brokers_refusal_says_whether_there_is_an_exchange() {
        let refusal = |current: &str| {
            format!(
                "PRECONDITION_FAILED - inequivalent arg 'x-dead-letter-exchange' for queue 'q' in \
                 vhost '/': received the value 'x' of type 'longstr' but current is {current}"
            )
        };
        assert_eq!(without_exchange(&refusal("none")), Some(true));
        let named = refusal("the value 'dead' of type 'longstr'");
        assert_eq!(without_exchange(&named), Some(false));
        let other = "inequivalent arg 'x-queue-type' for queue 'q' in vhost '/': received the \
                     value 'quorum' of type 'longstr' but current is none";
        assert_eq!(without_exchange(other), None);
    }
}
