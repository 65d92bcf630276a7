//! Asks a running daemon over HTTP.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::{Duration, UNIX_EPOCH};

use clap::Args;
use humantime_serde::re::humantime;
use serde_json::Value;

use super::CommandError;
use crate::config::{self, Overrides};

/// The daemon's own limit of a request is shorter, unless it was raised.
const TIMEOUT: Duration = Duration::from_secs(120);
/// As much as a daemon may be configured to answer.
const ANSWER_BYTES_MAX: u64 = 1 << 30;
/// The key of a daemon that is named by its address.
const KEY_VARIABLE: &str = "POINTD__API__API_KEY";

/// Which daemon.
#[derive(Clone, Debug, Args)]
#[group(required = true, multiple = false)]
pub(super) struct DaemonArgs {
    /// The daemon's configuration file, for its address and API key.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The daemon's address, such as http://127.0.0.1:6333. The environment variable
    /// POINTD__API__API_KEY gives the key.
    #[arg(long, value_name = "URL")]
    url: Option<String>,
}

pub(super) struct Client {
    agent: ureq::Agent,
    url: String,
    key: Option<String>,
}

impl Client {
    pub(super) fn new(args: &DaemonArgs) -> Result<Client, CommandError> {
        let (url, key) = match (&args.config, &args.url) {
            (Some(file), _) => {
                let settings = config::load(file, &Overrides::default())?;
                let key = settings.api.api_key.as_ref().map(|key| key.expose().to_owned());
                (address(settings.api.listen)?, key)
            }
            (None, Some(url)) => {
                if !url.starts_with("http://") {
                    return Err(format!("--url {url}: give http://HOST:PORT").into());
                }
                (url.trim_end_matches('/').to_owned(), std::env::var(KEY_VARIABLE).ok())
            }
            (None, None) => return Err("give --config or --url".into()),
        };
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(TIMEOUT))
            // A daemon of this machine is behind none.
            .proxy(None)
            .build()
            .into();
        Ok(Client { agent, url, key })
    }

    /// The `result` of the answer; what the daemon has to say against it, as an error.
    pub(super) fn get(&self, path: &str, query: &[(&str, String)]) -> Result<Value, CommandError> {
        let mut request = self.agent.get(format!("{}{path}", self.url));
        for (name, value) in query {
            request = request.query(name, value);
        }
        if let Some(key) = &self.key {
            request = request.header("api-key", key);
        }
        self.result(request.call())
    }

    /// As [`Client::get`].
    pub(super) fn post(&self, path: &str, body: &Value) -> Result<Value, CommandError> {
        let mut request = self.agent.post(format!("{}{path}", self.url));
        if let Some(key) = &self.key {
            request = request.header("api-key", key);
        }
        self.result(request.send_json(body))
    }

    fn result(
        &self,
        answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
    ) -> Result<Value, CommandError> {
        let url = &self.url;
        let mut answer = answer
            .map_err(|error| format!("{url} does not answer: {error}. Is the daemon running?"))?;
        let status = answer.status();
        let body = answer.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_json::<Value>();
        let mut body =
            body.map_err(|error| format!("{url} answers {status}, not JSON: {error}"))?;
        if status.is_success() {
            return Ok(body["result"].take());
        }
        let told = body["status"]["error"].as_str().unwrap_or("without a reason");
        Err(format!("{url} answers {status}: {told}").into())
    }
}

/// Where a daemon with this setting is reached from its own machine.
fn address(listen: SocketAddr) -> Result<String, CommandError> {
    if listen.port() == 0 {
        return Err("api.listen has port 0, another one at each start: give --url".into());
    }
    let host = match listen.ip() {
        ip if !ip.is_unspecified() => ip,
        IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    };
    Ok(format!("http://{}", SocketAddr::new(host, listen.port())))
}

/// A time of an answer, for a terminal.
pub(super) fn time_shown(unix_ms: &Value) -> Option<String> {
    let time = UNIX_EPOCH.checked_add(Duration::from_millis(unix_ms.as_u64()?))?;
    // Beyond the year 9999 it has no such form.
    let last = Duration::from_secs(253_402_300_799);
    let known = time.duration_since(UNIX_EPOCH).is_ok_and(|since| since <= last);
    known.then(|| humantime::format_rfc3339_seconds(time).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_all_interfaces_is_reached_over_loopback() {
        let address = |listen: &str| address(listen.parse().unwrap());
        assert_eq!(address("0.0.0.0:6333").unwrap(), "http://127.0.0.1:6333");
        assert_eq!(address("[::]:6333").unwrap(), "http://[::1]:6333");
        assert_eq!(address("10.0.0.1:80").unwrap(), "http://10.0.0.1:80");
        assert!(address("127.0.0.1:0").is_err());
    }
}
