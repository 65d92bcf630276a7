//! What librdkafka tells outside the stream of messages.

use std::sync::{Mutex, PoisonError};

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{ClientContext, Statistics};

/// Where a partition ends, as its last fetch told.
#[derive(Clone, Debug)]
pub struct End {
    pub topic: String,
    pub partition: i32,
    /// The end of what is decided.
    pub stable: i64,
    pub high: i64,
}

#[derive(Default)]
pub struct Context {
    ends: Mutex<Option<Vec<End>>>,
    reason: Mutex<Reason>,
}

#[derive(Default)]
struct Reason {
    last: String,
    /// A refused password or certificate: what follows from it says less.
    refused: Option<String>,
}

impl Context {
    /// The ends, if there are new ones since the last call.
    pub fn take_ends(&self) -> Option<Vec<End>> {
        self.ends.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// What the last error event said, or the one that explains those after it.
    pub fn reason(&self) -> String {
        let reason = self.reason.lock().unwrap_or_else(PoisonError::into_inner);
        reason.refused.as_ref().unwrap_or(&reason.last).clone()
    }

    /// The broker answered: what it said before explains nothing any more.
    pub fn forget_reason(&self) {
        *self.reason.lock().unwrap_or_else(PoisonError::into_inner) = Reason::default();
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, text: &str) {
        match level {
            // It goes on trying after what it calls an error; what needs someone we log.
            RDKafkaLogLevel::Emerg
            | RDKafkaLogLevel::Alert
            | RDKafkaLogLevel::Critical
            | RDKafkaLogLevel::Error
            | RDKafkaLogLevel::Warning => tracing::warn!("librdkafka: {facility} {text}"),
            RDKafkaLogLevel::Notice => tracing::info!("librdkafka: {facility} {text}"),
            RDKafkaLogLevel::Info | RDKafkaLogLevel::Debug => {
                tracing::debug!("librdkafka: {facility} {text}");
            }
        }
    }

    fn stats(&self, statistics: Statistics) {
        let mut ends = Vec::new();
        for (topic, told) in &statistics.topics {
            for (&partition, told) in &told.partitions {
                let (stable, high) = (told.ls_offset, told.hi_offset);
                ends.push(End { topic: topic.clone(), partition, stable, high });
            }
        }
        *self.ends.lock().unwrap_or_else(PoisonError::into_inner) = Some(ends);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "librdkafka");
        let mut kept = self.reason.lock().unwrap_or_else(PoisonError::into_inner);
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::Authentication | RDKafkaErrorCode::SaslAuthenticationFailed) => {
                kept.refused = Some(format!("authentication failed: {reason}"));
            }
            Some(RDKafkaErrorCode::SSL) => kept.refused = Some(format!("TLS failed: {reason}")),
            _ => kept.last = reason.to_owned(),
        }
    }
}

impl ConsumerContext for Context {}
