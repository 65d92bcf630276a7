//! Clients for one look each.

use std::cell::RefCell;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::{ClientConfig, Offset as KafkaOffset, TopicPartitionList};

use super::busy::Busy;
use super::closing::{Closing, LEFT_BEHIND_MAX};
use super::probe::{Question, seek_validated};
use super::{Context, native};

/// Makes them, and has them closed where nobody waits for it.
pub struct Readers {
    source: String,
    config: ClientConfig,
    closing: RefCell<Closing>,
    pub busy: Busy,
}

impl Readers {
    pub fn new(source: &str, config: ClientConfig) -> Readers {
        let (source, closing, busy) = (source.to_owned(), RefCell::default(), Busy::default());
        Readers { source, config, closing, busy }
    }

    /// What one that is assigned nothing says.
    pub fn fresh<T>(
        &self,
        ask: impl FnOnce(&BaseConsumer<Context>) -> KafkaResult<T>,
    ) -> KafkaResult<T> {
        self.with(&self.config, ask)
    }

    /// What a reader of one partition says: it is about that one.
    pub fn of<T>(
        &self,
        question: &Question,
        epoch: Option<i32>,
        reset: &str,
        ask: impl FnOnce(&BaseConsumer<Context>) -> KafkaResult<T>,
    ) -> KafkaResult<T> {
        let mut config = self.config.clone();
        config.set("enable.partition.eof", "true");
        config.set("queued.max.messages.kbytes", "1024");
        config.set("statistics.interval.ms", "0");
        config.set("auto.offset.reset", reset);
        // One batch is enough, and more than one is not asked for.
        config.set("fetch.message.max.bytes", "1000");
        self.with(&config, |reader| {
            let mut list = TopicPartitionList::new();
            let next = KafkaOffset::Offset(i64::try_from(question.next.0).unwrap_or(i64::MAX));
            list.add_partition_offset(&question.topic, question.partition, next)?;
            reader.assign(&list)?;
            if let Some(epoch) = epoch {
                native::set_leader_epoch(&mut list, &question.topic, question.partition, epoch);
                seek_validated(reader, &list)?;
            }
            ask(reader)
        })
    }

    fn with<T>(
        &self,
        config: &ClientConfig,
        ask: impl FnOnce(&BaseConsumer<Context>) -> KafkaResult<T>,
    ) -> KafkaResult<T> {
        if self.closing.borrow_mut().is_full() {
            return Err(KafkaError::ClientCreation(format!(
                "the last {LEFT_BEHIND_MAX} clients have not closed: restart the daemon"
            )));
        }
        self.busy.begin();
        let client: BaseConsumer<Context> = config.create_with_context(Context::default())?;
        let said = ask(&client);
        self.close(client);
        said
    }

    pub fn close<C: Send + 'static>(&self, client: C) {
        self.closing.borrow_mut().aside(&self.source, client, drop);
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;
    use crate::source::embedded::{EmbeddedBroker, EmbeddedSettings};

    #[test]
    fn readers_close_aside_and_are_not_made_without_end() {
        let broker = EmbeddedBroker::start(&EmbeddedSettings::default()).unwrap();
        let readers = Readers::new("test", broker.source_settings("group").client_config());
        readers.fresh(|_| Ok(())).unwrap();
        assert_eq!(readers.closing.borrow().0.len(), 1);
        let (closes, never) = crossbeam_channel::bounded::<()>(0);
        for _client in 0..LEFT_BEHIND_MAX {
            let never = never.clone();
            let closing = thread::spawn(move || assert!(never.recv().is_err()));
            readers.closing.borrow_mut().0.push(closing);
        }
        let error = readers.fresh(|_| Ok(())).unwrap_err();
        assert!(error.to_string().contains("restart the daemon"), "{error}");
        drop(closes);
        for closing in readers.closing.borrow_mut().0.drain(..) {
            closing.join().unwrap();
        }
        readers.fresh(|_| Ok(())).unwrap();
    }
}
