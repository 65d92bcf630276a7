//! From what a broker delivered to what the log records.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use bytes::Bytes;
use crossbeam_channel::{Receiver, Sender};
use serde::de::IgnoredAny;
use serde_json::from_slice;

use super::ahead::Ahead;
use crate::format::{self, Decoding, Format, Incoming};
use crate::metrics::{Metrics, stream_labels};
use crate::operation::{Body, Message, Operation, Original, Reason, Refusal, Rejection, encode};
use crate::position::{Position, Stream, UnixMillis};
use crate::source::{Batch, Delivery, Item, Redelivery, What};

/// A record in the making: encoded, and beside it what the applier needs.
#[derive(Debug)]
pub struct Decoded {
    pub time: UnixMillis,
    pub position: Position,
    pub position_encoded: Bytes,
    pub body: Body,
    pub body_encoded: Bytes,
    pub redelivered: Option<Redelivery>,
    /// It was refused, and its source may not pass it.
    pub halts: bool,
}

impl Decoded {
    /// What it takes in memory, about: encoded, and beside it in pieces.
    fn bytes(&self) -> usize {
        // Of a point or a vector, beside its content.
        const PIECE_BYTES: usize = 96;
        let pieces = match &self.body {
            Body::Message(message) => message.operations.iter().map(Operation::pieces).sum(),
            _ => 0,
        };
        size_of::<Decoded>()
            + self.position_encoded.len()
            + 2 * self.body_encoded.len()
            + pieces * PIECE_BYTES
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

/// Whether a message looks as if it could be applied now. It decides nothing but whether the
/// record keeps the original bytes for a dead letter.
pub type DoubtCheck = Arc<dyn Fn(&Message) -> Result<(), Refusal> + Send + Sync>;

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
    pub check: DoubtCheck,
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
        for item in items {
            ahead.wait(place);
            let decoded = self.decode(source, item);
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

    fn decode(&self, source: usize, item: Item) -> Decoded {
        let (time, redelivered, body) = match item.what {
            What::Message(delivery) => {
                let (time, redelivered) = (delivery.time, delivery.redelivered);
                let topic = item.position.stream.topic();
                (time, redelivered, self.decode_guarded(source, topic, delivery))
            }
            What::Moved { why } => (UnixMillis::now(), None, Body::Moved { why }),
            What::Start { forget_others, why } => {
                (UnixMillis::now(), None, Body::Start { forget_others, why })
            }
        };
        Decoded {
            time,
            position_encoded: item.position.encode(),
            position: item.position,
            body_encoded: encode(&body),
            halts: self.sources[source].halts && matches!(body, Body::Rejected(_)),
            body,
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
        let incoming = Incoming {
            topic,
            key: original.key.as_deref(),
            value: original.value.as_deref(),
            headers: &original.headers,
        };
        let mut decoding = self.sources[source].decoding.clone();
        if as_json {
            decoding.format = format_of_text(decoding.format, incoming.value);
        }
        let decode = AssertUnwindSafe(|| format::decode(&incoming, &decoding));
        std::panic::catch_unwind(decode).unwrap_or_else(|_| Err(decoder_fault()))
    }

    /// A message that makes the decoder panic must not end the process at every start: it has no
    /// seq yet that could be rejected, and the broker would deliver it for ever.
    fn decode_guarded(&self, source: usize, topic: Option<&str>, delivery: Delivery) -> Body {
        let kept = delivery.clone();
        let decode = AssertUnwindSafe(|| self.decode_delivery(source, topic, delivery));
        std::panic::catch_unwind(decode).unwrap_or_else(|_| {
            Body::Rejected(Rejection {
                refusal: decoder_fault(),
                original: original(kept),
                rewritten: false,
            })
        })
    }

    fn decode_delivery(&self, source: usize, topic: Option<&str>, delivery: Delivery) -> Body {
        let incoming = Incoming {
            topic,
            key: delivery.key.as_deref(),
            value: delivery.value.as_deref(),
            headers: &delivery.headers,
        };
        match format::decode(&incoming, &self.sources[source].decoding) {
            Ok(mut message) => {
                if (self.check)(&message).is_err() {
                    message.original = Some(original(delivery));
                }
                Body::Message(message)
            }
            Err(refusal) => Body::Rejected(Rejection {
                refusal,
                original: original(delivery),
                rewritten: false,
            }),
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

fn original(delivery: Delivery) -> Original {
    Original { key: delivery.key, value: delivery.value, headers: delivery.headers }
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
        let decoder = Decoder { sources, check: Arc::new(|_| Ok(())), metrics: Metrics::new() };
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
