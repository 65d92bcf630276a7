//! A connection with its channel, ready to consume.

use std::time::Duration;

use lapin::options::{
    BasicConsumeOptions, BasicQosOptions, QueueDeclareOptions, QueueDeleteOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, Connection, Consumer};

use super::AmqpSettings;
use super::access::AccessError;
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
    Access(#[from] AccessError),
    #[error("{0}")]
    Broker(#[from] lapin::Error),
    #[error("no answer within {CONNECT_TIMEOUT:?}")]
    Silent,
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
        let name = format!("pointd source {name}");
        let connection = settings.access().connect(name, attempt).await?;
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
        let queue = settings.queue.as_str();
        let mut arguments = of_type("quorum");
        let unlikely = format!("pointd-asks-{:08x}", rand::random::<u32>());
        let exchange = AMQPValue::LongString(unlikely.into());
        arguments.insert("x-dead-letter-exchange".into(), exchange);
        // Declared passively on the way here, so the queue is there and is not made by this.
        let Some(refusal) = self.refusal(queue, arguments).await? else {
            // It was deleted in between, and this made it: nobody else would have declared it
            // with these arguments.
            let channel = self.connection.create_channel().await?;
            let unused = QueueDeleteOptions { if_unused: true, if_empty: true, nowait: false };
            channel.queue_delete(queue.into(), unused).await?;
            return Ok(None);
        };
        match current(&refusal, "x-dead-letter-exchange") {
            Some("none") => {}
            named => return Ok(named.map(|_| false)),
        }
        // Queues of every type can be without one.
        let refusal = self.refusal(queue, of_type("stream")).await?;
        let kind = refusal.as_deref().and_then(|refusal| current(refusal, "x-queue-type"));
        Ok(kind.map(|kind| kind.contains("'quorum'")))
    }

    /// Whether the queue is a stream, or that cannot be told. Told as above.
    pub async fn may_be_stream(&self, settings: &AmqpSettings) -> Result<bool, String> {
        let asking = self.refusal(&settings.queue, of_type("stream"));
        let refusal = tokio::time::timeout(CONNECT_TIMEOUT, asking).await;
        let refusal = refusal.map_err(|_| "no answer about the queue's type")?;
        let refusal = refusal.map_err(|error| error.to_string())?;
        Ok(!refusal.is_some_and(|refusal| is_no_stream(&refusal)))
    }

    /// What the broker says against declaring the queue so. It closes the channel with that.
    async fn refusal(&self, queue: &str, arguments: FieldTable) -> lapin::Result<Option<String>> {
        let channel = self.connection.create_channel().await?;
        let options = QueueDeclareOptions::durable();
        let declared = channel.queue_declare(queue.into(), options, arguments).await;
        let Err(refusal) = declared else {
            channel.close(200, "seen".into()).await?;
            return Ok(None);
        };
        Ok(Some(refusal.to_string()))
    }
}

/// Whether the refusal of a durable stream says that the queue is of another type. A stream is
/// durable, is nobody's own and stays.
fn is_no_stream(refusal: &str) -> bool {
    let about = |argument| current(refusal, argument).is_some();
    ["x-queue-type", "durable", "exclusive", "auto_delete"].into_iter().any(about)
}

/// What a refusal says that the argument is; `None` if it is about another one.
fn current<'a>(refusal: &'a str, argument: &str) -> Option<&'a str> {
    let (_, about) = refusal.split_once(&format!("inequivalent arg '{argument}'"))?;
    Some(about.split_once("but current is ")?.1.trim())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_what_an_argument_is() {
        let refusal = |current: &str| {
            format!(
                "PRECONDITION_FAILED - inequivalent arg 'x-dead-letter-exchange' for queue 'q' in \
                 vhost '/': received 'x' but current is {current}"
            )
        };
        let argument = "x-dead-letter-exchange";
        assert_eq!(current(&refusal("none"), argument), Some("none"));
        assert_eq!(current(&refusal("'dead'"), argument), Some("'dead'"));
        assert_eq!(current(&refusal("none"), "x-queue-type"), None);
        assert!(!is_no_stream(&refusal("none")));
        let refusal = "PRECONDITION_FAILED - inequivalent arg 'x-queue-type' for queue 'q' in \
                       vhost '/': received 'stream' but current is 'classic'";
        assert!(is_no_stream(refusal));
    }
}
