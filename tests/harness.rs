//! The real binary, started and stopped by tests, and the HTTP client they talk to it with.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::brokers::free_port;

/// How long anything that should happen is waited for.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// For an orderly end, which syncs every file of a checkpoint, one after the other.
const SHUTDOWN: &str = "[shutdown]\ndeadline = \"110s\"\n";

/// A running pointd. Killed when dropped.
pub struct Pointd {
    child: Child,
    pub url: String,
    pub log: PathBuf,
}

/// A configuration file in a directory of its own, with a port of its own.
pub struct Setup {
    pub dir: tempfile::TempDir,
    pub port: u16,
}

impl Setup {
    pub fn new() -> Setup {
        Setup { dir: tempfile::tempdir().unwrap(), port: free_port() }
    }

    pub fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// Writes the configuration: `rest` after the sections that every test needs. Gives its path.
    pub fn configure(&self, rest: &str) -> PathBuf {
        let path = self.dir.path().join("pointd.toml");
        let (port, data) = (self.port, self.data());
        let text = format!("[api]\nlisten = \"127.0.0.1:{port}\"\n{rest}");
        let text = if text.contains("[storage]") {
            text.replace("[storage]", &format!("[storage]\ndir = {data:?}"))
        } else {
            format!("{text}\n[storage]\ndir = {data:?}\n")
        };
        let text = if text.contains("[shutdown]") { text } else { format!("{text}\n{SHUTDOWN}") };
        std::fs::write(&path, text).unwrap();
        path
    }

    /// Starts the daemon on the configuration and returns when it is ready.
    pub fn start(&self) -> Pointd {
        self.start_within(PATIENCE)
    }

    /// Likewise; a long log takes its time to be read again.
    pub fn start_within(&self, patience: Duration) -> Pointd {
        let mut pointd = self.spawn();
        pointd.wait_answers("/readyz", patience);
        pointd
    }

    /// Starts it and returns when it answers, be it that it is not ready: a source may halt at
    /// once.
    pub fn start_serving(&self) -> Pointd {
        let mut pointd = self.spawn();
        pointd.wait_answers("/healthz", PATIENCE);
        pointd
    }

    /// Starts it and returns at once.
    pub fn spawn(&self) -> Pointd {
        let log = self.dir.path().join("pointd.log");
        let file = std::fs::OpenOptions::new().create(true).append(true).open(&log).unwrap();
        let child = Command::new(binary())
            .args(["serve", "--config"])
            .arg(self.dir.path().join("pointd.toml"))
            .stdin(Stdio::null())
            .stdout(Stdio::from(file.try_clone().unwrap()))
            .stderr(Stdio::from(file))
            .spawn()
            .unwrap();
        Pointd { child, url: format!("http://127.0.0.1:{}", self.port), log }
    }

    /// Starts it, expects it to end by itself with a failure, and gives what it said.
    pub fn start_refused(&self) -> String {
        self.start_refused_with().1
    }

    /// Likewise, behind its exit code.
    pub fn start_refused_with(&self) -> (Option<i32>, String) {
        let mut pointd = self.spawn();
        let status = pointd.wait_exit(PATIENCE);
        assert!(!status.success(), "it started: {}", pointd.log_text());
        (status.code(), pointd.log_text())
    }
}

pub fn binary() -> &'static str {
    env!("CARGO_BIN_EXE_pointd")
}

impl Pointd {
    pub fn wait_ready(&mut self) {
        self.wait_answers("/readyz", PATIENCE);
    }

