//! `GET /sources`: where every source and every stream stands; and what one is told to do.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::extract::{Path, State};
use crossbeam_channel::RecvTimeoutError;
use prometheus::IntGaugeVec;
use serde::{Deserialize, Serialize};

use super::answer::Answer;
use super::body::{self, Json};
use super::error::ApiError;
use super::{Context, Doors};
use crate::catalog::StreamProgress;
use crate::metrics::{SourceMetrics, stream_labels};
use crate::position::{Offset, Stream, UnixMillis};
use crate::source::Order;
use crate::source::status::{Kind, SourceReport, State as SourceState, StreamReport, StreamState};

/// What the sources say of themselves. The daemon, which knows them all, implements it.
pub trait Sources: Send + Sync {
    fn reports(&self) -> Vec<SourceReport>;
    /// The offset up to which the stream is in the log and fsynced. A queue has none.
    fn durable(&self, stream: &Stream) -> Option<Offset>;
    /// Hands an order to a source, which answers in its own time.
    fn order(&self, source: &str, order: Order) -> Result<(), OrderError>;
}

/// Why a source was given no order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrderError {
    NoSource,
    /// Earlier ones are waiting.
    Busy,
}

/// Which of the halted partitions go on. What is left out stands for all.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct AcceptBody {
    topic: Option<String>,
    partition: Option<i32>,
}

impl body::Body for AcceptBody {}

pub(super) async fn accept_gap(
    State(shared): Context,
    Path(source): Path<String>,
    Json { body, .. }: Json<AcceptBody>,
) -> Result<Answer, ApiError> {
    let (answer, answered) = crossbeam_channel::bounded(1);
    let AcceptBody { topic, partition } = body;
    let order = Order::AcceptGap { topic, partition, answer };
    shared.doors.sources.order(&source, order).map_err(|error| match error {
        OrderError::NoSource => ApiError::NotFound(format!("Source `{source}` is not configured")),
        OrderError::Busy => ApiError::Conflict(format!("`{source}` has other orders to do")),
    })?;
    let allowed = shared.settings.request_timeout;
    let waited = tokio::task::spawn_blocking(move || answered.recv_timeout(allowed)).await;
    match waited {
        Ok(Ok(Ok(done))) => Answer::short(&Accepted { done }),
        Ok(Ok(Err(why))) => Err(ApiError::Conflict(why)),
        Ok(Err(RecvTimeoutError::Timeout)) => Err(ApiError::ReadTimeout { allowed }),
        Ok(Err(RecvTimeoutError::Disconnected)) => Err(ApiError::Conflict(format!(
            "`{source}` stopped, or lost its broker, before that was in the log: ask again"
        ))),
        Err(error) => Err(ApiError::Broken(format!("the wait for the source ended: {error}"))),
    }
}

/// A sentence for each partition.
#[derive(Debug, Serialize)]
struct Accepted {
    done: Vec<String>,
}

#[derive(Debug, Serialize)]
struct View {
    applied_seq: u64,
    sources: Vec<SourceView>,
}

#[derive(Debug, Serialize)]
struct SourceView {
    source: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<Kind>,
    #[serde(flatten)]
    state: ShownState<SourceState>,
    #[serde(skip_serializing_if = "Option::is_none")]
    commit_error: Option<String>,
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    missing_topics: BTreeSet<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    refused_topics: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    other_consumers: Option<u32>,
    streams: Vec<StreamView>,
}

/// A state as told, or that of something only the log remembers.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum ShownState<S> {
    Told(S),
    Remembered { state: &'static str },
}

