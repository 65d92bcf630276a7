//! Service routes, sources, dead letters, keys, metrics.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::body::Body;
use axum::http::Request;
use bytes::Bytes;
use serde_json::{Value, json};
use tower::ServiceExt;
use uuid::Uuid;

use super::super::{ApiKey, QDRANT_VERSION};
use super::{Fixture, Told};
use crate::operation::{self, Original, Reason, Refusal, Rejection};
use crate::position::{Fingerprint, Mark, Offset, Position, Stream, UnixMillis};
use crate::source::status::{Kind, State, Status, StreamState};

pub fn partition(source: &str, partition: i32) -> Arc<Stream> {
    Arc::new(Stream::Partition {
        source: source.into(),
        cluster: "c".into(),
        topic: "points".into(),
        topic_id: Some(Uuid::from_u128(7)),
        partition,
    })
}

pub fn queue(source: &str) -> Arc<Stream> {
    Arc::new(Stream::Queue { source: source.into(), cluster: "c".into(), queue: "jobs".into() })
}

pub fn at(stream: &Arc<Stream>, next: u64) -> Option<Position> {
    Some(Position::new(Arc::clone(stream), Mark::Next(Offset(next))))
}

async fn result(fixture: &Fixture, path: &str) -> Value {
    let (status, text) = fixture.ask("GET", path, "").await;
    assert_eq!(status, 200, "{text}");
    let mut value: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(value["status"], "ok");
    value["result"].take()
}

#[tokio::test]
async fn the_version_is_one_that_clients_take() {
    let (status, text) = Fixture::new().ask("GET", "/", "").await;
    assert_eq!(status, 200);
    let version: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(version["version"], QDRANT_VERSION);
    assert_eq!(version["pointd_version"], env!("CARGO_PKG_VERSION"));
    assert!(version["title"].as_str().unwrap().starts_with("pointd"));
}

#[tokio::test]
async fn readiness_gives_its_reasons() {
    let mut fixture = Fixture::new();
    assert_eq!(fixture.ask("GET", "/healthz", "").await.0, 200);
    assert_eq!(fixture.ask("GET", "/livez", "").await.0, 200);
    assert_eq!(fixture.ask("GET", "/readyz", "").await, (200, "ready\n".into()));
    let recovering = Arc::new(AtomicBool::new(true));
    let flag = Arc::clone(&recovering);
    let check = move || flag.load(Ordering::Relaxed).then(|| "replaying the log".to_owned());
    fixture.doors.readiness.add(check);
    let why = (503, "replaying the log\n".to_owned());
    assert_eq!(fixture.ask("GET", "/readyz", "").await, why);
    recovering.store(false, Ordering::Relaxed);
    assert_eq!(fixture.ask("GET", "/readyz", "").await.0, 200);

    let status = Status::new("orders", Kind::Kafka);
    let stream = partition("orders", 3);
    status.stream(&stream).set_state(StreamState::Halted { why: "a gap of 5".into() });
    fixture.doors.sources = Arc::new(Told { reports: vec![status.report()], durable: None });
    let why = (503, "points/3 of orders is halted: a gap of 5\n".to_owned());
    assert_eq!(fixture.ask("GET", "/readyz", "").await, why);
    fixture.doors.sources = Arc::new(Told::default());
    fixture.doors.shutdown.ask();
    assert_eq!(fixture.ask("GET", "/readyz", "").await, (503, "shutting down\n".into()));
}

#[tokio::test]
async fn a_source_is_joined_with_what_the_log_has_of_it() {
    let mut fixture = Fixture::new();
    let (zero, gone, jobs) = (partition("orders", 0), partition("old", 1), queue("jobs"));
    let moved = || operation::Body::moved();
    fixture.direct.apply(at(&zero, 40), moved());
    fixture.direct.apply(at(&gone, 7), moved());
    let status = Status::new("orders", Kind::Kafka);
    status.set_state(State::Running);
    let stream = status.stream(&zero);
    stream.received(50, UnixMillis(1));
    stream.set_received(Offset(46));
    stream.set_committed(Offset(44));
    stream.set_end(Offset(100));
    let idle = Status::new("jobs", Kind::Amqp);
    idle.stream(&jobs);
    let reports = vec![status.report(), idle.report()];
    fixture.doors.sources = Arc::new(Told { reports, durable: Some(Offset(45)) });
    let view = result(&fixture, "/sources").await;
    assert_eq!(view["applied_seq"], 2);
    let orders = &view["sources"][0];
    assert_eq!((&orders["source"], &orders["kind"]), (&json!("orders"), &json!("kafka")));
    assert_eq!(orders["state"], "running");
    let stream = &orders["streams"][0];
    assert_eq!((&stream["topic"], &stream["partition"]), (&json!("points"), &json!(0)));
    assert_eq!(stream["state"], "running");
    for (field, expected) in [
        ("received_messages", 50),
        ("received", 46),
        ("durable", 45),
        ("applied", 40),
        ("committed", 44),
        ("end", 100),
        ("lag_messages", 60),
    ] {
        assert_eq!(stream[field], expected, "{field}");
    }
    let queue = &view["sources"][1]["streams"][0];
    assert_eq!(queue["queue"], "jobs");
    assert_eq!(queue["lag_messages"], Value::Null);
    assert_eq!(queue["lag_seconds"], 0.0);
    let old = &view["sources"][2];
    assert_eq!((&old["source"], &old["state"]), (&json!("old"), &json!("not_configured")));
    assert_eq!(old["streams"][0]["state"], "not_assigned");
    assert_eq!(old["streams"][0]["applied"], 7);
}

