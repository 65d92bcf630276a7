//! Topics that are not there, and topics of which the broker says nothing: told when that changes.

use std::collections::BTreeMap;

use super::consume::Consume;
use super::discovery::{Discovery, Finding, Survey};
use super::topics::Topics;

impl Discovery {
    pub(super) fn tell_unseen(&self, survey: &mut Survey, topics: &Topics) {
        if survey.missing != topics.missing {
            for topic in topics.missing.difference(&survey.missing) {
                let source = &self.source;
                tracing::warn!(source, topic, "the topic does not exist; waiting for it");
            }
            survey.missing.clone_from(&topics.missing);
            self.tell(Finding::Missing(topics.missing.clone()));
        }
        let refused = topics.refused.iter().map(|(topic, code)| (topic.clone(), code.to_string()));
        let refused: BTreeMap<String, String> = refused.collect();
        if refused == survey.refused {
            return;
        }
        for (topic, error) in
            refused.iter().filter(|(topic, _)| !survey.refused.contains_key(*topic))
        {
            tracing::warn!(
                source = self.source,
                topic,
                error,
                "the broker tells nothing of this topic; the others go on"
            );
        }
        survey.refused.clone_from(&refused);
        self.tell(Finding::Refused(refused));
    }
}

impl Consume {
    /// What a source waits for that has no partition.
    pub(super) fn awaited(&self) -> String {
        let (missing, refused) = self.wiring.status.unseen();
        let each = [("do not exist", missing), ("the broker says nothing of", refused)];
        let each = each.into_iter().filter(|(_, topics)| !topics.is_empty());
        let each: Vec<String> =
            each.map(|(what, topics)| format!("{what}: {}", topics.join(", "))).collect();
        match each.is_empty() {
            true => "no topic that it reads is ready yet".into(),
            false => format!("it waits for topics that {}", each.join("; ")),
        }
    }
}
