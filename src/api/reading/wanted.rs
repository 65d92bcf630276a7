//! What a read waits for: a seq, or a place in a topic.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use super::super::Doors;
use super::super::error::{ApiError, Place};
use crate::position::{Offset, Seq, Stream};
use crate::source::status::{SourceReport, State, StreamReport, StreamState};

/// `42`, `topic/partition@offset`, or `source:topic/partition@offset`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    Seq(Seq),
    Position(Mark),
}

/// A message's place as its producer was told it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    /// The source's name, where two sources read one topic.
    source: Option<String>,
    topic: String,
    partition: i32,
    offset: Offset,
}

const RIGHT: &str = "give an operation_id such as 42, or a message's place as \
                     topic/partition@offset (source:topic/partition@offset where two sources \
                     read the topic); a queue has no offsets to wait for";

/// What the sources and the log say about the place.
enum Found {
    Stream(Arc<Stream>),
    /// The log has it, and its source does not read it now.
    Remembered(Arc<Stream>),
    /// None yet, and a source that may have it has not told its streams.
    Perhaps,
}

impl Wanted {
    pub(super) fn parse(text: &str, place: Place) -> Result<Wanted, ApiError> {
        if let Ok(seq) = text.parse() {
            return Ok(Wanted::Seq(Seq(seq)));
        }
        Mark::parse(text).map(Wanted::Position).ok_or_else(|| {
            let shown: String = text.chars().take(80).collect();
            ApiError::Format { place, what: format!("`{shown}` is nothing to wait for: {RIGHT}") }
        })
    }

    /// `applied` is the highest seq that readers see. `stream` is kept from call to call of one
    /// wait, so that the place is looked up once and not at every frame.
    pub(super) fn is_passed(
        &self,
        applied: Seq,
        doors: &Doors,
        stream: &mut Option<Arc<Stream>>,
    ) -> Result<bool, ApiError> {
        let mark = match self {
            Wanted::Seq(seq) => return Ok(applied >= *seq),
            Wanted::Position(mark) => mark,
        };
        let next = |stream: &Arc<Stream>| doors.catalog.next_offset(stream);
        // A topic that was made again is another stream, and the log forgets the first.
        if let Some(next) = stream.as_ref().and_then(next) {
            return Ok(next > mark.offset);
        }
        match mark.find(doors)? {
            Found::Stream(found) => {
                let passed = next(&found).is_some_and(|next| next > mark.offset);
                *stream = Some(found);
                Ok(passed)
            }
            Found::Remembered(found) if next(&found) > Some(mark.offset) => Ok(true),
            Found::Remembered(_) => Err(mark.not_ours()),
            Found::Perhaps => Ok(false),
        }
    }

    /// How far we are, for whoever waited in vain.
    pub(super) fn stands(&self, doors: &Doors) -> String {
        let Wanted::Position(mark) = self else {
            return format!("applied is {}", doors.catalog.applied());
        };
        let Ok(Found::Stream(stream) | Found::Remembered(stream)) = mark.find(doors) else {
            return "no source has named this partition yet: see /sources".to_owned();
        };
        let stands = match doors.catalog.next_offset(&stream) {
            Some(next) => format!("offset {next} is the next to be applied"),
            None => "nothing of this partition is applied".to_owned(),
        };
        let halted =
            doors.sources.reports().into_iter().flat_map(|report| report.streams).find_map(
                |report| match report.state {
                    StreamState::Halted { why } if report.stream == stream => Some(why),
                    _ => None,
                },
            );
        match halted {
            Some(why) => format!("{stands}, and the partition is halted: {why}"),
            None => stands,
        }
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Wanted::Seq(seq) => write!(f, "operation {seq}"),
            Wanted::Position(Mark { source, topic, partition, offset }) => {
                let source = source.as_ref().map(|source| format!("{source}:")).unwrap_or_default();
                write!(f, "{source}{topic}/{partition}@{offset}")
            }
        }
    }
}

