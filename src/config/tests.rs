//! What is refused, and whether the refusal says file, key and remedy.

use std::path::PathBuf;

use super::*;
use crate::format::TopicCollections;

struct Written {
    _dir: tempfile::TempDir,
    path: PathBuf,
}

fn written(text: &str) -> Written {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("pointd.toml");
    std::fs::write(&path, text).unwrap();
    Written { _dir: dir, path }
}

fn refusal(text: &str) -> String {
    let file = written(text);
    let error = load(&file.path, &Overrides::default()).expect_err(text).to_string();
    assert!(error.contains("pointd.toml"), "does not name the file: {error}");
    error
}

#[test]
fn the_shipped_configurations_are_valid() {
    for name in ["pointd", "kafka", "amqp"] {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("config/{name}.toml"));
        load(&path, &Overrides::default()).unwrap();
    }
}

#[test]
fn without_any_source_it_is_valid() {
    let settings = load(&written("").path, &Overrides::default()).unwrap();
    assert!(settings.source.is_empty());
}

#[test]
fn faults_name_the_key_and_what_would_be_right() {
    let cases = [
        ("[api]\nlistne = \"127.0.0.1:1\"", "api.listne", "listen"),
        ("[api]\nlisten = \"nowhere\"", "api.listen", "socket address"),
        ("[api]\nlisten = 5", "api.listen", "socket address"),
        ("[storage]\nlog_file_bytes = \"big\"", "storage.log_file_bytes", "u64"),
        ("[storage]\nlog_file_bytes = 1", "storage.log_file_bytes", "at least 4096"),
        ("[storage]\nlog_file_bytes = -1", "storage.log_file_bytes", "u64"),
        ("[shutdown]\ndeadline = \"soon\"", "shutdown.deadline", "duration"),
        ("[ingest]\nqueue_bytes_max = 1", "ingest.queue_bytes_max", "message_bytes_max"),
        ("[log]\nformat = \"xml\"", "log.format", "json"),
        ("[nonsense]", "nonsense", "storage"),
        ("[collections.c]\nsize = 0\ndistance = \"Dot\"", "collections.c", "1 to 65536"),
        ("[collections.c]\nsize = 4\ndistance = \"dot\"", "collections.c.distance", "Dot"),
        ("[collections.c]\nsize = 4", "collections.c", "distance"),
        ("[[source]]\nname = \"a\"", "source[0]", "exactly one of"),
        (
            "[[source]]\nname = \"a\"\n[source.kafka]\nbrokerz = \"b\"",
            "source[0].kafka.brokerz",
            "brokers",
        ),
        (
            "[[source]]\nname = \"a\"\nembedded = {}\n[[source]]\nname = \"a\"\nembedded = {}",
            "source[1].name",
            "unique",
        ),
        (
            "[[source]]\nname = \"a\"\nembedded = {}\ncollections = { \"^a(\" = \"c\" }",
            "source[0].collections",
            "not a pattern",
        ),
        (
            "[[source]]\nname = \"a\"\nembedded = {}\ncollections = { a = \"\" }",
            "source[0].collections",
            "1 to 255 bytes",
        ),
        (
            "[[source]]\nname = \"a\"\namqp = { url = \"amqp://b\", queue = \"q\" }\n\
             collections = { a = \"c\" }",
            "source[0].collections",
            "a queue has no topics",
        ),
        (
            "[[source]]\nname = \"a\"\nembedded = {}\nformat = \"xml\"",
            "source[0].format",
            "protobuf",
        ),
        ("[sample]\ncollection = \"c\"\npoints_per_second = 1", "sample", "embedded"),
    ];
    assert_refused(&cases);
}

