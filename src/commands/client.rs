//! Asks a running daemon, by HTTP, for the commands that tell it something.
//!
//! Promise: an answer that is no success becomes one sentence. No promise: TLS; the daemon has
//! none, and what stands before it for others is not between it and its own machine.

use std::time::Duration;

use clap::Args;
use serde_json::Value;

use super::CommandError;
use crate::config::{self, Overrides};

const TIMEOUT: Duration = Duration::from_secs(60);
const KEY_VARIABLE: &str = "POINTD__API__API_KEY";
/// As much of an answer as is read.
const ANSWER_BYTES_MAX: u64 = 64 << 20;

/// Where the daemon is.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("daemon").required(true).args(["config", "url"]))]
pub(super) struct DaemonArgs {
    /// The daemon's configuration file, for its address and key.
    #[arg(long, value_name = "FILE")]
    config: Option<std::path::PathBuf>,
    /// The daemon's address, such as http://127.0.0.1:6333. The key is taken from the
    /// environment: POINTD__API__API_KEY.
    #[arg(long)]
    url: Option<String>,
}

pub(super) struct Client {
    agent: ureq::Agent,
    url: String,
    key: Option<String>,
}

impl DaemonArgs {
    pub(super) fn client(&self) -> Result<Client, CommandError> {
        let (url, key) = match (&self.url, &self.config) {
            (Some(url), _) => {
                (url.trim_end_matches('/').to_owned(), std::env::var(KEY_VARIABLE).ok())
            }
            (None, Some(file)) => {
                let api = config::load(file, &Overrides::default())?.api;
                let mut address = api.listen;
                // What listens everywhere is here too.
                if address.ip().is_unspecified() {
                    let here = std::net::Ipv4Addr::LOCALHOST;
                    address.set_ip(here.into());
                }
                (format!("http://{address}"), api.api_key.map(|key| key.reveal().to_owned()))
            }
            (None, None) => return Err("give --config or --url".into()),
        };
        let agent = ureq::Agent::config_builder()
            .timeout_global(Some(TIMEOUT))
            .http_status_as_error(false)
            .proxy(None)
            .build()
            .into();
        Ok(Client { agent, url, key })
    }
}

impl Client {
    /// The `result` of the answer.
    pub(super) fn get(&self, path: &str) -> Result<Value, CommandError> {
        let mut request = self.agent.get(format!("{}{path}", self.url));
        if let Some(key) = &self.key {
            request = request.header("api-key", key);
        }
        self.answer(request.call())
    }

    /// The `result` of the answer.
    pub(super) fn post(&self, path: &str, body: &Value) -> Result<Value, CommandError> {
        let mut request = self.agent.post(format!("{}{path}", self.url));
        request = request.header("content-type", "application/json");
        if let Some(key) = &self.key {
            request = request.header("api-key", key);
        }
        self.answer(request.send(body.to_string()))
    }

    fn answer(
        &self,
        answered: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
    ) -> Result<Value, CommandError> {
        let mut response = answered
            .map_err(|error| format!("the daemon at {} does not answer: {error}", self.url))?;
        let status = response.status();
        let text = response
            .body_mut()
            .with_config()
            .limit(ANSWER_BYTES_MAX)
            .read_to_string()
            .map_err(|error| format!("the answer of {} broke off: {error}", self.url))?;
        let mut answer: Value = serde_json::from_str(&text)
            .map_err(|_| format!("{} answered {status} and no JSON: is it pointd?", self.url))?;
        if status.is_success() {
            return Ok(answer["result"].take());
        }
        let said = answer["status"]["error"].as_str().unwrap_or("and no reason");
        Err(format!("{said} ({status})").into())
    }
}
