//! What becomes durable together, and who is told of it.

use bytes::Bytes;
use tokio::sync::oneshot;

use crate::catalog::{Durable, Outcome};
use crate::operation::Body;
use crate::position::{Position, Seq, UnixMillis};
use crate::source::Watermark;
use crate::wal::Draft;

/// What is being gathered, and what to tell once it is durable. With a batch that is much larger
/// than a frame should be, several frames come of it.
#[derive(Default)]
pub(super) struct Frame {
    pub drafts: Vec<Draft>,
    pub records: Vec<Unnumbered>,
    pub bytes: usize,
    pub watermarks: Vec<(Watermark, u64)>,
    pub held_bytes: usize,
    /// Of HTTP writes.
    pub written_bytes: usize,
    /// Of the workers' bound.
    pub decoded_bytes: usize,
}

/// A record whose seq comes with the append.
pub(super) struct Unnumbered {
    pub time: UnixMillis,
    pub position: Option<Position>,
    pub body: Body,
    pub durable: Option<oneshot::Sender<Seq>>,
    pub reply: Option<oneshot::Sender<Outcome>>,
}

impl Frame {
    /// Nothing to write and nothing to tell.
    pub fn is_empty(&self) -> bool {
        self.drafts.is_empty()
            && self.watermarks.is_empty()
            && self.held_bytes == 0
            && self.written_bytes == 0
            && self.decoded_bytes == 0
    }

    /// Lets the sources commit or ack what is durable now.
    pub fn acknowledge(&mut self) {
        for (watermark, number) in self.watermarks.drain(..) {
            watermark.raise(number);
        }
    }

    pub fn push(&mut self, record: Unnumbered, position: Option<Bytes>, body: Bytes) {
        let draft = Draft { time: record.time, position, body };
        self.bytes += draft.frame_bytes();
        self.drafts.push(draft);
        self.records.push(record);
    }
}

impl Unnumbered {
    /// Tells who waits for durability, and goes on to the applier.
    pub fn durable(self, seq: Seq) -> Durable {
        if let Some(durable) = self.durable {
            // A caller that has gone away stops nothing.
            let _ = durable.send(seq);
        }
        Durable {
            seq,
            time: self.time,
            position: self.position,
            body: self.body,
            reply: self.reply,
        }
    }
}

/// How many of the drafts go into the next frame: all, or as many as fit if there is more than
/// twice as much as a frame should hold; one at least. No small frame is left over. Starts that follow
/// each other stay together, however many: the log has a whole decision where a source begins, or
/// nothing of it.
pub(super) fn first_frame(drafts: &[Draft], records: &[Unnumbered], bytes_max: usize) -> usize {
    let is_start =
        |at: usize| records.get(at).is_some_and(|it| matches!(it.body, Body::Start { .. }));
    let mut count = those_that_fit(drafts, bytes_max);
    while count < drafts.len() && is_start(count - 1) && is_start(count) {
        count += 1;
    }
    count
}

fn those_that_fit(drafts: &[Draft], bytes_max: usize) -> usize {
    let (mut bytes, mut fit) = (0, 0);
    for draft in drafts {
        bytes += draft.frame_bytes();
        if bytes <= bytes_max {
            fit += 1;
        } else if bytes > bytes_max.saturating_mul(2) {
            return fit.max(1);
        }
    }
    drafts.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_holds_up_to_twice_its_bound_and_one_record_at_least() {
        let draft = |length: usize| Draft {
            time: UnixMillis(1),
            position: None,
            body: Bytes::from(vec![0; length]),
        };
        let drafts: Vec<Draft> = (0..10).map(|_| draft(1000)).collect();
        let each = drafts[0].frame_bytes();
        assert_eq!(first_frame(&drafts, &[], 10 * each), 10);
        assert_eq!(first_frame(&drafts, &[], 5 * each), 10);
        assert_eq!(first_frame(&drafts, &[], 4 * each), 4);
        assert_eq!(first_frame(&drafts, &[], 1), 1);
        assert_eq!(first_frame(&drafts[..1], &[], 1), 1);
    }

    #[test]
    fn the_starts_of_one_decision_are_not_parted() {
        let mut frame = Frame::default();
        let start = || Body::Start { forget_others: false, why: None };
        for body in [start(), start(), start(), Body::Duplicate, start(), Body::Duplicate] {
            let (durable, reply) = (None, None);
            let record = Unnumbered { time: UnixMillis(1), position: None, body, durable, reply };
            frame.push(record, None, Bytes::from(vec![0; 1000]));
        }
        let count = |from: usize| first_frame(&frame.drafts[from..], &frame.records[from..], 1);
        assert_eq!([0, 1, 2, 3, 4, 5].map(count), [3, 2, 1, 1, 1, 1]);
    }
}
