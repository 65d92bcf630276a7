//! Apache Kafka behind TLS and SCRAM, with certificates made for the occasion.

use std::path::{Path, PathBuf};
use std::process::Command;

use pointd::source::kafka::KafkaSettings;

use super::free_ports;
use super::kafka::Kafka;
use crate::sources::kafka_settings;

pub const USER: &str = "pointd";
pub const PASSWORD: &str = "a-secret-of-the-test";

pub struct Secure {
    pub kafka: Kafka,
    /// `host:port` of the listener that wants a password.
    pub bootstrap: String,
    /// The certificate that the broker's is signed with.
    pub ca: PathBuf,
    /// One that has signed nothing here.
    pub other_ca: PathBuf,
    _directory: tempfile::TempDir,
}

fn openssl(directory: &Path, arguments: &str) {
    let done = Command::new("openssl")
        .args(arguments.split_whitespace())
        .current_dir(directory)
        .output()
        .unwrap();
    assert!(done.status.success(), "openssl: {}", String::from_utf8_lossy(&done.stderr));
}

fn certificates(directory: &Path) {
    let made = "-newkey rsa:2048 -nodes -days 2";
    for ca in ["ca", "other"] {
        openssl(
            directory,
            &format!("req -x509 {made} -keyout {ca}.key -out {ca}.pem -subj /CN={ca}"),
        );
    }
    std::fs::write(directory.join("names"), "subjectAltName=IP:127.0.0.1\n").unwrap();
    openssl(directory, "req -newkey rsa:2048 -nodes -keyout own.key -out own.csr -subj /CN=broker");
    openssl(
        directory,
        "x509 -req -in own.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names \
         -out own.pem",
    );
    let read = |name: &str| std::fs::read_to_string(directory.join(name)).unwrap();
    std::fs::write(directory.join("store.pem"), read("own.key") + &read("own.pem")).unwrap();
}

impl Secure {
    pub fn start(check: &str) -> Option<Secure> {
        Secure::start_with(check, "")
    }

    /// Whoever comes with a password may do nothing, until that is allowed.
    pub fn start_with_rights(check: &str) -> Option<Secure> {
        Secure::start_with(
            check,
            "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer\n\
             super.users=User:ANONYMOUS\n",
        )
    }

    /// Whether the user may do everything. The broker is started anew for it.
    pub fn allow(&mut self, allowed: bool) {
        let users = match allowed {
            true => format!("User:ANONYMOUS;User:{USER}"),
            false => "User:ANONYMOUS".to_owned(),
        };
        self.kafka.stop();
        self.kafka.set_property("super.users", &users);
        self.kafka.restart();
    }

    /// Of a source that comes with the password.
    pub fn settings(&self, topic: &str) -> KafkaSettings {
        let mut settings = kafka_settings(&self.bootstrap, topic);
        for (name, value) in [
            ("security.protocol", "SASL_SSL"),
            ("sasl.mechanism", "SCRAM-SHA-256"),
            ("sasl.username", USER),
            ("sasl.password", PASSWORD),
            ("ssl.ca.location", self.ca.to_str().unwrap()),
        ] {
            settings.properties.0.insert(name.into(), value.into());
        }
        settings
    }

    fn start_with(check: &str, more: &str) -> Option<Secure> {
        let directory = tempfile::tempdir().unwrap();
        certificates(directory.path());
        let [own] = free_ports();
        let store = directory.path().join("store.pem");
        let kafka = Kafka::start_with(check, |port| {
            let (direct, secured) = (format!("127.0.0.1:{port}"), format!("127.0.0.1:{own}"));
            format!(
                "listeners=PLAINTEXT://{direct},SASL_SSL://{secured},\
                 CONTROLLER://127.0.0.1:{{controller}}\n\
                 advertised.listeners=PLAINTEXT://{direct},SASL_SSL://{secured}\n\
                 listener.security.protocol.map=\
                 PLAINTEXT:PLAINTEXT,SASL_SSL:SASL_SSL,CONTROLLER:PLAINTEXT\n\
                 ssl.keystore.type=PEM\n\
                 ssl.keystore.location={}\n\
                 sasl.enabled.mechanisms=SCRAM-SHA-256\n\
                 listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config=\
                 org.apache.kafka.common.security.scram.ScramLoginModule required;\n{more}",
                store.display()
            )
        })?;
        kafka.add_user(USER, PASSWORD);
        let in_directory = |name| directory.path().join(name);
        Some(Secure {
            bootstrap: format!("127.0.0.1:{own}"),
            ca: in_directory("ca.pem"),
            other_ca: in_directory("other.pem"),
            kafka,
            _directory: directory,
        })
    }
}
