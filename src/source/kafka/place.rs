//! Where a partition's consumption begins, decided from where the log stands and what the
//! broker has. Pure: the same inputs give the same decision.

use std::sync::Arc;

use uuid::Uuid;

use crate::position::{Mark, Offset, Position, Stream};

/// A partition as the broker has it now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Present {
    pub cluster: String,
    pub topic: String,
    pub topic_id: Option<Uuid>,
    pub partition: i32,
    /// The log start: the first offset that can still be read.
    pub low: u64,
    /// The end: the offset that the next message will have.
    pub high: u64,
}

/// What keeps a partition from going on where the log stands.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Gap {
    #[error("messages from offset {expected} on are gone: the broker's log starts at {low}")]
    Lost { expected: u64, low: u64 },
    #[error("our next offset is {expected}, but the broker's log ends at {high}: it was cut")]
    Cut { expected: u64, high: u64 },
    #[error(
        "our next offset is {expected}, but the broker's log was cut at {at} and goes on anew \
         from there"
    )]
    Rewritten { expected: u64, at: u64 },
    #[error(
        "messages from offset {expected} on are damaged at the broker; what follows can be read \
         from {readable} on"
    )]
    Damaged { expected: u64, readable: u64 },
    #[error("the source {0:?} of this process reads the same partition")]
    ReadBy(String),
    #[error("the topic's id was {expected} and is {found}: it was deleted and made anew")]
    OtherTopic { expected: Uuid, found: Uuid },
    #[error("the cluster's id was {expected:?} and is {found:?}: another cluster answers")]
    OtherCluster { expected: String, found: String },
}

impl Gap {
    /// What an operator can do about it.
    pub fn remedy(&self) -> &'static str {
        match self {
            Gap::Lost { .. } | Gap::OtherTopic { .. } => {
                "publish what is missing again if it matters; then accept the gap to go on at the \
                 beginning of what is there"
            }
            Gap::OtherCluster { .. } => {
                "check `brokers`; if the change is meant, accept the gap to read the new cluster \
                 from its beginning"
            }
            Gap::Cut { .. } | Gap::Rewritten { .. } => {
                "the broker lost messages it had acknowledged, which the collection has: compare \
                 the two, restore the topic if you can; then accept the gap to read what was \
                 written since"
            }
            Gap::ReadBy(_) => {
                "two sources would write over each other: take the topic out of this one, and \
                 restart"
            }
            Gap::Damaged { .. } => {
                "restore the broker's log, or publish what is damaged again; then accept the gap \
                 to go on behind it"
            }
        }
    }

    /// Whether what is missing of the stream may be there again.
    pub fn may_be_mended(&self) -> bool {
        !matches!(self, Gap::ReadBy(_) | Gap::OtherTopic { .. } | Gap::OtherCluster { .. })
    }

    /// Whether the policy `skip` covers it. A cut is no hole: what the broker lost we have, and
    /// only an operator can say which of the two is right.
    pub fn can_skip(&self) -> bool {
        !matches!(self, Gap::Cut { .. } | Gap::Rewritten { .. } | Gap::ReadBy(_))
    }
}

/// Why a partition is halted, and where it goes on if that is accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Halt {
    pub gap: Gap,
    /// `None`: nothing of it is there any more.
    pub beyond: Option<Beyond>,
}

/// Where a partition goes on behind a gap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Beyond {
    pub stream: Arc<Stream>,
    pub next: Offset,
    pub end: Offset,
    /// Only a start may move a partition back.
    pub starts: bool,
}

impl Beyond {
    /// In the same stream.
    pub fn of(gap: &Gap, stream: &Arc<Stream>, end: Offset) -> Beyond {
        let (next, starts) = match *gap {
            Gap::Lost { low, .. } => (Offset(low), false),
            Gap::Damaged { readable, .. } => (Offset(readable), false),
            Gap::Cut { high, .. } => (Offset(high), true),
            Gap::Rewritten { at, .. } => (Offset(at), true),
            // Of the other's log nothing is known here.
            Gap::OtherTopic { .. } | Gap::OtherCluster { .. } | Gap::ReadBy(_) => (Offset(0), true),
        };
        Beyond { stream: Arc::clone(stream), next, end, starts }
    }
}

/// How a partition goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// Where the log stands.
    Resume { stream: Arc<Stream>, next: Offset, epoch: Option<i32> },
    /// Nothing is known of it: its start must be decided and logged first.
    New,
    /// Not at all.
    Gap { stream: Arc<Stream>, next: Offset, epoch: Option<i32>, gap: Gap },
}

