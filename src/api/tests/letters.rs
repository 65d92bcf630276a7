//! Dead letters: which are meant, what would happen, and what happens.

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::http::Request;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use tokio::sync::Notify;
use tower::ServiceExt;

use super::Fixture;
use super::views::{at, partition, queue};
use crate::api::{WriteError, Writes, Written};
use crate::operation::{self, Original, Reason, Refusal, Rejection};
use crate::position::{Fingerprint, Mark, Position};

const GOOD: &str = r#"{"upsert": {"points": [{"id": 9, "vector": [1, 2]}]}}"#;

/// A collection, its points, and letters 3 to 6: two of `orders`, one of `jobs`, and one
/// that came over HTTP.
async fn with_letters() -> Fixture {
    let fixture = Fixture::with_points().await;
    let orders = partition("orders", 0);
    let rejected = |value: &'static str, reason, kind: &'static str| {
        let headers = vec![
            ("content-type".to_owned(), Bytes::from_static(kind.as_bytes())),
            ("kept".to_owned(), Bytes::from_static(b"yes")),
        ];
        let original = Original { headers, ..Original::of(value) };
        operation::Body::Rejected(Rejection {
            refusal: Refusal::new(reason, "why"),
            original,
            rewritten: false,
        })
    };
    let json = "application/json";
    fixture.direct.apply(at(&orders, 5), rejected("nonsense", Reason::NotJson, "text/x"));
    fixture.direct.apply(at(&orders, 6), rejected(GOOD, Reason::DecoderFault, json));
    let mark = Mark::Fingerprint(Fingerprint { body: 1, message_id: None });
    let position = Some(Position::new(queue("jobs"), mark));
    fixture.direct.apply(position, rejected(GOOD, Reason::NotJson, json));
    let refused = r#"{"collection": "gone", "upsert": {"points": [{"id": 1, "vector": [1, 2]}]}}"#;
    let message = operation::decode_written(refused).unwrap();
    fixture.direct.apply(None, operation::Body::Message(message));
    fixture
}

async fn post(fixture: &Fixture, path: &str, body: Value) -> Value {
    let (status, text) = fixture.ask("POST", path, &body.to_string()).await;
    assert_eq!(status, 200, "{text}");
    serde_json::from_str::<Value>(&text).unwrap()["result"].take()
}

async fn kept(fixture: &Fixture, query: &str) -> Vec<u64> {
    let (status, text) = fixture.ask("GET", &format!("/dead-letters{query}"), "").await;
    assert_eq!(status, 200, "{text}");
    let page: Value = serde_json::from_str(&text).unwrap();
    let letters = page["result"]["dead_letters"].as_array().unwrap();
    letters.iter().map(|letter| letter["seq"].as_u64().unwrap()).collect()
}

fn fates(answer: &Value) -> Vec<(u64, &str)> {
    let letters = answer["letters"].as_array().unwrap();
    let fate = |letter: &Value| letter["seq"].as_u64().unwrap();
    letters.iter().map(|letter| (fate(letter), letter["status"].as_str().unwrap())).collect()
}

#[tokio::test]
async fn the_list_can_be_narrowed_and_one_letter_be_shown() {
    let fixture = with_letters().await;
    assert_eq!(kept(&fixture, "").await, [3, 4, 5, 6]);
    assert_eq!(kept(&fixture, "?source=orders").await, [3, 4]);
    assert_eq!(kept(&fixture, "?reason=not_json").await, [3, 5]);
    assert_eq!(kept(&fixture, "?source=orders&reason=not_json&limit=1").await, [3]);
    assert_eq!(kept(&fixture, "?source=http").await, [6]);
    assert_eq!(fixture.ask("GET", "/dead-letters?reason=bored", "").await.0, 400);
    let (status, text) = fixture.ask("GET", "/dead-letters/6", "").await;
    assert_eq!(status, 200);
    let letter: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(letter["result"]["reason"], "unknown_collection");
    assert_eq!(letter["result"]["rewritten"], true);
    let (status, text) = fixture.ask("GET", "/dead-letters/7", "").await;
    assert_eq!(status, 404);
    assert!(text.contains("no dead letter 7"), "{text}");
    assert_eq!(fixture.ask("GET", "/dead-letters/seven", "").await.0, 400);
}

