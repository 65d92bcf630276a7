//! Into a Kafka topic: idempotent, confirmed by all replicas.

use std::collections::VecDeque;
use std::sync::Arc;

use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{DeliveryFuture, FutureProducer, FutureRecord};

use super::Published;
use super::headers::errors;
use super::settings::KafkaTargetSettings;
use crate::catalog::DeadLetter;
use crate::position::UnixMillis;

/// A letter's time, where the record has an earlier one.
const TIME: &str = "pointd.time";

pub struct KafkaTarget {
    settings: KafkaTargetSettings,
    /// Made anew after a failure: one that has left a gap takes nothing more.
    producer: Option<FutureProducer>,
}

impl KafkaTarget {
    pub fn new(settings: KafkaTargetSettings) -> KafkaTarget {
        KafkaTarget { settings, producer: None }
    }

    pub async fn publish(&mut self, letters: &[Arc<DeadLetter>]) -> Published {
        let producer = match self.producer.take() {
            Some(producer) => producer,
            None => match self.settings.client_config().create() {
                Ok(producer) => producer,
                Err(error) => {
                    return Published { confirmed: 0, error: Some(format!("Kafka: {error}")) };
                }
            },
        };
        let mut sent: VecDeque<DeliveryFuture> = VecDeque::with_capacity(letters.len());
        let mut error = None;
        for letter in letters {
            match self.send(&producer, letter) {
                Ok(delivery) => sent.push_back(delivery),
                Err(refused) => {
                    error = Some(refused);
                    break;
                }
            }
        }
        let mut confirmed = 0;
        for (delivery, letter) in sent.into_iter().zip(letters) {
            let failed = match delivery.await {
                Ok(Ok(_)) => {
                    confirmed += 1;
                    continue;
                }
                Ok(Err((failed, _))) => failed.to_string(),
                Err(_) => "the producer has ended".to_owned(),
            };
            error = Some(format!("Kafka did not take dead letter {}: {failed}", letter.seq));
            break;
        }
        if error.is_none() {
            self.producer = Some(producer);
        }
        Published { confirmed, error }
    }

    fn send(
        &self,
        producer: &FutureProducer,
        letter: &DeadLetter,
    ) -> Result<DeliveryFuture, String> {
        let (original, now) = (&letter.original, UnixMillis::now());
        let mut record =
            FutureRecord::<[u8], [u8]>::to(&self.settings.topic).headers(headers(letter, now));
        if let Some(value) = &original.value {
            record = record.payload(&value[..]);
        }
        // A topic refuses what lies ahead (by an hour, if not told otherwise), at each attempt.
        if let Ok(time) = i64::try_from(letter.time.min(now).0) {
            record = record.timestamp(time);
        }
        if let Some(key) = &original.key {
            record = record.key(&key[..]);
        }
        producer.send_result(record).map_err(|(error, _)| {
            format!("Kafka cannot be given dead letter {}: {error}", letter.seq)
        })
    }
}

/// Whether everything of it arrives: in Kafka's client a zero byte would end a header's name.
pub fn takes_whole(letter: &DeadLetter) -> bool {
    !letter.original.headers.iter().any(|(name, _)| name.contains('\0'))
}

/// The letter's own, then what is said of it.
fn headers(letter: &DeadLetter, now: UnixMillis) -> OwnedHeaders {
    let own = letter.original.headers.iter().map(|(name, value)| (&name[..], &value[..]));
    let mut told = errors(letter);
    if letter.time > now {
        told.push((TIME, letter.time.0.to_string()));
    }
    let told = told.iter().map(|(name, value)| (*name, value.as_bytes()));
    let each = own.chain(told);
    each.fold(OwnedHeaders::new(), |headers, (name, value)| {
        // In Kafka's client a zero byte would end the name, in Rust's the process.
        let key = &name.replace('\0', "");
        headers.insert(Header { key, value: Some(value) })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operation::{Original, Reason, Refusal};
    use crate::position::Seq;

    #[test]
    fn a_zero_byte_in_a_name_is_known_not_to_arrive() {
        let letter = |name: &str| DeadLetter {
            seq: Seq(7),
            time: UnixMillis(1),
            position: None,
            refusal: Refusal::new(Reason::NotJson, "why"),
            original: Original { headers: vec![(name.into(), "x".into())], ..Original::of("x") },
            collection: None,
            rewritten: false,
            redrives: 0,
            redriven_at: None,
        };
        assert!(takes_whole(&letter("name")) && !takes_whole(&letter("na\0me")));
    }
}