/// Positions of other clusters do not count where `ephemeral` (the embedded broker).
pub fn place(positions: &[Position], present: &Present, ephemeral: bool) -> Place {
    let mut other: Option<(&Position, Offset, Gap)> = None;
    for position in positions {
        let Mark::Next(next) = position.mark else { continue };
        let Stream::Partition { cluster, topic, topic_id, partition, .. } = &*position.stream
        else {
            continue;
        };
        if *topic != present.topic || *partition != present.partition {
            continue;
        }
        let gap = if *cluster != present.cluster {
            if ephemeral {
                continue;
            }
            Gap::OtherCluster { expected: cluster.clone(), found: present.cluster.clone() }
        } else {
            match (*topic_id, present.topic_id) {
                (Some(expected), Some(found)) if expected != found => {
                    Gap::OtherTopic { expected, found }
                }
                // An id that is not known, on either side, speaks for the same topic.
                _ => return here(position, next, present),
            }
        };
        other = Some((position, next, gap));
    }
    match other {
        Some((position, next, gap)) => {
            let (stream, epoch) = (Arc::clone(&position.stream), position.leader_epoch);
            Place::Gap { stream, next, epoch, gap }
        }
        None => Place::New,
    }
}

fn here(position: &Position, next: Offset, present: &Present) -> Place {
    let (stream, epoch) = (Arc::clone(&position.stream), position.leader_epoch);
    match gap_at(next, present.low, present.high) {
        Some(gap) => Place::Gap { stream, next, epoch, gap },
        None => Place::Resume { stream, next, epoch },
    }
}

/// The gap between `next` and a log that reaches from `low` to `high`.
pub fn gap_at(next: Offset, low: u64, high: u64) -> Option<Gap> {
    let expected = next.0;
    if expected < low {
        Some(Gap::Lost { expected, low })
    } else if expected > high {
        Some(Gap::Cut { expected, high })
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: Uuid = Uuid::from_u128(1);
    const OTHER_ID: Uuid = Uuid::from_u128(2);

    fn position(cluster: &str, id: Option<Uuid>, partition: i32, next: u64) -> Position {
        let stream = Arc::new(Stream::Partition {
            source: "s".into(),
            cluster: cluster.into(),
            topic: "t".into(),
            topic_id: id,
            partition,
        });
        Position::new(stream, Mark::Next(Offset(next)))
    }

    fn present(cluster: &str, id: Option<Uuid>, low: u64, high: u64) -> Present {
        Present {
            cluster: cluster.into(),
            topic: "t".into(),
            topic_id: id,
            partition: 0,
            low,
            high,
        }
    }

    fn gap(place: Place) -> Gap {
        match place {
            Place::Gap { gap, .. } => gap,
            other => panic!("no gap: {other:?}"),
        }
    }

    #[test]
    fn a_known_partition_resumes_where_the_log_stands() {
        let known = [position("c", Some(ID), 1, 5), position("c", Some(ID), 0, 7)];
        for next in [(7, 7), (0, 7), (0, 100)] {
            let place = place(&known, &present("c", Some(ID), next.0, next.1), false);
            let stream = Arc::clone(&known[1].stream);
            assert_eq!(place, Place::Resume { stream, next: Offset(7), epoch: None });
        }
    }

    #[test]
    fn an_id_that_is_not_known_speaks_for_the_same_topic() {
        let known = [position("c", None, 0, 7)];
        let with_id = place(&known, &present("c", Some(ID), 0, 9), false);
        assert!(matches!(with_id, Place::Resume { .. }), "{with_id:?}");
        let known = [position("c", Some(ID), 0, 7)];
        let without = place(&known, &present("c", None, 0, 9), false);
        assert!(matches!(without, Place::Resume { .. }), "{without:?}");
    }

    #[test]
    fn every_kind_of_gap_is_told_apart() {
        let known = [position("c", Some(ID), 0, 7)];
        let at = |cluster, id, low, high| {
            gap(place(&known, &present(cluster, Some(id), low, high), false))
        };
        assert_eq!(at("c", ID, 8, 20), Gap::Lost { expected: 7, low: 8 });
        assert_eq!(at("c", ID, 0, 6), Gap::Cut { expected: 7, high: 6 });
        assert_eq!(at("c", OTHER_ID, 0, 100), Gap::OtherTopic { expected: ID, found: OTHER_ID });
        assert_eq!(
            at("d", ID, 0, 100),
            Gap::OtherCluster { expected: "c".into(), found: "d".into() }
        );
    }

    #[test]
    fn after_a_skip_the_new_topic_counts_and_not_the_old_one() {
        let known = [position("c", Some(ID), 0, 7), position("c", Some(OTHER_ID), 0, 3)];
        let place = place(&known, &present("c", Some(OTHER_ID), 0, 9), false);
        let stream = Arc::clone(&known[1].stream);
        assert_eq!(place, Place::Resume { stream, next: Offset(3), epoch: None });
    }

    #[test]
    fn an_embedded_broker_of_an_earlier_run_is_no_gap() {
        let known = [position("c", None, 0, 7)];
        assert_eq!(place(&known, &present("d", None, 0, 0), true), Place::New);
        assert_eq!(place(&[], &present("d", None, 0, 0), false), Place::New);
    }
}