#[tokio::test]
async fn a_dry_run_says_what_would_happen_and_changes_nothing() {
    let fixture = with_letters().await;
    let before = fixture.doors.catalog.applied();
    let body = json!({"all": true, "dry_run": true});
    let answer = post(&fixture, "/dead-letters/redrive", body.clone()).await;
    let expected = [
        (3, "would_be_refused"),
        (4, "would_apply"),
        // `jobs` has no collection of its own.
        (5, "would_be_refused"),
        (6, "would_be_refused"),
    ];
    assert_eq!(fates(&answer), expected);
    assert_eq!(answer["letters"][0]["reason"], "invalid_message");
    assert_eq!(answer["letters"][2]["reason"], "no_collection");
    let answer = post(&fixture, "/dead-letters/drop", body).await;
    assert!(fates(&answer).iter().all(|(_, fate)| *fate == "would_drop"), "{answer}");
    assert_eq!(fixture.doors.catalog.applied(), before);
    assert_eq!(kept(&fixture, "").await, [3, 4, 5, 6]);
}

#[tokio::test]
async fn what_is_redriven_is_applied_once_and_what_is_refused_again_stays() {
    let fixture = with_letters().await;
    let answer = post(&fixture, "/dead-letters/redrive", json!({"all": true})).await;
    let expected = [(3, "refused"), (4, "applied"), (5, "refused"), (6, "refused")];
    assert_eq!(fates(&answer), expected);
    assert_eq!(answer["letters"][1]["operation_id"], 8);
    assert_eq!(fixture.ask("GET", "/collections/demo/points/9", "").await.0, 200);
    assert_eq!(kept(&fixture, "").await, [3, 5, 6]);
    // Under its old seq, with its new reason and all that it had.
    let (_, text) = fixture.ask("GET", "/dead-letters/5", "").await;
    let letter: Value = serde_json::from_str(&text).unwrap();
    let letter = &letter["result"];
    assert_eq!((&letter["reason"], &letter["redrives"]), (&json!("no_collection"), &json!(1)));
    assert_eq!(letter["original"]["value"]["text"], GOOD);
    assert_eq!(letter["position"]["queue"], "jobs");
    assert_eq!(letter["redriven_at"], 9);
    // Again: what is gone is told so, before the log.
    let before = fixture.doors.catalog.applied();
    let answer = post(&fixture, "/dead-letters/redrive", json!({"seqs": [4]})).await;
    assert_eq!(fates(&answer), [(4, "gone")]);
    assert_eq!(fixture.doors.catalog.applied(), before);
    // And should two requests have met: nothing, at its turn.
    let message = operation::decode_message(
        GOOD.as_bytes(),
        Some("demo"),
        &operation::Limits { message_bytes_max: 1000 },
    );
    let redrive = operation::Redrive { letter: crate::position::Seq(4), attempt: message };
    let written = fixture.direct.apply(None, operation::Body::Redrive(redrive));
    assert_eq!(written.outcome.unwrap().await.unwrap(), crate::catalog::Outcome::Nothing);
    // The collection is made after all: what was written again is read again.
    let create = r#"{"vectors": {"size": 2, "distance": "Dot"}}"#;
    assert_eq!(fixture.ask("PUT", "/collections/gone", create).await.0, 200);
    let answer = post(&fixture, "/dead-letters/redrive", json!({"source": "http"})).await;
    assert_eq!(fates(&answer), [(6, "applied")]);
    assert_eq!(kept(&fixture, "").await, [3, 5]);
}

#[tokio::test]
async fn a_mended_value_is_json_as_text_and_of_the_letters_kind_as_bytes() {
    let fixture = with_letters().await;
    let redrive = "/dead-letters/redrive";
    let bytes = json!({"base64": "e30="});
    let answer = post(&fixture, redrive, json!({"seqs": [3], "value": bytes})).await;
    assert_eq!(fates(&answer), [(3, "refused")]);
    assert_eq!(answer["letters"][0]["detail"], "only JSON here");
    let answer = post(&fixture, redrive, json!({"seqs": [3], "value": {"text": GOOD}})).await;
    assert_eq!(fates(&answer), [(3, "applied")]);
    assert_eq!(fixture.ask("GET", "/collections/demo/points/9", "").await.0, 200);
    for (body, why) in [
        (json!({"seqs": [4, 5], "value": {"text": GOOD}}), "one letter"),
        (json!({"seqs": [4], "value": {"base64": "?"}}), "base64"),
    ] {
        let (status, text) = fixture.ask("POST", redrive, &body.to_string()).await;
        assert_eq!(status, 422, "{text}");
        assert!(text.contains(why), "{text}");
    }
}

