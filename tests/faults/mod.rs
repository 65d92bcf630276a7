//! Brokers that misbehave in every way, under load: the state is the model's in the end, and
//! every message was recorded once.
//!
//! Each fault is met a few times in `make test` and at least twenty times in `make soak`.

mod compaction;
mod drain;
mod kafka;
mod ledger;
mod model;
mod plan;
mod publish;
mod rabbit;
mod transactions;
mod twins;

use std::time::{Duration, Instant};

use crate::harness::{Pointd, Setup};

/// How long recovery from any one fault may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(180);

/// Something that goes wrong in a world of brokers, publisher and daemon.
pub type Fault<W> = (&'static str, fn(&mut W));

/// Whether the publisher sends messages again under their message-id, which a window recognises.
/// Without it, everything that comes twice must be recognised by its position.
#[derive(Clone, Copy, PartialEq)]
pub enum Repeats {
    Never,
    Window,
}

impl Repeats {
    pub fn percent(self) -> u64 {
        match self {
            Repeats::Never => 0,
            Repeats::Window => 10,
        }
    }

    pub fn window(self) -> u64 {
        match self {
            Repeats::Never => 0,
            // More than waits in the broker while the daemon is restarted: a message and its repeat
            // may be in partitions that are caught up with one after the other.
            Repeats::Window => 100_000,
        }
    }
}

/// Meets every fault, `rounds` times, and each time waits until messages come through again.
fn meet<W>(world: &mut W, faults: &[Fault<W>], rounds: usize, daemon: fn(&W) -> &Daemon) {
    for round in 1..=rounds {
        for (name, fault) in faults {
            daemon(world).wait_for_more("the fault before");
            let began = Instant::now();
            fault(world);
            daemon(world).wait_for_more(name);
            eprintln!("round {round}: {name}: over after {:?}", began.elapsed());
        }
    }
}

/// Where its sources stand, if whoever waits for it gives up.
struct LastWords<'a>(&'a Pointd);

impl Drop for LastWords<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // It may be gone, and a second panic would end all tests.
            eprintln!("{}", self.0.sources_if_up());
        }
    }
}

/// A daemon and its configuration; `section` is its source's.
pub struct Daemon {
    pub setup: Setup,
    pub running: Option<Pointd>,
}

impl Daemon {
    /// The log is kept whole, so that it can be compared with what was published.
    pub fn start(section: &str) -> Daemon {
        let setup = Setup::new();
        setup.configure(&format!(
            "[storage]\nlog_file_bytes = 8388608\ncheckpoint_wal_bytes = 1000000000\n\
             head_bytes_max = 1000000000\n{}{section}",
            plan::SECTION
        ));
        let running = Some(setup.start());
        Daemon { setup, running }
    }

    pub fn pointd(&self) -> &Pointd {
        self.running.as_ref().unwrap()
    }

    /// Killed, and started again on what it left.
    pub fn kill_and_restart(&mut self) {
        if let Some(running) = self.running.take() {
            running.kill_9();
        }
        // A halted partition would never be ready: whoever kills looks for that.
        self.running = Some(self.setup.start_within(PATIENCE));
    }

    pub fn kill(&mut self) {
        if let Some(running) = self.running.take() {
            running.kill_9();
        }
    }

    /// Messages recorded and applied, dead letters included. The record that creates the
    /// collection is none.
    pub fn messages(&self) -> u64 {
        let count = |kind: &str| {
            let series = format!("pointd_applied_records{{kind=\"{kind}\"}}");
            self.pointd().metric(&series).unwrap_or(0.0) as u64
        };
        (count("operations") + count("dead_letter")).saturating_sub(1)
    }

    /// Waits until so many messages are applied.
    #[track_caller]
    pub fn wait_for(&self, messages: u64, why: &str) {
        let said = format!("{messages} messages after {why}");
        let last_words = LastWords(self.pointd());
        self.pointd().wait_until(&said, PATIENCE, |_| self.messages() >= messages);
        drop(last_words);
    }

    /// Waits until more messages than before are applied: it is over the fault.
    #[track_caller]
    pub fn wait_for_more(&self, why: &str) {
        self.wait_for(self.messages() + 50, why);
    }
}
