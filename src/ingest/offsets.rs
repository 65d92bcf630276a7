//! How far each partition is in the log.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use super::frame::Unnumbered;
use crate::operation::Body;
use crate::position::{Mark, Offset, Position, Stream};

/// How far each partition is in the log and fsynced. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct DurableOffsets(Arc<RwLock<HashMap<Arc<Stream>, Offset>>>);

impl DurableOffsets {
    /// `None` for a queue, and for a partition of which nothing was ever appended.
    pub fn get(&self, stream: &Stream) -> Option<Offset> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(stream).copied()
    }

    /// From the positions the log stands at after recovery.
    pub fn new(positions: &[Position]) -> Self {
        let offsets = DurableOffsets::default();
        for position in positions {
            if let Mark::Next(next) = position.mark {
                offsets.set(&position.stream, next);
            }
        }
        offsets
    }

    pub(super) fn set(&self, stream: &Arc<Stream>, next: Offset) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(stream.clone(), next);
    }
}

/// Where each partition of these records stands behind them. What comes again stands before that, most
/// often, and moves nothing back; a start may.
pub(super) fn last_offsets<'r>(
    records: &'r [Unnumbered],
    before: &DurableOffsets,
) -> Vec<(&'r Arc<Stream>, Offset)> {
    let mut last: Vec<(&Arc<Stream>, Offset)> = Vec::new();
    for record in records {
        let Some(Position { stream, mark: Mark::Next(next), .. }) = &record.position else {
            continue;
        };
        let at = last.iter().rposition(|(known, _)| Arc::ptr_eq(known, stream));
        let at = at.unwrap_or_else(|| {
            last.push((stream, before.get(stream).unwrap_or_default()));
            last.len() - 1
        });
        let reached = &mut last[at].1;
        *reached = match record.body {
            Body::Duplicate => (*reached).max(*next),
            _ => *next,
        };
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::position::UnixMillis;

    #[test]
    fn what_comes_again_moves_nothing_back() {
        let stream = |partition| {
            let (source, cluster, topic) = ("s".into(), "c".into(), "t".into());
            Arc::new(Stream::Partition { source, cluster, topic, topic_id: None, partition })
        };
        let streams = [stream(0), stream(1), stream(2)];
        let record = |(partition, next, body): (usize, u64, Body)| Unnumbered {
            time: UnixMillis(1),
            position: Some(Position::new(streams[partition].clone(), Mark::Next(Offset(next)))),
            body,
            durable: None,
            reply: None,
        };
        let start = Body::Start { forget_others: false, why: Some("accepted".into()) };
        let moved = |why: &str| Body::Moved { why: Some(why.into()) };
        let records = [
            (0, 11, moved("a gap")),
            (0, 5, Body::Duplicate),
            (1, 7, Body::Duplicate),
            // Known by its message id: new to the partition.
            (1, 21, Body::Duplicate),
            (2, 3, start),
            (2, 2, Body::Duplicate),
        ];
        let records: Vec<Unnumbered> = records.into_iter().map(record).collect();
        let before = DurableOffsets::default();
        for (stream, next) in streams.iter().zip([10, 20, 30]) {
            before.set(stream, Offset(next));
        }
        let last = |records: &[Unnumbered]| -> Vec<u64> {
            last_offsets(records, &before).into_iter().map(|(_, next)| next.0).collect()
        };
        assert_eq!(last(&records), [11, 21, 3]);
        assert_eq!(last(&records[1..3]), [10, 20]);
    }
}
