//! The encoding of a [`Position`] in the log. Protobuf, so that fields can be added; tag
//! numbers are never used twice.

use std::sync::Arc;

use bytes::Bytes;
use prost::Message;
use uuid::Uuid;

use super::{Fingerprint, Mark, Offset, Position, Stream};

#[derive(Clone, PartialEq, Message)]
struct PositionRecord {
    #[prost(string, tag = "1")]
    source: String,
    #[prost(string, tag = "2")]
    cluster: String,
    /// The topic or queue.
    #[prost(string, tag = "3")]
    name: String,
    /// Absent for a queue.
    #[prost(int32, optional, tag = "4")]
    partition: Option<i32>,
    /// 16 bytes, or none.
    #[prost(bytes = "vec", tag = "5")]
    topic_id: Vec<u8>,
    /// Of a partition.
    #[prost(uint64, optional, tag = "6")]
    next_offset: Option<u64>,
    /// Of a queue, or of a message that its publisher may send again: 16 bytes, big-endian.
    #[prost(bytes = "vec", tag = "7")]
    body: Vec<u8>,
    #[prost(string, optional, tag = "8")]
    message_id: Option<String>,
    /// Of a partition.
    #[prost(sint32, optional, tag = "9")]
    leader_epoch: Option<i32>,
}

#[derive(Debug, thiserror::Error)]
pub enum InvalidPosition {
    #[error("not a position: {0}")]
    Malformed(#[from] prost::DecodeError),
    #[error("a position without {0}: written by a newer version?")]
    Missing(&'static str),
}

impl Position {
    pub fn encode(&self) -> Bytes {
        let mut record = PositionRecord {
            source: self.stream.source().to_owned(),
            name: self.stream.name().to_owned(),
            ..Default::default()
        };
        match &*self.stream {
            Stream::Partition { cluster, topic_id, partition, .. } => {
                record.cluster.clone_from(cluster);
                record.partition = Some(*partition);
                record.topic_id = topic_id.map(|id| id.as_bytes().to_vec()).unwrap_or_default();
            }
            Stream::Queue { cluster, .. } => record.cluster.clone_from(cluster),
        }
        if let Mark::Next(offset) = &self.mark {
            record.next_offset = Some(offset.0);
        }
        if let Some(print) = self.fingerprint() {
            record.body = print.body.to_be_bytes().to_vec();
            record.message_id.clone_from(&print.message_id);
        }
        record.leader_epoch = self.leader_epoch;
        record.encode_to_vec().into()
    }

    pub fn decode(bytes: &[u8]) -> Result<Position, InvalidPosition> {
        let record = PositionRecord::decode(bytes)?;
        let message_id = record.message_id;
        let print = <[u8; 16]>::try_from(&record.body[..])
            .ok()
            .map(|body| Fingerprint { body: u128::from_be_bytes(body), message_id });
        let (mark, identity) = match (record.next_offset, print) {
            (Some(next), identity) => (Mark::Next(Offset(next)), identity),
            (None, Some(print)) => (Mark::Fingerprint(print), None),
            (None, None) => return Err(InvalidPosition::Missing("an offset or a fingerprint")),
        };
        let leader_epoch = record.leader_epoch;
        let (source, cluster, name) = (record.source, record.cluster, record.name);
        let stream = match record.partition {
            Some(partition) => {
                let topic_id = Uuid::from_slice(&record.topic_id).ok();
                Stream::Partition { source, cluster, topic: name, topic_id, partition }
            }
            None => Stream::Queue { source, cluster, queue: name },
        };
        Ok(Position { stream: Arc::new(stream), mark, leader_epoch, identity })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_stream() -> impl Strategy<Value = Stream> {
        let names = (".*", ".*", ".*");
        prop_oneof![
            (names, any::<Option<u128>>(), 0..i32::MAX).prop_map(
                |((source, cluster, topic), id, partition)| Stream::Partition {
                    source,
                    cluster,
                    topic,
                    topic_id: id.map(Uuid::from_u128),
                    partition,
                }
            ),
            names.prop_map(|(source, cluster, queue)| Stream::Queue { source, cluster, queue }),
        ]
    }

    fn any_print() -> impl Strategy<Value = Fingerprint> {
        (any::<u128>(), any::<Option<String>>())
            .prop_map(|(body, message_id)| Fingerprint { body, message_id })
    }

    fn any_position() -> impl Strategy<Value = Position> {
        let identity = proptest::option::of(any_print());
        let next = (any::<u64>(), any::<Option<i32>>(), identity);
        let next = (any_stream(), next).prop_map(|(stream, (next, leader_epoch, identity))| {
            let (stream, mark) = (Arc::new(stream), Mark::Next(Offset(next)));
            Position { stream, mark, leader_epoch, identity }
        });
        let print = (any_stream(), any_print())
            .prop_map(|(stream, print)| Position::new(Arc::new(stream), Mark::Fingerprint(print)));
        prop_oneof![next, print]
    }

    proptest! {
        #[test]
        fn a_position_reads_back_as_it_was_written(position in any_position()) {
            prop_assert_eq!(Position::decode(&position.encode()).unwrap(), position);
        }
    }
}
