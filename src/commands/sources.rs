//! `pointd sources`: what the sources of a running daemon do, and what they are told to do.

use std::io::{self, Write};

use clap::Subcommand;
use serde_json::{Value, json};

use super::CommandError;
use super::client::{Client, DaemonArgs, time_shown};

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
        let (name, kind) = (text(&source["source"]), text(&source["kind"]));
        writeln!(out, "{name} ({kind}) {}", state(source))?;
        for topic in source["missing_topics"].as_array().into_iter().flatten() {
            writeln!(out, "  {:<30} does not exist", text(topic))?;
        }
        for (topic, why) in source["refused_topics"].as_object().into_iter().flatten() {
            writeln!(out, "  {topic:<30} refused: {}", text(why))?;
        }
        if let Some(others) = source["other_consumers"].as_u64() {
            writeln!(out, "  other consumers of the queue: {others}")?;
        }
        for stream in source["streams"].as_array().into_iter().flatten() {
            let place = match stream["queue"].as_str() {
                Some(queue) => queue.to_owned(),
                None => format!("{}/{}", text(&stream["topic"]), stream["partition"]),
            };
            let numbers = ["durable", "applied", "committed", "end", "lag_messages"]
                .map(|key| format!("{key} {}", number(&stream[key])));
            let lag = stream["lag_seconds"].as_f64();
            let lag = lag.map_or_else(|| "-".to_owned(), |seconds| format!("{seconds:.1}"));
            let (state, numbers) = (state(stream), numbers.join("  "));
            writeln!(out, "  {place:<30} {state}  {numbers}  lag_seconds {lag}")?;
        }
    }
    Ok(())
}

/// With what is told about it.
fn state(of: &Value) -> String {
    let since = time_shown(&of["since"]).map(|since| format!(" since {since}"));
    let why = ["why", "error", "commit_error"].map(|key| of[key].as_str());
    let why = why.into_iter().flatten().map(|why| format!(": {why}"));
    std::iter::once(text(&of["state"]).to_owned()).chain(since).chain(why).collect()
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

    fn printed(source: Value) -> String {
        let mut out = Vec::new();
        print(&json!({"sources": [source]}), &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_halted_partition_shows_why() {
        let out = printed(json!({
            "source": "orders", "kind": "kafka", "state": "running",
            "streams": [{"topic": "points", "partition": 3, "state": "halted", "why": "a gap",
                "durable": 5, "applied": 5, "committed": null, "end": 9, "lag_messages": 4,
                "lag_seconds": 61.25}],
        }));
        assert!(out.starts_with("orders (kafka) running\n"), "{out}");
        assert!(out.contains("points/3") && out.contains("halted: a gap"), "{out}");
        assert!(out.contains("committed -  end 9  lag_messages 4  lag_seconds 61.2\n"), "{out}");
    }

    #[test]
    fn what_the_broker_refuses_shows_since_when_and_why() {
        let out = printed(json!({
            "source": "orders", "kind": "kafka", "state": "paused", "why": "the disk is full",
            "since": 1_769_860_800_000_u64, "refused_topics": {"secret": "no rights"},
            "missing_topics": ["nowhere"], "other_consumers": 2,
            "streams": [{"topic": "points", "partition": 3, "state": "unreadable",
                "since": 1_769_860_801_000_u64, "error": "no rights either", "lag_seconds": null}],
        }));
        let state = "orders (kafka) paused since 2026-01-31T12:00:00Z: the disk is full\n";
        assert!(out.starts_with(state), "{out}");
        let refused = out.lines().find(|line| line.trim_start().starts_with("secret"));
        assert!(refused.is_some_and(|line| line.ends_with(" refused: no rights")), "{out}");
        let missing = out.lines().find(|line| line.trim_start().starts_with("nowhere"));
        assert!(missing.is_some_and(|line| line.ends_with(" does not exist")), "{out}");
        assert!(out.contains("  other consumers of the queue: 2\n"), "{out}");
        let state = " unreadable since 2026-01-31T12:00:01Z: no rights either  durable -";
        assert!(out.contains(state) && out.ends_with("lag_seconds -\n"), "{out}");
    }
}
