//! Settings that are passed to librdkafka as they are: by a source, and by what sends letters on.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// Settings of librdkafka. They hold passwords, so printing them shows names only.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Properties(pub BTreeMap<String, String>);

impl fmt::Debug for Properties {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// Properties that no client may set, and why.
const NEVER: &[(&str, &str)] = &[
    ("bootstrap.servers", "set `brokers` instead"),
    ("metadata.broker.list", "set `brokers` instead"),
    ("plugin.library.paths", "foreign code would run in the process"),
    ("interceptors", "foreign code would run in the process"),
    ("ssl.engine.location", "foreign code would run in the process"),
];

const MECHANISMS: [&str; 2] = ["sasl.mechanism", "sasl.mechanisms"];

/// librdkafka asks its application for them, unless it is built with a client for HTTP.
const NO_TOKENS: &str = "nobody here would refresh the tokens of OAUTHBEARER: use SCRAM-SHA-256, SCRAM-SHA-512, PLAIN or \
     a client certificate";

impl Properties {
    /// The first that may not be set, and why; `ours` beside those that nobody may set.
    pub fn refused(
        &self,
        ours: &'static [(&'static str, &'static str)],
    ) -> Option<(String, &'static str)> {
        self.0.iter().find_map(|(name, value)| {
            if MECHANISMS.contains(&name.as_str()) && value.eq_ignore_ascii_case("OAUTHBEARER") {
                return Some((name.clone(), NO_TOKENS));
            }
            let (_, reason) = NEVER.iter().chain(ours).find(|(refused, _)| refused == name)?;
            Some((name.clone(), *reason))
        })
    }
}
