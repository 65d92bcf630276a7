//! To an AMQP exchange: persistent, mandatory, each confirmed.

use std::sync::Arc;
use std::time::Duration;

use lapin::options::{BasicPublishOptions, ConfirmSelectOptions, ExchangeDeclareOptions};
use lapin::types::{AMQPValue, FieldTable, LongString, ShortString};
use lapin::{
    BasicProperties, Channel, Confirmation, Connection, ConnectionProperties, ExchangeKind,
    PublisherConfirm,
};

use super::Published;
use super::headers::{beginning, detail, errors};
use super::settings::AmqpTargetSettings;
use crate::catalog::DeadLetter;

/// A broker that accepts a connection and then says nothing.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
const CONFIRM_TIMEOUT: Duration = Duration::from_secs(60);
const PERSISTENT: u8 = 2;
/// Of a name or a property, in AMQP.
const SHORT_BYTES_MAX: usize = 255;
/// All headers together must fit in one frame of the connection, which is 128 KiB by default.
const HEADERS_BYTES_MAX: usize = 64 << 10;

pub struct AmqpTarget {
    settings: AmqpTargetSettings,
    /// Made anew after a failure.
    link: Option<(Connection, Channel)>,
}

impl AmqpTarget {
    pub fn new(settings: AmqpTargetSettings) -> AmqpTarget {
        AmqpTarget { settings, link: None }
    }

    pub async fn publish(&mut self, letters: &[Arc<DeadLetter>]) -> Published {
        let link = match self.link.take() {
            Some(link) => link,
            None => match tokio::time::timeout(CONNECT_TIMEOUT, self.connect()).await {
                Ok(Ok(link)) => link,
                Ok(Err(error)) => return failed(0, format!("RabbitMQ: {error}")),
                Err(_) => {
                    return failed(0, format!("RabbitMQ: no answer within {CONNECT_TIMEOUT:?}"));
                }
            },
        };
        let mut sent = Vec::with_capacity(letters.len());
        let mut error = None;
        for letter in letters {
            match self.send(&link.1, letter).await {
                Ok(confirm) => sent.push(confirm),
                Err(refused) => {
                    error = Some(format!("RabbitMQ: {refused}"));
                    break;
                }
            }
        }
        let mut confirmed = 0;
        for (confirm, letter) in sent.into_iter().zip(letters) {
            let why = match tokio::time::timeout(CONFIRM_TIMEOUT, confirm).await {
                Ok(Ok(Confirmation::Ack(None))) => {
                    confirmed += 1;
                    continue;
                }
                // Confirmed, but no queue took it.
                Ok(Ok(Confirmation::Ack(Some(returned)) | Confirmation::Nack(Some(returned)))) => {
                    format!("no queue took it: {}", returned.reply_text)
                }
                Ok(Ok(Confirmation::Nack(None))) => "the broker refused it".to_owned(),
                Ok(Ok(Confirmation::NotRequested)) => "the broker does not confirm".to_owned(),
                Ok(Err(failed)) => failed.to_string(),
                Err(_) => format!("not confirmed within {CONFIRM_TIMEOUT:?}"),
            };
            return failed(
                confirmed,
                format!("RabbitMQ did not take dead letter {}: {why}", letter.seq),
            );
        }
        if error.is_none() {
            self.link = Some(link);
        }
        Published { confirmed, error }
    }

    async fn connect(&self) -> Result<(Connection, Channel), lapin::Error> {
        let properties =
            ConnectionProperties::default().with_connection_name("pointd dead letters".into());
        let connection = Connection::connect(&self.settings.url.0, properties).await?;
        let channel = connection.create_channel().await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        // The default exchange is always there, and cannot be declared.
        if !self.settings.exchange.is_empty() {
            let options =
                ExchangeDeclareOptions { passive: true, ..ExchangeDeclareOptions::default() };
            let name = self.settings.exchange.as_str().into();
            // Of one that must exist, the kind does not matter.
            let kind = ExchangeKind::Direct;
            channel.exchange_declare(name, kind, options, FieldTable::default()).await?;
        }
        Ok((connection, channel))
    }

    async fn send(
        &self,
        channel: &Channel,
        letter: &DeadLetter,
    ) -> Result<PublisherConfirm, lapin::Error> {
        let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        let exchange = self.settings.exchange.as_str().into();
        let key = self.settings.routing_key.as_str().into();
        let body = &letter.original.value;
        channel.basic_publish(exchange, key, options, body, properties(letter)).await
    }
}

fn failed(confirmed: usize, error: String) -> Published {
    Published { confirmed, error: Some(error) }
}

/// What was a property of the delivery is one again.
fn properties(letter: &DeadLetter) -> BasicProperties {
    let mut properties = BasicProperties::default().with_delivery_mode(PERSISTENT);
    properties = properties.with_timestamp(letter.time.0 / 1000);
    let mut table = FieldTable::default();
    let (mut taken, mut left_out) = (0, 0_usize);
    for (name, value) in &letter.original.headers {
        taken += name.len() + value.len() + 16;
        if taken > HEADERS_BYTES_MAX {
            left_out += 1;
            continue;
        }
        match (name.as_str(), std::str::from_utf8(value)) {
            ("content-type", Ok(text)) => properties = properties.with_content_type(short(text)),
            ("content-encoding", Ok(text)) => {
                properties = properties.with_content_encoding(short(text));
            }
            ("type", Ok(text)) => properties = properties.with_type(short(text)),
            ("message-id", Ok(text)) => properties = properties.with_message_id(short(text)),
            _ => insert(&mut table, name, value),
        }
    }
    if left_out > 0 {
        insert(&mut table, "x-pointd-headers-left-out", left_out.to_string().as_bytes());
    }
    if let Some(key) = &letter.original.key {
        match key.len() <= HEADERS_BYTES_MAX / 2 {
            true => insert(&mut table, "x-pointd-key", key),
            false => insert(&mut table, "x-pointd-key-left-out", b"true"),
        }
    }
    for (name, value) in errors(letter) {
        insert(&mut table, name, value.as_bytes());
    }
    insert(&mut table, "x-pointd-reason", letter.refusal.reason.label().as_bytes());
    insert(&mut table, "x-pointd-detail", detail(letter).as_bytes());
    insert(&mut table, "x-pointd-source", letter.source().as_bytes());
    if let Some(position) = &letter.position {
        insert(&mut table, "x-pointd-queue", position.stream.name().as_bytes());
    }
    insert(&mut table, "x-pointd-seq", letter.seq.to_string().as_bytes());
    properties.with_headers(table)
}

fn insert(table: &mut FieldTable, name: &str, value: &[u8]) {
    table.insert(short(name), AMQPValue::LongString(LongString::from(value.to_vec())));
}

fn short(text: &str) -> ShortString {
    beginning(text, SHORT_BYTES_MAX).into()
}
