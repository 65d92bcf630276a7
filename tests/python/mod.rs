//! Two oracles and a smoke test, in Python, against the real binary: Qdrant's client, unchanged;
//! its local mode, whose answers ours must equal; and Qdrant's engine, whose state ours must equal
//! after the same operations, over HTTP and through Kafka.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::Value;

use crate::brokers::kafka::Kafka;
use crate::harness::{PATIENCE, Pointd, Setup, binary};

/// The version whose requests `api::QDRANT_VERSION` answers to. It brings the local mode.
const CLIENT: &str = "qdrant-client==1.20.0";
/// Qdrant's engine, in a Python process.
const ENGINE: &str = "qdrant-edge-py==0.9.0";

/// Runs it to its end, and gives what it said.
fn run(command: &mut Command) -> String {
    attempt(command).unwrap_or_else(|error| panic!("{error}"))
}

fn attempt(command: &mut Command) -> Result<String, String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    let (told, failed) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    match output.status.success() {
        true => Ok(told.into_owned()),
        false => Err(format!("{command:?}\n{told}\n{failed}")),
    }
}

/// The package index may be away for a moment.
fn install(python: &Path) {
    let mut pip = Command::new(python);
    pip.args(["-m", "pip", "install", "--quiet", "--retries", "8", CLIENT, ENGINE]);
    let failures: Vec<String> = (0..3).map_while(|_| attempt(&mut pip).err()).collect();
    assert!(failures.len() < 3, "these tests need packages: {}", failures.join("\n"));
}

/// Made once; its name says what is in it.
fn interpreter() -> &'static Path {
    static PYTHON: OnceLock<PathBuf> = OnceLock::new();
    PYTHON.get_or_init(|| {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let venv = target.join(format!("{CLIENT}-{ENGINE}").replace("==", "-"));
        let (python, done) = (venv.join("bin/python"), venv.join("installed"));
        if !done.exists() {
            run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&venv));
            install(&python);
            std::fs::write(&done, "").unwrap();
        }
        python
    })
}

fn script(name: &str, url: &str) -> Command {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python").join(name);
    let mut command = Command::new(interpreter());
    // Its directory is the source tree, which stays as it is.
    command.env("PYTHONDONTWRITEBYTECODE", "1").arg(path).arg(url);
    command
}

#[test]
fn the_python_client_works_unchanged() {
    let setup = Setup::new();
    setup.configure("");
    let pointd = setup.start();
    run(&mut script("smoke.py", &pointd.url));
    assert!(pointd.terminate().success());
}

#[test]
fn every_answer_to_the_client_is_that_of_its_local_mode() {
    let setup = Setup::new();
    setup.configure("");
    let pointd = setup.start();
    print!("{}", run(script("compare.py", &pointd.url).args(["7", "6000"])));
    assert!(pointd.terminate().success());
}

/// Compares every collection with what the engine ended with.
fn check(pointd: &Pointd, state: &Path) {
    print!("{}", run(script("oracle.py", &pointd.url).arg("--check-state").arg(state)));
}

/// Kills it, and compares what the log brings back.
fn survives_a_kill(setup: &Setup, pointd: Pointd, state: &Path) -> Pointd {
    pointd.kill_9();
    let pointd = setup.start();
    check(&pointd, state);
    pointd
}

#[test]
fn random_sequences_over_http_end_as_in_qdrants_engine() {
    let setup = Setup::new();
    // Small, so that what is compared has been through checkpoints and segments.
    setup.configure("[storage]\ncheckpoint_wal_bytes = 4000000\nlog_file_bytes = 1000000\n");
    let pointd = setup.start();
    let state = setup.dir.path().join("state.json");
    let mut oracle = script("oracle.py", &pointd.url);
    // Few enough that most sequences begin with what others left, in segments too.
    oracle.args(["7", "--sequences", "2000", "--collections", "60", "--state"]).arg(&state);
    print!("{}", run(&mut oracle));
    check(&pointd, &state);
    let pointd = survives_a_kill(&setup, pointd, &state);
    // An orderly stop makes a checkpoint, so that this start reads segments only.
    assert!(pointd.terminate().success());
    check(&setup.start(), &state);
}

/// Messages of the topic that are applied, dead letters too.
fn applied(pointd: &Pointd) -> u64 {
    let sources = pointd.get("/sources");
    let streams =
        sources["result"]["sources"][0]["streams"].as_array().cloned().unwrap_or_default();
    streams.iter().filter_map(|stream| stream["applied"].as_u64()).sum()
}

#[test]
fn random_sequences_as_messages_end_as_in_qdrants_engine() {
    let Some(kafka) = Kafka::shared("random sequences of all operations as messages") else {
        return;
    };
    let (topic, bootstrap) = ("oracle", kafka.bootstrap());
    kafka.create_topic(topic, 4);
    let setup = Setup::new();
    setup.configure(&format!(
        "[[source]]\nname = \"s\"\n[source.kafka]\nbrokers = \"{bootstrap}\"\n\
         topics = [\"{topic}\"]\ngroup = \"oracle\"\n"
    ));
    let pointd = setup.start();
    let (messages, state) =
        (setup.dir.path().join("messages.jsonl"), setup.dir.path().join("state.json"));
    let mut oracle = script("oracle.py", &pointd.url);
    oracle.args(["7", "--sequences", "2000", "--write-messages"]).arg(&messages);
    print!("{}", run(oracle.arg("--state").arg(&state)));
    // One collection's messages stay in one partition, and so in order.
    let produce = ["produce", "--brokers", &bootstrap, "--topic", topic, "--key-field"];
    run(Command::new(binary()).args(produce).args(["collection", "--file"]).arg(&messages));
    let sent = std::fs::read_to_string(&messages).unwrap().lines().count() as u64;
    pointd.wait_until("all messages", PATIENCE * 5, |pointd| applied(pointd) == sent);
    let expected: Value = serde_json::from_slice(&std::fs::read(&state).unwrap()).unwrap();
    let expected = expected["dead_letters"].as_u64().unwrap();
    assert!(expected > 0);
    assert_eq!(pointd.metric_at_least("pointd_dead_letters", expected as f64) as u64, expected);
    check(&pointd, &state);
    survives_a_kill(&setup, pointd, &state);
}
