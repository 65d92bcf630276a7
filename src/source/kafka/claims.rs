//! Who reads which partition, among the sources of one process.
//!
//! Promise: no two sources hold the same partition, and who has a position of it in the log holds
//! it, whoever asks first. What is claimed stays claimed while the process runs: a topic that is gone
//! may come back, and who read it goes on there. No promise across processes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::place::Present;
use super::settings::KafkaSettings;
use crate::position::{Position, Stream};

/// Cluster, topic, partition.
type Key = (String, String, i32);

/// Shared by the sources of a process.
#[derive(Clone, Debug, Default)]
pub struct Claims(Arc<Mutex<HashMap<Key, String>>>);

impl Claims {
    fn held(&self) -> MutexGuard<'_, HashMap<Key, String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Claims for `source` what the log has of it, as far as it still reads that. Of every source,
    /// in their order, before any starts: one that has read nothing of a partition would take it
    /// from its reader by asking first, and read it from the beginning.
    pub fn remember(&self, source: &str, settings: &KafkaSettings, positions: &[Position]) {
        // Patterns that are none stop the start of the source.
        let Ok(wanted) = settings.wanted() else { return };
        let mut held = self.held();
        for position in positions {
            let Stream::Partition { cluster, topic, partition, .. } = &*position.stream else {
                continue;
            };
            if wanted.has(topic) {
                let key = (cluster.clone(), topic.clone(), *partition);
                held.entry(key).or_insert_with(|| source.to_owned());
            }
        }
    }

    /// Claims the partition for `source`, unless another has it: then that one's name.
    pub(super) fn claim(&self, source: &str, present: &Present) -> Result<(), String> {
        let key = (present.cluster.clone(), present.topic.clone(), present.partition);
        let mut held = self.held();
        let holder = held.entry(key).or_insert_with(|| source.to_owned());
        if holder == source { Ok(()) } else { Err(holder.clone()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::position::{Mark, Offset};

    fn present(topic: &str, partition: i32) -> Present {
        Present {
            cluster: "c".into(),
            topic: topic.into(),
            topic_id: None,
            partition,
            low: 0,
            high: 0,
        }
    }

    #[test]
    fn a_partition_is_held_by_one_source() {
        let claims = Claims::default();
        assert_eq!(claims.claim("one", &present("t", 0)), Ok(()));
        assert_eq!(claims.claim("one", &present("t", 0)), Ok(()), "found anew");
        assert_eq!(claims.clone().claim("two", &present("t", 0)), Err("one".into()));
        assert_eq!(claims.claim("two", &present("t", 1)), Ok(()));
    }

    #[test]
    fn who_has_a_position_holds_the_partition_whoever_asks_first() {
        let read = |source: &str, topic: &str, partition| {
            let stream = Stream::Partition {
                source: source.into(),
                cluster: "c".into(),
                topic: topic.into(),
                topic_id: None,
                partition,
            };
            Position::new(Arc::new(stream), Mark::Next(Offset(5)))
        };
        let settings = |topics: &[&str]| KafkaSettings::new("c:9092", topics, "g");
        let claims = Claims::default();
        claims.remember("new", &settings(&["^t.*"]), &[]);
        // The second of them read it too, once.
        claims.remember("one", &settings(&["^t.*"]), &[read("one", "t", 0)]);
        let of_two = [read("two", "t", 0), read("two", "t", 1), read("two", "u", 0)];
        claims.remember("two", &settings(&["t"]), &of_two);
        for (topic, partition, holder) in [("t", 0, "one"), ("t", 1, "two")] {
            let claimed = claims.claim("new", &present(topic, partition));
            assert_eq!(claimed, Err(holder.into()), "{topic}/{partition}");
        }
        assert_eq!(claims.claim("two", &present("t", 0)), Err("one".into()));
        // Taken out of its topics; and of another partition nobody has a position.
        assert_eq!(claims.claim("new", &present("u", 0)), Ok(()));
        assert_eq!(claims.claim("new", &present("t", 2)), Ok(()));
    }
}
