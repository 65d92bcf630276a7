//! Connections that cannot be made as configured: what is refused, and what is waited for.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::brokers::free_port;
use crate::harness::{PATIENCE, Pointd, Setup, binary};

/// The exit code of `pointd check`, and what it says against the configuration.
fn check(config: &Path) -> (Option<i32>, String) {
    let checked = Command::new(binary()).args(["check", "--config"]).arg(config).output().unwrap();
    (checked.status.code(), String::from_utf8_lossy(&checked.stderr).into_owned())
}

fn kafka(name: &str, properties: &str) -> String {
    format!(
        "[[source]]\nname = \"{name}\"\n[source.kafka]\nbrokers = \"127.0.0.1:{}\"\n\
         topics = [\"{name}\"]\ngroup = \"{name}\"\n[source.kafka.properties]\n{properties}\n",
        free_port()
    )
}

const EMBEDDED: &str = "[[source]]\nname = \"well\"\n[source.embedded]\n";

#[test]
fn what_no_client_can_be_made_of_is_refused_by_check_and_by_serve() {
    let kerberos = "\"security.protocol\" = \"SASL_PLAINTEXT\"\n\"sasl.mechanism\" = \"GSSAPI\"\n";
    let forward = format!(
        "[dead_letters.forward.kafka]\nbrokers = \"127.0.0.1:1\"\ntopic = \"dead\"\n\
         [dead_letters.forward.kafka.properties]\n{kerberos}"
    );
    let of_source = EMBEDDED.to_owned() + &kafka("orders", kerberos);
    let cases = [
        (of_source, ["`source[1].kafka`", "source `orders`", "GSSAPI"]),
        (forward, ["`dead_letters.forward.kafka`", "no client", "GSSAPI"]),
    ];
    for (config, words) in cases {
        let setup = Setup::new();
        let path = setup.configure(&config);
        for (code, said) in [check(&path), setup.start_refused_with()] {
            assert_eq!(code, Some(78), "{said}");
            assert!(words.iter().all(|word| said.contains(word)), "{words:?}: {said}");
        }
        assert!(!setup.data().exists(), "refused before anything was made");
    }
}

fn reconnecting(pointd: &Pointd, source: &str) -> Option<String> {
    let answer = pointd.get("/sources");
    let sources = answer["result"]["sources"].as_array()?;
    let found = sources.iter().find(|it| it["source"] == source)?;
    let error = found["error"].as_str().filter(|_| found["state"] == "reconnecting");
    error.map(str::to_owned)
}

#[test]
fn a_file_that_is_not_there_is_refused_by_check_and_waited_for_by_serve() {
    let setup = Setup::new();
    let ca = setup.dir.path().join("ca.pem");
    let of_kafka = format!("\"security.protocol\" = \"SSL\"\n\"ssl.ca.location\" = {ca:?}");
    let of_rabbit = format!(
        "[[source]]\nname = \"queue\"\n[source.amqp]\nurl = \"amqps://127.0.0.1:{}\"\n\
         queue = \"q\"\nca_file = {ca:?}\n",
        free_port()
    );
    for (name, config) in [("topic", kafka("topic", &of_kafka)), ("queue", of_rabbit.clone())] {
        let (code, said) = check(&setup.configure(&config));
        assert_eq!(code, Some(78), "{said}");
        let words = [&*format!("source `{name}`"), "ca.pem", "No such file"];
        assert!(words.iter().all(|word| said.contains(word)), "{words:?}: {said}");
    }
    setup.configure(&(kafka("topic", &of_kafka) + &of_rabbit + EMBEDDED));
    let pointd = setup.start();
    for source in ["topic", "queue"] {
        pointd.wait_until(source, PATIENCE, |pointd| {
            reconnecting(pointd, source).is_some_and(|error| error.contains("ca.pem"))
        });
    }
    let is_well = |source: &Value| source["source"] == "well" && source["state"] == "running";
    pointd.wait_until("the other source", PATIENCE, |pointd| {
        pointd.get("/sources")["result"]["sources"].as_array().unwrap().iter().any(is_well)
    });
    assert!(pointd.terminate().success());
}