impl Mark {
    /// A topic has neither `:` nor `/` nor `@` in its name.
    fn parse(text: &str) -> Option<Mark> {
        let (place, offset) = text.rsplit_once('@')?;
        let (name, partition) = place.rsplit_once('/')?;
        let (source, topic) = match name.rsplit_once(':') {
            Some((source, topic)) => (Some(source.to_owned()), topic),
            None => (None, name),
        };
        let partition = partition.parse().ok().filter(|partition| *partition >= 0)?;
        let offset = Offset(offset.parse().ok()?);
        (!topic.is_empty()).then(|| Mark { source, topic: topic.to_owned(), partition, offset })
    }

    /// The partition's stream: the one a source has now, else the one that the log has of a
    /// source that is configured.
    fn find(&self, doors: &Doors) -> Result<Found, ApiError> {
        let reports = doors.sources.reports();
        let logged = doors.catalog.progress().into_iter().map(|progress| progress.stream);
        let logged = logged.filter(|stream| is_configured(&reports, stream));
        let assigned = reports.iter().flat_map(|report| &report.streams);
        let assigned = assigned.map(|StreamReport { stream, .. }| stream.clone());
        let candidates: Vec<Arc<Stream>> =
            assigned.chain(logged).filter(|stream| self.is_name_of(stream)).collect();
        let matching = || candidates.iter().filter(|stream| self.is_partition(stream));
        let sources: BTreeSet<&str> = matching().map(|stream| stream.source()).collect();
        if sources.len() > 1 {
            return Err(self.ambiguous(&sources));
        }
        if let Some(stream) = matching().next() {
            let told = reports.iter().find(|report| report.source == stream.source());
            let assigned =
                told.is_some_and(|told| told.streams.iter().any(|it| it.stream == *stream));
            return Ok(match assigned || told.is_some_and(has_more_to_tell) {
                true => Found::Stream(stream.clone()),
                false => Found::Remembered(stream.clone()),
            });
        }
        if candidates.iter().any(|stream| matches!(**stream, Stream::Queue { .. })) {
            let what = format!("`{}` is a queue, which has no offsets to wait for", self.topic);
            return Err(ApiError::BadInput(what));
        }
        if reports.iter().any(|report| self.may_come_from(report)) {
            return Ok(Found::Perhaps);
        }
        Err(self.not_ours())
    }

    fn not_ours(&self) -> ApiError {
        let (topic, partition) = (&self.topic, self.partition);
        let what = match &self.source {
            Some(source) => {
                format!("source `{source}` reads no partition {partition} of `{topic}`")
            }
            None => format!("no source reads partition {partition} of topic `{topic}`"),
        };
        ApiError::NotFound(format!("{what}: GET /sources lists what is read"))
    }

    fn is_name_of(&self, stream: &Stream) -> bool {
        let source = self.source.as_ref().is_none_or(|source| source == stream.source());
        source && stream.name() == self.topic
    }

    fn is_partition(&self, stream: &Stream) -> bool {
        stream.partition() == Some(self.partition)
    }

    fn may_come_from(&self, report: &SourceReport) -> bool {
        let named = self.source.as_ref().is_none_or(|source| *source == report.source);
        named && has_more_to_tell(report)
    }

    fn ambiguous(&self, sources: &BTreeSet<&str>) -> ApiError {
        let (topic, partition) = (&self.topic, self.partition);
        let named: Vec<String> = sources
            .iter()
            .map(|source| format!("{source}:{topic}/{partition}@{}", self.offset))
            .collect();
        ApiError::BadInput(format!(
            "several sources read {topic}/{partition}: say which, as {}",
            named.join(" or ")
        ))
    }
}

/// A source that has just started has not told all its streams yet, nor has one whose broker
/// was never there.
fn has_more_to_tell(report: &SourceReport) -> bool {
    match report.state {
        State::Starting { .. } => true,
        // Where it begins may not be decided.
        State::Reconnecting { .. } | State::Paused { .. } => report.streams.is_empty(),
        State::Running | State::Halted { .. } | State::Stopped => false,
    }
}

fn is_configured(reports: &[SourceReport], stream: &Stream) -> bool {
    reports.iter().any(|report| report.source == stream.source())
}
