//! Read your writes: what a read waits for, what wakes it, and what it is told.

use std::future::ready;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::{Request, Response};
use tower::ServiceExt;

use super::super::Shared;
use super::super::routes::over;
use super::views::{at, partition, queue};
use super::{Fixture, Told, without_time};
use crate::operation::{self, Limits, Original, Reason, Refusal, Rejection};
use crate::position::Stream;
use crate::source::status::{Kind, State, Status, StreamState};

const COUNT: &str = "/collections/demo/points/count";

/// Every read.
const READS: &[(&str, &str, &str)] = &[
    ("POST", "", r#"{"ids": [1]}"#),
    ("GET", "/1", ""),
    ("POST", "/scroll", "{}"),
    ("POST", "/count", "{}"),
    ("POST", "/search", r#"{"vector": [1, 0], "limit": 1}"#),
    ("POST", "/search/batch", r#"{"searches": [{"vector": [1, 0], "limit": 1}]}"#),
    ("POST", "/query", r#"{"query": [1, 0]}"#),
    ("POST", "/query/batch", r#"{"searches": [{"query": [1, 0]}]}"#),
];

/// A read that was asked for, and is looked at step by step.
struct Asked {
    shared: Arc<Shared>,
    answer: Pin<Box<dyn Future<Output = Response<Body>>>>,
    /// Once it is there.
    answered: Option<Response<Body>>,
}

impl Asked {
    fn new(fixture: &Fixture, request: Request<Body>) -> Asked {
        let shared = Shared::new(fixture.settings.clone(), fixture.doors.clone());
        let router = over(Arc::clone(&shared));
        let answer = Box::pin(async move { router.oneshot(request).await.unwrap() });
        Asked { shared, answer, answered: None }
    }

    fn get(fixture: &Fixture, method: &str, path: &str, body: &str) -> Asked {
        let request = Request::builder().method(method).uri(path);
        // The length is known, so that the body's room is taken when the body is.
        let request = request.header("content-length", body.len());
        Asked::new(fixture, request.body(Body::from(body.to_owned())).unwrap())
    }

    /// Whether it is seen to have come past its wait. Before that it holds nothing, after it a
    /// permit, until it is answered. That it did not begin too early, the seq of its answer says.
    async fn has_begun(&mut self) -> bool {
        if self.answered.is_none() {
            tokio::select! {
                biased;
                answer = &mut self.answer => self.answered = Some(answer),
                () = ready(()) => {}
            }
        }
        let (settings, shared) = (&self.shared.settings, &self.shared);
        let permits = shared.searches.available_permits() == settings.searches_max;
        let room = shared.bodies.available_permits() == settings.bodies_bytes_max.div_ceil(1024);
        assert!(room || !permits || self.answered.is_some(), "room is held while it waits");
        self.answered.is_some() || !permits
    }

    async fn response(self) -> Response<Body> {
        match self.answered {
            Some(response) => response,
            None => self.answer.await,
        }
    }

    async fn text(self) -> (u16, String) {
        let response = self.response().await;
        let status = response.status().as_u16();
        let bytes = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        (status, without_time(std::str::from_utf8(&bytes).unwrap()))
    }
}

fn message(text: &str) -> operation::Body {
    let limits = Limits { message_bytes_max: 1000 };
    operation::Body::Message(operation::decode_message(text.as_bytes(), None, &limits).unwrap())
}

fn delete(id: u64) -> operation::Body {
    message(&format!(r#"{{"collection": "demo", "delete": {{"points": [{id}]}}}}"#))
}

fn rejected() -> operation::Body {
    let refusal = Refusal::new(Reason::NotJson, "no");
    operation::Body::Rejected(Rejection {
        refusal,
        original: Original::default(),
        rewritten: false,
    })
}

/// A source that reads these streams.
fn reads(fixture: &mut Fixture, source: &str, state: State, streams: &[Arc<Stream>]) {
    let status = Status::new(source, Kind::Kafka);
    status.set_state(state);
    for stream in streams {
        status.stream(stream);
    }
    let mut reports = fixture.doors.sources.reports();
    reports.retain(|report| report.source != source);
    reports.push(status.report());
    fixture.doors.sources = Arc::new(Told { reports, durable: None });
}

fn counted(count: u64) -> (u16, String) {
    (200, format!(r#"{{"result":{{"count":{count}}},"status":"ok"}}"#))
}

#[tokio::test]
async fn every_answer_names_its_log_and_every_read_says_how_new_it_is() {
    let fixture = Fixture::with_points().await;
    let log = fixture.doors.log_id.to_string();
    for (method, path, body) in READS {
        let path = format!("/collections/demo/points{path}");
        let response = fixture.response(method, &path, body).await;
        assert_eq!(response.status(), 200, "{path}");
        assert_eq!(response.headers()["x-pointd-seq"], "2", "{path}");
        assert_eq!(response.headers()["x-pointd-log-id"], log, "{path}");
    }
    // That something is not there is an answer too.
    let missing = fixture.response("GET", "/collections/demo/points/77", "").await;
    assert_eq!((missing.status().as_u16(), &missing.headers()["x-pointd-seq"]), (404, &2.into()));
    let write = fixture.response("PUT", "/collections/demo/points", r#"{"points": []}"#).await;
    assert_eq!(write.headers()["x-pointd-log-id"], log);
    assert!(!write.headers().contains_key("x-pointd-seq"));
}

#[tokio::test]
async fn every_read_begins_when_the_applier_has_passed_the_operation() {
    for (method, path, body) in READS {
        let fixture = Fixture::with_points().await;
        let path = format!("/collections/demo/points{path}?not_before=4");
        let mut asked = Asked::get(&fixture, method, &path, body);
        assert!(!asked.has_begun().await, "{path}");
        fixture.direct.apply(None, delete(2));
        assert!(!asked.has_begun().await, "{path}: woken by operation 3");
        // Applied within a frame, which readers are told of at its end.
        fixture.direct.apply_quietly(None, delete(77));
        assert!(!asked.has_begun().await, "{path}: woken within a frame");
        fixture.direct.raise();
        let response = asked.response().await;
        assert_eq!(response.headers()["x-pointd-seq"], "4", "{path}");
        assert_eq!(response.status(), 200, "{path}");
    }
}

#[tokio::test]
async fn a_read_sees_what_it_waited_for() {
    let fixture = Fixture::new();
    // Not even the collection is there yet.
    let mut asked = Asked::get(&fixture, "POST", &format!("{COUNT}?not_before=2"), "{}");
    assert!(!asked.has_begun().await);
    let create = r#"{"vectors": {"size": 2, "distance": "Dot"}}"#;
    assert_eq!(fixture.ask("PUT", "/collections/demo", create).await.0, 200);
    assert!(!asked.has_begun().await);
    let point = r#"{"collection": "demo", "upsert": {"points": [{"id": 1}]}}"#;
    fixture.direct.apply(None, message(point));
    assert_eq!(asked.text().await, counted(1));
    // What is passed already is not waited for; the header says the same as the query.
    let request = Request::post(COUNT).header("x-pointd-not-before", "1").body("{}".into());
    assert_eq!(Asked::new(&fixture, request.unwrap()).text().await, counted(1));
}

#[tokio::test]
async fn a_position_is_passed_by_whatever_comes_after_it() {
    let zero = partition("orders", 0);
    type Make = fn() -> operation::Body;
    let bodies: [(&str, u64, Make); 5] = [
        ("its message", 42, || delete(1)),
        ("a hole: compaction, a transaction's marker", 50, || operation::Body::moved()),
        ("its dead letter", 42, rejected),
        ("its duplicate", 42, || operation::Body::Duplicate),
        ("a dead letter of the applier", 42, || {
            message(r#"{"collection": "x", "delete": {"points": []}}"#)
        }),
    ];
    for (what, next, body) in bodies {
        let mut fixture = Fixture::with_points().await;
        reads(&mut fixture, "orders", State::Running, &[zero.clone(), partition("orders", 1)]);
        fixture.direct.apply(at(&zero, 41), operation::Body::moved());
        for text in ["points/0@41", "orders:points/0@41"] {
            let mut asked =
                Asked::get(&fixture, "POST", &format!("{COUNT}?not_before={text}"), "{}");
            assert!(!asked.has_begun().await, "{what}");
            // Another partition says nothing about this one.
            fixture.direct.apply(at(&partition("orders", 1), 99), operation::Body::moved());
            assert!(!asked.has_begun().await, "{what}");
            if text == "points/0@41" {
                drop(asked);
                continue;
            }
            fixture.direct.apply(at(&zero, next), body());
            let response = asked.response().await;
            assert_eq!(response.status(), 200, "{what}");
            let seq = fixture.doors.catalog.applied().0;
            assert_eq!(response.headers()["x-pointd-seq"], seq.to_string(), "{what}");
        }
    }
}

#[tokio::test]
async fn a_partition_begins_while_it_is_waited_for() {
    let mut fixture = Fixture::with_points().await;
    let zero = partition("orders", 0);
    reads(&mut fixture, "orders", State::Running, std::slice::from_ref(&zero));
    let mut asked = Asked::get(&fixture, "POST", &format!("{COUNT}?not_before=points/0@5"), "{}");
    assert!(!asked.has_begun().await);
    let start = operation::Body::start(false);
    fixture.direct.apply(at(&zero, 3), start);
    assert!(!asked.has_begun().await);
    fixture.direct.apply(at(&zero, 6), delete(1));
    assert_eq!(asked.text().await, counted(2));
}

#[tokio::test]
async fn who_waits_in_vain_is_told_how_far_we_are() {
    let mut fixture = Fixture::with_points().await;
    fixture.settings.request_timeout = Duration::from_millis(30);
    let (zero, one) = (partition("orders", 0), partition("orders", 1));
    fixture.direct.apply(at(&zero, 41), operation::Body::moved());
    reads(&mut fixture, "orders", State::Running, &[zero, one.clone()]);
    let status = Status::new("other", Kind::Kafka);
    let halted = partition("other", 8);
    status.stream(&halted).set_state(StreamState::Halted { why: "a gap of 5".into() });
    let mut reports = fixture.doors.sources.reports();
    reports.push(status.report());
    fixture.doors.sources = Arc::new(Told { reports, durable: None });
    for (wanted, sentence) in [
        ("1000", "operation 1000 was not applied within 0.03 s: applied is 3"),
        (
            "points/0@41",
            "points/0@41 was not applied within 0.03 s: offset 41 is the next to be applied",
        ),
        (
            "points/1@0",
            "points/1@0 was not applied within 0.03 s: nothing of this partition is applied",
        ),
        (
            "points/8@0",
            "nothing of this partition is applied, and the partition is halted: a gap of 5",
        ),
        // `other` has just started, and may yet name it.
        ("points/9@0", "no source has named this partition yet"),
    ] {
        let (status, text) =
            fixture.ask("POST", &format!("{COUNT}?not_before={wanted}"), "{}").await;
        assert_eq!(status, 408, "{text}");
        assert!(text.contains(sentence) && text.contains("Timeout: "), "{text}");
    }
    // Its own timeout, in whole seconds, is shorter than the configured one or not taken.
    fixture.settings.request_timeout = Duration::from_secs(60);
    assert_eq!(fixture.ask("POST", &format!("{COUNT}?not_before=3&timeout=99"), "{}").await.0, 200);
}

/// A header's name (none: `not_before` of the query) and its value, the status, and a part of
/// the sentence.
const NOTHING_TO_WAIT_FOR: &[(&str, &str, u16, &str)] = &[
    (
        "",
        "points/7@1",
        404,
        "Not found: no source reads partition 7 of topic `points`: GET /sources",
    ),
    ("", "nowhere/0@1", 404, "no source reads partition 0 of topic `nowhere`"),
    ("", "orders:points/7@1", 404, "source `orders` reads no partition 7 of `points`"),
    ("", "absent:points/0@1", 404, "source `absent` reads no partition 0 of `points`"),
    // The log remembers how far it was, and nobody reads it any more.
    ("", "points/5@41", 404, "no source reads partition 5"),
    ("", "points/6@1", 404, "no source reads partition 6"),
    (
        "",
        "points/0@1",
        400,
        "several sources read points/0: say which, as orders:points/0@1 or twin:points/0@1",
    ),
    ("", "jobs/0@1", 400, "`jobs` is a queue, which has no offsets to wait for"),
    ("", "jobs@1", 400, "`jobs@1` is nothing to wait for: give an operation_id such as 42"),
    ("", "points/0", 400, "Format error in query parameters: `points/0` is nothing to wait for"),
    ("", "points/-1@1", 400, "is nothing to wait for"),
    ("", "points/0@x", 400, "is nothing to wait for"),
    ("", "/0@1", 400, "is nothing to wait for"),
    ("", "-1", 400, "is nothing to wait for"),
    ("", "", 400, "is nothing to wait for"),
    ("x-pointd-not-before", "soon", 400, "Format error in headers: `soon` is nothing to wait for"),
    (
        "x-pointd-log-id",
        "00000000-0000-0000-0000-000000000008",
        409,
        "Conflict: the log 00000000-0000-0000-0000-000000000008 is not this one's, which is 00000000-0000-0000-0000-000000000007",
    ),
    ("x-pointd-log-id", "7", 400, "Format error in headers: `x-pointd-log-id` is a UUID"),
];

#[tokio::test]
async fn what_cannot_be_waited_for_is_refused_at_once() {
    let mut fixture = Fixture::with_points().await;
    let (zero, gone) = (partition("orders", 0), partition("orders", 5));
    fixture.direct.apply(at(&gone, 41), operation::Body::moved());
    fixture.direct.apply(at(&partition("old", 6), 41), operation::Body::moved());
    reads(&mut fixture, "orders", State::Running, &[zero, queue("orders")]);
    reads(&mut fixture, "twin", State::Running, &[partition("twin", 0)]);
    for (header, value, status, sentence) in NOTHING_TO_WAIT_FOR {
        let (path, header) = match *header {
            "" => (format!("{COUNT}?not_before={value}"), ("x-unused", "")),
            name => (COUNT.to_owned(), (name, *value)),
        };
        let request = Request::post(path).header(header.0, header.1).body("{}".into()).unwrap();
        let (given, text) = Asked::new(&fixture, request).text().await;
        assert_eq!(given, *status, "{value}: {text}");
        assert!(text.contains(sentence), "{value}: {text}");
    }
    let both = Request::post(format!("{COUNT}?not_before=1")).header("x-pointd-not-before", "1");
    let (status, text) = Asked::new(&fixture, both.body("{}".into()).unwrap()).text().await;
    assert_eq!(status, 400);
    assert!(text.contains("stands beside `not_before` of the query: give one"), "{text}");
    // What was passed while it was read still is; and our own log is ours.
    let own = fixture.doors.log_id.to_string();
    let request =
        Request::post(format!("{COUNT}?not_before=points/5@40")).header("x-pointd-log-id", own);
    let asked = Asked::new(&fixture, request.body("{}".into()).unwrap());
    assert_eq!(asked.text().await, counted(3));
}

#[tokio::test]
async fn a_source_that_has_just_started_may_yet_name_the_partition() {
    let mut fixture = Fixture::with_points().await;
    let zero = partition("orders", 0);
    fixture.direct.apply(at(&zero, 41), operation::Body::moved());
    let starting =
        State::Starting { why: "connecting".into(), since: crate::position::UnixMillis(1) };
    reads(&mut fixture, "orders", starting, &[]);
    for place in ["points/0@41", "points/1@0"] {
        let path = format!("{COUNT}?not_before={place}");
        assert!(!Asked::get(&fixture, "POST", &path, "{}").has_begun().await);
    }
    let mut known = Asked::get(&fixture, "POST", &format!("{COUNT}?not_before=points/0@41"), "{}");
    assert!(!known.has_begun().await);
    fixture.direct.apply(at(&zero, 42), operation::Body::moved());
    assert_eq!(known.text().await, counted(3));
}

#[tokio::test]
async fn shutdown_ends_the_wait() {
    let fixture = Fixture::with_points().await;
    let mut asked = Asked::get(&fixture, "POST", &format!("{COUNT}?not_before=9"), "{}");
    assert!(!asked.has_begun().await);
    fixture.doors.shutdown.ask();
    let (status, text) = asked.text().await;
    assert_eq!(status, 503);
    assert!(text.contains("shutting down"), "{text}");
}
