//! Who reads which partition, among the sources of one process.
//!
//! Promise: no two sources hold the same partition. No promise across processes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::place::Present;

/// Cluster, topic, partition.
type Key = (String, String, i32);

/// Shared by the sources of a process.
#[derive(Clone, Debug, Default)]
pub struct Claims(Arc<Mutex<HashMap<Key, String>>>);

impl Claims {
    fn held(&self) -> MutexGuard<'_, HashMap<Key, String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Claims the partition for `source`, unless another has it: then that one's name.
    pub(super) fn claim(&self, source: &str, present: &Present) -> Result<(), String> {
        let key = (present.cluster.clone(), present.topic.clone(), present.partition);
        let mut held = self.held();
        let holder = held.entry(key).or_insert_with(|| source.to_owned());
        if holder == source { Ok(()) } else { Err(holder.clone()) }
    }

    /// The partition is no longer read.
    pub(super) fn release(&self, source: &str, cluster: &str, topic: &str, partition: i32) {
        self.held().retain(|(in_cluster, of_topic, number), holder| {
            (in_cluster.as_str(), of_topic.as_str(), *number) != (cluster, topic, partition)
                || holder != source
        });
    }

    /// The source has ended.
    pub(super) fn release_all(&self, source: &str) {
        self.held().retain(|_, holder| holder != source);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_is_held_by_one_source_until_it_lets_go() {
        let present = |partition| Present {
            cluster: "c".into(),
            topic: "t".into(),
            topic_id: None,
            partition,
            low: 0,
            high: 0,
        };
        let claims = Claims::default();
        assert_eq!(claims.claim("one", &present(0)), Ok(()));
        assert_eq!(claims.claim("one", &present(0)), Ok(()), "found anew");
        assert_eq!(claims.clone().claim("two", &present(0)), Err("one".into()));
        assert_eq!(claims.claim("two", &present(1)), Ok(()));
        claims.release("two", "c", "t", 0);
        assert_eq!(claims.claim("two", &present(0)), Err("one".into()), "not its own");
        claims.release("one", "c", "t", 0);
        assert_eq!(claims.claim("two", &present(0)), Ok(()));
        claims.release_all("two");
        assert_eq!(claims.claim("one", &present(1)), Ok(()));
    }
}
