//! The real router over a real catalog. Only the log is left out: a write is applied as soon
//! as it is written.

mod changes;
mod letters;
mod limits;
mod queries;
mod reading;
mod refusals;
mod shapes;
mod shutdown;
mod views;
mod writes;

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, Response};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::sync::{oneshot, watch};
use tower::ServiceExt;

use super::{ApiSettings, Doors, Readiness, Sources, WriteError, Writes, Written, router};
use crate::catalog::{Applied, Catalog, CatalogOptions, Outcome};
use crate::collection::CollectionOptions;
use crate::disk::Disk;
use crate::metrics::Metrics;
use crate::operation::{
    Body as RecordBody, Limits, Message, Original, Reason, Refusal, decode_message,
};
use crate::position::{Offset, Position, Seq, Stream, UnixMillis};
use crate::shutdown::Shutdown;
use crate::source::status::SourceReport;
use crate::wal::LogId;

/// Writes that are durable and applied at once.
pub struct Direct {
    catalog: Arc<Catalog>,
    raised: watch::Sender<Seq>,
    /// One record at a time.
    turn: Mutex<()>,
}

impl Direct {
    /// What the applier does with a frame of one record.
    fn apply(&self, position: Option<Position>, body: RecordBody) -> Written {
        let waits = match &body {
            RecordBody::Message(message) => message.waits,
            body => matches!(body, RecordBody::Redrive(_) | RecordBody::DropLetters(_)),
        };
        let (seq, outcome) = self.apply_quietly(position, body);
        self.raise();
        let (teller, told) = oneshot::channel();
        teller.send(outcome).unwrap();
        Written { seq, outcome: waits.then_some(told) }
    }

    /// In the middle of a frame: readers see it, and nobody is woken yet.
    fn apply_quietly(&self, position: Option<Position>, body: RecordBody) -> (Seq, Outcome) {
        let _turn = self.turn.lock().unwrap();
        let seq = self.catalog.applied().next();
        let record = Applied { seq, time: UnixMillis(1_700_000_000_000), position, body };
        (seq, self.catalog.apply(record))
    }

    /// The frame's end.
    fn raise(&self) {
        self.raised.send_replace(self.catalog.applied());
    }
}

impl Writes for Direct {
    fn write(&self, message: Message) -> BoxFuture<'static, Result<Written, WriteError>> {
        let written = self.apply(None, RecordBody::Message(message));
        Box::pin(async move { Ok(written) })
    }

    fn decide(&self, body: RecordBody) -> BoxFuture<'static, Result<Written, WriteError>> {
        let written = self.apply(None, body);
        Box::pin(async move { Ok(written) })
    }
}

/// Sources that say what a test put here.
#[derive(Default)]
pub struct Told {
    pub reports: Vec<SourceReport>,
    pub durable: Option<Offset>,
}

impl Sources for Told {
    fn reports(&self) -> Vec<SourceReport> {
        self.reports.clone()
    }

    fn durable(&self, _: &Stream) -> Option<Offset> {
        self.durable
    }
}

/// Messages of `orders` that name no collection are for `demo`.
fn redecode(stream: Option<&Stream>, original: &Original) -> Result<Message, Refusal> {
    let collection = stream.filter(|stream| stream.source() == "orders").map(|_| "demo");
    let json = (b"application/json".as_slice(), "content-type");
    let other = |(name, value): &(String, Bytes)| name == json.1 && &value[..] != json.0;
    if original.headers.iter().any(other) {
        return Err(Refusal::new(Reason::InvalidMessage, "only JSON here"));
    }
    decode_message(&original.value, collection, &Limits { message_bytes_max: 10_000 })
}

pub struct Fixture {
    pub doors: Doors,
    pub direct: Arc<Direct>,
    pub settings: ApiSettings,
    _directory: tempfile::TempDir,
}

impl Fixture {
    pub fn new() -> Fixture {
        let directory = tempfile::tempdir().unwrap();
        let metrics = Metrics::new();
        let options = CatalogOptions::default();
        let catalog = Catalog::open(&Disk::new(), directory.path(), options, &metrics).unwrap();
        let catalog = Arc::new(catalog);
        let (raised, applied) = watch::channel(Seq::default());
        let direct =
            Arc::new(Direct { catalog: Arc::clone(&catalog), raised, turn: Mutex::default() });
        let doors = Doors {
            catalog,
            collection: CollectionOptions::default(),
            writes: Arc::clone(&direct) as Arc<dyn Writes>,
            sources: Arc::new(Told::default()),
            readiness: Readiness::new(),
            metrics,
            shutdown: Shutdown::new(),
            applied,
            log_id: LogId(uuid::Uuid::from_u128(7)),
            redecode: Arc::new(|stream, original| redecode(stream, original)),
            forwarding: None,
        };
        let settings =
            ApiSettings { listen: "127.0.0.1:0".parse().unwrap(), ..ApiSettings::default() };
        Fixture { doors, direct, settings, _directory: directory }
    }

    /// With the collection `demo` of two dimensions, and three points in it.
    pub async fn with_points() -> Fixture {
        let fixture = Fixture::new();
        let create = r#"{"vectors": {"size": 2, "distance": "Dot"}}"#;
        assert_eq!(fixture.ask("PUT", "/collections/demo", create).await.0, 200);
        let points = r#"{"points": [
            {"id": 1, "vector": [1, 0], "payload": {"color": "red", "n": 1}},
            {"id": 2, "vector": [0.5, 0.5], "payload": {"color": "blue"}},
            {"id": "936DA01F9ABD4d9d80C702AF85C822A8", "vector": [0, 1]}
        ]}"#;
        let (status, text) = fixture.ask("PUT", "/collections/demo/points?wait=true", points).await;
        assert_eq!(status, 200, "{text}");
        fixture
    }

    pub fn router(&self) -> Router {
        router(self.settings.clone(), self.doors.clone())
    }

    pub async fn response(&self, method: &str, path: &str, body: &str) -> Response<Body> {
        let request = Request::builder().method(method).uri(path);
        let request = request.body(Body::from(body.to_owned())).unwrap();
        self.router().oneshot(request).await.unwrap()
    }

    /// The status, and the text without the time that the envelope ends in.
    pub async fn ask(&self, method: &str, path: &str, body: &str) -> (u16, String) {
        let response = self.response(method, path, body).await;
        let status = response.status().as_u16();
        let bytes = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        (status, without_time(std::str::from_utf8(&bytes).unwrap()))
    }
}

/// Checks that the envelope ends in a time, and takes it off.
pub fn without_time(text: &str) -> String {
    let Some((rest, time)) = text.rsplit_once(r#","time":"#) else { return text.to_owned() };
    let seconds: f64 = time.strip_suffix('}').unwrap().parse().unwrap();
    assert!((0.0..60.0).contains(&seconds), "{seconds} s");
    format!("{rest}}}")
}
