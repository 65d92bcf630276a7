//! Starts each configured source at the place where the log stands.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use crossbeam_channel::Sender;
use tracing::info;

use super::stages::Stages;
use super::{DaemonError, StartError};
use crate::catalog::Catalog;
use crate::config::{Settings, SourceKind};
use crate::metrics::Metrics;
use crate::shutdown::Shutdown;
use crate::source::amqp::AmqpSource;
use crate::source::embedded::EmbeddedBroker;
use crate::source::kafka::{Claims, KafkaSource};
use crate::source::status::{Kind, Status};
use crate::source::{Order, Watermark, Wiring};

/// The file in the data directory that says where the embedded broker is: `host:port topic`.
/// For people and scripts; nothing reads it back.
const BROKER_FILE: &str = "embedded-broker";

/// Orders that wait for a source; an operator gives one at a time.
const ORDERS_MAX: usize = 16;

#[derive(Default)]
pub(super) struct Sources {
    /// True from each that ended because it was asked to.
    threads: Vec<JoinHandle<bool>>,
    statuses: Vec<Arc<Status>>,
    /// By source.
    orders: BTreeMap<String, Sender<Order>>,
    /// Dropped after the sources that read from it.
    brokers: Vec<EmbeddedBroker>,
}

impl Sources {
    pub fn start(
        settings: &Settings,
        stages: &Stages,
        metrics: &Metrics,
        shutdown: &Shutdown,
    ) -> Result<Sources, StartError> {
        let mut sources = Sources::default();
        let read = claims(settings, &stages.catalog);
        for (at, source) in settings.source.iter().enumerate() {
            let failed = |detail: String| StartError::Source { name: source.name.clone(), detail };
            let Some(kind) = source.kind() else {
                return Err(failed("give exactly one kind".into()));
            };
            let (watermark, gate) = (Watermark::default(), stages.gate(&source.name));
            let (order, orders) = crossbeam_channel::bounded(ORDERS_MAX);
            sources.orders.insert(source.name.clone(), order);
            let wiring = |kind: Kind| Wiring {
                outlet: Arc::new(stages.intake(at, watermark.clone(), gate.clone())),
                watermark: watermark.clone(),
                gate: gate.clone(),
                orders: orders.clone(),
                status: Status::new(&source.name, kind),
                metrics: metrics.clone(),
                shutdown: shutdown.clone(),
                drain_timeout: settings.shutdown.deadline / 2,
            };
            let positions = stages.catalog.positions(&source.name);
            let name = source.name.clone();
            let identify = source.message_id_window > 0;
            let thread = match kind {
                SourceKind::Kafka(kafka) => {
                    let settings = kafka.clone();
                    let wiring = sources.wire(wiring(Kind::Kafka));
                    let (claims, embedded) = (read.clone(), None);
                    KafkaSource { name, settings, positions, identify, embedded, claims }
                        .spawn(wiring)
                        .map_err(|error| failed(error.to_string()))?
                }
                SourceKind::Embedded(embedded) => {
                    let broker = EmbeddedBroker::start(embedded)
                        .map_err(|error| failed(error.to_string()))?;
                    announce(&broker, &settings.storage.dir);
                    let settings = broker.source_settings(&name);
                    let embedded = Some(broker.cluster_id().to_owned());
                    let claims = read.clone();
                    sources.brokers.push(broker);
                    let wiring = sources.wire(wiring(Kind::Embedded));
                    KafkaSource { name, settings, positions, identify, embedded, claims }
                        .spawn(wiring)
                        .map_err(|error| failed(error.to_string()))?
                }
                SourceKind::Amqp(amqp) => {
                    let wiring = sources.wire(wiring(Kind::Amqp));
                    AmqpSource { name, settings: amqp.clone() }
                        .spawn(wiring)
                        .map_err(|error| failed(error.to_string()))?
                }
            };
            sources.threads.push(watch(&source.name, thread, shutdown)?);
        }
        Ok(sources)
    }

    /// Keeps what reports about the source.
    fn wire(&mut self, wiring: Wiring) -> Wiring {
        self.statuses.push(wiring.status.clone());
        wiring
    }

    pub fn statuses(&self) -> Vec<Arc<Status>> {
        self.statuses.clone()
    }

    pub fn orders(&self) -> BTreeMap<String, Sender<Order>> {
        self.orders.clone()
    }

    pub fn embedded(&self) -> Option<&EmbeddedBroker> {
        self.brokers.first()
    }

    /// Returns when every source has told its broker what is durable, or given up.
    pub fn join(self) -> Result<(), DaemonError> {
        let mut result = Ok(());
        for thread in self.threads {
            if !thread.join().unwrap_or(false) {
                result = Err(DaemonError::Panicked("source"));
            }
        }
        result
    }
}

/// Who read what is decided before the first source asks.
fn claims(settings: &Settings, catalog: &Catalog) -> Claims {
    let claims = Claims::default();
    for source in &settings.source {
        if let Some(SourceKind::Kafka(kafka)) = source.kind() {
            claims.remember(&source.name, kafka, &catalog.positions(&source.name));
        }
    }
    claims
}

/// A source ends when shutdown is asked for. One that ends otherwise has panicked, and a daemon
/// that quietly reads one source less is worse than one that ends and is started again.
fn watch(
    name: &str,
    source: JoinHandle<()>,
    shutdown: &Shutdown,
) -> std::io::Result<JoinHandle<bool>> {
    let (name, shutdown) = (name.to_owned(), shutdown.clone());
    std::thread::Builder::new().name(format!("watch-{name}")).spawn(move || {
        let ended = source.join().is_ok() && shutdown.is_asked();
        if !ended {
            tracing::error!(source = name, "the source ended by itself: stopping");
            shutdown.ask();
        }
        ended
    })
}

fn announce(broker: &EmbeddedBroker, data: &Path) {
    info!(bootstrap = broker.bootstrap(), topic = broker.topic(), "embedded broker");
    let line = format!("{} {}\n", broker.bootstrap(), broker.topic());
    let path = data.join(BROKER_FILE);
    if let Err(error) = std::fs::write(&path, line) {
        tracing::warn!(path = %path.display(), %error, "the broker's address could not be written");
    }
}
