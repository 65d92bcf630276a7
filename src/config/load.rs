//! Reads the layers, merges them, and turns every fault into a sentence with a remedy.

use std::path::{Path, PathBuf};

use config::{Environment, File, FileFormat};
use serde_json::Value;

use super::clients::Files;
use super::settings::Settings;

/// `POINTD__API__LISTEN` overrides `api.listen`.
const PREFIX: &str = "POINTD";

/// What was given as flags: dotted keys and their values.
#[derive(Clone, Debug, Default)]
pub struct Overrides(pub Vec<(String, String)>);

#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("{}: cannot be read: {source}. Give the path of a TOML file with --config", file.display())]
    Unreadable { file: PathBuf, source: std::io::Error },
    #[error("{}: not TOML: {detail}", file.display())]
    NotToml { file: PathBuf, detail: String },
    #[error("{origin}: `{key}`: {detail}")]
    Invalid { origin: String, key: String, detail: String },
}

/// Where values come from, to say which of them is wrong.
struct Origins<'a> {
    file: &'a Path,
    variables: Vec<String>,
    flags: &'a Overrides,
}

/// Loads and validates.
pub fn load(file: &Path, overrides: &Overrides) -> Result<Settings, ConfigError> {
    loaded(file, overrides).map(|(settings, _)| settings)
}

/// Likewise, and makes each client that will be needed, without asking a broker.
pub fn load_with_clients(
    file: &Path,
    overrides: &Overrides,
    files: Files,
) -> Result<Settings, ConfigError> {
    let (settings, origins) = loaded(file, overrides)?;
    settings.try_clients(files).map_err(|(key, detail)| origins.invalid(&key, detail))?;
    Ok(settings)
}

fn loaded<'a>(
    file: &'a Path,
    overrides: &'a Overrides,
) -> Result<(Settings, Origins<'a>), ConfigError> {
    let text = std::fs::read_to_string(file)
        .map_err(|source| ConfigError::Unreadable { file: file.to_owned(), source })?;
    let origins = Origins {
        file,
        variables: std::env::vars()
            .map(|(name, _)| name)
            .filter(|name| name.starts_with(&format!("{PREFIX}__")))
            .collect(),
        flags: overrides,
    };
    let merged = merge(file, &text, overrides, &origins)?;
    let settings: Settings = serde_path_to_error::deserialize(merged).map_err(|error| {
        let path = error.path().to_string();
        let detail = error.into_inner().to_string();
        origins.invalid(&unknown_key(&path, &detail), detail)
    })?;
    settings.validate().map_err(|(key, detail)| origins.invalid(&key, detail))?;
    Ok((settings, origins))
}

fn merge(
    file: &Path,
    text: &str,
    overrides: &Overrides,
    origins: &Origins<'_>,
) -> Result<Value, ConfigError> {
    let not_toml = |error: config::ConfigError| ConfigError::NotToml {
        file: file.to_owned(),
        detail: error.to_string(),
    };
    let environment = Environment::with_prefix(PREFIX)
        .prefix_separator("__")
        .separator("__")
        .try_parsing(true)
        .ignore_empty(true);
    let mut builder = config::Config::builder()
        .add_source(File::from_str(text, FileFormat::Toml))
        .add_source(environment);
    for (key, value) in &overrides.0 {
        builder = builder
            .set_override(key, value.as_str())
            .map_err(|error| origins.invalid(key, error.to_string()))?;
    }
    builder.build().and_then(config::Config::try_deserialize).map_err(not_toml)
}

/// serde's path of an unknown field ends at its parent; its message names the field.
fn unknown_key(path: &str, detail: &str) -> String {
    let field = detail
        .strip_prefix("unknown field `")
        .and_then(|rest| rest.split_once('`'))
        .map(|(field, _)| field);
    match (path, field) {
        (path, Some(field)) if path.rsplit('.').next() == Some(field) => path.to_owned(),
        ("." | "", Some(field)) => field.to_owned(),
        (path, Some(field)) => format!("{path}.{field}"),
        (path, None) => path.to_owned(),
    }
}

impl Origins<'_> {
    fn invalid(&self, key: &str, detail: String) -> ConfigError {
        ConfigError::Invalid { origin: self.origin(key), key: key.to_owned(), detail }
    }

    /// The strongest layer that sets this key.
    fn origin(&self, key: &str) -> String {
        if let Some((flag, _)) = self.flags.0.iter().find(|(flag, _)| flag == key) {
            return format!("the flag for {flag}");
        }
        let variable = format!("{PREFIX}__{}", key.replace('.', "__"));
        let same = |name: &&String| name.eq_ignore_ascii_case(&variable);
        match self.variables.iter().find(same) {
            Some(name) => format!("environment variable {name}"),
            None => self.file.display().to_string(),
        }
    }
}
