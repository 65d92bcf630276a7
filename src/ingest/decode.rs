//! From what a broker delivered to what the log records.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use bytes::Bytes;
use crossbeam_channel::{Receiver, Sender};
use serde::de::IgnoredAny;
use serde_json::from_slice;

use super::ahead::Ahead;
use super::doubt::{Foresight, only_applying_shows};
use super::record::{Fitted, fit, memory_bytes};
use crate::format::{self, Decoding, Format, Incoming};
use crate::metrics::{Metrics, stream_labels};
use crate::operation::{Body, Message, Original, Reason, Refusal, Rejection};
use crate::position::{Position, Seq, Stream, UnixMillis};
use crate::source::{Batch, Delivery, Item, Redelivery, What};

/// A record in the making: encoded, and beside it what the applier needs.
#[derive(Debug)]
pub struct Decoded {
    pub time: UnixMillis,
    pub position: Position,
    pub position_encoded: Bytes,
    pub body: Body,
    pub body_encoded: Bytes,
    /// What was delivered, where the body has no need for it as things stood when it was decoded.
    pub original: Option<Original>,
    /// What was applied by then, at least.
    pub seen: Seq,
    pub redelivered: Option<Redelivery>,
    /// It was refused, and its source may not pass it.
    pub halts: bool,
}

impl Decoded {
    /// What it takes in memory, about, beside what was delivered.
    fn bytes(&self) -> usize {
        size_of::<Decoded>()
            + self.position_encoded.len()
            + memory_bytes(&self.body, self.body_encoded.len())
    }
}

/// What became of a batch.
pub(super) struct DecodedBatch {
    pub items: Vec<Decoded>,
    /// What they take in memory, about.
    pub bytes: usize,
}

/// A batch for a worker.
pub struct Work {
    /// Its place in the queue, from 0.
    pub(super) place: u64,
    pub(super) ahead: Arc<Ahead>,
    /// The source's place in [`Decoder::sources`].
    pub(super) source: usize,
    pub(super) batch: Batch,
    pub(super) decoded: Sender<DecodedBatch>,
}

/// How one source's messages are read.
#[derive(Clone, Debug)]
pub struct SourceDecoding {
    pub decoding: Decoding,
    /// Whether nothing behind a message that is refused may be taken.
    pub halts: bool,
}

/// Decodes for every source; shared by the workers.
#[derive(Clone)]
pub struct Decoder {
    pub sources: Arc<Vec<SourceDecoding>>,
    /// It decides nothing but whether a record keeps what was delivered, for a dead letter.
    pub foresight: Foresight,
    /// [`super::RECORD_BYTES_MAX`].
    pub record_bytes_max: usize,
    pub metrics: Metrics,
}

/// A worker's life: until the queue has no entrance left and is empty.
pub fn run_worker(decoder: &Decoder, work: &Receiver<Work>) {
    for Work { place, ahead, source, batch, decoded } in work {
        let items = decoder.decode_batch(source, batch.items, place, &ahead);
        // The appender drops its end only when the process is ending.
        let _ = decoded.send(items);
    }
}

impl Decoder {
    fn decode_batch(
        &self,
        source: usize,
        items: Vec<Item>,
        place: u64,
        ahead: &Ahead,
    ) -> DecodedBatch {
        let mut counts = RunCounts { metrics: &self.metrics, stream: None, count: 0 };
        let mut batch = DecodedBatch { items: Vec::with_capacity(items.len()), bytes: 0 };
        // Asked once: an older answer is right as well.
        let mut seen = None;
        for item in items {
            ahead.wait(place);
            let seen = *seen.get_or_insert_with(|| (self.foresight.applied)());
            let decoded = self.decode(source, item, seen);
            if matches!(decoded.body, Body::Message(_)) {
                counts.count(&decoded.position.stream);
            }
            let bytes = decoded.bytes();
            ahead.decoded(bytes);
            batch.bytes += bytes;
            batch.items.push(decoded);
        }
        counts.flush();
        batch
    }

    fn decode(&self, source: usize, item: Item, seen: Seq) -> Decoded {
        let now = || (UnixMillis::now(), None);
        let ((time, redelivered), (body, original)) = match item.what {
            What::Message(delivery) => {
                let told = (delivery.time, delivery.redelivered);
                let topic = item.position.stream.topic();
                (told, self.decode_delivery(source, topic, delivery))
            }
            What::Moved { why } => (now(), (Body::Moved { why }, None)),
            What::Start { forget_others, why } => {
                (now(), (Body::Start { forget_others, why }, None))
            }
        };
        let position_encoded = item.position.encode();
        let bytes_max = self.record_bytes_max.saturating_sub(position_encoded.len());
        let Fitted { body, encoded, original } = fit(body, original, bytes_max);
        Decoded {
            time,
            position_encoded,
            position: item.position,
            body_encoded: encoded,
            halts: self.sources[source].halts && matches!(body, Body::Rejected(_)),
            body,
            original,
            seen,
            redelivered,
        }
    }

