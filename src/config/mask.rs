//! The effective configuration as text, without its secrets.

use toml::{Table, Value};

use super::Settings;

const MASK: &str = "***";

/// TOML of every setting, defaults included. Values of keys that hold secrets, and passwords
/// in URLs, are replaced by `***`.
pub fn render_masked(settings: &Settings) -> Result<String, toml::ser::Error> {
    let mut table = Table::try_from(settings)?;
    table.iter_mut().for_each(|(key, value)| mask(key, value));
    toml::to_string_pretty(&table)
}

fn mask(key: &str, value: &mut Value) {
    match value {
        Value::Table(table) => table.iter_mut().for_each(|(key, value)| mask(key, value)),
        Value::Array(values) => values.iter_mut().for_each(|value| mask(key, value)),
        Value::String(text) if is_secret(key) => *text = MASK.to_owned(),
        Value::String(text) => {
            if let Some(masked) = without_password(text) {
                *text = masked;
            }
        }
        _ => {}
    }
}

/// librdkafka's and our own names for secrets.
fn is_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    ["password", "secret", "api_key", "jaas", "token", "ssl.key.pem", "sasl.oauthbearer.config"]
        .iter()
        .any(|word| key.contains(word))
}

/// `scheme://user:password@host` without the password.
fn without_password(text: &str) -> Option<String> {
    let (scheme, rest) = text.split_once("://")?;
    let (credentials, host) = rest.rsplit_once('@')?;
    let (user, _) = credentials.split_once(':')?;
    Some(format!("{scheme}://{user}:{MASK}@{host}"))
}
