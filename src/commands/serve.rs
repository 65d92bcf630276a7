//! `pointd serve`: run until asked to stop.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use clap::Args;
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use tracing::{info, warn};

use super::{CommandError, ConfigArgs, log, sample};
use crate::config::{self, Files, SampleSettings};
use crate::daemon::Daemon;
use crate::position::Seq;
use crate::shutdown::Shutdown;

#[derive(Debug, Args)]
pub(super) struct ServeArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Turns the record with this seq into a dead letter instead of applying it: the way past a
    /// record that ends the process. Give it until the next checkpoint.
    #[arg(long, value_name = "SEQ")]
    reject_seq: Vec<u64>,
}

pub(super) fn run(args: &ServeArgs) -> Result<(), CommandError> {
    let config = &args.config;
    let settings = config::load_with_clients(&config.config, &config.overrides(), Files::May)?;
    log::start(&settings.log)?;
    let reject: BTreeSet<Seq> = args.reject_seq.iter().copied().map(Seq).collect();
    let daemon = Daemon::start(&settings, &reject)?;
    let shutdown = daemon.shutdown();
    let publisher = match (daemon.embedded(), &settings.sample) {
        (Some(broker), Some(sample)) => {
            let broker = (broker.bootstrap().to_owned(), broker.topic().to_owned());
            print_what_to_try(&daemon, sample, &broker);
            Some(publish_sample(sample.clone(), broker, shutdown)?)
        }
        _ => None,
    };
    let ended = daemon.run();
    if let Some(publisher) = publisher {
        // It looks at the shutdown flag between two points.
        let _ = publisher.join();
    }
    Ok(ended?)
}

/// Three queries that work when pasted, and how to publish a point of one's own.
fn print_what_to_try(daemon: &Daemon, sample: &SampleSettings, broker: &(String, String)) {
    let (api, collection) = (daemon.address(), &sample.collection);
    let (bootstrap, topic) = broker;
    println!(
        r#"
pointd is ready: http://{api}  (metrics at /metrics, state of the sources at /sources)
A sample catalogue is flowing in at {rate} points a second. In another terminal, try:

  # How many are there by now?
  curl -s http://{api}/collections/{collection}/points/count -H 'content-type: application/json' -d '{{}}'

  # The first three red ones.
  curl -s http://{api}/collections/{collection}/points/scroll -H 'content-type: application/json' \
    -d '{{"filter": {{"must": [{{"key": "color", "match": {{"value": "red"}}}}]}}, "limit": 3}}'

  # More like product 7, a pair of turquoise earrings.
  curl -s http://{api}/collections/{collection}/points/query -H 'content-type: application/json' \
    -d '{{"query": 7, "limit": 3, "with_payload": ["title", "category"]}}'

Publish a point of your own to the embedded broker, with any Kafka client or with pointd:

  echo '{{"collection": "mine", "upsert": {{"points": [{{"id": 1, "vector": [1, 0], "payload": {{"by": "me"}}}}]}}}}' > point.json
  curl -s -X PUT http://{api}/collections/mine -H 'content-type: application/json' -d '{{"vectors": {{"size": 2, "distance": "Cosine"}}}}'
  {program} produce --brokers {bootstrap} --topic {topic} --file point.json
  curl -s http://{api}/collections/mine/points/1

Stop it with Ctrl-C.
"#,
        rate = sample.points_per_second,
        program = std::env::args().next().unwrap_or_else(|| "pointd".into()),
    );
}

/// Publishes the sample catalogue once, evenly, on a thread of its own.
fn publish_sample(
    sample: SampleSettings,
    (bootstrap, topic): (String, String),
    shutdown: Shutdown,
) -> Result<std::thread::JoinHandle<()>, CommandError> {
    let producer: BaseProducer =
        ClientConfig::new().set("bootstrap.servers", &bootstrap).set("linger.ms", "5").create()?;
    let publish = move || {
        let pace = Duration::from_secs_f64(1.0 / f64::from(sample.points_per_second));
        let mut due = Instant::now();
        let mut published = 0;
        for (key, message) in sample::messages(&sample.collection) {
            if shutdown.is_asked() {
                return;
            }
            // At this pace its queue is never full.
            let record = BaseRecord::to(&topic).key(&key).payload(&message);
            if let Err((error, _)) = producer.send(record) {
                warn!(%error, "a sample point could not be published");
                return;
            }
            published += 1;
            due += pace;
            producer.poll(due.saturating_duration_since(Instant::now()));
        }
        if let Err(error) = producer.flush(Duration::from_secs(5)) {
            warn!(%error, "the last sample points could not be published");
        }
        info!(points = published, "the sample catalogue is published");
    };
    Ok(std::thread::Builder::new().name("sample".into()).spawn(publish)?)
}
