//! Publishing to RabbitMQ, each message confirmed.

use std::collections::VecDeque;

use lapin::options::{BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{
    BasicProperties, Channel, Confirmation, Connection, ConnectionProperties, PublisherConfirm,
};
use uuid::Uuid;

use super::messages::{Messages, Outgoing};
use super::{ProduceError, Progress};
use crate::format::{CONTENT_ENCODING, CONTENT_TYPE};

/// Messages published and not confirmed yet.
const IN_FLIGHT_MAX: usize = 1000;
const PERSISTENT: u8 = 2;
/// The header that has the message's key, which AMQP has no place for.
const KEY: &str = "key";

#[derive(Default)]
struct Confirms {
    waiting: VecDeque<PublisherConfirm>,
    sent: u64,
    failed: u64,
    first_failure: Option<String>,
}

impl Confirms {
    /// Waits until at most `left` are unconfirmed.
    async fn settle(&mut self, left: usize) -> Result<(), ProduceError> {
        while self.waiting.len() > left
            && let Some(oldest) = self.waiting.pop_front()
        {
            let failure = match oldest.await? {
                Confirmation::Ack(None) => continue,
                // Confirmed, but no queue took it.
                Confirmation::Ack(Some(returned)) | Confirmation::Nack(Some(returned)) => {
                    returned.reply_text.to_string()
                }
                Confirmation::Nack(None) => "the broker refused it".to_owned(),
                Confirmation::NotRequested => "the broker does not confirm".to_owned(),
            };
            self.failed += 1;
            self.first_failure.get_or_insert(failure);
        }
        Ok(())
    }
}

pub fn publish(
    url: &str,
    queue: &str,
    messages: Messages,
    progress: &mut Progress,
) -> Result<(), ProduceError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let confirms = runtime.map_err(ProduceError::Runtime)?.block_on(async {
        let connection = Connection::connect(url, ConnectionProperties::default()).await?;
        let channel = connection.create_channel().await?;
        let exists = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        channel.queue_declare(queue.into(), exists, FieldTable::default()).await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        let mut confirms = Confirms::default();
        // An id names one message of one run: two that are equal are still two.
        let run = Uuid::new_v4();
        for message in messages {
            let message = message?;
            confirms.sent += 1;
            let id = format!("{run}:{}", confirms.sent);
            confirms.waiting.push_back(send(&channel, queue, &message, id).await?);
            confirms.settle(IN_FLIGHT_MAX).await?;
            progress.sent(&message);
        }
        confirms.settle(0).await?;
        connection.close(200, "done".into()).await?;
        Ok::<_, ProduceError>(confirms)
    })?;
    if confirms.failed == 0 {
        return Ok(());
    }
    let first = confirms.first_failure.unwrap_or_default();
    Err(ProduceError::Failed { failed: confirms.failed, sent: confirms.sent, first })
}

async fn send(
    channel: &Channel,
    queue: &str,
    message: &Outgoing,
    id: String,
) -> Result<PublisherConfirm, lapin::Error> {
    let properties = properties(message, id);
    let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
    let (exchange, body) = ("".into(), message.body.as_slice());
    channel.basic_publish(exchange, queue.into(), options, body, properties).await
}

fn properties(message: &Outgoing, id: String) -> BasicProperties {
    let mut properties = BasicProperties::default()
        .with_delivery_mode(PERSISTENT)
        .with_content_type("application/json".into())
        .with_message_id(id.into());
    if let Some(key) = &message.key {
        let mut headers = FieldTable::default();
        headers.insert(KEY.into(), AMQPValue::LongString(key.as_str().into()));
        properties = properties.with_headers(headers);
    }
    for (name, value) in &message.headers {
        let value = (*value).into();
        properties = match *name {
            CONTENT_TYPE => properties.with_content_type(value),
            CONTENT_ENCODING => properties.with_content_encoding(value),
            _ => properties.with_type(value),
        };
    }
    properties
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What drops repetitions by message id must not drop the second of two equal messages.
    #[test]
    fn the_id_is_of_the_message_and_the_key_in_a_header() {
        let message = Outgoing {
            key: Some("7".into()),
            body: b"{}".to_vec(),
            points: 1,
            headers: Vec::new(),
        };
        let properties = properties(&message, "run:3".into());
        assert_eq!(properties.message_id().as_ref().unwrap().as_str(), "run:3");
        let headers = properties.headers().as_ref().unwrap().inner();
        let key = headers.iter().find(|(name, _)| name.as_str() == KEY).unwrap().1;
        assert_eq!(*key, AMQPValue::LongString("7".into()));
    }
}
