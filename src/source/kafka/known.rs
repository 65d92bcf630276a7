//! What the thread that asks the cluster knows of one topic.

use std::collections::BTreeSet;

use uuid::Uuid;

/// What is known of a topic that exists.
#[derive(Default)]
pub struct Known {
    pub id: Option<Uuid>,
    pub found: BTreeSet<i32>,
    /// Rounds in which it was not there.
    pub absent: u32,
}

impl Known {
    /// The id that its partitions were not found under, if `id` is one.
    pub fn change(&self, id: Option<Uuid>) -> Option<Uuid> {
        id.filter(|found| self.id != Some(*found) && !self.found.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_that_comes_after_the_partitions_is_compared_too() {
        let [id, other] = [1, 2].map(|id| Some(Uuid::from_u128(id)));
        let mut known = Known { id, found: BTreeSet::from([0]), absent: 0 };
        assert_eq!([id, other, None].map(|now| known.change(now)), [None, other, None]);
        known.id = None;
        assert_eq!([id, None].map(|now| known.change(now)), [id, None]);
        // Nothing was found under another.
        known.found.clear();
        assert_eq!(known.change(id), None);
    }
}