#[tokio::test]
async fn what_is_dropped_is_gone_in_one_record() {
    let fixture = with_letters().await;
    let before = fixture.doors.catalog.applied();
    let answer = post(&fixture, "/dead-letters/drop", json!({"seqs": [5, 3, 99]})).await;
    assert_eq!(fates(&answer), [(3, "dropped"), (5, "dropped"), (99, "gone")]);
    assert_eq!(fixture.doors.catalog.applied(), before.next());
    assert_eq!(kept(&fixture, "").await, [4, 6]);
    let answer = post(&fixture, "/dead-letters/drop", json!({"seqs": [3]})).await;
    assert_eq!(fates(&answer), [(3, "gone")]);
    assert_eq!(fixture.doors.catalog.applied(), before.next());
    let counters = fixture.doors.catalog.counters();
    assert_eq!((counters.dead_letters, counters.drops, counters.redrives), (4, 1, 0));
}

#[tokio::test]
async fn a_request_takes_so_many_and_says_where_to_go_on() {
    let mut fixture = with_letters().await;
    fixture.settings.limit_max = 3;
    let drop = "/dead-letters/drop";
    let answer = post(&fixture, drop, json!({"all": true, "dry_run": true})).await;
    assert_eq!((fates(&answer).len(), &answer["next_page_offset"]), (3, &json!(6)));
    let body = json!({"all": true, "dry_run": true, "offset": 6});
    let answer = post(&fixture, drop, body).await;
    assert_eq!((fates(&answer).len(), &answer["next_page_offset"]), (1, &Value::Null));
    for (body, why) in [
        (json!({}), "which letters"),
        (json!({"all": false}), "which letters"),
        (json!({"all": true, "source": "orders"}), "which letters"),
        (json!({"seqs": [3], "reason": "not_json"}), "which letters"),
        (json!({"all": true, "limit": 4}), "1 to 3"),
        (json!({"all": true, "value": {"text": "x"}}), "no value"),
    ] {
        let (status, text) = fixture.ask("POST", drop, &body.to_string()).await;
        assert_eq!(status, 422, "{body}: {text}");
        assert!(text.contains(why), "{body}: {text}");
    }
    for body in [json!({"sequences": [3]}), json!({"seqs": 3}), json!({"reason": "bored"})] {
        assert_eq!(fixture.ask("POST", drop, &body.to_string()).await.0, 400, "{body}");
    }
    assert_eq!(kept(&fixture, "?limit=3").await, [3, 4, 5]);
}

/// A log that answers nothing, and says when it was asked.
#[derive(Default)]
struct Silent(Arc<Notify>);

impl Writes for Silent {
    fn write(&self, _: operation::Message) -> BoxFuture<'static, Result<Written, WriteError>> {
        Box::pin(std::future::pending())
    }

    fn decide(&self, _: operation::Body) -> BoxFuture<'static, Result<Written, WriteError>> {
        self.0.notify_one();
        Box::pin(std::future::pending())
    }
}

#[tokio::test]
async fn what_is_not_durable_in_time_is_not_called_acknowledged() {
    let mut fixture = with_letters().await;
    fixture.doors.writes = Arc::new(Silent::default());
    let body = json!({"seqs": [4]});
    // Where the time is up before it is tried, it is not asked for at all.
    let answer = post(&fixture, "/dead-letters/redrive?timeout=5", body).await;
    assert_eq!(fates(&answer), [(4, "unknown")]);
}

/// Else so many requests would decode all that they mean, and hold it.
#[tokio::test]
async fn of_several_requests_one_at_a_time_is_tried() {
    let mut fixture = with_letters().await;
    let silent = Silent::default();
    let asked = silent.0.clone();
    fixture.doors.writes = Arc::new(silent);
    let router = fixture.router();
    let redrive = |seq: u64, timeout: u64| {
        let request = Request::post(format!("/dead-letters/redrive?timeout={timeout}"));
        let request = request.body(Body::from(json!({"seqs": [seq]}).to_string())).unwrap();
        let router = router.clone();
        async move {
            let answer = router.oneshot(request).await.unwrap();
            let bytes = to_bytes(answer.into_body(), usize::MAX).await.unwrap();
            serde_json::from_slice::<Value>(&bytes).unwrap()["result"].take()
        }
    };
    // It is still under way when the second one's time is up, also on a machine that is busy.
    let first = tokio::spawn(redrive(4, 10));
    asked.notified().await;
    let second = redrive(5, 1).await;
    assert_eq!((fates(&second).len(), &second["next_page_offset"]), (0, &json!(5)));
    assert_eq!(fates(&first.await.unwrap()), [(4, "unknown")]);
}
