//! Everything has a maximum. Over real sockets, because that is where the limits are.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;

use super::super::{BindError, bind};
use super::Fixture;

/// A test that hangs fails.
const PATIENCE: Duration = Duration::from_secs(60);

pub struct Served {
    pub address: SocketAddr,
    pub fixture: Arc<Fixture>,
    pub server: JoinHandle<std::io::Result<()>>,
}

pub fn serve(fixture: Fixture) -> Served {
    let fixture = Arc::new(fixture);
    let bound = bind(fixture.settings.listen).unwrap();
    let address = bound.address();
    let server = bound.serve(fixture.settings.clone(), fixture.doors.clone());
    Served { address, server: tokio::spawn(server), fixture }
}

impl Served {
    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    pub async fn stop(self) {
        self.fixture.doors.shutdown.ask();
        tokio::time::timeout(PATIENCE, self.server).await.unwrap().unwrap().unwrap();
    }
}

/// Runs what blocks beside the server.
pub async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap()
}

/// Sends, and reads until the server closes the connection.
pub fn talk(mut stream: TcpStream, request: &str) -> String {
    stream.write_all(request.as_bytes()).unwrap();
    let mut text = Vec::new();
    if let Err(error) = stream.read_to_end(&mut text) {
        // A server that closes with our bytes unread resets the connection: what came before
        // counts. One that does not close at all is what must not be.
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    }
    String::from_utf8(text).unwrap()
}

const GET: &str = "GET /healthz HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_beyond_the_limit_is_refused_declared_or_not() {
    let mut fixture = Fixture::new();
    fixture.settings.body_bytes_max = 1000;
    let served = serve(fixture);
    let head = "PUT /collections/a HTTP/1.1\r\nhost: a\r\n";
    // Asked first: refused before a byte of it was sent.
    let asked = format!("{head}expect: 100-continue\r\ncontent-length: 1001\r\n\r\n");
    let stream = served.connect();
    let text = aside(move || talk(stream, &asked)).await;
    assert!(text.starts_with("HTTP/1.1 413 "), "{text}");
    assert!(text.contains("a body may have 1000 bytes"), "{text}");
    // Not declared: refused when it has become too long.
    let chunk = format!("200\r\n{}\r\n", " ".repeat(0x200));
    let chunked = format!("{head}transfer-encoding: chunked\r\n\r\n{chunk}{chunk}0\r\n\r\n");
    let stream = served.connect();
    let text = aside(move || talk(stream, &chunked)).await;
    assert!(text.starts_with("HTTP/1.1 413 "), "{text}");
    // Right at the limit.
    let body = r#"{"vectors": {"size": 2, "distance": "Dot"}}"#;
    let padded = format!("{body}{}", " ".repeat(1000 - body.len()));
    let fits = format!("{head}connection: close\r\ncontent-length: 1000\r\n\r\n{padded}");
    let stream = served.connect();
    let text = aside(move || talk(stream, &fits)).await;
    assert!(text.starts_with("HTTP/1.1 200 "), "{text}");
    served.stop().await;
}

