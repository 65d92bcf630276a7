//! As many letters as may be: the sources stand, the brokers keep the rest, nothing is lost.

use std::collections::BTreeSet;

use serde_json::json;

use super::{command, letters, upsert};
use crate::brokers::kafka::Kafka;
use crate::brokers::rabbitmq::RabbitMq;
use crate::harness::{PATIENCE, Pointd, Setup};

/// One letter that is dropped of so many makes no tenth of them free.
const LETTERS_MAX: usize = 11;
/// Bad messages that each broker has before the bound is reached, and again behind it. All that
/// was delivered finds room for its letters: up to a tenth and the prefetch beyond the bound.
const POISON: u64 = 8;
const PREFETCH: u64 = 5;
const WHY: &str = "as many dead letters are kept as may be";
const SAID: &str = "dead letters are at their bound";
const PRESSES: &str = "pointd_source_pressure{reason=\"dead_letters_full\"}";

/// What both brokers are given under one name: a topic and a queue.
struct Feed<'a> {
    kafka: &'a Kafka,
    rabbit: &'a RabbitMq,
    name: &'a str,
    /// Of a bad message.
    bytes: usize,
    good: u64,
    poison: BTreeSet<String>,
}

impl Feed<'_> {
    /// To each broker: good and bad ones in turn, and of the bad ones half that cannot be decoded and
    /// half that cannot be applied.
    fn publish(&mut self) {
        let mut messages = || {
            let mut messages = Vec::new();
            for _ in 0..POISON {
                let number = self.good;
                self.good += 1;
                let bad = match number % 2 {
                    0 => format!("poison {number}"),
                    _ => upsert("nowhere", number),
                };
                let bad = format!("{bad:<bytes$}", bytes = self.bytes);
                messages.extend([upsert("c", number), bad.clone()]);
                self.poison.insert(bad);
            }
            messages
        };
        self.kafka.publish(self.name, 0, messages());
        self.rabbit.publish(self.name, messages());
    }

    fn configuration(&self, bound: &str) -> String {
        format!(
            "[storage]\n{bound}\n[collections.c]\nsize = 2\ndistance = \"Dot\"\n\
             [[source]]\nname = \"k\"\n[source.kafka]\nbrokers = \"{}\"\ntopics = [\"{name}\"]\n\
             group = \"{name}\"\n\
             [[source]]\nname = \"r\"\n[source.amqp]\nurl = \"{}\"\nqueue = \"{name}\"\n\
             prefetch = {PREFETCH}\n",
            self.kafka.bootstrap(),
            self.rabbit.url(),
            name = self.name,
        )
    }
}

/// Both sources stand and say why, and so does everything else that is asked.
fn stands(pointd: &Pointd, feed: &Feed<'_>) {
    pointd.wait_paused(WHY);
    // A queue of this kind counts a consumer until all is acked.
    let consumers = |_: &Pointd| feed.rabbit.consumers(feed.name);
    pointd.wait_until("the consumer to go", PATIENCE, |it| consumers(it) == 0);
    // Each is shown a moment before or after the state.
    let paused = ["k", "r"].map(|source| format!("pointd_source_paused{{source=\"{source}\"}}"));
    for gauge in [PRESSES, paused[0].as_str(), paused[1].as_str()] {
        pointd.wait_until(gauge, PATIENCE, |pointd| pointd.metric(gauge) == Some(1.0));
    }
    assert_eq!(pointd.get_status("/readyz"), Some(503));
    let why = pointd.text("/readyz");
    assert!(why.contains("redrive or drop letters"), "{why}");
}

/// A write of which a letter could be made has no room; one whose caller is told is taken.
fn writes(pointd: &Pointd) {
    let point = json!({"points": [{"id": 1_000_000, "vector": [1, 2]}]});
    let refused = pointd.put("/collections/c/points?wait=false", &point);
    assert!(refused.to_string().contains("so many dead letters"), "{refused}");
    assert_eq!(pointd.put("/collections/c/points?wait=true", &point)["status"], "ok");
    let gone = json!({"points": [1_000_000]});
    assert_eq!(pointd.post("/collections/c/points/delete?wait=true", &gone)["status"], "ok");
}

/// What was delivered of the letters that are kept. They are gone.
fn drop_all(pointd: &Pointd) -> Vec<String> {
    let kept = letters(pointd);
    if kept.is_empty() {
        // The command refuses to drop nothing.
        return Vec::new();
    }
    let seqs: Vec<String> = kept.iter().map(|letter| letter["seq"].to_string()).collect();
    let mut args = vec!["drop"];
    args.extend(seqs.iter().map(String::as_str));
    let dropped = command(pointd, &args);
    assert!(dropped.well, "{}{}", dropped.out, dropped.error);
    let text = |letter: &serde_json::Value| letter["original"]["value"]["text"].clone();
    kept.iter().map(|letter| text(letter).as_str().unwrap().to_owned()).collect()
}