fn deleting() -> operation::Body {
    let delete = operation::decode_message(
        br#"{"collection": "demo", "delete": {"points": [1]}}"#,
        None,
        &operation::Limits { message_bytes_max: 1000 },
    );
    operation::Body::Message(delete.unwrap())
}

#[tokio::test]
async fn lag_in_seconds_is_the_age_of_what_was_applied_last() {
    let mut fixture = Fixture::with_points().await;
    let zero = partition("orders", 0);
    // `Direct` gives every record the same time, in 2023.
    fixture.direct.apply(at(&zero, 5), deleting());
    let lag = async |fixture: &mut Fixture, end| {
        let status = Status::new("orders", Kind::Kafka);
        status.stream(&zero).set_end(Offset(end));
        fixture.doors.sources = Arc::new(Told { reports: vec![status.report()], durable: None });
        let view = result(fixture, "/sources").await;
        view["sources"][0]["streams"][0]["lag_seconds"].as_f64().unwrap()
    };
    assert_eq!(lag(&mut fixture, 5).await, 0.0);
    let years = (UnixMillis::now().0 - 1_700_000_000_000) as f64 / 1000.0;
    let given = lag(&mut fixture, 6).await;
    assert!((given - years).abs() < 60.0, "{given} is not about {years}");
}

fn rejected(value: &'static [u8], headers: Vec<(String, Bytes)>) -> operation::Body {
    operation::Body::Rejected(Rejection {
        refusal: Refusal::new(Reason::NotJson, "expected value"),
        original: Original { headers, ..Original::of(value) },
        rewritten: false,
    })
}

#[tokio::test]
async fn dead_letters_are_listed_with_what_was_delivered() {
    let fixture = Fixture::new();
    let none = json!({"dead_letters": [], "total": 0, "next_page_offset": null});
    assert_eq!(result(&fixture, "/dead-letters").await, none);
    let headers = vec![("content-type".to_owned(), Bytes::from_static(b"text/plain"))];
    fixture.direct.apply(at(&partition("orders", 0), 5), rejected(b"hello", headers));
    let fingerprint = Fingerprint { body: 0xab, message_id: Some("m".into()) };
    let mark = Mark::Fingerprint(fingerprint);
    let position = Position::new(queue("jobs"), mark);
    fixture.direct.apply(Some(position), rejected(&[0xff, 0x00], Vec::new()));
    let first = result(&fixture, "/dead-letters?limit=1").await;
    let expected = json!({
        "dead_letters": [{
            "seq": 1, "time_unix_ms": 1_700_000_000_000_u64, "reason": "not_json",
            "detail": "expected value", "collection": null,
            "position": {"source": "orders", "topic": "points", "partition": 0, "offset": 4},
            "original": {
                "value": {"text": "hello"},
                "headers": [{"name": "content-type", "text": "text/plain"}]
            },
            "rewritten": false, "redrives": 0, "redriven_at": null
        }],
        "total": 2, "next_page_offset": 2
    });
    assert_eq!(first, expected);
    let second = result(&fixture, "/dead-letters?limit=1&offset=2").await;
    assert_eq!(second["next_page_offset"], Value::Null);
    let letter = &second["dead_letters"][0];
    assert_eq!(letter["original"], json!({"value": {"base64": "/wA="}, "headers": []}));
    assert_eq!(letter["position"]["fingerprint"], format!("{:032x}", 0xab));
    assert_eq!(letter["position"]["message_id"], "m");
}