#[test]
fn faults_about_dead_letters_name_the_key_and_what_would_be_right() {
    assert_refused(&[
        ("[[source]]\nname = \"a\"\non_refusal = \"stop\"", "source[0].on_refusal", "halt"),
        ("[dead_letters.forward]", "dead_letters.forward", "exactly one of"),
        (
            "[dead_letters.forward]\nsources = [\"a\"]\n[dead_letters.forward.kafka]\n\
             brokers = \"b\"\ntopic = \"t\"",
            "dead_letters.forward.sources",
            "no source",
        ),
        (
            "[[source]]\nname = \"a\"\n[source.kafka]\nbrokers = \"b:1\"\ntopics = [\"t\"]\n\
             group = \"g\"\n[dead_letters.forward.kafka]\nbrokers = \"c\"\ntopic = \"t\"",
            "dead_letters.forward",
            "for ever",
        ),
        (
            "[[source]]\nname = \"a\"\n[source.amqp]\nurl = \"amqp://b\"\nqueue = \"q\"\n\
             [dead_letters.forward.amqp]\nurl = \"amqp://b\"\nrouting_key = \"q\"",
            "dead_letters.forward",
            "for ever",
        ),
        (
            "[[source]]\nname = \"a\"\non_refusal = \"halt\"\n[source.amqp]\n\
             url = \"amqp://b\"\nqueue = \"q\"\n[dead_letters.forward]\nthen = \"drop\"\n\
             [dead_letters.forward.amqp]\nurl = \"amqp://b\"\nrouting_key = \"r\"",
            "dead_letters.forward.then",
            "keep",
        ),
    ]);
}

fn assert_refused(cases: &[(&str, &str, &str)]) {
    for (text, key, remedy) in cases {
        let error = refusal(text);
        assert!(error.contains(&format!("`{key}`")), "{text:?} does not name {key}: {error}");
        assert!(error.contains(remedy), "{text:?} does not say {remedy}: {error}");
    }
}

#[test]
fn what_is_not_toml_is_refused_with_its_line() {
    assert!(refusal("[api\n").contains("line 1"));
}

#[test]
fn topics_keep_their_dots_and_their_case() {
    let file = written(
        "[[source]]\nname = \"a\"\nembedded = {}\n\
         collections = { \"Orders.eu\" = \"c\", \"^Orders\\\\.\" = \"d\" }",
    );
    let settings = load(&file.path, &Overrides::default()).unwrap();
    let topics = TopicCollections::new(&settings.source[0].collections).unwrap();
    assert_eq!(topics.of("Orders.eu"), Some("c"));
    assert_eq!(topics.of("Orders.us"), Some("d"));
    assert_eq!(topics.of("orders.us"), None);
}

#[test]
fn flags_override_the_file() {
    let file = written("[storage]\ndir = \"a\"");
    let flags = Overrides(vec![("storage.dir".into(), "b".into())]);
    assert_eq!(load(&file.path, &flags).unwrap().storage.dir, PathBuf::from("b"));
    let wrong = Overrides(vec![("api.listen".into(), "b".into())]);
    let error = load(&file.path, &wrong).unwrap_err().to_string();
    assert!(error.starts_with("the flag for api.listen"), "{error}");
}

#[test]
fn the_effective_configuration_shows_defaults_and_hides_secrets() {
    let file = written(
        "[api]\napi_key = \"hush\"\n[[source]]\nname = \"a\"\n[source.kafka]\nbrokers = \"b:1\"\n\
         topics = [\"t\"]\ngroup = \"g\"\n[source.kafka.properties]\n\"sasl.password\" = \"hush\"\n\
         [[source]]\nname = \"q\"\n[source.amqp]\nurl = \"amqp://me:hush@127.0.0.1/\"\nqueue = \"q\"\n",
    );
    let settings = load(&file.path, &Overrides::default()).unwrap();
    let text = render_masked(&settings).unwrap();
    assert!(!text.contains("hush"), "{text}");
    assert!(text.contains("***") && text.contains("me:***@"), "{text}");
    assert!(text.contains("checkpoint_wal_bytes"), "{text}");
}
