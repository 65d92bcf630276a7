//! Starts the threads of a source, once it has its clients.

use std::collections::BTreeSet;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::client::{ClientFault, Clients};
use super::commit::Commits;
use super::consume::Consume;
use super::discovery::Discovery;
use super::readers::Readers;
use super::{KafkaSource, KafkaSourceError};
use crate::position::{Position, Stream, UnixMillis};
use crate::source::status::State;
use crate::source::{Order, Wiring};

/// Between two attempts to make a client that a file keeps from being made.
const RETRY_INTERVAL: Duration = Duration::from_secs(2);
/// Between two looks at orders and shutdown meanwhile.
const LOOK: Duration = Duration::from_millis(50);

/// A file that is missing costs this source, until it is there; all others go on. Anything else
/// that is wrong is an error.
pub fn spawn(source: KafkaSource, wiring: Wiring) -> Result<JoinHandle<()>, KafkaSourceError> {
    let thread = thread::Builder::new().name(format!("kafka-{}", source.name));
    match Clients::new(&source.settings) {
        Ok(clients) => {
            let consume = begin(source, wiring, clients)?;
            Ok(thread.spawn(move || consume.run())?)
        }
        Err(fault @ ClientFault::File(_)) => {
            Ok(thread.spawn(move || run_later(source, wiring, fault))?)
        }
        Err(fault @ ClientFault::Wrong(_)) => Err(fault.into()),
    }
}

/// Starts the threads that commit and ask, and gives what is to run on a third.
fn begin(
    source: KafkaSource,
    wiring: Wiring,
    clients: Clients,
) -> Result<Consume, KafkaSourceError> {
    let Clients { consumer, asker } = clients;
    let (tell, findings) = crossbeam_channel::bounded(1024);
    let (questions, asked) = crossbeam_channel::bounded(64);
    let commits = Commits::start(&source.name, &asker)?;
    let (name, embedded) = (source.name.clone(), source.embedded.clone());
    let mut consume = Consume::new(source, wiring, consumer, findings, questions, commits);
    let readers = Readers::new(&name, consume.settings.client_config());
    consume.busy = readers.busy.clone();
    let discovery = Discovery {
        source: name.clone(),
        asker,
        consumer: Some(consume.consumer.clone()),
        wanted: consume.settings.wanted()?,
        settings: consume.settings.clone(),
        readers,
        is_new: consume.positions.is_empty(),
        with_ids: clusters_with_ids(&consume.positions),
        embedded,
        findings: tell,
        questions: asked,
    };
    thread::Builder::new().name(format!("kafka-find-{name}")).spawn(move || discovery.run())?;
    Ok(consume)
}

fn clusters_with_ids(positions: &[Position]) -> BTreeSet<String> {
    let with_id = positions.iter().filter_map(|position| match &*position.stream {
        Stream::Partition { cluster, topic_id: Some(_), .. } => Some(cluster.clone()),
        _ => None,
    });
    with_id.collect()
}

fn run_later(source: KafkaSource, wiring: Wiring, fault: ClientFault) {
    let name = source.name.clone();
    let Some(clients) = wait(&source, &wiring, fault) else {
        return wiring.status.set_state(State::Stopped);
    };
    tracing::info!(source = name, "the Kafka client is made");
    wiring.status.starting("connecting");
    match begin(source, wiring, clients) {
        Ok(consume) => consume.run(),
        // A source that ends by itself ends the daemon.
        Err(error) => tracing::error!(source = name, %error, "the source could not be started"),
    }
}

/// Tries until there are clients. `None` when shutdown was asked for.
fn wait(source: &KafkaSource, wiring: &Wiring, mut fault: ClientFault) -> Option<Clients> {
    let since = UnixMillis::now();
    let mut told = None;
    loop {
        let error = fault.to_string();
        if told.as_ref() != Some(&error) {
            tracing::warn!(source = source.name, error, "no Kafka client yet; trying again");
            told = Some(error.clone());
        }
        wiring.status.set_state(State::Reconnecting { since, error: error.clone() });
        let due = Instant::now() + RETRY_INTERVAL;
        while Instant::now() < due {
            if wiring.shutdown.is_asked() {
                return None;
            }
            for Order::AcceptGap { answer, .. } in wiring.orders.try_iter() {
                let _ = answer.send(Err(format!("the source has not begun: {error}")));
            }
            thread::sleep(LOOK);
        }
        match Clients::new(&source.settings) {
            Ok(clients) => return Some(clients),
            Err(other) => fault = other,
        }
    }
}