/// One stream. Offsets are those of the *next* message, so that in a stream that is caught up
/// all of them are equal. A queue has no offsets.
#[derive(Debug, Serialize)]
struct StreamView {
    #[serde(flatten)]
    place: Place,
    #[serde(flatten)]
    state: ShownState<StreamState>,
    /// Messages delivered since the process started.
    received_messages: u64,
    received: Option<Offset>,
    durable: Option<Offset>,
    applied: Option<Offset>,
    committed: Option<Offset>,
    end: Option<Offset>,
    /// What is in the broker and not applied yet; of a queue, what waits in it.
    lag_messages: Option<u64>,
    /// 0 when caught up, which nobody knows of a halted stream or a broker that is away; else how
    /// long ago the last applied message was published.
    lag_seconds: Option<f64>,
    /// Messages applied since the data directory was made.
    applied_records: u64,
    applied_time_unix_ms: Option<UnixMillis>,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Place {
    Partition { topic: String, partition: i32 },
    Queue { queue: String },
}

pub(super) async fn list(State(shared): Context) -> Result<Answer, ApiError> {
    let doors = &shared.doors;
    let view = View {
        applied_seq: doors.catalog.applied().0,
        sources: join(&*doors.sources, doors.catalog.progress(), UnixMillis::now()),
    };
    Answer::of(&view, shared.settings.answer_bytes_max)
}

/// The metrics, with every source's state and every assigned stream's lag, and without streams
/// that are not.
pub(super) fn metrics(doors: &Doors) -> String {
    let (reports, now) = (doors.sources.reports(), UnixMillis::now());
    let mut progress = by_stream(doors.catalog.progress());
    let mut assigned = BTreeSet::new();
    let metrics = &doors.metrics.source;
    for report in reports {
        troubles(metrics, &report);
        let SourceReport { source, state, streams, .. } = report;
        for name in SourceState::NAMES {
            let is = i64::from(state.name() == name);
            metrics.state.with_label_values(&[source.as_str(), name]).set(is);
        }
        for report in streams {
            let labels = stream_labels(&report.stream);
            let progress = progress.remove(&report.stream);
            if let Some(waiting) = report.waiting {
                let gauge = metrics.waiting.with_label_values(&labels.each());
                gauge.set(i64::try_from(waiting).unwrap_or(i64::MAX));
            }
            let view = StreamView::new(report, &state, None, progress, now);
            if let Some(lag) = view.lag_seconds {
                metrics.lag_seconds.with_label_values(&labels.each()).set(lag);
            }
            assigned.insert(labels);
        }
    }
    doors.metrics.render_assigned(&assigned)
}

/// What a source of that kind can have.
fn troubles(metrics: &SourceMetrics, report: &SourceReport) {
    let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
    let set = |gauges: &IntGaugeVec, value| gauges.with_label_values(&[&report.source]).set(value);
    match report.kind {
        Kind::Kafka => {
            set(&metrics.topics_missing, count(report.missing_topics.len()));
            set(&metrics.topics_refused, count(report.refused_topics.len()));
            set(&metrics.commit_refused, report.commit_error.is_some().into());
        }
        Kind::Amqp => set(&metrics.other_consumers, report.other_consumers.into()),
        Kind::Embedded => {}
    }
}

fn by_stream(progress: Vec<StreamProgress>) -> BTreeMap<Arc<Stream>, StreamProgress> {
    progress.into_iter().map(|progress| (Arc::clone(&progress.stream), progress)).collect()
}

/// One sentence for each stream that needs an operator.
pub(super) fn halted(sources: &dyn Sources) -> Vec<String> {
    let reports = sources.reports();
    let whole = reports.iter().filter_map(|report| match &report.state {
        SourceState::Halted { why, .. } => Some(format!("{} is halted: {why}", report.source)),
        _ => None,
    });
    let streams = reports.iter().flat_map(|report| &report.streams);
    let streams = streams.filter_map(|stream| match &stream.state {
        StreamState::Halted { why } => {
            Some(format!("{} of {} is halted: {why}", stream.stream, stream.stream.source()))
        }
        StreamState::Running | StreamState::Unreadable { .. } => None,
    });
    whole.chain(streams).collect()
}

/// Sources as told, joined with what the log has of them; then those only the log remembers.
fn join(sources: &dyn Sources, progress: Vec<StreamProgress>, now: UnixMillis) -> Vec<SourceView> {
    let mut applied = by_stream(progress);
    let mut views = Vec::new();
    for report in sources.reports() {
        let streams = report.streams.into_iter().map(|stream| {
            let progress = applied.remove(&stream.stream);
            let durable = sources.durable(&stream.stream);
            StreamView::new(stream, &report.state, durable, progress, now)
        });
        let streams = streams.collect();
        views.push(SourceView {
            source: report.source,
            kind: Some(report.kind),
            state: ShownState::Told(report.state),
            commit_error: report.commit_error,
            missing_topics: report.missing_topics,
            refused_topics: report.refused_topics,
            other_consumers: Some(report.other_consumers).filter(|others| *others > 0),
            streams,
        });
    }
    for progress in applied.into_values() {
        let source = progress.stream.source().to_owned();
        let stream = StreamView::remembered(progress);
        match views.iter_mut().find(|view| view.source == source) {
            Some(view) => view.streams.push(stream),
            None => views.push(SourceView {
                source,
                kind: None,
                state: ShownState::Remembered { state: "not_configured" },
                commit_error: None,
                missing_topics: BTreeSet::new(),
                refused_topics: BTreeMap::new(),
                other_consumers: None,
                streams: vec![stream],
            }),
        }
    }
    views
}

impl Place {
    fn of(stream: &Stream) -> Place {
        match stream {
            Stream::Partition { topic, partition, .. } => {
                Place::Partition { topic: topic.clone(), partition: *partition }
            }
            Stream::Queue { queue, .. } => Place::Queue { queue: queue.clone() },
        }
    }
}

impl StreamView {
    fn new(
        report: StreamReport,
        source: &SourceState,
        durable: Option<Offset>,
        progress: Option<StreamProgress>,
        now: UnixMillis,
    ) -> StreamView {
        let applied = progress.as_ref().and_then(|progress| progress.next);
        let applied_time =
            progress.as_ref().map(|progress| progress.time).filter(|time| time.0 > 0);
        let behind_end = report.end.map(|end| {
            let applied = applied.unwrap_or_default();
            end.0.saturating_sub(applied.0)
        });
        let lag_messages = behind_end.or(report.waiting);
        // A queue's broker tells no end: there, caught up means that nothing waits, and what was
        // received last is applied.
        let caught_up = match behind_end {
            // The broker's log may be another one, or has grown unheard.
            _ if matches!(report.state, StreamState::Halted { .. })
                || !source.hears_the_broker() =>
            {
                false
            }
            Some(lag) => lag == 0,
            None => {
                let last_applied =
                    report.last_message_time.is_none_or(|last| applied_time >= Some(last));
                last_applied && report.waiting.is_none_or(|waiting| waiting == 0)
            }
        };
        let behind = |time: UnixMillis| now.0.saturating_sub(time.0) as f64 / 1000.0;
        let lag_seconds = if caught_up { Some(0.0) } else { applied_time.map(behind) };
        StreamView {
            place: Place::of(&report.stream),
            state: ShownState::Told(report.state),
            received_messages: report.received_messages,
            received: report.received,
            durable,
            applied,
            committed: report.committed,
            end: report.end,
            lag_messages,
            lag_seconds,
            applied_records: progress.map_or(0, |progress| progress.records),
            applied_time_unix_ms: applied_time,
        }
    }

    fn remembered(progress: StreamProgress) -> StreamView {
        StreamView {
            place: Place::of(&progress.stream),
            state: ShownState::Remembered { state: "not_assigned" },
            received_messages: 0,
            received: None,
            durable: progress.next,
            applied: progress.next,
            committed: None,
            end: None,
            lag_messages: None,
            lag_seconds: None,
            applied_records: progress.records,
            applied_time_unix_ms: Some(progress.time).filter(|time| time.0 > 0),
        }
    }
}
