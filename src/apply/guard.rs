//! One record, with nothing it can do to take the process into a loop.

use std::any::Any;
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;

use crate::catalog::{Applied, Catalog, Outcome};
use crate::operation::{
    Body, InvalidBody, Message, Original, Reason, Redrive, Refusal, Rejection, decode, to_json,
};
use crate::position::Seq;

/// Why a record was not applied. It is durable, so every start meets it again.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    #[error(
        "record {seq} made the applier panic: {message}. This is a bug; please report it. \
         `pointd serve --reject-seq {seq}` makes the record a dead letter and goes on"
    )]
    Panicked { seq: Seq, message: String },

    #[error(
        "record {seq} of the log cannot be read: {source}. Start the version that wrote it; \
         or `pointd serve --reject-seq {seq}` makes it a dead letter and goes on"
    )]
    Unreadable { seq: Seq, source: InvalidBody },
}

/// Applies one record, or in its place the dead letter the operator asked for.
pub fn apply(
    catalog: &Catalog,
    mut record: Applied,
    reject: &BTreeSet<Seq>,
) -> Result<Outcome, ApplyError> {
    if reject.contains(&record.seq) {
        record.body = rejected(record.body);
    }
    let seq = record.seq;
    guarded(seq, || catalog.apply(record))
}

/// A panic may leave the state torn; whoever gets the error must not checkpoint it.
pub(super) fn guarded<T>(seq: Seq, work: impl FnOnce() -> T) -> Result<T, ApplyError> {
    catch_unwind(AssertUnwindSafe(work))
        .map_err(|panic| ApplyError::Panicked { seq, message: message(&*panic) })
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default()
}

/// Decodes a record's body. One that cannot be read can still be rejected.
pub(super) fn body(seq: Seq, bytes: Bytes, reject: &BTreeSet<Seq>) -> Result<Body, ApplyError> {
    match decode(bytes.clone()) {
        Ok(body) => Ok(body),
        Err(_) if reject.contains(&seq) => {
            let original = Original::of(bytes);
            Ok(Body::Rejected(Rejection { refusal: by_operator(), original, rewritten: false }))
        }
        Err(source) => Err(ApplyError::Unreadable { seq, source }),
    }
}

fn rejected(body: Body) -> Body {
    let (original, rewritten) = match body {
        Body::Message(Message { original: Some(original), .. }) => (original, false),
        Body::Message(message) => (Original::of(to_json(&message)), true),
        Body::Rejected(rejection) => (rejection.original, rejection.rewritten),
        // Its letter is kept already.
        Body::Redrive(Redrive { letter, .. }) => {
            return Body::Redrive(Redrive { letter, attempt: Err(by_operator()) });
        }
        // Only a position, or letters to drop: there is no message to keep.
        other => return other,
    };
    Body::Rejected(Rejection { refusal: by_operator(), original, rewritten })
}

fn by_operator() -> Refusal {
    Refusal::new(Reason::RejectedByOperator, "rejected with `pointd serve --reject-seq`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_names_the_record_and_the_remedy() {
        let panicked = guarded(Seq(7), || -> () { panic!("index {} out of range", 3) });
        let error = panicked.unwrap_err().to_string();
        assert!(error.contains("index 3 out of range"), "{error}");
        assert!(error.contains("serve --reject-seq 7"), "{error}");
        assert_eq!(guarded(Seq(7), || 1).unwrap(), 1);
    }

    #[test]
    fn a_position_is_kept_though_its_record_is_rejected() {
        assert_eq!(rejected(Body::moved()), Body::moved());
        let start = Body::start(true);
        assert_eq!(rejected(start.clone()), start);
    }

    /// What was not kept as it was delivered must not be taken for that: it would be read as the
    /// source's format.
    #[test]
    fn only_a_message_whose_bytes_were_not_kept_is_rewritten() {
        let text = r#"{"collection": "c", "delete": {"points": [7]}}"#;
        let message = crate::operation::decode_written(text).unwrap();
        let original = Some(Original::of("as it came"));
        for (original, expected) in [(None, true), (original, false)] {
            let body = rejected(Body::Message(Message { original, ..message.clone() }));
            let Body::Rejected(rejection) = &body else { panic!("{body:?}") };
            assert_eq!(rejection.rewritten, expected);
            // Rejected once more it is what it was.
            assert_eq!(rejected(body.clone()), body);
        }
    }
}
