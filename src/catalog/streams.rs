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
    /// Of the last message, where nothing stands between that and `next`.
    pub leader_epoch: Option<i32>,
    /// Of a queue: its last deliveries in order, duplicates left out.
    pub suffix: VecDeque<Fingerprint>,
    pub time: UnixMillis,
    pub records: u64,
}

impl Streams {
    /// Takes note of one record's position.
    pub fn take(&mut self, position: &Position, body: &Body, time: UnixMillis) {
        if let Body::Start { forget_others, .. } = body {
            self.forget(&position.stream, *forget_others);
        }
        if !self.0.contains_key(&position.stream) {
            let place = self.take_over(&position.stream).unwrap_or_default();
            self.0.insert(position.stream.clone(), place);
        }
        let Some(place) = self.0.get_mut(&position.stream) else { return };
        place.records += 1;
        let delivered = matches!(body, Body::Message(_) | Body::Rejected(_));
        if delivered {
            place.time = time;
        }
        match (&position.mark, body) {
            // What was known before, or only skipped over, never moves a stream backwards. Where
            // it moves it, the leader of the last message says nothing of what stands there.
            (Mark::Next(next), Body::Duplicate | Body::Moved { .. }) => {
                if place.next < Some(*next) {
                    place.next = Some(*next);
                    place.leader_epoch = position.leader_epoch;
                }
            }
            // Behind an accepted cut another leader's log begins, and a message that tells no epoch
            // was written by who knows whom.
            (Mark::Next(next), _) => {
                place.next = Some(*next);
                place.leader_epoch = position.leader_epoch;
            }
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

    /// The place that an earlier version kept under a name with the broker's nodes in it. Of
    /// several, which lists of other nodes had, the one with the most records.
    fn take_over(&mut self, stream: &Stream) -> Option<Place> {
        let former = |it: &Arc<Stream>| it.without_nodes().as_ref() == Some(stream);
        let found = self.0.iter().filter(|(it, _)| former(it));
        let found = found.max_by_key(|(_, place)| place.records)?.0.clone();
        self.0.remove(&found)
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
                let stream = stream.without_nodes().map_or_else(|| stream.clone(), Arc::new);
                marks.map(move |mark| {
                    let leader_epoch = place.leader_epoch;
                    Position { leader_epoch, ..Position::new(stream.clone(), mark) }
                })
            })
            .collect()
    }

