//! The configuration: one file, overridden by the environment, overridden by flags.
//!
//! Each room owns its settings and their defaults; this room composes them, refuses what
//! cannot work, and says which file or variable a wrong value came from and what would be
//! right. Nothing is guessed: an unknown key is an error.

mod clients;
mod dead_letters;
mod load;
mod mask;
mod settings;
mod source;
#[cfg(test)]
mod tests;

pub use clients::Files;
pub use dead_letters::DeadLetterSettings;
pub use load::{ConfigError, Overrides, load, load_with_clients};
pub use mask::render_masked;
pub use settings::{
    CollectionSettings, LogFormat, LogSettings, SampleSettings, Settings, ShutdownSettings,
    StorageSettings, VectorSettings,
};
pub use source::{OnRefusal, SourceKind, SourceSettings};