/// Nothing of it is in the log twice; and each bad message became a letter once.
fn assert_whole(pointd: &Pointd, feed: &Feed<'_>, mut seen: Vec<String>) {
    seen.extend(drop_all(pointd));
    assert_eq!(seen.len(), feed.poison.len());
    assert_eq!(seen.into_iter().collect::<BTreeSet<_>>(), feed.poison);
    let applied = |kind: &str| {
        pointd.metric(&format!("pointd_applied_records{{kind=\"{kind}\"}}")).unwrap_or_default()
    };
    // The collection and two writes are operations too.
    let (operations, bad) = (feed.good as f64 + 3.0, feed.poison.len() as f64);
    let refused = || applied("dead_letter") + applied("refused");
    // Counted a moment after they can be read.
    pointd.wait_until("the counts", PATIENCE, |_| {
        applied("operations") >= operations && refused() >= bad
    });
    assert_eq!((applied("operations"), refused()), (operations, bad));
    assert_eq!(applied("duplicate"), 0.0, "something was given back");
    // The sources see it when they ask again.
    pointd.wait_until("the room", PATIENCE, |pointd| pointd.metric(PRESSES) == Some(0.0));
}

/// With this bound, which [`LETTERS_MAX`] letters of so many bytes reach.
fn at_the_bound(name: &str, bound: &str, bytes: usize) {
    let Some(rabbit) = RabbitMq::shared("dead letters at their bound") else { return };
    let Some(kafka) = Kafka::shared("dead letters at their bound") else { return };
    kafka.create_topic(name, 1);
    rabbit.declare_unforgiving(name);
    let mut feed = Feed { kafka, rabbit, name, bytes, good: 0, poison: BTreeSet::new() };
    let setup = Setup::new();
    setup.configure(&feed.configuration(bound));
    let pointd = setup.start();
    feed.publish();
    stands(&pointd, &feed);
    writes(&pointd);
    // Behind the writes: whatever was taken before is applied.
    let kept = letters(&pointd).len();
    assert!(kept >= LETTERS_MAX, "{kept}");
    // They are counted a moment after they can be read.
    pointd.wait_until("the gauges at their bound", PATIENCE, at_their_bound);

    // The brokers keep what comes now, also from a daemon that starts at the bound.
    feed.publish();
    pointd.kill_9();
    let pointd = setup.start_serving();
    stands(&pointd, &feed);
    assert_eq!(letters(&pointd).len(), kept);
    let left = |_: &Pointd| u64::from(rabbit.ready(name)) >= 2 * POISON;
    pointd.wait_until("what is not fetched", PATIENCE, left);
    let applied = pointd.count("c");
    assert!(applied <= feed.good / 2, "it fetched on: {applied}");
    assert_eq!(pointd.log_text().matches(SAID).count(), 2, "once by each process");

    // With one letter less it stands still; with many less it goes on by itself, to the bound
    // again.
    let first = letters(&pointd).swap_remove(0);
    let seen = vec![first["original"]["value"]["text"].as_str().unwrap().to_owned()];
    let body = json!({"seqs": [first["seq"]]});
    assert_eq!(pointd.post("/dead-letters/drop", &body)["status"], "ok");
    assert_eq!(letters(&pointd).len(), kept - 1);
    stands(&pointd, &feed);
    assert_eq!(pointd.count("c"), applied);
    goes_on(&pointd, &feed, seen);
}

/// What the alert ahead of the bound looks at.
fn at_their_bound(pointd: &Pointd) -> bool {
    let of = |name| pointd.metric(name).unwrap_or(0.0);
    let (count_max, bytes_max) =
        (of("pointd_dead_letters_max"), of("pointd_dead_letter_bytes_max"));
    let (count, bytes) = (of("pointd_dead_letters"), of("pointd_dead_letter_bytes"));
    count_max > 0.0
        && bytes_max > 0.0
        && (count / count_max).max(bytes / bytes_max) >= 1.0
        && bytes > 0.0
}

fn goes_on(pointd: &Pointd, feed: &Feed<'_>, mut seen: Vec<String>) {
    seen.extend(drop_all(pointd));
    pointd.wait_until("the rest", 3 * PATIENCE, |pointd| {
        if pointd.get_status("/readyz") == Some(503) {
            seen.extend(drop_all(pointd));
        }
        let there = seen.len() + letters(pointd).len();
        pointd.count("c") == feed.good && there == feed.poison.len()
    });
    feed.rabbit.wait_all_acked(feed.name);
    assert_whole(pointd, feed, seen);
    pointd.wait_until("both run", PATIENCE, |pointd| {
        let sources = &pointd.get("/sources")["result"]["sources"];
        sources[0]["state"] == "running" && sources[1]["state"] == "running"
    });
    assert_eq!(pointd.get_status("/readyz"), Some(200));
}

#[test]
fn at_their_count_the_sources_stand_and_go_on_once_letters_are_dropped() {
    at_the_bound("letters-count", &format!("dead_letters_max = {LETTERS_MAX}"), 0);
}

/// A letter takes a few hundred bytes beside its message.
#[test]
fn at_their_bytes_the_sources_stand_and_go_on_once_letters_are_dropped() {
    let bytes = 4000;
    let bound = format!("dead_letter_bytes_max = {}", LETTERS_MAX * bytes);
    at_the_bound("letters-bytes", &bound, bytes);
}
