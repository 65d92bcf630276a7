//! To an AMQP exchange: persistent, mandatory, each confirmed.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions, ExchangeDeclareOptions};
use lapin::types::{AMQPValue, FieldTable, LongString, ShortString};
use lapin::{BasicProperties, Channel, Confirmation, Connection, ExchangeKind, PublisherConfirm};
use tokio::time::{Instant, timeout, timeout_at};

use super::Published;
use super::headers::{beginning, detail, errors};
use super::settings::AmqpTargetSettings;
use crate::catalog::DeadLetter;
use crate::operation::Original;
use crate::source::amqp::AccessError;

/// A broker that accepts a connection and then says nothing.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
/// A batch, from its first letter to its last confirm, or from the end of the broker's blocking.
const BATCH_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a broker may block before that is told.
const BLOCKED_TIMEOUT: Duration = Duration::from_secs(5);
/// Between two times that it is told. A broker may block for hours.
const BLOCKED_AGAIN: Duration = Duration::from_secs(30);
const BLOCKED: &str = "RabbitMQ: the broker blocks publishers: it is short of memory or disk";
const LOOK_EVERY: Duration = Duration::from_millis(500);
const PERSISTENT: u8 = 2;
/// Of a name or a property, in AMQP.
const SHORT_BYTES_MAX: usize = 255;
/// All headers together must fit in one frame of the connection, which is 128 KiB by default.
const HEADERS_BYTES_MAX: usize = 64 << 10;
const KEY_BYTES_MAX: usize = HEADERS_BYTES_MAX / 2;
/// What we say of a letter is under such names.
const OURS: [&str; 3] = ["x-pointd-", "pointd.", "__connect.errors."];
/// RabbitMQ reads further routing keys there, and takes no message in which they are text.
const ROUTING: [&str; 2] = ["CC", "BCC"];

pub struct AmqpTarget {
    settings: AmqpTargetSettings,
    batch_timeout: Duration,
    /// Made anew after a failure.
    link: Option<(Connection, Channel)>,
    /// Connections asked for so far: each is another node's turn.
    attempts: u32,
}

impl AmqpTarget {
    pub fn new(settings: AmqpTargetSettings) -> AmqpTarget {
        AmqpTarget { settings, batch_timeout: BATCH_TIMEOUT, link: None, attempts: 0 }
    }

