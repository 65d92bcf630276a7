//! The end: no new connections, requests end, what does not end is cut.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::{Mutex, oneshot};

use super::super::{WriteError, Writes, Written};
use super::Fixture;
use super::limits::{aside, keep_alive, serve, talk};
use crate::operation::{Body, Message};
use crate::position::Seq;

/// Tells that it was called; is durable when told.
struct Gate {
    called: Mutex<Option<oneshot::Sender<()>>>,
    open: Arc<Mutex<Option<oneshot::Receiver<()>>>>,
}

impl Writes for Gate {
    fn write(&self, _: Message) -> BoxFuture<'static, Result<Written, WriteError>> {
        if let Some(called) = self.called.try_lock().unwrap().take() {
            called.send(()).unwrap();
        }
        let open = Arc::clone(&self.open);
        Box::pin(async move {
            let open = open.lock().await.take().unwrap();
            open.await.map_err(|_| WriteError::Closed)?;
            Ok(Written { seq: Seq(5), outcome: None })
        })
    }

    fn decide(&self, _: Body) -> BoxFuture<'static, Result<Written, WriteError>> {
        unreachable!("no letters here")
    }
}

const BODY: &str = r#"{"points": [{"id": 1, "vector": [1, 2]}]}"#;

async fn gated() -> (Fixture, oneshot::Receiver<()>, oneshot::Sender<()>) {
    let mut fixture = Fixture::with_points().await;
    let ((called, was_called), (opener, open)) = (oneshot::channel(), oneshot::channel());
    fixture.doors.writes =
        Arc::new(Gate { called: Mutex::new(Some(called)), open: Arc::new(Mutex::new(Some(open))) });
    (fixture, was_called, opener)
}

fn put() -> String {
    let length = BODY.len();
    format!(
        "PUT /collections/demo/points HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n\r\n{BODY}"
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_under_way_ends_and_idle_connections_close() {
    let (mut fixture, was_called, opener) = gated().await;
    // An address that nobody else listens at, once this server is gone.
    fixture.settings.listen = "127.0.0.2:0".parse().unwrap();
    let served = serve(fixture);
    let (busy, idle, address) = (served.connect(), served.connect(), served.address);
    let idle = aside(move || keep_alive(idle)).await;
    let answer = tokio::spawn(aside(move || talk(busy, &put())));
    was_called.await.unwrap();
    served.fixture.doors.shutdown.ask();
    // The idle one is closed while the write is still under way.
    assert_eq!(aside(move || talk(idle, "")).await, "");
    assert!(!served.server.is_finished());
    opener.send(()).unwrap();
    let text = answer.await.unwrap();
    assert!(text.contains(r#"{"operation_id":5,"status":"acknowledged"}"#), "{text}");
    served.stop().await;
    let refused = std::net::TcpStream::connect(address).unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_does_not_end_is_cut() {
    let (mut fixture, was_called, _opener) = gated().await;
    fixture.settings.shutdown_timeout = Duration::from_millis(50);
    let served = serve(fixture);
    let busy = served.connect();
    let answer = tokio::spawn(aside(move || talk(busy, &put())));
    was_called.await.unwrap();
    let connections = served.fixture.doors.metrics.http.connections.clone();
    assert_eq!(connections.get(), 1);
    served.stop().await;
    assert_eq!(answer.await.unwrap(), "");
    assert_eq!(connections.get(), 0);
}
