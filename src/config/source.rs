//! `[[source]]`: where messages come from, and how they are read.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::settings::Fault;
use crate::format::{Decoding, Format, InvalidTopics, TopicCollections};
use crate::operation::Limits;
use crate::source::amqp::AmqpSettings;
use crate::source::embedded::EmbeddedSettings;
use crate::source::kafka::KafkaSettings;

/// About 150 MB of memory.
const MESSAGE_ID_WINDOW_MAX: usize = 1_000_000;

/// One `[[source]]`: a name, and one of `kafka`, `amqp`, `embedded`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceSettings {
    /// Unique; positions are kept under it, so a renamed source begins again.
    pub name: String,
    /// The collection of messages that name none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collection: Option<String>,
    /// `message-id`s remembered to recognise what a publisher sends again. 0: none.
    #[serde(default)]
    pub message_id_window: usize,
    /// What the values are; by default what each one's `content-type` says.
    #[serde(default)]
    pub format: Format,
    /// The collection of messages that name none, by topic: a name, or a pattern that begins with
    /// `^`. Before `collection`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub collections: BTreeMap<String, String>,
    /// What a message that is refused does to those behind it.
    #[serde(default)]
    pub on_refusal: OnRefusal,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kafka: Option<KafkaSettings>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amqp: Option<AmqpSettings>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub embedded: Option<EmbeddedSettings>,
}

/// What happens when a message of a source is refused. It is kept as a dead letter in any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnRefusal {
    /// What is behind it goes on.
    #[default]
    DeadLetter,
    /// The source stops until an operator has redriven or dropped it.
    Halt,
}

/// The one kind a source is of.
pub enum SourceKind<'a> {
    Kafka(&'a KafkaSettings),
    Amqp(&'a AmqpSettings),
    Embedded(&'a EmbeddedSettings),
}

impl SourceSettings {
    /// `None` if it is of no kind or of several, which [`Settings::validate`] refuses.
    pub fn kind(&self) -> Option<SourceKind<'_>> {
        match (&self.kafka, &self.amqp, &self.embedded) {
            (Some(kafka), None, None) => Some(SourceKind::Kafka(kafka)),
            (None, Some(amqp), None) => Some(SourceKind::Amqp(amqp)),
            (None, None, Some(embedded)) => Some(SourceKind::Embedded(embedded)),
            _ => None,
        }
    }

    /// How its messages are read.
    pub fn decoding(&self, limits: &Limits) -> Result<Decoding, InvalidTopics> {
        Ok(Decoding {
            format: self.format,
            collection: self.collection.clone(),
            topics: TopicCollections::new(&self.collections)?,
            limits: limits.clone(),
        })
    }
}

/// The first value that cannot work in any of them.
pub(super) fn validate(sources: &[SourceSettings]) -> Result<(), Fault> {
    for (at, source) in sources.iter().enumerate() {
        let place = |key: &str| match key {
            "" => format!("source[{at}]"),
            key => format!("source[{at}].{key}"),
        };
        let fault = |(key, detail): (&str, String)| (place(key), detail);
        source.validate().map_err(fault)?;
        source.validate_beside(&sources[..at]).map_err(fault)?;
    }
    Ok(())
}

impl SourceSettings {
    fn validate(&self) -> Result<(), (&'static str, String)> {
        if self.name.is_empty() {
            return Err(("name", "give the source a name".into()));
        }
        if self.message_id_window > MESSAGE_ID_WINDOW_MAX {
            return Err(("message_id_window", format!("give at most {MESSAGE_ID_WINDOW_MAX}")));
        }
        TopicCollections::new(&self.collections)
            .map_err(|error| ("collections", error.to_string()))?;
        if self.amqp.is_some() && !self.collections.is_empty() {
            return Err(("collections", "a queue has no topics: give its `collection`".into()));
        }
        match self.kind() {
            Some(SourceKind::Kafka(kafka)) => {
                kafka.validate().map_err(|error| ("kafka", error.to_string()))
            }
            Some(SourceKind::Amqp(amqp)) => {
                amqp.validate().map_err(|error| ("amqp", error.to_string()))
            }
            Some(SourceKind::Embedded(embedded)) => {
                embedded.validate().map_err(|error| ("embedded", error.to_string()))
            }
            None => Err(("", "give exactly one of `kafka`, `amqp`, `embedded`".into())),
        }
    }

    /// What does not go together with the sources `before` it.
    fn validate_beside(&self, before: &[SourceSettings]) -> Result<(), (&'static str, String)> {
        if let Some(first) = before.iter().position(|other| other.name == self.name) {
            let name = &self.name;
            let detail = format!("`{name}` is source[{first}] already: names are unique");
            return Err(("name", detail));
        }
        let same = |amqp: &AmqpSettings| {
            before.iter().find(|other| other.amqp.as_ref().is_some_and(|it| amqp.overlaps(it)))
        };
        if let Some(amqp) = &self.amqp
            && let Some(other) = same(amqp)
        {
            let (queue, other) = (&amqp.queue, &other.name);
            let detail = format!("{queue:?} is read by source `{other}` too: give each queue once");
            return Err(("amqp.queue", detail));
        }
        let Some(kafka) = &self.kafka else { return Ok(()) };
        let overlap = before
            .iter()
            .find_map(|other| Some((&other.name, kafka.overlap(other.kafka.as_ref()?)?)));
        match overlap {
            Some((other, topic)) => {
                let detail = format!(
                    "{topic:?} is read by source `{other}` too: each message would be applied twice"
                );
                Err(("kafka.topics", detail))
            }
            None => Ok(()),
        }
    }
}
