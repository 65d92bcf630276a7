//! Every form, against the one that is written by hand: JSON.

mod encodings;
mod filters;
mod proto;
mod protobuf;
mod records;
mod refusals;

use bytes::Bytes;

use super::*;

/// A decoding that bounds nothing a test makes.
fn decoding(format: Format) -> Decoding {
    Decoding {
        format,
        collection: Some("c".to_owned()),
        topics: TopicCollections::default(),
        limits: Limits { message_bytes_max: 1 << 20 },
    }
}

fn header(name: &str, value: impl AsRef<[u8]>) -> (String, Bytes) {
    (name.to_owned(), Bytes::copy_from_slice(value.as_ref()))
}

fn incoming<'a>(value: &'a [u8], headers: &'a [(String, Bytes)]) -> Incoming<'a> {
    Incoming { topic: None, key: None, value: Some(value), headers }
}

/// Decodes with headers, everything else by default.
fn read(value: impl AsRef<[u8]>, headers: &[(&str, &str)]) -> Result<Message, Refusal> {
    let headers: Vec<_> = headers.iter().map(|(name, value)| header(name, value)).collect();
    decode(&incoming(value.as_ref(), &headers), &decoding(Format::Auto))
}

/// A protobuf message of this type.
fn read_protobuf(value: &[u8], name: &str) -> Result<Message, Refusal> {
    read(value, &[("content-type", "application/x-protobuf"), ("type", name)])
}

const DELETE: &str = r#"{"delete": {"points": [7]}}"#;

#[test]
fn the_content_type_decides_where_nothing_is_configured() {
    for json in ["application/json", "Application/JSON; charset=utf-8", ""] {
        assert!(read(DELETE, &[("content-type", json)]).is_ok(), "{json}");
        assert!(read(DELETE, &[("Content-Type", json)]).is_ok(), "{json}");
    }
    for (content_type, reason) in [
        ("application/protobuf", Reason::UnknownFormat),
        ("text/plain", Reason::UnknownFormat),
        ("application/json+x", Reason::UnknownFormat),
    ] {
        let refusal = read(DELETE, &[("content-type", content_type)]).unwrap_err();
        assert_eq!(refusal.reason, reason, "{refusal}");
    }
    let headers = [header("content-type", "text/plain")];
    assert!(decode(&incoming(DELETE.as_bytes(), &headers), &decoding(Format::Json)).is_ok());
}

#[test]
fn the_collection_is_the_messages_or_the_headers_or_the_topics_or_the_sources() {
    let mut settings = decoding(Format::Auto);
    let topics = [("orders", "exact"), ("^ord", "first"), ("^orders-[a-z]+$", "second")];
    let topics = topics.map(|(topic, collection)| (topic.to_owned(), collection.to_owned()));
    settings.topics = TopicCollections::new(&topics.into()).unwrap();
    let named = r#"{"collection": "message", "delete": {"points": [7]}}"#;
    let headers = [header("collection", "header")];
    for (value, headers, topic, expected) in [
        (named, &headers[..], Some("orders"), "message"),
        (DELETE, &headers, Some("orders"), "header"),
        (DELETE, &[], Some("orders"), "exact"),
        (DELETE, &[], Some("orders-eu"), "first"),
        (DELETE, &[], Some("my-orders"), "c"),
        (DELETE, &[], None, "c"),
    ] {
        let incoming = Incoming { topic, ..incoming(value.as_bytes(), headers) };
        assert_eq!(decode(&incoming, &settings).unwrap().collection, expected);
    }
    settings.collection = None;
    let refusal = decode(&incoming(DELETE.as_bytes(), &[]), &settings).unwrap_err();
    assert_eq!(refusal.reason, Reason::NoCollection);
    let not_text = [header("collection", b"\xff")];
    let refusal = decode(&incoming(DELETE.as_bytes(), &not_text), &settings).unwrap_err();
    assert!(refusal.detail.contains("`collection` is not UTF-8"), "{refusal}");
}