    /// Decodes what was kept of a delivery once more, as its source would today. `as_json`:
    /// it is a text that an operator wrote, JSON although the source's values are protobuf, and a
    /// message although they are records.
    pub fn again(
        &self,
        source: usize,
        topic: Option<&str>,
        original: &Original,
        as_json: bool,
    ) -> Result<Message, Refusal> {
        let incoming = incoming(topic, original);
        let mut decoding = self.sources[source].decoding.clone();
        if as_json {
            decoding.format = format_of_text(decoding.format, incoming.value);
        }
        let decode = AssertUnwindSafe(|| format::decode(&incoming, &decoding));
        std::panic::catch_unwind(decode).unwrap_or_else(|_| Err(decoder_fault()))
    }

    /// The body, and what was delivered, unless the body has it.
    fn decode_delivery(
        &self,
        source: usize,
        topic: Option<&str>,
        delivery: Delivery,
    ) -> (Body, Option<Original>) {
        let Delivery { key, value, headers, .. } = delivery;
        let original = Original { key, value, headers };
        let incoming = incoming(topic, &original);
        let decode = AssertUnwindSafe(|| {
            let message = format::decode(&incoming, &self.sources[source].decoding)?;
            let sure = !only_applying_shows(&message) && (self.foresight.fits)(&message);
            Ok((message, sure))
        });
        // A message that makes the decoder panic must not end the process at every start: it has
        // no seq yet that could be rejected, and the broker would deliver it for ever.
        let decoded = std::panic::catch_unwind(decode).unwrap_or_else(|_| Err(decoder_fault()));
        match decoded {
            Ok((message, true)) => (Body::Message(message), Some(original)),
            Ok((message, false)) => {
                (Body::Message(Message { original: Some(original), ..message }), None)
            }
            Err(refusal) => {
                (Body::Rejected(Rejection { refusal, original, rewritten: false }), None)
            }
        }
    }
}

/// What a text is that stands in for a value of this format: JSON, but on a source of records
/// still a record if it is one, whether it names its collection or not.
fn format_of_text(format: Format, text: Option<&[u8]>) -> Format {
    let members = text.and_then(|it| from_slice::<BTreeMap<String, IgnoredAny>>(it).ok());
    let of_points = |members: BTreeMap<String, IgnoredAny>| {
        ["id", "vector", "payload"].into_iter().any(|name| members.contains_key(name))
    };
    match format {
        Format::Record if members.is_some_and(of_points) => Format::Record,
        _ => Format::Json,
    }
}

fn decoder_fault() -> Refusal {
    let detail = "a fault of the decoder, not of the message: please report it";
    Refusal::new(Reason::DecoderFault, detail)
}

fn incoming<'a>(topic: Option<&'a str>, original: &'a Original) -> Incoming<'a> {
    Incoming {
        topic,
        key: original.key.as_deref(),
        value: original.value.as_deref(),
        headers: &original.headers,
    }
}

/// Counts decoded messages per stream, looking a label up once per run of one stream.
struct RunCounts<'a> {
    metrics: &'a Metrics,
    stream: Option<Arc<Stream>>,
    count: u64,
}

impl RunCounts<'_> {
    fn count(&mut self, stream: &Arc<Stream>) {
        if !self.stream.as_ref().is_some_and(|current| Arc::ptr_eq(current, stream)) {
            self.flush();
            self.stream = Some(stream.clone());
        }
        self.count += 1;
    }

    fn flush(&mut self) {
        if let Some(stream) = self.stream.take() {
            let labels = stream_labels(&stream);
            self.metrics.source.decoded.with_label_values(&labels.each()).inc_by(self.count);
        }
        self.count = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::TopicCollections;
    use crate::operation::Limits;

    #[test]
    fn a_record_can_be_mended_with_an_operation_or_a_record() {
        let decoding = Decoding {
            format: Format::Record,
            collection: Some("c".to_owned()),
            topics: TopicCollections::default(),
            limits: Limits { message_bytes_max: 1000 },
        };
        let sources = Arc::new(vec![SourceDecoding { decoding, halts: false }]);
        let foresight = Foresight { applied: Arc::new(|| Seq(0)), fits: Arc::new(|_| true) };
        let metrics = Metrics::new();
        let decoder = Decoder { sources, foresight, record_bytes_max: usize::MAX, metrics };
        for (text, as_text, as_delivered) in [
            (r#"{"id": 7, "vector": [1, 2]}"#, true, true),
            (r#"{"collection_name": "c", "id": 7, "vector": [1, 2]}"#, true, true),
            (r#"{"delete": {"points": [7]}}"#, true, false),
            (r#"{"collection": "c", "delete": {"points": [7]}}"#, true, false),
            ("nonsense", false, false),
        ] {
            let read = |as_json| decoder.again(0, None, &Original::of(text), as_json);
            assert_eq!(read(true).is_ok(), as_text, "{text}: {:?}", read(true));
            assert_eq!(read(false).is_ok(), as_delivered, "{text}");
        }
    }
}
