//! Where and when it was measured.

use std::process::Command;

/// Where the brokers' programs are, and what stands before the version in the name of one.
const KAFKA: (&str, &str) =
    (concat!(env!("CARGO_MANIFEST_DIR"), "/target/kafka/lib"), "kafka_2.13-");
const RABBITMQ: (&str, &str) = ("/usr/lib/rabbitmq/lib", "rabbitmq_server-");

pub fn print(with_kafka: bool, with_rabbitmq: bool) {
    let date = Command::new("date").args(["-u", "+%F"]).output().expect("date starts");
    let date = String::from_utf8_lossy(&date.stdout);
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let mut parts = vec![date.trim().to_owned(), cpu(), format!("{cores} cores")];
    let brokers = [(with_kafka, "Apache Kafka", KAFKA), (with_rabbitmq, "RabbitMQ", RABBITMQ)];
    for (_, name, place) in brokers.into_iter().filter(|(with, ..)| *with) {
        let version = version(place).unwrap_or_else(|| "of unknown version".to_owned());
        parts.push(format!("{name} {version}"));
    }
    println!("{}\n", parts.join(", "));
}

fn version((directory, before): (&str, &str)) -> Option<String> {
    let mut entries = std::fs::read_dir(directory).ok()?;
    entries.find_map(|entry| {
        let name = entry.ok()?.file_name();
        let version = name.to_str()?.strip_prefix(before)?;
        Some(version.trim_end_matches(".jar").to_owned())
    })
}

/// Some architectures have no name for it there.
fn cpu() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    model.map_or_else(|| format!("a CPU of {}", std::env::consts::ARCH), |(_, it)| it.to_owned())
}
