//! The limits of the HTTP door, and who may come in.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// `[api]` of the configuration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ApiSettings {
    /// Address and port. Default 127.0.0.1:6333; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Asked for in the header `api-key` or as `Authorization: Bearer …`. Default none, which
    /// only a loopback address may have.
    pub api_key: Option<ApiKey>,
    /// Lets an address that others can reach do without a key. Default false.
    pub allow_unauthenticated: bool,
    /// Bytes of one request's body. Default 32 MiB.
    pub body_bytes_max: usize,
    /// Bytes of all request bodies in memory together; further ones wait. Default 256 MiB.
    pub bodies_bytes_max: usize,
    /// Bytes of one answer; what would be longer is refused. Default 64 MiB.
    pub answer_bytes_max: usize,
    /// Open connections; further ones wait in the kernel until one closes. Default 1024.
    pub connections_max: usize,
    /// How long the head of a request may take, and how long a connection may be idle before
    /// the next. Default 30s.
    #[serde(with = "humantime_serde")]
    pub header_timeout: Duration,
    /// How long a request may take, from its head to its answer. Default 60s.
    #[serde(with = "humantime_serde")]
    pub request_timeout: Duration,
    /// How long requests may go on after shutdown was asked for. Default 10s.
    #[serde(with = "humantime_serde")]
    pub shutdown_timeout: Duration,
    /// Points of one answer: `limit` plus `offset` of a search, `limit` of a scroll, ids of a
    /// retrieve. Default 10 000.
    pub limit_max: usize,
    /// Searches in one batch request. Default 1000.
    pub batch_max: usize,
    /// Reads that use a CPU at the same time; further ones wait. Default: the number of CPUs.
    pub searches_max: usize,
}

/// A secret: never printed.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct ApiKey(String);

impl Serialize for ApiKey {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("***")
    }
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum InvalidSettings {
    #[error(
        "api.listen = {listen} can be reached from other machines and api.api_key is not set: \
         set a key, listen on 127.0.0.1, or set api.allow_unauthenticated = true"
    )]
    Unauthenticated { listen: SocketAddr },
    #[error("api.api_key is empty: leave it out, or give a key")]
    EmptyKey,
    #[error("api.{name} is zero: give at least 1")]
    Zero { name: &'static str },
    #[error("api.bodies_bytes_max is {all}, less than api.body_bytes_max, which is {one}")]
    BodiesBelowBody { all: usize, one: usize },
    #[error("api.{name} is {given}: give at most {max}")]
    TooLarge { name: &'static str, given: usize, max: usize },
}

/// What tokio's semaphores count to, in the KiB that bodies are counted in: 512 GiB.
const BODIES_BYTES_MAX: usize = (u32::MAX as usize >> 3) * 1024;

impl Default for ApiSettings {
    fn default() -> Self {
        ApiSettings {
            listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 6333),
            api_key: None,
            allow_unauthenticated: false,
            body_bytes_max: 32 << 20,
            bodies_bytes_max: 256 << 20,
            answer_bytes_max: 64 << 20,
            connections_max: 1024,
            header_timeout: Duration::from_secs(30),
            request_timeout: Duration::from_secs(60),
            shutdown_timeout: Duration::from_secs(10),
            limit_max: 10_000,
            batch_max: 1000,
            searches_max: std::thread::available_parallelism().map_or(1, usize::from),
        }
    }
}

impl ApiSettings {
    pub fn validate(&self) -> Result<(), InvalidSettings> {
        if self.api_key.as_ref().is_some_and(|key| key.0.trim().is_empty()) {
            return Err(InvalidSettings::EmptyKey);
        }
        let reachable = !self.listen.ip().to_canonical().is_loopback();
        if reachable && self.api_key.is_none() && !self.allow_unauthenticated {
            return Err(InvalidSettings::Unauthenticated { listen: self.listen });
        }
        let counts = [
            ("body_bytes_max", self.body_bytes_max),
            ("answer_bytes_max", self.answer_bytes_max),
            ("connections_max", self.connections_max),
            ("limit_max", self.limit_max),
            ("batch_max", self.batch_max),
            ("searches_max", self.searches_max),
            ("header_timeout", self.header_timeout.as_millis() as usize),
            ("request_timeout", self.request_timeout.as_millis() as usize),
        ];
        if let Some((name, _)) = counts.into_iter().find(|(_, count)| *count == 0) {
            return Err(InvalidSettings::Zero { name });
        }
        let most = [
            ("bodies_bytes_max", self.bodies_bytes_max, BODIES_BYTES_MAX),
            ("connections_max", self.connections_max, 1 << 20),
            ("searches_max", self.searches_max, 1024),
        ];
        if let Some((name, given, max)) = most.into_iter().find(|(_, given, max)| given > max) {
            return Err(InvalidSettings::TooLarge { name, given, max });
        }
        if self.bodies_bytes_max < self.body_bytes_max {
            let (all, one) = (self.bodies_bytes_max, self.body_bytes_max);
            return Err(InvalidSettings::BodiesBelowBody { all, one });
        }
        Ok(())
    }
}

