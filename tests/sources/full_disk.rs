//! A disk that is filled from outside while Kafka and RabbitMQ feed the daemon.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;

use super::unique;
use crate::brokers::kafka::Kafka;
use crate::brokers::rabbitmq::RabbitMq;
use crate::brokers::without::{is_left_out, missing};
use crate::harness::{PATIENCE, Pointd, Setup};

const MIB: u64 = 1 << 20;

/// A small volume of its own, gone with the test.
struct Volume(PathBuf);

impl Volume {
    /// `None` where that is left out.
    fn mount(at: &Path, mib: u64) -> Option<Volume> {
        let check = "a full disk";
        if is_left_out("mount", check) {
            return None;
        }
        std::fs::create_dir_all(at).unwrap();
        let size = format!("size={mib}m");
        let mut command = Command::new("mount");
        let mounted = command.args(["-t", "tmpfs", "-o", &size, "pointd-test"]).arg(at).output();
        match mounted {
            Ok(output) if output.status.success() => Some(Volume(at.to_owned())),
            Ok(output) => missing("mount", check, String::from_utf8_lossy(&output.stderr)),
            Err(error) => missing("mount", check, error),
        }
    }

    fn free(&self) -> u64 {
        pointd::disk::free_bytes(&self.0).unwrap()
    }

    /// Fills it from outside until `left` bytes are free.
    fn fill(&self, left: u64) -> PathBuf {
        let path = self.0.join("filler");
        let mut file = File::options().create(true).append(true).open(&path).unwrap();
        for block in [64 << 10, 4 << 10].map(|bytes| vec![7; bytes]) {
            let room = || self.free() >= left + block.len() as u64;
            while room() && file.write_all(&block).is_ok() {}
        }
        path
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// With a payload of so many bytes.
fn point(id: u64, bytes: usize) -> String {
    format!(
        r#"{{"collection": "c", "upsert": {{"points": [{{"id": {id}, "vector": [{id}],
        "payload": {{"text": "{:0bytes$}"}}}}]}}}}"#,
        id
    )
}

fn delete_is_durable(pointd: &Pointd, id: u64) -> bool {
    let path = "/collections/c/points/delete?wait=false";
    pointd.post(path, &json!({"points": [id]}))["status"] == "ok"
}

/// A topic and a queue of this name; files of 4 MiB, and ten times as much is kept free.
fn configuration(kafka: &Kafka, rabbit: &RabbitMq, name: &str) -> String {
    format!(
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
    )
}

#[test]
fn a_full_disk_stops_the_sources_in_time_and_they_go_on_by_themselves() {
    let Some(rabbit) = RabbitMq::shared("a full disk") else { return };
    let Some(kafka) = Kafka::shared("a full disk") else { return };
    let setup = Setup::new();
    let Some(volume) = Volume::mount(&setup.data(), 320) else { return };
    let name = unique("full-disk");
    rabbit.declare_unforgiving(&name);
    kafka.create_topic(&name, 1);
    setup.configure(&configuration(kafka, rabbit, &name));
    let pointd = setup.start();
    let ballast = setup.data().join("ballast");
    assert!(ballast.exists());
    let feed = |from: u64, to: u64| {
        rabbit.publish(&name, (from..to).filter(|id| id % 2 == 0).map(|id| point(id, 4000)));
        let odd: Vec<String> =
            (from..to).filter(|id| id % 2 == 1).map(|id| point(id, 4000)).collect();
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
    pointd.wait_paused("the disk is full, but for what is kept free");
    pointd.wait_until("the consumer to go", PATIENCE, |_| rabbit.consumers(&name) == 0);
    feed(2000, 20_000);
    pointd.wait_until("what is not fetched", PATIENCE, |_| rabbit.ready(&name) >= 8_800);
    assert!(pointd.count("c") < 20_000);
    assert!(delete_is_durable(&pointd, 1), "a delete was refused");
    let upsert = json!({"points": [{"id": 1_000_000, "vector": [1.0]}]});
    for wait in [false, true] {
        let refused = pointd.put(&format!("/collections/c/points?wait={wait}"), &upsert);
        assert!(refused.to_string().contains("reserve"), "{refused}");
    }
    assert!(pointd.text("/readyz").contains("reserve"));

    // Hard: nothing is left. Reads go on.
    volume.fill(0);
    let checkpoint = |pointd: &Pointd| pointd.metric("pointd_checkpoint_seq").unwrap();
    let stood = checkpoint(&pointd);
    assert!(delete_is_durable(&pointd, 3), "the log file at hand has room");
    pointd.wait_until("a checkpoint in the ballast's room", PATIENCE, |pointd| {
        !ballast.exists() && checkpoint(pointd) > stood
    });
    assert!(pointd.count("c") >= 1998);
    let grown = pointd.resident_bytes().saturating_sub(before);
    println!("grown by {} MiB while the disk was full", grown / MIB);
    // Two thirds of what was fed meanwhile.
    assert!(grown < 48 * MIB, "{grown}");

    std::fs::remove_file(filler).unwrap();
    pointd.wait_until("the rest", 5 * PATIENCE, |pointd| pointd.count("c") == 19_998);
    rabbit.wait_all_acked(&name);
    pointd.wait_until("the ballast again", PATIENCE, |_| ballast.exists());
    let again = "pointd_source_duplicates_total{partition=\"-\"";
    assert!(!pointd.text("/metrics").contains(again), "something was given back");
    // The collection and two deletes are operations too.
    let operations = "pointd_applied_records{kind=\"operations\"}";
    let applied = pointd.metric_at_least(operations, 20_003.0);
    assert_eq!(applied, 20_003.0, "something came twice");
    assert!(pointd.terminate().success());
}

#[test]
fn what_finds_no_room_in_the_log_is_not_acked() {
    let setup = Setup::new();
    let Some(volume) = Volume::mount(&setup.data(), 64) else { return };
    let Some(rabbit) = RabbitMq::shared("a log without room") else { return };
    let name = unique("no-room");
    rabbit.declare(&name, false);
    // Without a reserve: only the log itself says that there is no room.
    setup.configure(&format!(
        "[collections.c]\nsize = 1\ndistance = \"Dot\"\n\
         [storage]\nlog_file_bytes = {log}\nreserve_bytes = 0\nballast_bytes = 0\n\
         [[source]]\nname = \"r\"\n[source.amqp]\nurl = \"{}\"\nqueue = \"{name}\"\n",
        rabbit.url(),
        log = 4 * MIB,
    ));
    let pointd = setup.start();
    let filler = volume.fill(0);
    rabbit.publish(&name, (0..10_000).map(|id| point(id, 700)));
    pointd.wait_until("the end of the log's room", PATIENCE, |pointd| {
        pointd.log_text().contains("no room for the log")
    });
    assert!(rabbit.ready(&name) > 0);
    pointd.kill_9();
    std::fs::remove_file(filler).unwrap();
    let pointd = setup.start();
    pointd.wait_until("all of it", PATIENCE, |pointd| pointd.count("c") == 10_000);
}