    /// While the broker blocks publishers that is `told`, and waited for on the same connection: to
    /// each new one it says so only once that has published.
    pub async fn publish(&mut self, letters: &[Arc<DeadLetter>], told: &dyn Fn(&str)) -> Published {
        let link = match self.link.take() {
            Some(link) => link,
            None => match timeout(CONNECT_TIMEOUT, self.connect()).await {
                Ok(Ok(link)) => link,
                Ok(Err(error)) => return failed(0, format!("RabbitMQ: {error}")),
                Err(_) => {
                    return failed(0, format!("RabbitMQ: no answer within {CONNECT_TIMEOUT:?}"));
                }
            },
        };
        let mut waiting = Waiting::of(&link.0, self.batch_timeout, told);
        let mut sent = Vec::with_capacity(letters.len());
        let mut error = None;
        for letter in letters {
            match waiting.on(self.send(&link.1, letter)).await {
                Some(Ok(confirm)) => sent.push(confirm),
                Some(Err(refused)) => error = Some(format!("RabbitMQ: {refused}")),
                None => error = Some(format!("RabbitMQ: {}", self.late())),
            }
            if error.is_some() {
                break;
            }
        }
        let mut confirmed = 0;
        for (confirm, letter) in sent.into_iter().zip(letters) {
            let why = match waiting.on(confirm).await {
                Some(Ok(Confirmation::Ack(None))) => {
                    confirmed += 1;
                    continue;
                }
                // Confirmed, but no queue took it.
                Some(Ok(
                    Confirmation::Ack(Some(returned)) | Confirmation::Nack(Some(returned)),
                )) => {
                    format!("no queue took it: {}", returned.reply_text)
                }
                Some(Ok(Confirmation::Nack(None))) => "the broker refused it".to_owned(),
                Some(Ok(Confirmation::NotRequested)) => "the broker does not confirm".to_owned(),
                Some(Err(failed)) => failed.to_string(),
                None => self.late(),
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

    fn late(&self) -> String {
        format!("not confirmed within {:?}", self.batch_timeout)
    }

    async fn connect(&mut self) -> Result<(Connection, Channel), AccessError> {
        let (name, attempt) = ("pointd dead letters".to_owned(), self.attempts);
        self.attempts = self.attempts.wrapping_add(1);
        let connection = self.settings.access().connect(name, attempt).await?;
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
        // AMQP has no tombstones: a header says so.
        let body = letter.original.value.as_deref().unwrap_or_default();
        channel.basic_publish(exchange, key, options, body, properties(letter)).await
    }
}

/// Whether everything of it arrives.
pub fn takes_whole(letter: &DeadLetter) -> bool {
    let (own, key) = (Own::of(&letter.original), &letter.original.key);
    key.as_ref().is_none_or(|key| key.len() <= KEY_BYTES_MAX) && own.left_out == 0 && !own.is_cut
}

/// The headers that were delivered, each under a name of its own: a table has none twice.
struct Own<'a> {
    headers: Vec<(Cow<'a, str>, &'a Bytes)>,
    /// How many have no room.
    left_out: usize,
    /// Whether a name has no room.
    is_cut: bool,
}

impl<'a> Own<'a> {
    fn of(original: &'a Original) -> Own<'a> {
        let mut own = Own { headers: Vec::new(), left_out: 0, is_cut: false };
        let (mut names, mut taken) = (HashSet::new(), 0);
        for (at, (given, value)) in original.headers.iter().enumerate() {
            let mut name = Cow::Borrowed(beginning(given, SHORT_BYTES_MAX));
            own.is_cut |= name.len() < given.len();
            let is_reserved =
                OURS.iter().any(|ours| name.starts_with(ours)) || ROUTING.contains(&&*name);
            if is_reserved || !names.insert(name.clone()) {
                // Such names are reserved, and this one has a number of its own.
                let numbered = format!("x-pointd-header-{}-{name}", at + 1);
                own.is_cut |= numbered.len() > SHORT_BYTES_MAX;
                name = Cow::Owned(beginning(&numbered, SHORT_BYTES_MAX).to_owned());
            }
            // About, with what the table needs beside it.
            taken += name.len() + value.len() + 16;
            match taken <= HEADERS_BYTES_MAX {
                true => own.headers.push((name, value)),
                false => own.left_out += 1,
            }
        }
        own
    }
}

/// For a batch, over the time that it is allowed without the broker's blocking.
struct Waiting<'a> {
    connection: &'a Connection,
    allowed: Duration,
    deadline: Instant,
    told: &'a dyn Fn(&str),
}

impl<'a> Waiting<'a> {
    fn of(connection: &'a Connection, allowed: Duration, told: &'a dyn Fn(&str)) -> Waiting<'a> {
        Waiting { connection, allowed, deadline: Instant::now() + allowed, told }
    }

    /// `None` if the time is up.
    async fn on<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        let (mut work, mut tell_at) = (std::pin::pin!(work), None);
        loop {
            let look = (Instant::now() + LOOK_EVERY).min(self.deadline);
            if let Ok(done) = timeout_at(look, &mut work).await {
                return Some(done);
            }
            let (now, status) = (Instant::now(), self.connection.status());
            if status.blocked() && status.connected() {
                self.deadline = now + self.allowed;
                if now >= *tell_at.get_or_insert(now + BLOCKED_TIMEOUT) {
                    (self.told)(BLOCKED);
                    tell_at = Some(now + BLOCKED_AGAIN);
                }
            } else if now >= self.deadline {
                return None;
            } else {
                tell_at = None;
            }
        }
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
    let own = Own::of(&letter.original);
    for (name, value) in &own.headers {
        let text = std::str::from_utf8(value).ok().filter(|text| text.len() <= SHORT_BYTES_MAX);
        match (&**name, text.map(ShortString::from)) {
            ("content-type", Some(text)) => properties = properties.with_content_type(text),
            ("content-encoding", Some(text)) => properties = properties.with_content_encoding(text),
            ("type", Some(text)) => properties = properties.with_type(text),
            ("message-id", Some(text)) => properties = properties.with_message_id(text),
            _ => insert(&mut table, name, value),
        }
    }
    if own.left_out > 0 {
        insert(&mut table, "x-pointd-headers-left-out", own.left_out.to_string().as_bytes());
    }
    if let Some(key) = &letter.original.key {
        match key.len() <= KEY_BYTES_MAX {
            true => insert(&mut table, "x-pointd-key", key),
            false => insert(&mut table, "x-pointd-key-left-out", b"true"),
        }
    }
    if letter.original.value.is_none() {
        insert(&mut table, "x-pointd-tombstone", b"true");
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
    table.insert(name.into(), AMQPValue::LongString(LongString::from(value.to_vec())));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operation::{Reason, Refusal};
    use crate::position::{Seq, UnixMillis};

    fn letter(original: Original) -> DeadLetter {
        DeadLetter {
            seq: Seq(7),
            time: UnixMillis(1),
            position: None,
            refusal: Refusal::new(Reason::NotJson, "why"),
            original,
            collection: None,
            rewritten: false,
            redrives: 0,
            redriven_at: None,
        }
    }

    fn has(letter: &DeadLetter, name: &str) -> bool {
        let properties = properties(letter);
        let headers = properties.headers().as_ref().unwrap();
        headers.inner().keys().any(|given| given.as_str() == name)
    }

    #[test]
    fn what_does_not_arrive_whole_is_known_to() {
        let whole = Original {
            key: Some(vec![1; KEY_BYTES_MAX].into()),
            headers: vec![("a".into(), vec![1; 60 << 10].into())],
            ..Original::of("x")
        };
        let first = letter(whole.clone());
        assert!(takes_whole(&first) && !has(&first, "x-pointd-tombstone"));
        let mut long = whole.clone();
        long.headers.push(("b".into(), vec![1; 4 << 10].into()));
        let long = letter(long);
        assert!(!takes_whole(&long) && has(&long, "x-pointd-headers-left-out"));
        let key = Some(vec![1; KEY_BYTES_MAX + 1].into());
        let long = letter(Original { key, ..whole.clone() });
        assert!(!takes_whole(&long) && has(&long, "x-pointd-key-left-out"));
        for name in ["n".repeat(256), format!("pointd.{}", "n".repeat(240))] {
            let headers = vec![(name, Bytes::from_static(b"x"))];
            assert!(!takes_whole(&letter(Original { headers, ..Original::of("x") })));
        }
        let gone = letter(Original { value: None, ..whole });
        assert!(takes_whole(&gone) && has(&gone, "x-pointd-tombstone"));
    }

    /// A table has each name once. What comes out of a dead letter queue has names of ours, and
    /// nobody else has what was under them.
    #[test]
    fn no_header_takes_the_place_of_another() {
        let long = "n".repeat(254);
        let long_type = "t".repeat(256);
        let given = [
            ("trace", "1"),
            ("trace", "2"),
            ("content-type", "text/plain"),
            ("content-type", "application/json"),
            ("type", &long_type),
            ("pointd.seq", "3"),
            ("__connect.errors.topic", "4"),
            ("x-pointd-tombstone", "5"),
            ("x-pointd-header-2-trace", "6"),
            ("CC", "7"),
            (&long, "8"),
        ];
        let headers = given.map(|(name, value)| (name.to_owned(), value.to_owned().into()));
        let first = letter(Original { headers: headers.to_vec(), ..Original::of("x") });
        assert!(takes_whole(&first));
        let properties = properties(&first);
        let content_type = properties.content_type().as_ref().unwrap();
        assert_eq!(content_type.as_str(), "text/plain");
        let table = properties.headers().as_ref().unwrap();
        let text = |name: &str| match table.inner().get(name) {
            Some(AMQPValue::LongString(text)) => Some(text.to_string()),
            _ => None,
        };
        for (name, value) in [
            ("trace", "1"),
            ("x-pointd-header-2-trace", "2"),
            ("x-pointd-header-4-content-type", "application/json"),
            ("type", &long_type),
            ("pointd.seq", "7"),
            ("x-pointd-header-6-pointd.seq", "3"),
            ("x-pointd-header-7-__connect.errors.topic", "4"),
            ("x-pointd-header-8-x-pointd-tombstone", "5"),
            ("x-pointd-header-9-x-pointd-header-2-trace", "6"),
            ("x-pointd-header-10-CC", "7"),
            (&long, "8"),
        ] {
            assert_eq!(text(name).as_deref(), Some(value), "{name}");
        }
        assert!(text("CC").is_none() && text("x-pointd-tombstone").is_none());
    }
}
