//! `pointd sources`: what the sources of a running daemon do, and what they are told to do.

use std::io::{self, Write};

use clap::Subcommand;
use serde_json::{Value, json};

use super::CommandError;
use super::client::{Client, DaemonArgs};

#[derive(Debug, Subcommand)]
pub(super) enum SourcesCommand {
    /// Print every source, and where each of its partitions or queues stands.
    List {
        #[command(flatten)]
        daemon: DaemonArgs,
    },
    /// Let halted partitions go on behind what is missing. The log keeps that it was decided.
    AcceptGap {
        /// The source's name.
        source: String,
        /// Only partitions of this topic.
        #[arg(long)]
        topic: Option<String>,
        /// Only this partition.
        #[arg(long)]
        partition: Option<i32>,
        #[command(flatten)]
        daemon: DaemonArgs,
    },
}

pub(super) fn run(command: &SourcesCommand) -> Result<(), CommandError> {
    let mut out = io::stdout().lock();
    match command {
        SourcesCommand::List { daemon } => {
            let listed = Client::new(daemon)?.get("/sources", &[])?;
            print(&listed, &mut out)?;
        }
        SourcesCommand::AcceptGap { source, topic, partition, daemon } => {
            let body = json!({"topic": topic, "partition": partition});
            let path = format!("/sources/{}/accept-gap", escaped(source));
            let answer = Client::new(daemon)?.post(&path, &body)?;
            for sentence in answer["done"].as_array().into_iter().flatten() {
                writeln!(out, "{}", sentence.as_str().unwrap_or_default())?;
            }
        }
    }
    Ok(())
}

/// A name as part of a path.
fn escaped(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    name.bytes()
        .map(|byte| match plain(byte) {
            true => char::from(byte).to_string(),
            false => format!("%{byte:02X}"),
        })
        .collect()
}

fn print(listed: &Value, out: &mut impl Write) -> io::Result<()> {
    for source in listed["sources"].as_array().into_iter().flatten() {
        let (name, state) = (text(&source["source"]), text(&source["state"]));
        let more = ["why", "error", "commit_error"].map(|key| text(&source[key]));
        let more: String =
            more.iter().filter(|more| !more.is_empty()).map(|m| format!(": {m}")).collect();
        writeln!(out, "{name} ({}) {state}{more}", text(&source["kind"]))?;
        for stream in source["streams"].as_array().into_iter().flatten() {
            let place = match stream["queue"].as_str() {
                Some(queue) => queue.to_owned(),
                None => format!("{}/{}", text(&stream["topic"]), stream["partition"]),
            };
            let numbers = ["durable", "applied", "committed", "end", "lag_messages"]
                .map(|key| format!("{key} {}", number(&stream[key])));
            let why = stream["why"].as_str().map(|why| format!(": {why}")).unwrap_or_default();
            let state = text(&stream["state"]);
            writeln!(out, "  {place:<30} {state}{why}  {}", numbers.join("  "))?;
        }
    }
    Ok(())
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn number(value: &Value) -> String {
    if value.is_null() { "-".to_owned() } else { value.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_segment_of_the_path() {
        assert_eq!(escaped("orders-1"), "orders-1");
        assert_eq!(escaped("a b/ü"), "a%20b%2F%C3%BC");
    }

    #[test]
    fn a_halted_partition_shows_why() {
        let listed = json!({"sources": [{
            "source": "orders", "kind": "kafka", "state": "running",
            "streams": [{"topic": "points", "partition": 3, "state": "halted", "why": "a gap",
                "durable": 5, "applied": 5, "committed": null, "end": 9, "lag_messages": 4}],
        }]});
        let mut out = Vec::new();
        print(&listed, &mut out).unwrap();
        let out = String::from_utf8(out).unwrap();
        assert!(out.starts_with("orders (kafka) running\n"), "{out}");
        assert!(out.contains("points/3") && out.contains("halted: a gap"), "{out}");
        assert!(out.contains("committed -  end 9"), "{out}");
    }
}
