//! Whether a message that looked well when it was decoded may still be refused at its turn.
//!
//! Promise: of a message that may be, the record keeps what was delivered, for the dead letter it
//! may become. That is where any collection was deleted between the state that the decoder saw and
//! the message's own place in the log, or, if it names points, any point; and where only applying
//! shows its fate. Nothing finer is told apart: a record that keeps it in vain costs its bytes.
//!
//! No promise for what is not taken away but runs out: the last slot of a collection.

use std::sync::Arc;

use crate::catalog::Catalog;
use crate::operation::{Message, Operation, Selector};
use crate::position::Seq;

/// What the state says about messages that are not applied yet.
#[derive(Clone)]
pub struct Foresight {
    /// What was applied up to here is known to `fits`.
    pub applied: Arc<dyn Fn() -> Seq + Send + Sync>,
    /// Whether a message looks as if it could be applied now.
    pub fits: Arc<dyn Fn(&Message) -> bool + Send + Sync>,
}

impl Foresight {
    pub fn of(catalog: &Arc<Catalog>) -> Foresight {
        let (applied, fits) = (catalog.clone(), catalog.clone());
        Foresight {
            applied: Arc::new(move || applied.applied()),
            fits: Arc::new(move |message| fits.check(message).is_ok()),
        }
    }
}

/// The newest records that take something away, of any collection. The appender's.
#[derive(Default)]
pub(super) struct Doubts {
    collection_gone: Seq,
    points_gone: Seq,
}

impl Doubts {
    /// Of a message that looked well in the state as of `seen`: may it be refused, were it the
    /// next record of the log?
    pub fn doubts(&self, message: &Message, seen: Seq) -> bool {
        seen < self.collection_gone
            || (seen < self.points_gone && message.operations.iter().any(names_points))
    }

    /// The message is the record `seq`.
    pub fn note(&mut self, seq: Seq, message: &Message) {
        for operation in &message.operations {
            match operation {
                Operation::DeleteCollection => self.collection_gone = seq,
                Operation::DeletePoints(_) => self.points_gone = seq,
                _ => {}
            }
        }
    }
}

/// Whether only applying shows that it is not refused, whatever the state: how large stored
/// payloads are decides, or what a filter selected in front of an operation that names points.
pub(super) fn only_applying_shows(message: &Message) -> bool {
    let mut deletes_matching = false;
    message.operations.iter().any(|operation| match operation {
        Operation::SetPayload { .. } | Operation::DeletePayload { .. } => true,
        Operation::DeletePoints(Selector::Filter(_)) => {
            deletes_matching = true;
            false
        }
        other => deletes_matching && names_points(other),
    })
}

/// Whether it is about points that have to be there.
fn names_points(operation: &Operation) -> bool {
    match operation {
        Operation::UpdateVectors(_) => true,
        Operation::DeleteVectors { points, .. }
        | Operation::SetPayload { points, .. }
        | Operation::OverwritePayload { points, .. }
        | Operation::DeletePayload { points, .. }
        | Operation::ClearPayload(points) => matches!(points, Selector::Ids(_)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operation::decode_written;

    fn message(operation: &str) -> Message {
        decode_written(&format!(r#"{{"collection": "c", {operation}}}"#)).unwrap()
    }

    const UPSERT: &str = r#""upsert": {"points": [{"id": 7, "vector": [1]}]}"#;
    const UPDATE: &str = r#""update_vectors": {"points": [{"id": 8, "vector": [1]}]}"#;
    const CLEAR: &str = r#""clear_payload": {"points": [8]}"#;
    const DELETE: &str = r#""delete": {"points": [7]}"#;
    const MATCHING: &str = r#""delete": {"filter": {}}"#;

    #[test]
    fn points_that_go_make_doubt_of_what_names_points() {
        for delete in [DELETE, MATCHING] {
            let mut doubts = Doubts::default();
            doubts.note(Seq(10), &message(delete));
            doubts.note(Seq(11), &message(UPSERT));
            for named in [
                UPDATE,
                CLEAR,
                r#""delete_vectors": {"vector": ["v"], "points": [8]}"#,
                r#""set_payload": {"payload": {}, "points": [8]}"#,
                r#""overwrite_payload": {"payload": {}, "points": [8]}"#,
                r#""delete_payload": {"keys": ["a"], "points": [8]}"#,
            ] {
                assert!(doubts.doubts(&message(named), Seq(9)), "{named}");
                assert!(!doubts.doubts(&message(named), Seq(10)), "{named}: the delete was seen");
            }
            for unnamed in [UPSERT, DELETE, r#""clear_payload": {"filter": {}}"#] {
                assert!(!doubts.doubts(&message(unnamed), Seq(9)), "{unnamed}");
            }
        }
    }

    #[test]
    fn a_collection_that_goes_makes_doubt_of_everything() {
        let mut doubts = Doubts::default();
        let operations = vec![Operation::DeleteCollection];
        doubts.note(Seq(10), &Message { operations, ..message(UPSERT) });
        for any in [UPSERT, UPDATE, DELETE] {
            assert!(doubts.doubts(&message(any), Seq(9)), "{any}");
            assert!(!doubts.doubts(&message(any), Seq(10)), "{any}: its end was seen");
        }
    }

    #[test]
    fn what_only_applying_shows_is_known() {
        let sure = |text: &str| !only_applying_shows(&message(text));
        assert!(sure(UPSERT) && sure(MATCHING) && sure(UPDATE) && sure(CLEAR));
        assert!(!sure(r#""set_payload": {"payload": {"a": 1}, "points": [7]}"#));
        assert!(!sure(r#""delete_payload": {"keys": ["a"], "filter": {}}"#));
        let both = |first: &str, second: &str| {
            sure(&format!(r#""operations": [{{{first}}}, {{{second}}}]"#))
        };
        assert!(!both(MATCHING, UPDATE) && both(UPDATE, MATCHING) && both(MATCHING, UPSERT));
        assert!(!both(MATCHING, CLEAR) && both(DELETE, UPDATE));
    }
}