    /// With 200.
    fn wait_answers(&mut self, path: &str, patience: Duration) {
        let deadline = Instant::now() + patience;
        loop {
            if self.get_status(path) == Some(200) {
                return;
            }
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("pointd ended with {status}:\n{}", self.log_text());
            }
            assert!(Instant::now() < deadline, "{path} is not 200:\n{}", self.log_text());
            pause();
        }
    }

    /// Of the process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What the kernel counts for the process: its memory and the mapped files it has touched.
    pub fn resident_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
    }

    pub fn log_text(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// SIGKILL: what a crash of the process leaves behind.
    pub fn kill_9(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGSTOP: it does nothing until [`Pointd::thaw`], and closes nothing.
    pub fn freeze(&self) {
        crate::brokers::signal(self.child.id(), "-STOP");
    }

    pub fn thaw(&self) {
        crate::brokers::signal(self.child.id(), "-CONT");
    }

    /// SIGTERM, and the exit status it ends with.
    pub fn terminate(mut self) -> ExitStatus {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        self.wait_exit(PATIENCE)
    }

    fn wait_exit(&mut self, patience: Duration) -> ExitStatus {
        let deadline = Instant::now() + patience;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "it did not end:\n{}", self.log_text());
            pause();
        }
    }

    pub fn get_status(&self, path: &str) -> Option<u16> {
        agent()
            .get(format!("{}{path}", self.url))
            .call()
            .ok()
            .map(|answer| answer.status().as_u16())
    }

    pub fn get(&self, path: &str) -> Value {
        answer(agent().get(format!("{}{path}", self.url)).call())
    }

    pub fn post(&self, path: &str, body: &Value) -> Value {
        answer(agent().post(format!("{}{path}", self.url)).send_json(body))
    }

    pub fn put(&self, path: &str, body: &Value) -> Value {
        answer(agent().put(format!("{}{path}", self.url)).send_json(body))
    }

    pub fn text(&self, path: &str) -> String {
        let mut text = String::new();
        let answer = agent().get(format!("{}{path}", self.url)).call().unwrap();
        answer.into_body().into_reader().read_to_string(&mut text).unwrap();
        text
    }

    /// The value of the metric whose line begins with `series`.
    pub fn metric(&self, series: &str) -> Option<f64> {
        metric(&self.text("/metrics"), series)
    }

    /// The same, once it is `least` or more: records are counted a moment after they can be read.
    #[track_caller]
    pub fn metric_at_least(&self, series: &str, least: f64) -> f64 {
        self.wait_until(series, PATIENCE, |pointd| pointd.metric(series) >= Some(least));
        self.metric(series).unwrap()
    }

    pub fn count(&self, collection: &str) -> u64 {
        let path = format!("/collections/{collection}/points/count");
        self.post(&path, &json!({"exact": true}))["result"]["count"].as_u64().unwrap_or(0)
    }

    /// `None` while it does not answer.
    pub fn count_if_up(&self, collection: &str) -> Option<u64> {
        let url = format!("{}/collections/{collection}/points/count", self.url);
        let mut answer = agent().post(url).send_json(json!({"exact": true})).ok()?;
        answer.body_mut().read_json::<Value>().ok()?["result"]["count"].as_u64()
    }

    /// What it says of its sources; nothing while it does not answer.
    pub fn sources_if_up(&self) -> String {
        let text = agent().get(format!("{}/sources", self.url)).call().ok();
        text.and_then(|answer| answer.into_body().read_to_string().ok()).unwrap_or_default()
    }

    /// Until every source stands and gives this reason.
    pub fn wait_paused(&self, why: &str) {
        self.wait_until(&format!("the pause: {why}"), PATIENCE, |pointd| {
            let answer = pointd.get("/sources");
            let sources = answer["result"]["sources"].as_array();
            let paused = |source: &Value| source["state"] == "paused" && source["why"] == why;
            sources.is_some_and(|sources| !sources.is_empty() && sources.iter().all(paused))
        });
    }

    /// Waits until `holds` does, for at most `patience`.
    pub fn wait_until(&self, what: &str, patience: Duration, mut holds: impl FnMut(&Self) -> bool) {
        let deadline = Instant::now() + patience;
        while !holds(self) {
            assert!(Instant::now() < deadline, "waited for {what}:\n{}", tail(&self.log));
            pause();
        }
    }
}

impl Drop for Pointd {
    fn drop(&mut self) {
        // Already ended where a test ended it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The last lines of a log, for a failed assertion.
fn tail(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}

pub fn metric(text: &str, series: &str) -> Option<f64> {
    let line = text
        .lines()
        .find(|line| line.strip_prefix(series).is_some_and(|rest| rest.starts_with(' ')))?;
    line.rsplit(' ').next()?.parse().ok()
}

fn agent() -> &'static ureq::Agent {
    static AGENT: std::sync::OnceLock<ureq::Agent> = std::sync::OnceLock::new();
    AGENT.get_or_init(|| {
        ureq::Agent::config_builder()
            .http_status_as_error(false)
            // Longer than the server's own.
            .timeout_global(Some(Duration::from_secs(120)))
            .build()
            .into()
    })
}

fn answer(result: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Value {
    result.unwrap().body_mut().read_json().unwrap()
}

/// Between two looks at something that another process changes.
pub fn pause() {
    pause_for(Duration::from_millis(20));
}

pub fn pause_for(duration: Duration) {
    let end = Instant::now() + duration;
    // It may return early, for one where a channel has woken this thread before.
    while Instant::now() < end {
        // tidy allows: every wait on another process polls its condition with a deadline, here
        std::thread::park_timeout(end.saturating_duration_since(Instant::now()));
    }
}
