//! A group coordinator that refuses: nothing is lost, and the offsets are committed in the end.

use pointd::position::Offset;
use pointd::source::status::Kind;
use rdkafka::ClientConfig;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::BaseProducer;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

use super::outlet::Bench;
use super::{kafka_settings, numbers, partition_report, start_kafka, unique};
use crate::brokers::kafka::publish;

const ROUNDS: u64 = 20;

#[test]
fn errors_of_the_coordinator_delay_a_commit_and_nothing_else() {
    use RDKafkaRespErr::{
        RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS as LOADING,
        RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE as NOT_AVAILABLE,
        RD_KAFKA_RESP_ERR_NOT_COORDINATOR as NOT_COORDINATOR,
        RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT as TIMED_OUT,
    };
    // A real coordinator cannot be told to refuse.
    let cluster = MockCluster::new(1).unwrap();
    let topic = unique("coordinator");
    cluster.create_topic(&topic, 1, 1).unwrap();
    let bootstrap = cluster.bootstrap_servers();
    let producer: BaseProducer =
        ClientConfig::new().set("bootstrap.servers", &bootstrap).create().unwrap();
    let bench = Bench::new(Kind::Kafka, true);
    let source = start_kafka(&bench, &kafka_settings(&bootstrap, &topic), vec![]);
    for round in 1..=ROUNDS {
        let refusals = [LOADING, NOT_COORDINATOR, NOT_AVAILABLE, TIMED_OUT];
        let refusals = &refusals[..1 + (round as usize % refusals.len())];
        cluster.request_errors(RDKafkaApiKey::OffsetCommit, refusals);
        cluster.request_errors(RDKafkaApiKey::FindCoordinator, &refusals[..1]);
        publish(&producer, &topic, 0, numbers(0..10));
        let end = Some(Offset(round * 10));
        bench.wait_for_report("the commit", |report| {
            partition_report(report, 0).is_some_and(|partition| partition.committed == end)
        });
        assert_eq!(bench.message_count() as u64, round * 10);
    }
    bench.wait_for_report("no complaint", |report| report.commit_error.is_none());
    bench.stop(source);
}