impl ApiKey {
    pub fn new(key: impl Into<String>) -> Self {
        ApiKey(key.into())
    }

    /// For whoever asks the daemon with it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Takes as long for a wrong first byte as for a wrong last one.
    pub(super) fn is(&self, given: &[u8]) -> bool {
        use subtle::ConstantTimeEq;
        self.0.as_bytes().ct_eq(given).into()
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(listen: &str) -> ApiSettings {
        ApiSettings { listen: listen.parse().unwrap(), ..ApiSettings::default() }
    }

    #[test]
    fn an_address_that_others_reach_asks_for_a_key() {
        for local in ["127.0.0.1:6333", "127.9.9.9:1", "[::1]:6333", "[::ffff:127.0.0.1]:6333"] {
            assert_eq!(at(local).validate(), Ok(()), "{local}");
        }
        for open in ["0.0.0.0:6333", "[::]:6333", "10.0.0.1:6333", "[::ffff:10.0.0.1]:1"] {
            let settings = at(open);
            let refused = InvalidSettings::Unauthenticated { listen: settings.listen };
            assert_eq!(settings.validate(), Err(refused), "{open}");
            let key = Some(ApiKey::new("k"));
            assert_eq!(ApiSettings { api_key: key, ..at(open) }.validate(), Ok(()));
            assert_eq!(ApiSettings { allow_unauthenticated: true, ..at(open) }.validate(), Ok(()));
        }
    }

    #[test]
    fn limits_that_would_stop_everything_are_refused() {
        let zero = |change: fn(&mut ApiSettings)| {
            let mut settings = ApiSettings::default();
            change(&mut settings);
            settings.validate().unwrap_err()
        };
        assert_eq!(zero(|s| s.limit_max = 0), InvalidSettings::Zero { name: "limit_max" });
        assert_eq!(zero(|s| s.searches_max = 0), InvalidSettings::Zero { name: "searches_max" });
        assert_eq!(
            zero(|s| s.request_timeout = Duration::ZERO),
            InvalidSettings::Zero { name: "request_timeout" }
        );
        assert_eq!(zero(|s| s.api_key = Some(ApiKey::new(" "))), InvalidSettings::EmptyKey);
        assert_eq!(
            zero(|s| s.bodies_bytes_max = 1),
            InvalidSettings::BodiesBelowBody { all: 1, one: 32 << 20 }
        );
        assert!(matches!(
            zero(|s| s.bodies_bytes_max = usize::MAX),
            InvalidSettings::TooLarge { name: "bodies_bytes_max", .. }
        ));
    }

    #[test]
    fn settings_are_read_with_durations_and_unknown_names_are_refused() {
        let text = serde_json::json!({"listen": "127.0.0.1:0", "header_timeout": "2s"});
        let settings: ApiSettings = serde_json::from_value(text).unwrap();
        assert_eq!(settings.header_timeout, Duration::from_secs(2));
        let typo = serde_json::json!({"lisen": "127.0.0.1:0"});
        assert!(serde_json::from_value::<ApiSettings>(typo).is_err());
    }

    #[test]
    fn a_key_is_compared_whole_and_never_printed() {
        let key = ApiKey::new("secret");
        assert!(key.is(b"secret"));
        for wrong in ["", "secre", "secret ", "Secret", "secretsecret"] {
            assert!(!key.is(wrong.as_bytes()), "{wrong}");
        }
        assert!(!format!("{key:?}").contains("secret"));
    }
}
