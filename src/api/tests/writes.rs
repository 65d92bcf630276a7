//! A write, when it takes long, fails, or is refused after it was logged.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, oneshot};

use super::super::{WriteError, Writes, Written};
use super::Fixture;
use crate::catalog::Outcome;
use crate::operation::{Body, Message, Reason, Refusal};
use crate::position::Seq;

/// A log that does what the test says, when it says it.
struct Told {
    calls: mpsc::UnboundedSender<Call>,
}

struct Call {
    message: Message,
    answer: oneshot::Sender<Result<Written, WriteError>>,
}

impl Writes for Told {
    fn write(&self, message: Message) -> BoxFuture<'static, Result<Written, WriteError>> {
        let (answer, answered) = oneshot::channel();
        self.calls.send(Call { message, answer }).unwrap_or_else(|_| panic!("the test is over"));
        Box::pin(async move { answered.await.unwrap_or(Err(WriteError::Closed)) })
    }

    fn decide(&self, _: Body) -> BoxFuture<'static, Result<Written, WriteError>> {
        unreachable!("no letters here")
    }
}

async fn told() -> (Fixture, mpsc::UnboundedReceiver<Call>) {
    let mut fixture = Fixture::with_points().await;
    let (calls, called) = mpsc::unbounded_channel();
    fixture.doors.writes = Arc::new(Told { calls });
    (fixture, called)
}

const PATH: &str = "/collections/demo/points?wait=true";
const BODY: &str = r#"{"points": [{"id": 1, "vector": [1, 2]}]}"#;

/// Asks, and lets `log` answer meanwhile.
async fn ask(
    fixture: &Fixture,
    called: &mut mpsc::UnboundedReceiver<Call>,
    log: impl FnOnce(Call),
) -> (u16, String) {
    let answered = async {
        let call = called.recv().await.unwrap();
        log(call);
    };
    tokio::join!(fixture.ask("PUT", PATH, BODY), answered).0
}

fn durable(call: Call) -> oneshot::Sender<Outcome> {
    assert!(call.message.waits);
    let (teller, outcome) = oneshot::channel();
    call.answer.send(Ok(Written { seq: Seq(9), outcome: Some(outcome) })).unwrap();
    teller
}

const ACKNOWLEDGED: &str = r#"{"result":{"operation_id":9,"status":"acknowledged"},"status":"ok"}"#;

#[tokio::test]
async fn a_durable_write_is_acknowledged_when_its_time_is_up() {
    let (mut fixture, mut called) = told().await;
    fixture.settings.request_timeout = Duration::from_millis(30);
    let mut teller = None;
    let answer = ask(&fixture, &mut called, |call| teller = Some(durable(call))).await;
    assert_eq!(answer, (200, ACKNOWLEDGED.to_owned()));
    // Nobody listens any more, and the applier need not care.
    assert!(teller.unwrap().send(Outcome::Applied).is_err());
}

#[tokio::test]
async fn a_durable_write_is_acknowledged_at_shutdown() {
    let (fixture, mut called) = told().await;
    let shutdown = fixture.doors.shutdown.clone();
    let mut teller = None;
    let log = |call| {
        teller = Some(durable(call));
        shutdown.ask();
    };
    assert_eq!(ask(&fixture, &mut called, log).await, (200, ACKNOWLEDGED.to_owned()));
}

#[tokio::test]
async fn a_durable_write_is_acknowledged_when_the_applier_is_gone() {
    let (fixture, mut called) = told().await;
    let answer = ask(&fixture, &mut called, |call| drop(durable(call))).await;
    assert_eq!(answer, (200, ACKNOWLEDGED.to_owned()));
}

#[tokio::test]
async fn a_write_that_is_not_durable_in_time_is_not_acknowledged() {
    let (mut fixture, mut called) = told().await;
    fixture.settings.request_timeout = Duration::from_millis(30);
    let mut held = None;
    let (status, text) = ask(&fixture, &mut called, |call| held = Some(call)).await;
    assert_eq!(status, 408, "{text}");
    assert!(text.contains("not durable within 0.03 s. It may still become so"), "{text}");
}

#[tokio::test]
async fn a_write_that_is_refused_in_its_turn_says_why() {
    let (fixture, mut called) = told().await;
    let refuse = |reason| {
        move |call| {
            let refusal = Refusal::new(reason, "no longer");
            durable(call).send(Outcome::Refused(refusal)).unwrap();
        }
    };
    let (status, text) = ask(&fixture, &mut called, refuse(Reason::UnknownVector)).await;
    assert_eq!(status, 400);
    assert!(text.contains("no longer (operation 9 was logged before"), "{text}");
    let (status, _) = ask(&fixture, &mut called, refuse(Reason::UnknownCollection)).await;
    assert_eq!(status, 404);
}

#[tokio::test]
async fn a_log_that_takes_nothing_says_why() {
    let (fixture, mut called) = told().await;
    let full = WriteError::Stopped { why: "2 % of the disk is free".into() };
    for (error, status, message) in [
        (WriteError::Full, 429, "Too many writes"),
        (WriteError::Recovering, 503, "being replayed"),
        (full, 507, "2 % of the disk is free"),
        (WriteError::Closed, 503, "shutting down"),
    ] {
        let fail = |call: Call| call.answer.send(Err(error)).unwrap();
        let (given, text) = ask(&fixture, &mut called, fail).await;
        assert_eq!(given, status);
        assert!(text.contains(message), "{text}");
    }
    let answered = async {
        called.recv().await.unwrap().answer.send(Err(WriteError::Full)).unwrap();
    };
    let (response, ()) = tokio::join!(fixture.response("PUT", PATH, BODY), answered);
    assert_eq!(response.headers()["retry-after"], "1");
}

#[tokio::test]
async fn a_collection_that_is_durable_but_not_yet_there_is_accepted() {
    let (mut fixture, mut called) = told().await;
    fixture.settings.request_timeout = Duration::from_millis(30);
    let body = r#"{"vectors": {"size": 2, "distance": "Dot"}}"#;
    let mut teller = None;
    let answered = async { teller = Some(durable(called.recv().await.unwrap())) };
    let (answer, ()) = tokio::join!(fixture.ask("PUT", "/collections/new", body), answered);
    assert_eq!(answer, (202, r#"{"result":true,"status":"ok"}"#.to_owned()));
}

#[tokio::test]
async fn the_timeout_of_a_request_is_its_own() {
    let (fixture, mut called) = told().await;
    let path = "/collections/demo/points?wait=true&timeout=1";
    let mut teller = None;
    let answered = async { teller = Some(durable(called.recv().await.unwrap())) };
    let started = std::time::Instant::now();
    let (answer, ()) = tokio::join!(fixture.ask("PUT", path, BODY), answered);
    assert_eq!(answer, (200, ACKNOWLEDGED.to_owned()));
    assert!(started.elapsed() >= Duration::from_secs(1));
    assert!(started.elapsed() < fixture.settings.request_timeout);
}
