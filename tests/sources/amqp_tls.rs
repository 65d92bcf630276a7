//! RabbitMQ over TLS, with certificates of the test's own.

use std::path::Path;
use std::process::Command;

use pointd::source::status::Kind;

use super::amqp::{is_reconnecting, settings, start};
use super::outlet::Bench;
use super::{numbers, unique};
use crate::brokers::free_port;
use crate::brokers::rabbitmq::RabbitMq;
use crate::harness::{PATIENCE, Pointd, Setup};

/// An authority, and certificates of it for a server called `localhost` and a client.
fn make_certificates(directory: &Path) {
    let openssl = |arguments: &str| {
        let mut command = Command::new("openssl");
        let done = command.args(arguments.split(' ')).current_dir(directory).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    };
    openssl(
        "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=authority -keyout ca-key.pem \
         -out ca.pem",
    );
    std::fs::write(directory.join("names"), "subjectAltName=DNS:localhost\n").unwrap();
    for name in ["server", "client"] {
        openssl(&format!(
            "req -newkey rsa:2048 -nodes -subj /CN={name} -keyout {name}-key.pem -out {name}.csr"
        ));
        openssl(&format!(
            "x509 -req -in {name}.csr -CA ca.pem -CAkey ca-key.pem -CAcreateserial -days 2 \
             -extfile names -out {name}.pem"
        ));
    }
}

/// With a second port that is behind TLS, and asks for a certificate.
fn start_rabbit(check: &str) -> Option<RabbitMq> {
    RabbitMq::start_with(check, |directory, port| {
        make_certificates(directory);
        let file = |name: &str| directory.join(name).display().to_string();
        format!(
            "listeners.ssl.1 = 127.0.0.1:{port}\nssl_options.cacertfile = {}\n\
             ssl_options.certfile = {}\nssl_options.keyfile = {}\n\
             ssl_options.verify = verify_peer\nssl_options.fail_if_no_peer_cert = true\n",
            file("ca.pem"),
            file("server.pem"),
            file("server-key.pem")
        )
    })
}

#[test]
fn the_brokers_certificate_is_checked_and_ours_is_shown() {
    let Some(rabbit) = start_rabbit("TLS to RabbitMQ") else { return };
    let queue = unique("tls");
    rabbit.declare(&queue, false);
    rabbit.publish(&queue, numbers(0..5));
    let port = rabbit.second_port;
    let mut right = settings(&rabbit, &queue);
    right.url.0 = format!("amqps://guest:guest@localhost:{port}/%2f");
    right.ca_file = Some(rabbit.file("ca.pem"));
    right.cert_file = Some(rabbit.file("client.pem"));
    right.key_file = Some(rabbit.file("client-key.pem"));

    let mut stranger = right.clone();
    stranger.ca_file = None;
    let mut misnamed = right.clone();
    misnamed.url.0 = format!("amqps://guest:guest@127.0.0.1:{port}/%2f");
    let mut nobody = right.clone();
    (nobody.cert_file, nobody.key_file) = (None, None);
    for wrong in [stranger, misnamed, nobody] {
        let bench = Bench::new(Kind::Amqp, true);
        let source = start(&bench, &wrong);
        bench.wait_for_report("the refusal", |report| is_reconnecting(&report.state));
        assert_eq!(bench.message_count(), 0);
        bench.stop(source);
    }
    let bench = Bench::new(Kind::Amqp, true);
    let source = start(&bench, &right);
    bench.wait_for_messages(5);
    bench.stop(source);
}

#[test]
fn letters_are_forwarded_over_tls_to_the_node_that_answers() {
    let Some(rabbit) = start_rabbit("forwarding over TLS") else { return };
    rabbit.declare("sick", false);
    rabbit.declare("dead", false);
    rabbit.publish("sick", ["poison".to_owned()]);
    let file = |name: &str| rabbit.file(name).display().to_string();
    let (silent, port) = (free_port(), rabbit.second_port);
    let configuration = |hosts: &str, files: &str| {
        format!(
            "[[source]]\nname = \"s\"\n[source.amqp]\nurl = \"{}\"\nqueue = \"sick\"\n\
             [dead_letters.forward.amqp]\nurl = \"amqps://guest:guest@nowhere.invalid/%2f\"\n\
             hosts = [{hosts}]\nrouting_key = \"dead\"\n{files}",
            rabbit.url()
        )
    };
    let setup = Setup::new();
    let node = format!("\"localhost:{port}\"");
    setup.configure(&configuration(&node, &format!("ca_file = {:?}\n", file("ca.pem"))));
    let pointd = setup.start();
    let state = |pointd: &Pointd| {
        pointd.get("/dead-letters")["result"]["forwarding"]["state"].as_str().map(str::to_owned)
    };
    // The broker asks for a certificate, and none is shown.
    pointd.wait_until("the refusal", PATIENCE, |it| state(it).as_deref() == Some("failing"));
    assert!(pointd.terminate().success());
    let files = format!(
        "ca_file = {:?}\ncert_file = {:?}\nkey_file = {:?}\n",
        file("ca.pem"),
        file("client.pem"),
        file("client-key.pem")
    );
    setup.configure(&configuration(&format!("\"localhost:{silent}\", {node}"), &files));
    let pointd = setup.start();
    pointd.wait_until("the letter", PATIENCE, |_| rabbit.ready("dead") >= 1);
    pointd.wait_until("its confirm", PATIENCE, |it| state(it).as_deref() == Some("idle"));
    assert!(pointd.terminate().success());
}
