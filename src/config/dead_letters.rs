//! `[dead_letters]`: where messages that could not be applied are sent.

use serde::{Deserialize, Serialize};

use super::source::{OnRefusal, SourceSettings};
use crate::catalog::HTTP;
use crate::forward::{ForwardSettings, Then};

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DeadLetterSettings {
    /// Left out, they are only kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forward: Option<ForwardSettings>,
}

impl DeadLetterSettings {
    /// The first value that cannot work, as `(key, what would be right)`.
    pub(super) fn validate(&self, sources: &[SourceSettings]) -> Result<(), (String, String)> {
        let Some(forward) = &self.forward else { return Ok(()) };
        let key = |key: &str| format!("dead_letters.forward{key}");
        forward.validate().map_err(|error| (key(""), error.to_string()))?;
        for name in forward.sources.iter().flatten() {
            if name != HTTP && !sources.iter().any(|source| source.name == *name) {
                let detail = format!("`{name}` is no source: give names of sources, or `{HTTP}`");
                return Err((key(".sources"), detail));
            }
        }
        for source in sources {
            if let Some(place) = loops(forward, source) {
                let detail = format!(
                    "source `{}` reads {place}: a letter would come back as a message for ever",
                    source.name
                );
                return Err((key(""), detail));
            }
            let halts = source.on_refusal == OnRefusal::Halt && forward.wants(&source.name);
            if halts && forward.then == Then::Drop {
                let detail = format!(
                    "source `{}` halts until an operator has decided about its letters: leave it \
                     out of `sources`, or give `then = \"keep\"`",
                    source.name
                );
                return Err((key(".then"), detail));
            }
        }
        Ok(())
    }
}

/// Whether a source reads what the target is. Under other brokers the name may mean another topic,
/// or the same: a name that is not shared is cheap, a loop is not.
fn loops(forward: &ForwardSettings, source: &SourceSettings) -> Option<String> {
    if let (Some(target), Some(kafka)) = (&forward.kafka, &source.kafka)
        && kafka.reads(&target.topic)
    {
        return Some(format!("the topic `{}`", target.topic));
    }
    if let (Some(target), Some(amqp)) = (&forward.amqp, &source.amqp)
        && target.exchange.is_empty()
        && target.routing_key == amqp.queue
    {
        return Some(format!("the queue `{}`", amqp.queue));
    }
    None
}
