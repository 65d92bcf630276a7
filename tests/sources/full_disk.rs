//! A disk that is filled from outside while Kafka and RabbitMQ feed the daemon.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;

use super::unique;
use crate::brokers::kafka::Kafka;
use crate::brokers::rabbitmq::RabbitMq;
use crate::harness::{PATIENCE, Pointd, Setup};

const MIB: u64 = 1 << 20;

/// A small volume of its own, gone with the test.
struct Volume(PathBuf);

impl Volume {
    /// `None` where mounting is not allowed.
    fn mount(at: &Path, mib: u64) -> Option<Volume> {
        std::fs::create_dir_all(at).unwrap();
        let size = format!("size={mib}m");
        let mut command = Command::new("mount");
        let mounted = command.args(["-t", "tmpfs", "-o", &size, "pointd-test"]).arg(at).output();
        if !mounted.is_ok_and(|it| it.status.success()) {
            eprintln!("without the right to mount this goes unchecked: a full disk");
            return None;
        }
        Some(Volume(at.to_owned()))
    }

    fn free(&self) -> u64 {
        pointd::disk::free_bytes(&self.0).unwrap()
    }

    /// Fills it from outside until `left` bytes are free.
    fn fill(&self, left: u64) -> PathBuf {
        let path = self.0.join("filler");
        let mut file = File::options().create(true).append(true).open(&path).unwrap();
        let block = vec![7; 64 << 10];
        while self.free() > left + block.len() as u64 {
            file.write_all(&block).unwrap();
        }
        path
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

fn point(id: u64) -> String {
    format!(
        r#"{{"collection": "c", "upsert": {{"points": [{{"id": {id}, "vector": [{id}],
        "payload": {{"text": "{:0700}"}}}}]}}}}"#,
        id
    )
}

fn delete_is_durable(pointd: &Pointd, id: u64) -> bool {
    let path = "/collections/c/points/delete?wait=false";
    pointd.post(path, &json!({"points": [id]}))["status"] == "ok"
}

#[test]
fn a_full_disk_stops_the_sources_in_time_and_they_go_on_by_themselves() {
    let Some(rabbit) = RabbitMq::shared("a full disk") else { return };
    let Some(kafka) = Kafka::shared("a full disk") else { return };
    let setup = Setup::new();
    let Some(volume) = Volume::mount(&setup.data(), 160) else { return };
    let name = unique("full-disk");
    rabbit.declare(&name, true);
    kafka.create_topic(&name, 1);
    setup.configure(&format!(
        "[collections.c]\nsize = 1\ndistance = \"Dot\"\n\
         [storage]\nlog_file_bytes = {log}\ncheckpoint_wal_bytes = {log}\nhead_bytes_max = {log}\n\
         reserve_bytes = {reserve}\nballast_bytes = {log}\n\
         [ingest]\nqueue_bytes_max = {log}\nmessage_bytes_max = 100000\n\
         [[source]]\nname = \"k\"\n[source.kafka]\nbrokers = \"{}\"\ntopics = [\"{name}\"]\n\
         group = \"{name}\"\n\
         [[source]]\nname = \"r\"\n[source.amqp]\nurl = \"{}\"\nqueue = \"{name}\"\nprefetch = 200\n",
        kafka.bootstrap(),
        rabbit.url(),
        log = 4 * MIB,
        reserve = 40 * MIB,
    ));
    let pointd = setup.start();
    assert!(setup.data().join("ballast").exists());
    let feed = |from: u64, to: u64| {
        rabbit.publish(&name, (from..to).filter(|id| id % 2 == 0).map(point));
        let odd: Vec<String> = (from..to).filter(|id| id % 2 == 1).map(point).collect();
        kafka.publish(&name, 0, odd.iter().map(String::as_bytes));
    };
    feed(0, 2000);
    pointd.wait_until("the first", PATIENCE, |pointd| pointd.count("c") == 2000);
    let before = pointd.resident_bytes();

    // Soft: the reserve is left. What is delivered is logged and acked, no more is fetched.
    let filler = volume.fill(20 * MIB);
    pointd.wait_until("the pressure", PATIENCE, |pointd| {
        pointd.metric("pointd_source_pressure{reason=\"disk_full\"}") == Some(1.0)
    });
    pointd.wait_until("the consumer to go", PATIENCE, |_| rabbit.consumers(&name) == 0);
    feed(2000, 12_000);
    assert!(rabbit.ready(&name) >= 4_800, "it fetched on: {}", rabbit.ready(&name));
    assert!(pointd.count("c") < 12_000);
    assert!(delete_is_durable(&pointd, 1), "a delete was refused");
    let upsert = json!({"points": [{"id": 1_000_000, "vector": [1.0]}]});
    for wait in [false, true] {
        let refused = pointd.put(&format!("/collections/c/points?wait={wait}"), &upsert);
        assert!(refused.to_string().contains("reserve"), "{refused}");
    }
    assert!(pointd.text("/readyz").contains("reserve"));

    // Hard: nothing is left. Reads go on.
    volume.fill(0);
    assert!(delete_is_durable(&pointd, 3), "the log file at hand has room");
    assert!(pointd.count("c") >= 1998);
    let grown = pointd.resident_bytes().saturating_sub(before);
    println!("grown by {} MiB while the disk was full", grown / MIB);
    assert!(grown < 96 * MIB, "{grown}");

    std::fs::remove_file(filler).unwrap();
    pointd.wait_until("the rest", 2 * PATIENCE, |pointd| pointd.count("c") == 11_998);
    pointd.wait_until("the acks", PATIENCE, |_| rabbit.ready(&name) == 0);
    let again = "pointd_source_duplicates_total{partition=\"-\"";
    assert!(!pointd.text("/metrics").contains(again), "something was given back");
    assert!(pointd.terminate().success());
}
