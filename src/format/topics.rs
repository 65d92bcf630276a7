//! Which collection a topic's messages belong to.

use std::collections::BTreeMap;

use regex::Regex;

/// Topics and their collections: names, and patterns for the topics that no name fits.
#[derive(Clone, Debug, Default)]
pub struct TopicCollections {
    names: BTreeMap<String, String>,
    /// In the order of the patterns' text.
    patterns: Vec<(Regex, String)>,
}

#[derive(Debug, thiserror::Error)]
pub enum InvalidTopics {
    #[error("a topic needs a name, or a pattern that begins with `^`")]
    NoTopic,
    #[error("`{pattern}` is not a pattern: {source}")]
    NotAPattern { pattern: String, source: Box<regex::Error> },
    #[error("`{topic}`: a collection's name has 1 to 255 bytes")]
    NoCollection { topic: String },
}

impl TopicCollections {
    /// From the configuration: what begins with `^` is a regular expression, as among a source's
    /// topics, and anything else a name.
    pub fn new(configured: &BTreeMap<String, String>) -> Result<Self, InvalidTopics> {
        let mut topics = TopicCollections::default();
        for (topic, collection) in configured {
            if topic.is_empty() {
                return Err(InvalidTopics::NoTopic);
            }
            if collection.is_empty() || collection.len() > 255 {
                return Err(InvalidTopics::NoCollection { topic: topic.clone() });
            }
            if topic.starts_with('^') {
                let pattern = Regex::new(topic).map_err(|source| InvalidTopics::NotAPattern {
                    pattern: topic.clone(),
                    source: Box::new(source),
                })?;
                topics.patterns.push((pattern, collection.clone()));
            } else {
                topics.names.insert(topic.clone(), collection.clone());
            }
        }
        Ok(topics)
    }

    /// The collection of a topic: by its name, else by the first pattern that fits.
    pub fn of(&self, topic: &str) -> Option<&str> {
        let named = self.names.get(topic);
        let fitting = || {
            self.patterns
                .iter()
                .find(|(pattern, _)| pattern.is_match(topic))
                .map(|(_, collection)| collection)
        };
        named.or_else(fitting).map(String::as_str)
    }
}
