//! What fits into a record of the log.
//!
//! A frame of the log holds a record whole, so there is a most that a record may take. Numbers
//! grow when they are encoded (an id of one digit takes eleven bytes), so a message within
//! `message_bytes_max` may be beyond it. It is refused while it can be: once it is in the queue,
//! the log could only stop the process, and the broker would deliver it for ever.

use bytes::Bytes;

use crate::operation::{Body, Message, Operation, Original, Reason, Refusal, Rejection, encode};

/// Position and body of a record, in bytes. With its header it fits into a frame of 1 GiB.
pub const RECORD_BYTES_MAX: usize = 960 << 20;
/// What is kept of a value that fits into no record.
const KEPT_BYTES: usize = 64 << 10;

/// A body that fits into `bytes_max`, encoded; and what was delivered, unless the body has it.
pub(super) struct Fitted {
    pub body: Body,
    pub encoded: Bytes,
    pub original: Option<Original>,
}

/// Makes what does not fit a dead letter. `original` is what was delivered, unless the body has it.
pub(super) fn fit(body: Body, original: Option<Original>, bytes_max: usize) -> Fitted {
    let encoded = encode(&body);
    let bytes = encoded.len();
    if bytes <= bytes_max {
        return Fitted { body, encoded, original };
    }
    drop(encoded);
    match body {
        // It is applied, or its letter is rewritten from it.
        Body::Message(Message { original: Some(original), collection, operations, waits }) => {
            let message = Message { original: None, collection, operations, waits };
            fit(Body::Message(message), Some(original), bytes_max)
        }
        Body::Message(_) => {
            let detail = format!(
                "it would take {bytes} bytes in the log, more than {bytes_max}: send several"
            );
            let refusal = Refusal::new(Reason::TooLarge, detail);
            let original = original.unwrap_or_default();
            let rejected = Body::Rejected(Rejection { refusal, original, rewritten: false });
            fit(rejected, None, bytes_max)
        }
        Body::Rejected(rejection) => {
            let body = Body::Rejected(cut(rejection, bytes));
            Fitted { encoded: encode(&body), body, original: None }
        }
        // Only a position, or a few words.
        body => Fitted { encoded: encode(&body), body, original },
    }
}

fn cut(rejection: Rejection, bytes: usize) -> Rejection {
    let detail = format!(
        "it takes {bytes} bytes as it came, more than the log takes: only the first {KEPT_BYTES} \
         of its value are kept, and neither key nor headers"
    );
    let beginning = |value: Bytes| Bytes::copy_from_slice(&value[..value.len().min(KEPT_BYTES)]);
    let original =
        Original { value: rejection.original.value.map(beginning), ..Original::default() };
    let refusal = Refusal::new(Reason::TooLarge, detail);
    Rejection { refusal, original, rewritten: rejection.rewritten }
}

/// What a record takes in memory, about, on its way to the log: encoded, and beside it in pieces.
pub(super) fn memory_bytes(body: &Body, encoded: usize) -> usize {
    // Of a point or a vector, beside its content.
    const PIECE_BYTES: usize = 96;
    let message = match body {
        Body::Message(message) => Some(message),
        Body::Redrive(redrive) => redrive.attempt.as_ref().ok(),
        _ => None,
    };
    let pieces = message.iter().flat_map(|message| &message.operations).map(Operation::pieces);
    2 * encoded + pieces.sum::<usize>() * PIECE_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operation::decode_written;

    #[test]
    fn what_does_not_fit_becomes_a_letter_that_does() {
        let text = r#"{"collection": "c", "delete": {"points": [1, 2, 3, 4, 5, 6, 7, 8, 9]}}"#;
        let message = decode_written(text).unwrap();
        let original = || Original { key: Some("k".into()), ..Original::of(text) };
        let alone = encode(&Body::Message(message.clone())).len();
        let fits = |max| fit(Body::Message(message.clone()), Some(original()), max);
        assert_eq!(fits(alone).body, Body::Message(message.clone()));
        assert_eq!(fits(alone).original, Some(original()));
        // Kept with what was delivered it does not fit, alone it does.
        let kept = Message { original: Some(original()), ..message.clone() };
        let fitted = fit(Body::Message(kept), None, alone);
        assert_eq!(fitted.body, Body::Message(message.clone()));
        assert_eq!(fitted.original, Some(original()));
        // Delivered it is shorter than encoded.
        let letter = |fitted: Fitted| match fitted.body {
            Body::Rejected(rejection) => (rejection, fitted.encoded),
            body => panic!("{body:?}"),
        };
        let large = format!("[{}]", "1,".repeat(50_000) + "1");
        let text = format!(r#"{{"collection": "c", "delete": {{"points": {large}}}}}"#);
        let message = Body::Message(decode_written(&text).unwrap());
        let original = Original { key: Some("k".into()), ..Original::of(text) };
        let (rejection, encoded) = letter(fit(message.clone(), Some(original.clone()), 200_000));
        assert_eq!((rejection.refusal.reason, &rejection.original), (Reason::TooLarge, &original));
        assert!(encoded.len() <= 200_000);
        let (rejection, encoded) = letter(fit(message, Some(original), 80_000));
        assert_eq!(rejection.original.value.unwrap().len(), KEPT_BYTES);
        assert!(encoded.len() <= 80_000 && rejection.refusal.detail.contains("only the first"));
    }
}
