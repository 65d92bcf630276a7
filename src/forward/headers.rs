//! What is said of a letter beside what was delivered, under the names that Kafka Connect's dead
//! letter queues use.

use crate::catalog::DeadLetter;
use crate::position::{Mark, Offset};

/// A sentence may quote what came from outside; the whole of it is in the letter.
const DETAIL_BYTES_MAX: usize = 4096;

/// In this order, after the letter's own headers.
pub fn errors(letter: &DeadLetter) -> Vec<(&'static str, String)> {
    // Connect's words for where it failed: decoding, or writing to the store.
    let stage = if letter.collection.is_none() { "VALUE_CONVERTER" } else { "TASK_PUT" };
    let mut headers = Vec::new();
    if let Some(position) = &letter.position {
        headers.push(("__connect.errors.topic", position.stream.name().to_owned()));
        if let Some(partition) = position.stream.partition() {
            headers.push(("__connect.errors.partition", partition.to_string()));
        }
        // The mark is the offset after the message.
        if let Mark::Next(Offset(next)) = position.mark {
            headers.push(("__connect.errors.offset", next.saturating_sub(1).to_string()));
        }
    }
    let reason = letter.refusal.reason.label();
    headers.extend([
        ("__connect.errors.connector.name", letter.source().to_owned()),
        ("__connect.errors.stage", stage.to_owned()),
        ("__connect.errors.exception.class.name", format!("pointd.{reason}")),
        ("__connect.errors.exception.message", detail(letter).to_owned()),
        ("pointd.seq", letter.seq.to_string()),
    ]);
    if letter.rewritten {
        headers.push(("pointd.rewritten", "true".to_owned()));
    }
    headers
}

pub fn detail(letter: &DeadLetter) -> &str {
    beginning(&letter.refusal.detail, DETAIL_BYTES_MAX)
}

/// At most so many bytes of it.
pub fn beginning(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operation::{Original, Reason, Refusal};
    use crate::position::{Seq, UnixMillis};

    #[test]
    fn a_value_that_was_written_again_is_called_so() {
        let letter = |rewritten| DeadLetter {
            seq: Seq(7),
            time: UnixMillis(1),
            position: None,
            refusal: Refusal::new(Reason::UnknownPoint, "why"),
            original: Original::of("{}"),
            collection: Some("c".into()),
            rewritten,
            redrives: 0,
            redriven_at: None,
        };
        let says = |rewritten| {
            errors(&letter(rewritten)).contains(&("pointd.rewritten", "true".to_owned()))
        };
        assert!(says(true) && !says(false));
    }
}
