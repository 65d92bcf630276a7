//! Apache Kafka, one node in KRaft mode, from jars that `fetch-kafka.sh` brings.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use super::proxy::Proxy;
use super::without::{is_left_out, missing};
use super::{free_ports, launch, signal, target, tied, until};

const START_LIMIT: Duration = Duration::from_secs(240);
const ANSWER_LIMIT: Duration = Duration::from_secs(120);

pub struct Kafka {
    directory: tempfile::TempDir,
    port: u16,
    process: Option<Child>,
}

/// The directory of the jars; or why they cannot be had.
fn jars() -> Result<&'static Path, &'static str> {
    static JARS: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let fetch = || {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/brokers/fetch-kafka.sh");
        let fetched = Command::new(script).arg(target().join("kafka")).output();
        match fetched {
            Ok(output) if output.status.success() => Ok(target().join("kafka/lib")),
            Ok(output) => {
                let said = [output.stdout, output.stderr].concat();
                Err(format!("{script}: {}", String::from_utf8_lossy(&said)))
            }
            Err(error) => Err(format!("{script}: {error}")),
        }
    };
    JARS.get_or_init(fetch).as_deref().map_err(String::as_str)
}

impl Kafka {
    /// One of your own. `None` where it is left out.
    pub fn start(check: &str) -> Option<Kafka> {
        Kafka::start_with(check, |_| String::new())
    }

    /// One whose clients come through `proxy`, but for those that ask for its own address.
    pub fn start_behind(proxy: &Proxy, check: &str) -> Option<Kafka> {
        Kafka::start_with(check, |port| {
            let [own] = free_ports();
            proxy.set_target(own);
            let (direct, proxied) = (format!("127.0.0.1:{port}"), proxy.port());
            format!(
                "listeners=PLAINTEXT://{direct},PROXIED://127.0.0.1:{own},\
                 CONTROLLER://127.0.0.1:{{controller}}\n\
                 advertised.listeners=PLAINTEXT://{direct},PROXIED://127.0.0.1:{proxied}\n\
                 listener.security.protocol.map=\
                 PLAINTEXT:PLAINTEXT,PROXIED:PLAINTEXT,CONTROLLER:PLAINTEXT\n"
            )
        })
    }

    /// `more` gives further properties for the port that clients come to; of two the last one
    /// counts, and `{controller}` in them is the controller's port.
    pub fn start_with(check: &str, more: impl FnOnce(u16) -> String) -> Option<Kafka> {
        if is_left_out("kafka", check) {
            return None;
        }
        let jars = jars().unwrap_or_else(|why| missing("kafka", check, why));
        let [port, controller] = free_ports();
        let directory = tempfile::Builder::new().prefix("kafka-").tempdir().unwrap();
        let properties = directory.path().join("server.properties");
        let more = more(port).replace("{controller}", &controller.to_string());
        let all = server_properties(directory.path(), port, controller) + &more;
        fs::write(&properties, all).unwrap();
        // One that begins with a dash would be taken for an option in a place of its own.
        let id = format!("--cluster-id={}", base64(uuid::Uuid::new_v4()));
        let format = Command::new("java")
            .args(["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp"])
            .arg(jars.join("*"))
            .args(["kafka.tools.StorageTool", "format", &id, "-c"])
            .arg(&properties)
            .output()
            .unwrap();
        assert!(format.status.success(), "{}", String::from_utf8_lossy(&format.stderr));
        let mut kafka = Kafka { directory, port, process: None };
        kafka.restart();
        Some(kafka)
    }