#[tokio::test]
async fn a_key_is_asked_for_everywhere_but_where_health_is() {
    let mut fixture = Fixture::with_points().await;
    fixture.settings.api_key = Some(ApiKey::new("secret"));
    let ask = async |path: &str, header: Option<(&str, &str)>| {
        let mut request = Request::builder().uri(path);
        if let Some((name, value)) = header {
            request = request.header(name, value);
        }
        let request = request.body(Body::empty()).unwrap();
        fixture.router().oneshot(request).await.unwrap().status().as_u16()
    };
    for open in ["/", "/healthz", "/livez", "/readyz"] {
        assert_eq!(ask(open, None).await, 200, "{open}");
    }
    for closed in ["/metrics", "/collections", "/collections/demo", "/sources", "/dead-letters"] {
        assert_eq!(ask(closed, None).await, 401, "{closed}");
        assert_eq!(ask(closed, Some(("api-key", "secret"))).await, 200, "{closed}");
        assert_eq!(ask(closed, Some(("authorization", "Bearer secret"))).await, 200);
        for wrong in [
            ("api-key", "secre"),
            ("api-key", ""),
            ("api-key", "secrets"),
            ("authorization", "secret"),
            ("authorization", "Basic secret"),
            ("authorization", "Bearer wrong"),
        ] {
            assert_eq!(ask(closed, Some(wrong)).await, 401, "{closed} {wrong:?}");
        }
    }
    assert_eq!(ask("/nowhere", None).await, 401);
    assert_eq!(ask("/nowhere", Some(("api-key", "secret"))).await, 404);
}

