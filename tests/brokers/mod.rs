//! Real brokers for tests: private, on free loopback ports, gone with the test process.

pub mod kafka;
pub mod proxy;
pub mod rabbitmq;
pub mod secure;
pub mod without;

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
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

/// Below those that the kernel gives to whoever asks for any, a client's own end among them.
const PORTS: std::ops::Range<u32> = 10_000..32_000;

/// A free port that nobody else is given, so that it is there after a restart, too.
pub fn free_port() -> u16 {
    static GIVEN: AtomicU32 = AtomicU32::new(0);
    // Processes that run side by side begin at different ones.
    let begin = std::process::id().wrapping_mul(509);
    let place = || begin.wrapping_add(GIVEN.fetch_add(1, Ordering::Relaxed)) % PORTS.len() as u32;
    let mut ports = std::iter::repeat_with(|| PORTS.start + place()).take(1000);
    let free = ports.find(|port| TcpListener::bind(("127.0.0.1", *port as u16)).is_ok());
    free.expect("a free port") as u16
}

fn free_ports<const N: usize>() -> [u16; N] {
    [(); N].map(|()| free_port())
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