    /// The one that all tests share, each with its own topics and groups. It ends with the
    /// test process.
    pub fn shared(check: &str) -> Option<&'static Kafka> {
        static SHARED: OnceLock<Kafka> = OnceLock::new();
        if is_left_out("kafka", check) {
            return None;
        }
        Some(SHARED.get_or_init(|| Kafka::start(check).unwrap()))
    }

    /// `host:port`.
    pub fn bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Without a warning, as if power had gone.
    pub fn kill_9(&mut self) {
        let Some(mut process) = self.process.take() else { return };
        process.kill().unwrap();
        process.wait().unwrap();
    }

    /// An orderly end.
    pub fn stop(&mut self) {
        let Some(mut process) = self.process.take() else { return };
        signal(process.id(), "-TERM");
        process.wait().unwrap();
    }

    /// Starts it where it is not running, and returns when it answers.
    pub fn restart(&mut self) {
        if self.process.is_some() {
            return;
        }
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.directory.path().join("server.log"))
            .unwrap();
        let mut command = tied("java");
        command
            .args(["-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp"])
            .arg(target().join("kafka/lib/*"))
            .arg("kafka.Kafka")
            .arg(self.directory.path().join("server.properties"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        self.process = Some(launch(command).unwrap());
        let consumer: BaseConsumer = self.config().create().unwrap();
        until("Kafka to answer", START_LIMIT, || {
            if let Ok(Some(status)) = self.process.as_mut().unwrap().try_wait() {
                panic!("Kafka ended: {status}; {}", self.log());
            }
            let metadata = consumer.fetch_metadata(None, Duration::from_secs(1));
            metadata.is_ok_and(|metadata| !metadata.brokers().is_empty())
        });
    }

    /// From the next start on.
    pub fn set_property(&self, name: &str, value: &str) {
        let path = self.directory.path().join("server.properties");
        // Of two the last one counts.
        let properties = fs::read_to_string(&path).unwrap() + &format!("{name}={value}\n");
        fs::write(path, properties).unwrap();
    }

    /// With a password for SCRAM-SHA-256.
    pub fn add_user(&self, name: &str, password: &str) {
        let done = Command::new("java")
            .args(["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp"])
            .arg(target().join("kafka/lib/*"))
            .args(["kafka.admin.ConfigCommand", "--bootstrap-server", &self.bootstrap()])
            .args(["--alter", "--entity-type", "users", "--entity-name", name, "--add-config"])
            .arg(format!("SCRAM-SHA-256=[password={password}]"))
            .output()
            .unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }

    /// Where it keeps this partition. To be touched while it is stopped.
    pub fn log_directory(&self, topic: &str, partition: i32) -> PathBuf {
        self.directory.path().join(format!("log/{topic}-{partition}"))
    }

    fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("server.log")).unwrap_or_default()
    }

    pub fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", self.bootstrap());
        config.set("reconnect.backoff.max.ms", "200");
        config.set_log_level(rdkafka::config::RDKafkaLogLevel::Emerg);
        config
    }

    pub fn producer(&self) -> BaseProducer {
        let mut config = self.config();
        // A broker that has just started may refuse one request and take the next: what is sent
        // again stays in order.
        config.set("linger.ms", "1").set("max.in.flight.requests.per.connection", "1");
        config.create().unwrap()
    }

    /// Nothing of it is visible until it is committed.
    pub fn transactional_producer(&self, id: &str) -> BaseProducer {
        let mut config = self.config();
        // A transaction may wait for a broker that is started anew, and it takes its time.
        config.set("transactional.id", id).set("transaction.timeout.ms", "600000");
        config.set("socket.timeout.ms", "60000");
        let producer: BaseProducer = config.create().unwrap();
        producer.init_transactions(ANSWER_LIMIT).unwrap();
        producer
    }

    pub fn admin<T>(&self, ask: impl AsyncFnOnce(&AdminClient<DefaultClientContext>) -> T) -> T {
        let admin = self.config().create().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.unwrap().block_on(ask(&admin))
    }

    pub fn create_topic(&self, topic: &str, partitions: i32) {
        let created = self.admin(async |admin| {
            let new = NewTopic::new(topic, partitions, TopicReplication::Fixed(1));
            admin.create_topics([&new], &AdminOptions::new()).await
        });
        created.unwrap().remove(0).unwrap();
        self.wait_for_leaders(topic, partitions);
    }

    pub fn grow_topic(&self, topic: &str, partitions: usize) {
        let grown = self.admin(async |admin| {
            let new = NewPartitions::new(topic, partitions);
            admin.create_partitions([&new], &AdminOptions::new()).await
        });
        grown.unwrap().remove(0).unwrap();
        // What is published to a partition that the broker does not know yet is lost.
        self.wait_for_leaders(topic, partitions as i32);
    }

    fn wait_for_leaders(&self, topic: &str, partitions: i32) {
        let consumer: BaseConsumer = self.config().create().unwrap();
        until("the topic's leaders", ANSWER_LIMIT, || {
            (0..partitions).all(|partition| {
                consumer.fetch_watermarks(topic, partition, Duration::from_secs(1)).is_ok()
            })
        });
    }

    pub fn delete_topic(&self, topic: &str) {
        let deleted =
            self.admin(async |admin| admin.delete_topics(&[topic], &AdminOptions::new()).await);
        deleted.unwrap().remove(0).unwrap();
        let consumer: BaseConsumer = self.config().create().unwrap();
        until("the topic to go", ANSWER_LIMIT, || {
            let metadata = consumer.fetch_metadata(None, Duration::from_secs(1));
            metadata.is_ok_and(|all| all.topics().iter().all(|found| found.name() != topic))
        });
    }

    /// Moves the log start.
    pub fn delete_records(&self, topic: &str, partition: i32, before: i64) {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, partition, Offset::Offset(before)).unwrap();
        let deleted = self
            .admin(async |admin| admin.delete_records(&list, &AdminOptions::new()).await)
            .unwrap();
        deleted.elements()[0].error().unwrap();
    }

    pub fn committed(&self, group: &str, topic: &str, partition: i32) -> Option<u64> {
        let consumer: BaseConsumer = self.config().set("group.id", group).create().unwrap();
        let mut list = TopicPartitionList::new();
        list.add_partition(topic, partition);
        // Just after a start the coordinator is still being found or loads its offsets.
        let mut answer = consumer.committed_offsets(list.clone(), ANSWER_LIMIT);
        super::until("the group's coordinator answers", ANSWER_LIMIT, || {
            if answer.is_err() {
                answer = consumer.committed_offsets(list.clone(), ANSWER_LIMIT);
            }
            answer.is_ok()
        });
        let committed = answer.unwrap();
        match committed.elements()[0].offset() {
            Offset::Offset(offset) => u64::try_from(offset).ok(),
            _ => None,
        }
    }

    /// Publishes and waits until the broker has it.
    pub fn publish<V: AsRef<[u8]>>(
        &self,
        topic: &str,
        partition: i32,
        values: impl IntoIterator<Item = V>,
    ) {
        publish(&self.producer(), topic, partition, values);
    }
}

