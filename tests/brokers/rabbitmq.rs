//! RabbitMQ, one private node, from the installed package.

use std::fs::{self, File};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use lapin::options::{
    BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, ConfirmSelectOptions,
    ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions, QueueDeleteOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties, ExchangeKind};

use super::without::{is_left_out, missing};
use super::{free_ports, launch, signal, tied, until};

const PROGRAMS: &str = "/usr/lib/rabbitmq/bin";
const START_LIMIT: Duration = Duration::from_secs(240);
const ANSWER_LIMIT: Duration = Duration::from_secs(120);
/// On a busy machine a handshake may take longer than the broker waits.
const PATIENT: &str = "handshake_timeout = 120000\nssl_handshake_timeout = 120000\n";
/// A quorum queue that does not answer within this time counts as one without messages and
/// consumers.
const QUORUM_TIMEOUT: Duration = Duration::from_millis(250);
/// For whatever asks `rabbitmqctl`, which starts a machine of its own each time.
const CONTROL_LIMIT: Duration = Duration::from_secs(240);
/// In Erlang: how many messages the queue `NAME` has.
const MESSAGES: &str = "
    {ok, Queue} = rabbit_amqqueue:lookup(rabbit_misc:r(<<\"/\">>, queue, <<\"NAME\">>)),
    case amqqueue:get_type(Queue) of
        rabbit_quorum_queue ->
            Total = fun rabbit_fifo:query_messages_total/1,
            {ok, {_, Messages}, _} = ra:leader_query(amqqueue:get_pid(Queue), Total),
            Messages;
        _ ->
            [{messages, Messages}] = rabbit_amqqueue:info(Queue, [messages]),
            Messages
    end.";

pub struct RabbitMq {
    directory: tempfile::TempDir,
    port: u16,
    /// Free for what a test's configuration makes of it.
    pub second_port: u16,
    distribution_port: u16,
    epmd_port: u16,
    node: String,
    epmd: Child,
    process: Option<Child>,
}

impl RabbitMq {
    /// One of your own. `None` where it is left out.
    pub fn start(check: &str) -> Option<RabbitMq> {
        RabbitMq::start_with(check, |_, _| String::new())
    }

    /// With the configuration that `configure` makes of the node's own directory and a free port.
    pub fn start_with(
        check: &str,
        configure: impl FnOnce(&Path, u16) -> String,
    ) -> Option<RabbitMq> {
        if is_left_out("rabbitmq", check) {
            return None;
        }
        if !Path::new(PROGRAMS).join("rabbitmq-server").exists() {
            missing("rabbitmq", check, format_args!("it is not in {PROGRAMS}"));
        }
        let [port, distribution_port, epmd_port, second_port] = free_ports();
        let directory = tempfile::Builder::new().prefix("rabbitmq-").tempdir().unwrap();
        fs::write(directory.path().join("enabled_plugins"), "[].\n").unwrap();
        let configuration = PATIENT.to_owned() + &configure(directory.path(), second_port);
        fs::write(directory.path().join("rabbitmq.conf"), configuration).unwrap();
        fs::write(directory.path().join("advanced.config"), "[].\n").unwrap();
        // Started by the node it would outlive everything.
        let mut epmd = tied("epmd");
        epmd.args(["-port", &epmd_port.to_string(), "-address", "127.0.0.1"]);
        epmd.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let node = format!("rabbit-{:08x}@localhost", uuid::Uuid::new_v4().as_fields().0);
        let epmd = launch(epmd).unwrap();
        // The node starts one where it finds none.
        let answers = || TcpStream::connect(("127.0.0.1", epmd_port)).is_ok();
        until("epmd to answer", ANSWER_LIMIT, answers);
        let mut rabbit = RabbitMq {
            directory,
            port,
            second_port,
            distribution_port,
            epmd_port,
            node,
            epmd,
            process: None,
        };
        rabbit.restart();
        Some(rabbit)
    }

    /// The one that all tests share, each with its own queues. It ends with the test process.
    pub fn shared(check: &str) -> Option<&'static RabbitMq> {
        static SHARED: OnceLock<RabbitMq> = OnceLock::new();
        if is_left_out("rabbitmq", check) {
            return None;
        }
        Some(SHARED.get_or_init(|| RabbitMq::start(check).unwrap()))
    }

    pub fn url(&self) -> String {
        format!("amqp://guest:guest@127.0.0.1:{}/%2f", self.port)
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
        let mut command = tied(&format!("{PROGRAMS}/rabbitmq-server"));
        self.environment(&mut command);
        // The script then becomes the node, so that the process started is the one to kill.
        command.env("RUNNING_UNDER_SYSTEMD", "true");
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        self.process = Some(launch(command).unwrap());
        until("RabbitMQ to answer", START_LIMIT, || {
            if let Ok(Some(status)) = self.process.as_mut().unwrap().try_wait() {
                let log = fs::read_to_string(self.directory.path().join("server.log"));
                panic!("RabbitMQ ended: {status}; {}", log.unwrap_or_default());
            }
            self.on_channel(async |_| ()).is_ok()
        });
    }

    fn environment(&self, command: &mut Command) {
        let home = self.directory.path();
        let file = |name: &str| home.join(name);
        command
            .env("HOME", home)
            .env("ERL_EPMD_PORT", self.epmd_port.to_string())
            .env("ERL_EPMD_ADDRESS", "127.0.0.1")
            .env("RABBITMQ_NODENAME", &self.node)
            .env("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1")
            .env("RABBITMQ_NODE_PORT", self.port.to_string())
            .env("RABBITMQ_DIST_PORT", self.distribution_port.to_string())
            .env("RABBITMQ_MNESIA_BASE", file("mnesia"))
            .env("RABBITMQ_LOG_BASE", file("log"))
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", file("enabled_plugins"))
            .env("RABBITMQ_CONFIG_FILE", file("rabbitmq.conf"))
            .env("RABBITMQ_ADVANCED_CONFIG_FILE", file("advanced.config"))
            .env("RABBITMQ_CONF_ENV_FILE", "/dev/null")
            .env("RABBITMQ_PID_FILE", file("pid"))
            .env("RABBITMQ_FEATURE_FLAGS_FILE", file("feature_flags"))
            .env("RABBITMQ_GENERATED_CONFIG_DIR", file("generated"));
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Cuts every client.
    pub fn close_connections(&self) {
        self.control(&["close_all_connections", "test"]);
    }

    /// In the node's own directory.
    pub fn file(&self, name: &str) -> std::path::PathBuf {
        self.directory.path().join(name)
    }

    /// Ends every channel, as the broker does after a fault of its own.
    pub fn close_channels(&self) {
        self.control(&["eval", "[exit(Pid, kill) || Pid <- rabbit_channel:list_local()]."]);
    }

    /// Publishers are blocked while it is on.
    pub fn memory_alarm(&self, on: bool) {
        let watermark = if on { "0.00001" } else { "0.4" };
        self.control(&["set_vm_memory_high_watermark", watermark]);
    }

    /// Again if it fails: it waits a few seconds for the node. Whatever it is told may be done
    /// twice.
    pub fn control(&self, arguments: &[&str]) -> String {
        let deadline = Instant::now() + ANSWER_LIMIT;
        loop {
            let mut command = Command::new(format!("{PROGRAMS}/rabbitmqctl"));
            self.environment(&mut command);
            let output = command.args(["-n", &self.node]).args(arguments).output().unwrap();
            if output.status.success() {
                return String::from_utf8_lossy(&output.stdout).into_owned();
            }
            let error = String::from_utf8_lossy(&output.stderr);
            assert!(Instant::now() < deadline, "{error}");
        }
    }

    fn on_channel<T>(&self, work: impl AsyncFnOnce(&Channel) -> T) -> lapin::Result<T> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let properties = ConnectionProperties::default();
            let connection = Connection::connect(&self.url(), properties).await?;
            let channel = connection.create_channel().await?;
            let done = work(&channel).await;
            connection.close(200, "done".into()).await?;
            Ok(done)
        })
    }

    /// A durable queue, a quorum queue if so asked.
    pub fn declare(&self, queue: &str, quorum: bool) {
        let quorum = quorum.then(|| ("x-queue-type", AMQPValue::LongString("quorum".into())));
        self.declare_with(queue, quorum);
    }

    /// A quorum queue in which a message that is given back twice is lost. Once it gives back itself
    /// what crosses a cancel on its way to the channel.
    pub fn declare_unforgiving(&self, queue: &str) {
        let quorum = ("x-queue-type", AMQPValue::LongString("quorum".into()));
        self.declare_with(queue, [quorum, ("x-delivery-limit", AMQPValue::LongInt(1))]);
    }

    pub fn declare_with<'a>(
        &self,
        queue: &str,
        given: impl IntoIterator<Item = (&'a str, AMQPValue)>,
    ) {
        let mut arguments = FieldTable::default();
        for (name, value) in given {
            arguments.insert(name.into(), value);
        }
        let declared = self.on_channel(async |channel| {
            channel.queue_declare(queue.into(), QueueDeclareOptions::durable(), arguments).await
        });
        declared.unwrap().unwrap();
    }

    /// A durable topic exchange.
    pub fn declare_exchange(&self, exchange: &str) {
        let declared = self.on_channel(async |channel| {
            let options = ExchangeDeclareOptions { durable: true, ..Default::default() };
            let (exchange, kind) = (exchange.into(), ExchangeKind::Topic);
            channel.exchange_declare(exchange, kind, options, FieldTable::default()).await
        });
        declared.unwrap().unwrap();
    }

    /// To an exchange that is there.
    pub fn bind(&self, queue: &str, exchange: &str, key: &str) {
        let bound = self.on_channel(async |channel| {
            let (queue, options) = (queue.into(), QueueBindOptions::default());
            let table = FieldTable::default();
            channel.queue_bind(queue, exchange.into(), key.into(), options, table).await
        });
        bound.unwrap().unwrap();
    }

    pub fn delete(&self, queue: &str) {
        let deleted = self.on_channel(async |channel| {
            channel.queue_delete(queue.into(), QueueDeleteOptions::default()).await
        });
        deleted.unwrap().unwrap();
    }

    /// How many messages are ready to be delivered: not those in a consumer's hands.
    pub fn ready(&self, queue: &str) -> u32 {
        self.counts(queue).0
    }

    pub fn consumers(&self, queue: &str) -> u32 {
        self.counts(queue).1
    }

    /// How many messages it has, those in a consumer's hands too. No client can ask for that, and what
    /// `list_queues` tells of a quorum queue is seconds old.
    pub fn messages(&self, queue: &str) -> u32 {
        let told = self.control(&["eval", &MESSAGES.replace("NAME", queue)]);
        told.trim().parse().unwrap_or_else(|_| panic!("messages of {queue}: {told}"))
    }

    /// Until nothing is left of it: nothing is ready, and nothing in a consumer's hands.
    #[track_caller]
    pub fn wait_all_acked(&self, queue: &str) {
        let what = format!("all of {queue} to be acked");
        until(&what, CONTROL_LIMIT, || self.ready(queue) == 0 && self.messages(queue) == 0);
    }

    /// Messages that are ready, and consumers.
    fn counts(&self, queue: &str) -> (u32, u32) {
        let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        let mut counts = (0, 0);
        until("an answer about the queue", ANSWER_LIMIT, || {
            let declared = self.on_channel(async |channel| {
                let (began, table) = (Instant::now(), FieldTable::default());
                let declared = channel.queue_declare(queue.into(), options, table).await;
                (declared, began.elapsed())
            });
            let Ok((declared, took)) = declared else { return false };
            let declared = declared.unwrap();
            counts = (declared.message_count(), declared.consumer_count());
            // So late that may be no answer.
            counts != (0, 0) || took < QUORUM_TIMEOUT
        });
        counts
    }

    /// Of the first message that a stream still has.
    pub fn first_offset(&self, stream: &str) -> Option<i64> {
        let found: lapin::Result<lapin::Result<_>> = self.on_channel(async |channel| {
            channel.basic_qos(1, BasicQosOptions::default()).await?;
            let mut table = FieldTable::default();
            table.insert("x-stream-offset".into(), AMQPValue::LongString("first".into()));
            let options = BasicConsumeOptions::default();
            let consuming = channel.basic_consume(stream.into(), "".into(), options, table);
            let first = consuming.await?.next().await.transpose()?;
            let headers = first.and_then(|first| first.properties.headers().clone());
            Ok(headers.and_then(|headers| headers.inner().get("x-stream-offset").cloned()))
        });
        match found.unwrap().unwrap() {
            Some(AMQPValue::LongLongInt(offset)) => Some(offset),
            _ => None,
        }
    }

    /// Publishes persistent messages and waits until the broker has them.
    pub fn publish(&self, queue: &str, values: impl IntoIterator<Item = String>) {
        let persistent = BasicProperties::default().with_delivery_mode(2);
        let messages = values.into_iter().map(|value| (value, persistent.clone()));
        self.publish_with(queue, messages.collect());
    }

    pub fn publish_with<V: AsRef<[u8]>>(&self, queue: &str, messages: Vec<(V, BasicProperties)>) {
        let published: lapin::Result<lapin::Result<()>> = self.on_channel(async |channel| {
            channel.confirm_select(ConfirmSelectOptions::default()).await?;
            let mut confirms = Vec::new();
            for (value, properties) in messages {
                let options = BasicPublishOptions::default();
                let sent = channel.basic_publish(
                    "".into(),
                    queue.into(),
                    options,
                    value.as_ref(),
                    properties,
                );
                confirms.push(sent.await?);
            }
            for confirm in confirms {
                assert!(confirm.await?.is_ack());
            }
            Ok(())
        });
        published.unwrap().unwrap();
    }
}

impl Drop for RabbitMq {
    fn drop(&mut self) {
        for process in self.process.iter_mut().chain([&mut self.epmd]) {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}