/// A client that sends everything before it reads must still see why.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_is_sent_although_too_long_is_answered() {
    let mut fixture = Fixture::new();
    fixture.settings.body_bytes_max = 4 << 20;
    let served = serve(fixture);
    // More than the sockets' buffers hold.
    let body = " ".repeat(24 << 20);
    let head = "PUT /collections/a HTTP/1.1\r\nhost: a\r\ncontent-length:";
    let request = format!("{head} {}\r\n\r\n{body}", body.len());
    let stream = served.connect();
    let text = aside(move || talk(stream, &request)).await;
    assert!(text.starts_with("HTTP/1.1 413 "), "{text}");
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_or_a_body_that_does_not_arrive_is_given_up() {
    let mut fixture = Fixture::new();
    fixture.settings.header_timeout = Duration::from_millis(100);
    let served = serve(fixture);
    // Each ends because the server closes, not because we stop sending.
    let slow = served.connect();
    let text = aside(move || talk(slow, "GET /healthz HTTP/1.1\r\nhost:")).await;
    assert!(!text.contains("200 OK"), "{text}");
    let silent = served.connect();
    assert_eq!(aside(move || talk(silent, "")).await, "");
    served.stop().await;
    let mut fixture = Fixture::new();
    fixture.settings.request_timeout = Duration::from_millis(200);
    let served = serve(fixture);
    let stuck = served.connect();
    let part = "PUT /collections/a HTTP/1.1\r\nhost: a\r\ncontent-length: 99\r\n\r\n{\"vec";
    let text = aside(move || talk(stuck, part)).await;
    assert!(text.starts_with("HTTP/1.1 408 "), "{text}");
    assert!(text.contains("the body did not arrive within 0.2 s"), "{text}");
    served.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_beyond_the_cap_wait_for_one_to_close() {
    let mut fixture = Fixture::new();
    fixture.settings.connections_max = 2;
    let served = serve(fixture);
    let connections = served.fixture.doors.metrics.http.connections.clone();
    // Two that stay.
    let mut kept = Vec::new();
    for _ in 0..2 {
        let stream = served.connect();
        kept.push(aside(move || keep_alive(stream)).await);
    }
    assert_eq!(connections.get(), 2);
    let mut third = served.connect();
    third.write_all(GET.as_bytes()).unwrap();
    third.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    let waiting = aside(move || {
        let error = third.read(&mut [0; 1]).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
        third
    });
    let third = waiting.await;
    third.set_read_timeout(Some(PATIENCE)).unwrap();
    assert_eq!(connections.get(), 2);
    drop(kept.pop());
    let text = aside(move || talk(third, "")).await;
    assert!(text.starts_with("HTTP/1.1 200 "), "{text}");
    drop(kept);
    served.stop().await;
}

/// One request whose connection stays open.
pub fn keep_alive(mut stream: TcpStream) -> TcpStream {
    stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
    let mut text = Vec::new();
    while !text.ends_with(b"passed\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        text.extend(byte);
    }
    stream
}

#[tokio::test]
async fn an_answer_beyond_the_limit_is_refused() {
    let mut fixture = Fixture::with_points().await;
    fixture.settings.answer_bytes_max = 60;
    let path = "/collections/demo/points/scroll";
    let (status, text) = fixture.ask("POST", path, "{}").await;
    assert_eq!(status, 400);
    assert!(text.contains("more than 60 bytes"), "{text}");
    let few = r#"{"limit": 1, "with_payload": false}"#;
    assert_eq!(fixture.ask("POST", path, few).await.0, 200);
}

#[tokio::test]
async fn points_and_searches_of_one_request_are_limited() {
    let mut fixture = Fixture::with_points().await;
    fixture.settings.limit_max = 2;
    fixture.settings.batch_max = 1;
    let ask = async |path: &str, body: &str| {
        fixture.ask("POST", &format!("/collections/demo/points{path}"), body).await.0
    };
    assert_eq!(ask("", r#"{"ids": [1, 2]}"#).await, 200);
    assert_eq!(ask("", r#"{"ids": [1, 2, 3]}"#).await, 422);
    assert_eq!(ask("/scroll", r#"{"limit": 3}"#).await, 422);
    assert_eq!(ask("/query", r#"{"limit": 1, "offset": 2}"#).await, 422);
    let one = r#"{"vector": [1, 2], "limit": 1}"#;
    assert_eq!(ask("/search/batch", &format!(r#"{{"searches": [{one}]}}"#)).await, 200);
    assert_eq!(ask("/search/batch", &format!(r#"{{"searches": [{one}, {one}]}}"#)).await, 422);
}

#[tokio::test]
async fn examples_of_one_request_are_limited() {
    let mut fixture = Fixture::with_points().await;
    fixture.settings.batch_max = 2;
    let ask = async |path: &str, body: &str| {
        fixture.ask("POST", &format!("/collections/demo/points/query{path}"), body).await.0
    };
    let by = |examples, strategy| {
        format!(
            r#"{{"query": {{"recommend": {{"positive": {examples}, "strategy": "{strategy}"}}}}}}"#
        )
    };
    assert_eq!(ask("", &by("[1, 2]", "best_score")).await, 200);
    assert_eq!(ask("", &by("[1, 2, [1, 0]]", "best_score")).await, 422);
    // Those of an average make one vector.
    assert_eq!(ask("", &by("[1, 2, [1, 0]]", "average_vector")).await, 200);
    let batch = |queries: &[String]| format!(r#"{{"searches": [{}]}}"#, queries.join(","));
    let (one, two) = (by("[1]", "sum_scores"), by("[1, 2]", "sum_scores"));
    assert_eq!(ask("/batch", &batch(&[one.clone(), one.clone()])).await, 200);
    assert_eq!(ask("/batch", &batch(&[one, two])).await, 422);
}

#[tokio::test]
async fn a_read_that_finds_no_free_cpu_in_time_is_given_up() {
    let mut fixture = Fixture::with_points().await;
    fixture.settings.request_timeout = Duration::from_secs(1);
    fixture.settings.searches_max = 1;
    let shared = super::super::Shared::new(fixture.settings.clone(), fixture.doors.clone());
    let (release, released) = std::sync::mpsc::channel::<()>();
    let work = move || {
        let _ = released.recv();
        super::super::Answer::short(&1)
    };
    // The first holds the one permit even though nobody waits for it any more.
    let reading = || super::super::Reading { deadline: shared.deadline(None) };
    assert!(shared.read(reading(), work).await.is_err());
    assert_eq!(shared.searches.available_permits(), 0);
    let second = shared.read(reading(), || super::super::Answer::short(&2)).await;
    assert_eq!(second.unwrap_err().to_string(), "Timeout: the read took longer than 1 s");
    release.send(()).unwrap();
    let mut patient = reading();
    patient.deadline.at += PATIENCE;
    let third = shared.read(patient, || super::super::Answer::short(&3)).await;
    assert!(third.is_ok());
}

#[tokio::test]
async fn bodies_wait_for_room_together() {
    let mut fixture = Fixture::with_points().await;
    fixture.settings.request_timeout = Duration::from_secs(1);
    fixture.settings.body_bytes_max = 4096;
    fixture.settings.bodies_bytes_max = 4096;
    let shared = super::super::Shared::new(fixture.settings.clone(), fixture.doors.clone());
    let router = super::super::routes::over(Arc::clone(&shared));
    let count = || {
        let path = "/collections/demo/points/count";
        let request = axum::http::Request::post(path).header("content-length", "2");
        tower::ServiceExt::oneshot(
            router.clone(),
            request.body(axum::body::Body::from("{}")).unwrap(),
        )
    };
    let all = shared.bodies.clone().acquire_many_owned(4).await.unwrap();
    assert_eq!(count().await.unwrap().status(), 408);
    drop(all);
    // A machine that is busy may take the second of one or the other.
    let mut status = count().await.unwrap().status();
    for _ in 0..PATIENCE.as_secs() {
        if status == 408 {
            status = count().await.unwrap().status();
        }
    }
    assert_eq!(status, 200);
}

#[test]
fn a_taken_port_is_named() {
    let first = bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let error = bind(first.address()).unwrap_err();
    assert!(matches!(error, BindError::Taken { address } if address == first.address()));
    assert!(error.to_string().contains(&first.address().to_string()));
}
