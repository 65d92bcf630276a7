//! Real brokers for tests: private, on free loopback ports, gone with the test process.

pub mod kafka;
pub mod proxy;
pub mod rabbitmq;

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::sync::OnceLock;
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

/// Looks again and again until `condition` holds. Panics with `what` after `limit`.
#[track_caller]
pub fn until(what: &str, limit: Duration, condition: impl FnMut() -> bool) {
    until_or(limit, condition, || what.to_owned());
}

/// As `until`; what was waited for is told at the end.
#[track_caller]
pub fn until_or(limit: Duration, mut condition: impl FnMut() -> bool, what: impl Fn() -> String) {
    let deadline = Instant::now() + limit;
    while !condition() {
        assert!(Instant::now() < deadline, "waited {limit:?} in vain: {}", what());
        // tidy allows: the one place that polls, with a deadline
        std::thread::park_timeout(Duration::from_millis(2));
    }
}

/// Ports that were free a moment ago.
fn free_ports<const N: usize>() -> [u16; N] {
    let listeners = [(); N].map(|()| TcpListener::bind(("127.0.0.1", 0)).unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}

/// Everything that brokers need to be made once: under `target/`.
fn target() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target")
}

/// Starts `command` so that it is killed with this process, however that ends. The kernel ties
/// it to the *thread* that starts it, and a test's thread ends with the test: so one thread
/// that never ends starts them all.
fn launch(command: Command) -> std::io::Result<Child> {
    type Order = (Command, Sender<std::io::Result<Child>>);
    static LAUNCHER: OnceLock<Sender<Order>> = OnceLock::new();
    let launcher = LAUNCHER.get_or_init(|| {
        let (sender, orders) = channel::<Order>();
        std::thread::spawn(move || {
            for (mut command, answer) in orders {
                answer.send(command.spawn()).unwrap();
            }
        });
        sender
    });
    let (answer, started) = channel();
    launcher.send((command, answer)).unwrap();
    started.recv().unwrap()
}

/// `program`, killed by the kernel when its starter goes.
fn tied(program: &str) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--", program]);
    command
}

/// Sends `signal` to one process.
pub fn signal(pid: u32, signal: &str) {
    let sent = Command::new("kill").args([signal, &pid.to_string()]).status();
    assert!(sent.is_ok(), "kill: {sent:?}");
}
