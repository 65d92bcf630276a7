//! pointd itself, the binary.

use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::{Brokers, COLLECTION, Line};

/// From the start of the process until every message is durable and applied.
pub fn pointd(line: &Line, brokers: &Brokers<'_>, place: &str) -> Duration {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let config = configuration(directory.path(), line, brokers, place);
    let log = std::fs::File::create(directory.path().join("pointd.log")).expect("a file");
    let started = Instant::now();
    let mut child = Command::new(env!("CARGO_BIN_EXE_pointd"))
        .args(["serve", "--config"])
        .arg(&config.0)
        .stdout(log.try_clone().expect("a file"))
        .stderr(log)
        .spawn()
        .expect("pointd serve starts");
    let url = format!("http://127.0.0.1:{}/metrics", config.1);
    let series = "pointd_applied_records{kind=\"operations\"} ";
    let applied = loop {
        let text =
            ureq::get(&url).call().ok().and_then(|answer| answer.into_body().read_to_string().ok());
        let applied = text.as_deref().and_then(|text| {
            text.lines().find_map(|line| line.strip_prefix(series)?.parse::<f64>().ok())
        });
        // One record creates the collection.
        if applied.is_some_and(|applied| applied as u64 > line.messages()) {
            break started.elapsed();
        }
        assert!(started.elapsed() < Duration::from_secs(600), "pointd did not finish");
        std::thread::sleep(Duration::from_millis(10));
    };
    child.kill().expect("kill");
    child.wait().expect("wait");
    applied
}

fn configuration(
    directory: &Path,
    line: &Line,
    brokers: &Brokers<'_>,
    place: &str,
) -> (std::path::PathBuf, u16) {
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .expect("a free port")
        .port();
    let path = directory.join("pointd.toml");
    let mut file = std::fs::File::create(&path).expect("a file");
    let (data, dim) = (directory.join("data"), line.dim);
    let source = match brokers {
        Brokers::Kafka(kafka) => {
            let bootstrap = kafka.bootstrap();
            format!(
                "[source.kafka]\nbrokers = \"{bootstrap}\"\ntopics = [\"{place}\"]\n\
                 group = \"bench\"\n"
            )
        }
        Brokers::RabbitMq(rabbit) => {
            format!("[source.amqp]\nurl = \"{}\"\nqueue = \"{place}\"\n", rabbit.url())
        }
    };
    write!(
        file,
        "[api]\nlisten = \"127.0.0.1:{port}\"\n[storage]\ndir = {data:?}\n\
         [collections.{COLLECTION}]\nsize = {dim}\ndistance = \"Cosine\"\n\
         [[source]]\nname = \"bench\"\n{source}"
    )
    .expect("write");
    (path, port)
}
