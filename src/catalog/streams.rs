//! Where the log stands in every stream.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::operation::Body;
use crate::position::{Fingerprint, Mark, Offset, Position, Stream, UnixMillis};

/// How many of a queue's last deliveries are kept to recognise those that come again. A
/// source's prefetch must not be larger: as many can be unacknowledged at once.
pub const QUEUE_SUFFIX_MAX: usize = 4096;

/// How far one stream has been applied.
#[derive(Clone, Debug, PartialEq)]
pub struct StreamProgress {
    pub stream: Arc<Stream>,
    /// Of a partition: where consumption goes on.
    pub next: Option<Offset>,
    /// Of the last applied message; 0 if there was none.
    pub time: UnixMillis,
    /// Records of this stream, duplicates and moves included.
    pub records: u64,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Streams(BTreeMap<Arc<Stream>, Place>);

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Place {
    pub next: Option<Offset>,
    /// Of a queue: its last deliveries in order, duplicates left out.
    pub suffix: VecDeque<Fingerprint>,
    pub time: UnixMillis,
    pub records: u64,
}

impl Streams {
    /// Takes note of one record's position.
    pub fn take(&mut self, position: &Position, body: &Body, time: UnixMillis) {
        if let Body::Start { forget_others } = body {
            self.forget(&position.stream, *forget_others);
        }
        if !self.0.contains_key(&position.stream) {
            self.0.insert(position.stream.clone(), Place::default());
        }
        let Some(place) = self.0.get_mut(&position.stream) else { return };
        place.records += 1;
        let delivered = matches!(body, Body::Message(_) | Body::Rejected(_));
        if delivered {
            place.time = time;
        }
        match (&position.mark, body) {
            // What was known before, or only skipped over, never moves a stream backwards.
            (Mark::Next(next), Body::Duplicate | Body::Moved) => {
                place.next = place.next.max(Some(*next));
            }
            (Mark::Next(next), _) => place.next = Some(*next),
            (Mark::Fingerprint(print), _) if delivered => place.push(print.clone()),
            (Mark::Fingerprint(_), _) => {}
        }
    }

    /// A stream begins: forgets the same partition of a topic that had another id, and with
    /// `others` every position the source has in another cluster.
    fn forget(&mut self, begun: &Stream, others: bool) {
        self.0.retain(|stream, _| {
            let replaced = **stream != *begun && same_but_for_topic_id(stream, begun);
            let other = stream.source() == begun.source() && stream.cluster() != begun.cluster();
            !(replaced || (others && other))
        });
    }

    pub fn insert(&mut self, stream: Stream, place: Place) {
        self.0.insert(Arc::new(stream), place);
    }

    pub fn iter(&self) -> impl Iterator<Item = (&Arc<Stream>, &Place)> {
        self.0.iter()
    }

    pub fn positions(&self, source: &str) -> Vec<Position> {
        let of_source = self.0.iter().filter(|(stream, _)| stream.source() == source);
        of_source
            .flat_map(|(stream, place)| {
                let next = place.next.map(Mark::Next);
                let prints = place.suffix.iter().cloned().map(Mark::Fingerprint);
                let marks = next.into_iter().chain(prints);
                marks.map(|mark| Position { stream: stream.clone(), mark })
            })
            .collect()
    }

    pub fn progress(&self) -> Vec<StreamProgress> {
        self.0
            .iter()
            .map(|(stream, place)| StreamProgress {
                stream: stream.clone(),
                next: place.next,
                time: place.time,
                records: place.records,
            })
            .collect()
    }
}

impl Place {
    fn push(&mut self, print: Fingerprint) {
        if self.suffix.len() >= QUEUE_SUFFIX_MAX {
            self.suffix.pop_front();
        }
        self.suffix.push_back(print);
    }
}

fn same_but_for_topic_id(one: &Stream, other: &Stream) -> bool {
    let is_partition = one.partition().is_some() && other.partition().is_some();
    is_partition
        && (one.source(), one.cluster(), one.name(), one.partition())
            == (other.source(), other.cluster(), other.name(), other.partition())
}