pub fn publish<V: AsRef<[u8]>>(
    producer: &BaseProducer,
    topic: &str,
    partition: i32,
    values: impl IntoIterator<Item = V>,
) {
    for value in values {
        let record = BaseRecord::<(), [u8]>::to(topic).partition(partition).payload(value.as_ref());
        producer.send(record).map_err(|(error, _)| error).unwrap();
        producer.poll(Duration::ZERO);
    }
    producer.flush(ANSWER_LIMIT).unwrap();
}

impl Drop for Kafka {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

/// Kafka writes ids in URL-safe base64 without padding.
fn base64(id: uuid::Uuid) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    // 128 bits are 22 digits of 6 bits, the last of which has 4 bits to spare.
    (0..22)
        .map(|digit| {
            let bits = match digit {
                21 => id.as_u128() << 4,
                _ => id.as_u128() >> (122 - 6 * digit),
            };
            char::from(ALPHABET[(bits & 63) as usize])
        })
        .collect()
}

fn server_properties(directory: &Path, port: u16, controller: u16) -> String {
    format!(
        "process.roles=broker,controller\n\
         node.id=1\n\
         controller.quorum.voters=1@127.0.0.1:{controller}\n\
         listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}\n\
         advertised.listeners=PLAINTEXT://127.0.0.1:{port}\n\
         controller.listener.names=CONTROLLER\n\
         log.dirs={}/log\n\
         auto.create.topics.enable=false\n\
         num.partitions=1\n\
         offsets.topic.num.partitions=2\n\
         offsets.topic.replication.factor=1\n\
         transaction.state.log.num.partitions=2\n\
         transaction.state.log.replication.factor=1\n\
         transaction.state.log.min.isr=1\n\
         share.coordinator.state.topic.replication.factor=1\n\
         share.coordinator.state.topic.min.isr=1\n\
         group.initial.rebalance.delay.ms=0\n\
         log.retention.ms=-1\n",
        directory.display()
    )
}