#[tokio::test]
async fn requests_are_counted_by_route_and_status() {
    let fixture = Fixture::with_points().await;
    fixture.ask("GET", "/collections/demo/points/1", "").await;
    fixture.ask("GET", "/collections/demo/points/2", "").await;
    fixture.ask("GET", "/collections/demo/points/99", "").await;
    fixture.ask("BREW", "/some/where/else", "").await;
    let (status, text) = fixture.ask("GET", "/metrics", "").await;
    assert_eq!(status, 200);
    let route = r#"method="GET",route="/collections/{collection}/points/{id}""#;
    for line in [
        format!(r#"pointd_http_responses_total{{{route},status="200"}} 2"#),
        format!(r#"pointd_http_responses_total{{{route},status="404"}} 1"#),
        format!("pointd_http_duration_seconds_count{{{route}}} 3"),
        r#"pointd_http_responses_total{method="other",route="unknown",status="404"} 1"#.into(),
    ] {
        assert!(text.contains(&line), "{line} is not in\n{text}");
    }
    assert!(!text.contains("some/where"));
}

#[tokio::test]
async fn a_stream_that_is_no_longer_assigned_is_not_in_the_metrics() {
    let mut fixture = Fixture::with_points().await;
    let (zero, one) = (partition("orders", 0), partition("orders", 1));
    let status = Status::new("orders", Kind::Kafka);
    status.stream(&zero).set_end(Offset(0));
    fixture.doors.sources = Arc::new(Told { reports: vec![status.report()], durable: None });
    for stream in [&zero, &one] {
        // As at a restart, and by what is still applied.
        let labels = crate::metrics::stream_labels(stream);
        let durable = &fixture.doors.metrics.source.durable_offset;
        durable.with_label_values(&labels.each()).set(5);
    }
    let (_, text) = fixture.ask("GET", "/metrics", "").await;
    let series = |name: &str, partition: i32| {
        let labels = format!("partition=\"{partition}\",source=\"orders\",topic=\"points\"");
        text.contains(&format!("pointd_source_{name}{{{labels}}}"))
    };
    assert!(series("durable_offset", 0) && series("lag_seconds", 0), "{text}");
    assert!(!series("durable_offset", 1), "{text}");
}

#[tokio::test]
async fn while_its_broker_is_away_nobody_says_that_a_stream_is_caught_up() {
    let mut fixture = Fixture::with_points().await;
    let status = Status::new("orders", Kind::Kafka);
    let stream = partition("orders", 0);
    // What the log has of it, and no more than that when the broker was last heard.
    fixture.direct.apply(at(&stream, 1), deleting());
    status.stream(&stream).set_end(Offset(1));
    status.stream(&stream).set_waiting(7);
    for (state, name, caught_up) in [
        (State::Running, "running", true),
        (
            State::Reconnecting { since: UnixMillis(1), error: "refused".into() },
            "reconnecting",
            false,
        ),
        (State::Halted { since: UnixMillis(1), why: "a bad message".into() }, "halted", false),
    ] {
        status.set_state(state);
        fixture.doors.sources = Arc::new(Told { reports: vec![status.report()], durable: None });
        let (_, text) = fixture.ask("GET", "/metrics", "").await;
        let labels = "partition=\"0\",source=\"orders\",topic=\"points\"";
        let zero = text.contains(&format!("pointd_source_lag_seconds{{{labels}}} 0\n"));
        assert_eq!(zero, caught_up, "{text}");
        assert!(text.contains(&format!("pointd_source_waiting_messages{{{labels}}} 7")), "{text}");
        let states = text.lines().filter(|line| line.starts_with("pointd_source_state{"));
        let is = format!("pointd_source_state{{source=\"orders\",state=\"{name}\"}} 1");
        assert_eq!(states.filter(|line| line.ends_with(" 1")).collect::<Vec<_>>(), [is]);
    }
}

#[tokio::test]
async fn what_troubles_a_source_is_shown_and_counted_as_long_as_it_does() {
    let mut fixture = Fixture::with_points().await;
    let topics = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
    let (kafka, rabbit) = (Status::new("orders", Kind::Kafka), Status::new("jobs", Kind::Amqp));
    kafka.starting("it waits");
    kafka.set_missing(topics(&["a", "b"]));
    kafka.set_refused([("c".to_owned(), "no rights".to_owned())].into());
    kafka.set_commit_error(Some("a stranger".into()));
    rabbit.set_other_consumers(3);
    let told = |kafka: &Status, rabbit: &Status| {
        Arc::new(Told { reports: vec![kafka.report(), rabbit.report()], durable: None })
    };
    fixture.doors.sources = told(&kafka, &rabbit);
    let view = result(&fixture, "/sources").await;
    let orders = &view["sources"][0];
    assert_eq!((&orders["state"], &orders["why"]), (&json!("starting"), &json!("it waits")));
    assert!(orders["since"].is_u64(), "{orders}");
    assert_eq!(orders["missing_topics"], json!(["a", "b"]));
    assert_eq!(orders["refused_topics"], json!({"c": "no rights"}));
    assert_eq!(view["sources"][1]["other_consumers"], 3);
    let (_, text) = fixture.ask("GET", "/metrics", "").await;
    let shows = |text: &str, name: &str, source: &str, value: u32| {
        let line = format!("pointd_source_{name}{{source=\"{source}\"}} {value}\n");
        assert!(text.contains(&line), "{line} is not in\n{text}");
    };
    let of_kafka = [("topics_missing", 2), ("topics_refused", 1), ("commit_refused", 1)];
    for (name, value) in of_kafka {
        shows(&text, name, "orders", value);
        assert!(!text.contains(&format!("{name}{{source=\"jobs\"}}")), "a queue has none: {text}");
    }
    shows(&text, "other_consumers", "jobs", 3);

    kafka.set_missing(topics(&[]));
    kafka.set_refused(std::collections::BTreeMap::new());
    kafka.set_commit_error(None);
    rabbit.set_other_consumers(0);
    fixture.doors.sources = told(&kafka, &rabbit);
    let view = result(&fixture, "/sources").await;
    assert_eq!(view["sources"][0]["missing_topics"], Value::Null);
    assert_eq!(view["sources"][1]["other_consumers"], Value::Null);
    let (_, text) = fixture.ask("GET", "/metrics", "").await;
    for (name, _) in of_kafka {
        shows(&text, name, "orders", 0);
    }
    shows(&text, "other_consumers", "jobs", 0);
}

/// The first sentence about what was done.
fn done(answer: &str) -> String {
    let answer: Value = serde_json::from_str(answer).unwrap();
    answer["result"]["done"][0].as_str().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn an_accepted_gap_is_answered_with_what_was_done() {
    let fixture = Fixture::new();
    let path = "/sources/orders/accept-gap";
    let (status, answer) = fixture.ask("POST", path, r#"{"topic": "t", "partition": 3}"#).await;
    assert_eq!((status, &done(&answer)), (200, &"Some(\"t\") Some(3)".into()));
    let (status, answer) = fixture.ask("POST", path, "{}").await;
    assert_eq!((status, &done(&answer)), (200, &"None None".into()));
    for (path, body, status) in [
        (path, r#"{"partition": 9}"#, 409),
        (path, r#"{"part": 9}"#, 400),
        ("/sources/others/accept-gap", "{}", 404),
    ] {
        let (answered, answer) = fixture.ask("POST", path, body).await;
        assert_eq!(answered, status, "{answer}");
    }
}
