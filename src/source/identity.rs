//! What a message is recognised by when it comes again: by its broker, or by its publisher.
//!
//! Promise: two messages that may mean different operations have different fingerprints. A body
//! alone does not say what it means: headers and a key decide about it, too. No promise: that two
//! of the same fingerprint are the same message. A publisher may mean the same thing twice.

use xxhash_rust::xxh3::{Xxh3, xxh3_128};

use super::Delivery;
use crate::position::Fingerprint;

/// The headers that decide what a body means. Of several of one name the first is read.
const DECISIVE: [&str; 4] = ["collection", "type", "content-type", "content-encoding"];

/// Other than that of a bare body, so that no body can pass for one with headers.
const SEED: u64 = 1;

/// A bare body is hashed as it is. With decisive headers, a key or no value at all, these are
/// hashed before it, each with its kind and length.
pub(super) fn fingerprint(delivery: &Delivery, message_id: Option<String>) -> Fingerprint {
    let body = delivery.value.as_deref().unwrap_or_default();
    let headers = DECISIVE.map(|name| header(delivery, name));
    let key = delivery.key.as_deref();
    if delivery.value.is_some() && key.is_none() && headers.iter().all(Option::is_none) {
        return Fingerprint { body: xxh3_128(body), message_id };
    }
    let mut hash = Xxh3::with_seed(SEED);
    let value = delivery.value.as_deref();
    for part in headers.into_iter().chain([key, value]) {
        // Absent and empty are two things.
        hash.update(&[part.is_some().into()]);
        let part = part.unwrap_or_default();
        hash.update(&(part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    Fingerprint { body: hash.digest128(), message_id }
}

fn header<'a>(delivery: &'a Delivery, name: &str) -> Option<&'a [u8]> {
    let found = delivery.headers.iter().find(|(given, _)| given.eq_ignore_ascii_case(name));
    found.map(|(_, value)| &**value)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use bytes::Bytes;

    use super::*;
    use crate::position::UnixMillis;

    fn body(key: Option<&str>, value: Option<&str>, headers: &[(&str, &str)]) -> u128 {
        let bytes = |text: &str| Bytes::copy_from_slice(text.as_bytes());
        let delivery = Delivery {
            time: UnixMillis(1),
            key: key.map(bytes),
            value: value.map(bytes),
            headers: headers.iter().map(|(name, it)| ((*name).to_owned(), bytes(it))).collect(),
            redelivered: None,
        };
        fingerprint(&delivery, None).body
    }

    #[test]
    fn what_decides_what_a_body_means_is_part_of_its_fingerprint() {
        let plain = body(None, Some("x"), &[]);
        // As positions have it that are stored already.
        assert_eq!(plain, xxh3_128(b"x"));
        assert_eq!(body(None, Some("x"), &[("trace", "7"), ("message-id", "1")]), plain);
        let each = [
            plain,
            body(None, Some("x"), &[("collection", "a")]),
            body(None, Some("x"), &[("collection", "b")]),
            body(None, Some("x"), &[("collection", "")]),
            body(None, Some("x"), &[("type", "a")]),
            body(None, Some("x"), &[("content-type", "a")]),
            body(None, Some("x"), &[("content-encoding", "a")]),
            body(None, Some("ax"), &[("collection", "")]),
            body(Some("a"), Some("x"), &[]),
            body(Some(""), Some("x"), &[]),
            body(Some("ax"), Some(""), &[]),
            body(Some("ax"), None, &[]),
            body(None, None, &[]),
            body(None, Some(""), &[]),
        ];
        assert_eq!(each.iter().collect::<HashSet<_>>().len(), each.len());
        let named = body(None, Some("x"), &[("Collection", "a"), ("collection", "b")]);
        assert_eq!(named, each[1], "as it is read: whatever the case, and the first");
    }
}
