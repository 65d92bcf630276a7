//! Mended, tried again, applied; dropped; and a crash after each step.

use serde_json::json;

use super::{command, kafka_source, letters, upsert};
use crate::brokers::kafka::Kafka;
use crate::harness::{PATIENCE, Setup};

#[test]
fn letters_are_mended_redriven_and_dropped_and_no_crash_brings_them_back() {
    let Some(kafka) = Kafka::shared("redriving of dead letters") else { return };
    kafka.create_topic("redrive", 1);
    let setup = Setup::new();
    setup.configure(&kafka_source(kafka, "redrive", "", ""));
    let set = r#"{"collection": "c", "set_payload": {"payload": {"a": 1}, "points": [7]}}"#;
    let messages = [
        upsert("c", 1),
        "hello".to_owned(),
        upsert("later", 2),
        r#"{"upsert": {"points": []}}"#.to_owned(),
        set.to_owned(),
        upsert("c", 3),
    ];
    kafka.publish("redrive", 0, &messages);
    let pointd = setup.start();
    pointd.wait_until("the good ones", PATIENCE, |pointd| pointd.count("c") == 2);
    let kept = letters(&pointd);
    let seqs: Vec<String> = kept.iter().map(|letter| letter["seq"].to_string()).collect();
    let reasons: Vec<&str> = kept.iter().map(|letter| letter["reason"].as_str().unwrap()).collect();
    assert_eq!(reasons, ["not_json", "unknown_collection", "no_collection", "unknown_point"]);
    let gauge =
        |reason: &str| format!(r#"pointd_dead_letters_kept{{reason="{reason}",source="s"}}"#);
    for reason in ["not_json", "unknown_collection"] {
        assert_eq!(pointd.metric_at_least(&gauge(reason), 1.0), 1.0, "{reason}");
    }

    let list = command(&pointd, &["list", "--reason", "not_json"]);
    assert!(list.well && list.out.contains("s redrive/0@1"), "{}{}", list.out, list.error);
    assert!(list.out.contains("1 of 1"), "{}", list.out);
    let value = command(&pointd, &["show", &seqs[1], "--value"]);
    assert_eq!(value.out, messages[2]);
    let shown = command(&pointd, &["show", &seqs[0]]);
    assert!(shown.out.contains("\nhello\n"), "{}", shown.out);

    // Nothing of it is mended yet.
    let dry = command(&pointd, &["redrive", "--all", "--dry-run"]);
    assert!(!dry.well && dry.out.contains("4 would be refused"), "{}{}", dry.out, dry.error);
    let create = json!({"vectors": {"size": 2, "distance": "Dot"}});
    assert_eq!(pointd.put("/collections/later", &create)["result"], true);
    let dry = command(&pointd, &["redrive", &seqs[1], "--dry-run"]);
    assert!(dry.well && dry.out.contains("1 would apply"), "{}", dry.out);
    assert_eq!(pointd.count("later"), 0);
    let all = command(&pointd, &["redrive", "--source", "s"]);
    assert!(!all.well && all.out.contains("1 applied, 3 refused"), "{}{}", all.out, all.error);
    // What has gone is not shown; what was refused again is, once.
    pointd
        .wait_until("the gauges", PATIENCE, |it| it.metric(&gauge("unknown_collection")).is_none());
    for reason in ["not_json", "no_collection", "unknown_point"] {
        assert_eq!(pointd.metric(&gauge(reason)), Some(1.0), "{reason}");
    }
    assert_eq!(pointd.metric("pointd_dead_letters"), Some(3.0));
    let redriven = |outcome: &str| {
        let name = "pointd_dead_letters_redriven_total";
        pointd.metric(&format!(r#"{name}{{outcome="{outcome}",source="s"}}"#))
    };
    assert_eq!((redriven("applied"), redriven("refused")), (Some(1.0), Some(3.0)));
    pointd.kill_9();
    mends_and_drops(&setup, &seqs);
}

/// After everything was tried once, in vain but for the second.
fn mends_and_drops(setup: &Setup, seqs: &[String]) {
    let pointd = setup.start();
    assert_eq!(pointd.count("later"), 1);
    let kept = letters(&pointd);
    assert_eq!(kept.len(), 3);
    assert!(kept.iter().all(|letter| letter["redrives"] == 1), "{kept:?}");
    assert_eq!(kept[0]["position"]["offset"], 1);
    let file = setup.dir.path().join("mended.json");
    std::fs::write(&file, upsert("c", 7)).unwrap();
    let mended = command(&pointd, &["redrive", &seqs[0], "--value-file", file.to_str().unwrap()]);
    assert!(mended.well, "{}{}", mended.out, mended.error);
    // With the point there, what was refused for want of it is applied as it was.
    let again = command(&pointd, &["redrive", "--reason", "unknown_point", "--json"]);
    assert!(again.well && again.out.contains(r#""status":"applied""#), "{}", again.out);
    let gone = command(&pointd, &["redrive", &seqs[0]]);
    assert!(!gone.well && gone.out.contains("gone"), "{}", gone.out);
    pointd.kill_9();

    let pointd = setup.start();
    let point = pointd.get("/collections/c/points/7");
    assert_eq!(point["result"]["payload"], json!({"a": 1}));
    let dropped = command(&pointd, &["drop", &seqs[2]]);
    assert!(dropped.well && dropped.out.contains("1 dropped"), "{}", dropped.out);
    assert_eq!(pointd.metric(r#"pointd_dead_letters_dropped_total{source="s"}"#), Some(1.0));
    pointd.kill_9();
    // And through a checkpoint.
    let pointd = setup.start();
    assert_eq!(letters(&pointd).len(), 0);
    assert!(pointd.terminate().success());
    let pointd = setup.start();
    assert_eq!((letters(&pointd).len(), pointd.count("c")), (0, 3));
    assert_eq!(pointd.metric_at_least(r#"pointd_applied_records{kind="redrive"}"#, 6.0), 6.0);
    assert_eq!(pointd.metric_at_least(r#"pointd_applied_records{kind="drop"}"#, 1.0), 1.0);
    assert_eq!(pointd.metric("pointd_dead_letters"), Some(0.0));
}