    pub fn next_offset(&self, stream: &Stream) -> Option<Offset> {
        self.0.get(stream)?.next
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

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn partition(cluster: &str, topic_id: u128, partition: i32) -> Arc<Stream> {
        Arc::new(Stream::Partition {
            source: "orders".to_owned(),
            cluster: cluster.to_owned(),
            topic: "t".to_owned(),
            topic_id: Some(Uuid::from_u128(topic_id)),
            partition,
        })
    }

    fn take(streams: &mut Streams, stream: &Arc<Stream>, next: u64, body: &Body) {
        let position = Position::new(stream.clone(), Mark::Next(Offset(next)));
        streams.take(&position, body, UnixMillis(next));
    }

    fn nexts(streams: &Streams) -> Vec<u64> {
        streams.progress().iter().filter_map(|progress| Some(progress.next?.0)).collect()
    }

    fn rejected() -> Body {
        Body::Rejected(crate::operation::Rejection {
            refusal: crate::operation::Refusal::new(crate::operation::Reason::NotJson, ""),
            original: Default::default(),
            rewritten: false,
        })
    }

    const START: Body = Body::Start { forget_others: false, why: None };

    #[test]
    fn only_a_start_moves_a_partition_back() {
        let (mut streams, stream) = (Streams::default(), partition("c", 1, 0));
        take(&mut streams, &stream, 10, &START);
        for body in [Body::Duplicate, Body::moved()] {
            take(&mut streams, &stream, 7, &body);
            assert_eq!(nexts(&streams), [10]);
            take(&mut streams, &stream, 12, &body);
            take(&mut streams, &stream, 10, &START);
        }
        take(&mut streams, &stream, 3, &START);
        assert_eq!(nexts(&streams), [3]);
        let progress = &streams.progress()[0];
        assert_eq!((progress.records, progress.time), (8, UnixMillis(0)));
    }

    #[test]
    fn a_start_brings_its_epoch_or_none() {
        let (mut streams, stream) = (Streams::default(), partition("c", 1, 0));
        let mut position = Position::new(stream.clone(), Mark::Next(Offset(9)));
        position.leader_epoch = Some(7);
        streams.take(&position, &START, UnixMillis(1));
        assert_eq!(streams.positions("orders")[0].leader_epoch, Some(7));
        for next in [5, 9] {
            take(&mut streams, &stream, next, &Body::moved());
            take(&mut streams, &stream, next, &Body::Duplicate);
        }
        assert_eq!(streams.positions("orders")[0].leader_epoch, Some(7));
        take(&mut streams, &stream, 3, &START);
        assert_eq!(streams.positions("orders")[0].leader_epoch, None);
    }

    #[test]
    fn an_epoch_is_that_of_the_last_message_and_none_where_that_tells_none() {
        let (mut streams, stream) = (Streams::default(), partition("c", 1, 0));
        let mut position = Position::new(stream.clone(), Mark::Next(Offset(9)));
        position.leader_epoch = Some(7);
        streams.take(&position, &START, UnixMillis(1));
        // Sent again by its publisher, and written by a later leader.
        (position.mark, position.leader_epoch) = (Mark::Next(Offset(10)), Some(8));
        streams.take(&position, &Body::Duplicate, UnixMillis(1));
        assert_eq!(streams.positions("orders")[0].leader_epoch, Some(8));
        // Markers of whatever leader.
        take(&mut streams, &stream, 12, &Body::moved());
        assert_eq!(streams.positions("orders")[0].leader_epoch, None);
        assert_eq!(nexts(&streams), [12]);
        let mut applied = |next, epoch| {
            (position.mark, position.leader_epoch) = (Mark::Next(Offset(next)), epoch);
            streams.take(&position, &rejected(), UnixMillis(1));
            streams.positions("orders")[0].leader_epoch
        };
        assert_eq!(applied(13, Some(9)), Some(9));
        // A message that tells none.
        assert_eq!(applied(14, None), None);
    }

    #[test]
    fn a_start_forgets_the_topic_of_the_same_name_and_if_asked_other_clusters() {
        let mut streams = Streams::default();
        for (cluster, topic_id, number) in [("c", 1, 0), ("c", 1, 1), ("d", 1, 0), ("c", 2, 0)] {
            take(&mut streams, &partition(cluster, topic_id, number), number as u64 + 5, &START);
        }
        let clusters = |streams: &Streams| -> Vec<String> {
            streams.progress().iter().map(|it| it.stream.cluster().to_owned()).collect()
        };
        // The first one gave way to the last; its sibling stays.
        assert_eq!(clusters(&streams), ["c", "c", "d"]);
        assert_eq!(streams.positions("orders").len(), 3);
        assert!(streams.positions("other").is_empty());
        let start = Body::start(true);
        take(&mut streams, &partition("e", 1, 0), 0, &start);
        assert_eq!(clusters(&streams), ["e"]);
    }

    #[test]
    fn a_partition_that_gains_an_id_keeps_its_place() {
        let named = partition("c", 1, 0);
        let Stream::Partition { source, cluster, topic, partition, .. } = (*named).clone() else {
            panic!("{named}");
        };
        let nameless = Stream::Partition { source, cluster, topic, topic_id: None, partition };
        let mut streams = Streams::default();
        take(&mut streams, &Arc::new(nameless), 10, &START);
        let mut position = Position::new(named, Mark::Next(Offset(10)));
        position.leader_epoch = Some(7);
        let start = Body::Start { forget_others: false, why: Some("its id is known".into()) };
        streams.take(&position, &start, UnixMillis(1));
        assert_eq!(streams.positions("orders"), [position]);
    }

    #[test]
    fn a_queue_keeps_its_last_deliveries_in_order() {
        let (source, cluster, queue) = ("s".to_owned(), "c".to_owned(), "q".to_owned());
        let stream = Arc::new(Stream::Queue { source, cluster, queue });
        let print = |body| Fingerprint { body, message_id: None };
        let mut streams = Streams::default();
        let message = rejected();
        for body in 0..QUEUE_SUFFIX_MAX as u128 + 3 {
            let mark = Mark::Fingerprint(print(body));
            let position = Position::new(stream.clone(), mark);
            streams.take(&position, &message, UnixMillis(1));
            // Known already: it stands where it first stood.
            streams.take(&position, &Body::Duplicate, UnixMillis(2));
        }
        let marks: Vec<Mark> = streams.positions("s").into_iter().map(|it| it.mark).collect();
        let expected = (3..QUEUE_SUFFIX_MAX as u128 + 3).map(|body| Mark::Fingerprint(print(body)));
        assert_eq!(marks, expected.collect::<Vec<_>>());
    }

    #[test]
    fn a_queue_named_after_its_nodes_goes_on_under_its_virtual_host() {
        let queue = |cluster: &str| {
            let (source, queue) = ("s".to_owned(), "q".to_owned());
            Arc::new(Stream::Queue { source, cluster: cluster.to_owned(), queue })
        };
        let (old, new) = (queue("one:5672,two:5672//"), queue("//"));
        let print = |body| Mark::Fingerprint(Fingerprint { body, message_id: None });
        let message = rejected();
        let mut streams = Streams::default();
        streams.take(&Position::new(old, print(1)), &message, UnixMillis(1));
        let positions = streams.positions("s");
        assert_eq!(positions, [Position::new(new.clone(), print(1))]);
        streams.take(&Position::new(new.clone(), print(2)), &message, UnixMillis(1));
        let both = [1, 2].map(|body| Position::new(new.clone(), print(body)));
        assert_eq!(streams.positions("s"), both);
        assert_eq!(streams.progress().len(), 1);
        // Another virtual host is another queue.
        streams.take(&Position::new(queue("/other"), print(3)), &message, UnixMillis(1));
        assert_eq!(streams.progress().len(), 2);
    }
}
