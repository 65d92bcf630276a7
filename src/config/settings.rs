//! Every section of the configuration, and what cannot work in it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tracing_subscriber::filter::{LevelFilter, Targets};

use super::dead_letters::DeadLetterSettings;
use super::source::{self, SourceSettings};
use crate::api::ApiSettings;
use crate::apply::ApplierOptions;
use crate::catalog::CatalogOptions;
use crate::index::FieldIndex;
use crate::ingest::IngestSettings;
use crate::point::{Distance, FieldSchema, Path, Schema, UNNAMED, VectorParams};
use crate::wal;

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    pub api: ApiSettings,
    pub storage: StorageSettings,
    pub ingest: IngestSettings,
    pub log: LogSettings,
    pub shutdown: ShutdownSettings,
    /// Collections to create, once: one that was deleted by hand is not made again.
    pub collections: BTreeMap<String, CollectionSettings>,
    pub source: Vec<SourceSettings>,
    pub dead_letters: DeadLetterSettings,
    /// Publishes the sample catalogue to the embedded broker.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sample: Option<SampleSettings>,
}

/// The sample catalogue that flows through the embedded broker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SampleSettings {
    /// Of 384 dimensions.
    pub collection: String,
    pub points_per_second: u32,
}

/// The data directory and its bounds.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StorageSettings {
    pub dir: PathBuf,
    /// A checkpoint is due after so many bytes of log.
    pub checkpoint_wal_bytes: u64,
    /// A checkpoint is due when a collection has so many bytes of rows in memory.
    pub head_bytes_max: u64,
    /// What a log file is preallocated to.
    pub log_file_bytes: u64,
    /// Sources fetch nothing more when the volume has less free. 0: as long as anything fits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reserve_bytes: Option<u64>,
    /// Room that is given up when the disk is full, so that a checkpoint can be made. 0: none.
    pub ballast_bytes: u64,
    /// Dead letters kept.
    pub dead_letters_max: usize,
    pub dead_letter_bytes_max: u64,
    /// A segment of at least so many rows gets a graph.
    pub graph_rows_min: u32,
    /// Segments are merged up to about so many rows.
    pub segment_rows_max: u32,
    /// Segments with a larger share of dead rows are merged.
    pub dead_share_max: f64,
    /// Payload indexes that a collection makes by itself.
    pub automatic_indexes_max: usize,
}

impl Default for StorageSettings {
    fn default() -> Self {
        let (catalog, applier) = (CatalogOptions::default(), ApplierOptions::default());
        StorageSettings {
            dir: PathBuf::from("data"),
            checkpoint_wal_bytes: applier.checkpoint_wal_bytes,
            head_bytes_max: applier.head_bytes_max,
            log_file_bytes: wal::Options::default().file_bytes,
            reserve_bytes: None,
            ballast_bytes: 64 << 20,
            dead_letters_max: catalog.dead_letters_max,
            dead_letter_bytes_max: catalog.dead_letter_bytes_max,
            graph_rows_min: catalog.collection.graph_rows_min,
            segment_rows_max: catalog.collection.segment_rows_max,
            dead_share_max: catalog.collection.dead_share_max,
            automatic_indexes_max: catalog.collection.automatic_indexes_max,
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    #[default]
    Text,
    Json,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogSettings {
    pub format: LogFormat,
    /// A level (`error`, `warn`, `info`, `debug`, `trace`), or directives by module such as
    /// `info,pointd::wal=debug`.
    pub level: String,
}

impl Default for LogSettings {
    fn default() -> Self {
        LogSettings { format: LogFormat::Text, level: "info".into() }
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ShutdownSettings {
    /// After this, what has not stopped is left behind. Nothing acknowledged is lost by that.
    #[serde(with = "humantime_serde")]
    pub deadline: Duration,
}

impl Default for ShutdownSettings {
    fn default() -> Self {
        ShutdownSettings { deadline: Duration::from_secs(20) }
    }
}

/// A single unnamed vector (`size`, `distance`), or `vectors` by name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CollectionSettings {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub distance: Option<Distance>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub vectors: BTreeMap<String, VectorSettings>,
    /// Payload indexes, by field. Made at a start where the collection has none of the field.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub indexes: BTreeMap<String, IndexSettings>,
}

/// The type alone, or with parameters beside it: `{ type = "text", lowercase = false }`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "serde_json::Value", into = "serde_json::Value")]
pub struct IndexSettings(FieldSchema);

impl TryFrom<serde_json::Value> for IndexSettings {
    type Error = String;

    fn try_from(value: serde_json::Value) -> Result<Self, String> {
        FieldSchema::from_json(value).map(IndexSettings)
    }
}

impl From<IndexSettings> for serde_json::Value {
    fn from(IndexSettings(schema): IndexSettings) -> Self {
        schema.to_json()
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VectorSettings {
    pub size: usize,
    pub distance: Distance,
}

impl CollectionSettings {
    pub fn schema(&self) -> Result<Schema, String> {
        let schema = match (self.size, self.distance) {
            (Some(size), Some(distance)) if self.vectors.is_empty() => {
                Schema::unnamed(size, distance)
            }
            (None, None) if !self.vectors.is_empty() => Schema {
                vectors: self
                    .vectors
                    .iter()
                    .map(|(name, vector)| {
                        let params = VectorParams { size: vector.size, distance: vector.distance };
                        (name.clone(), params)
                    })
                    .collect(),
            },
            _ => {
                return Err("give `size` and `distance` for one unnamed vector, or \
                            `vectors.NAME` with size and distance for named ones"
                    .into());
            }
        };
        if schema.vectors.len() == 1 && schema.vectors.contains_key(UNNAMED) != self.size.is_some()
        {
            return Err("a named vector needs a name".into());
        }
        schema.validate().map_err(|error| error.to_string())?;
        Ok(schema)
    }

    pub fn indexes(&self) -> Result<Vec<(Path, FieldSchema)>, String> {
        let index = |(field, IndexSettings(schema)): (&String, &IndexSettings)| {
            let path: Path = field.parse().map_err(|error| format!("indexes: {error}"))?;
            FieldIndex::new(&path, schema).map_err(|error| format!("indexes.{field}: {error}"))?;
            Ok((path, schema.clone()))
        };
        self.indexes.iter().map(index).collect()
    }
}

/// A key and what would be right for it.
pub(super) type Fault = (String, String);

impl Settings {
    /// The first value that cannot work.
    pub fn validate(&self) -> Result<(), Fault> {
        self.api.validate().map_err(|error| ("api".to_owned(), error.to_string()))?;
        self.ingest.validate().map_err(|(key, detail)| (format!("ingest.{key}"), detail))?;
        self.storage.validate().map_err(|(key, detail)| (format!("storage.{key}"), detail))?;
        // A single word that is no level would be taken for a module's name, and silence the rest.
        let level = &self.log.level;
        let directives = level.contains(['=', ',']) && level.parse::<Targets>().is_ok();
        if !directives && level.parse::<LevelFilter>().is_err() {
            let detail = "give error, warn, info, debug or trace, or directives by module";
            return Err(("log.level".into(), detail.into()));
        }
        for (name, collection) in &self.collections {
            let at = |detail| (format!("collections.{name}"), detail);
            collection.schema().map_err(at)?;
            collection.indexes().map_err(at)?;
            if name.is_empty() || name.len() > 255 {
                return Err(at("a collection's name has 1 to 255 bytes".into()));
            }
        }
        if self.shutdown.deadline.is_zero() {
            return Err(("shutdown.deadline".into(), "give more than 0s".into()));
        }
        if let Some(sample) = &self.sample {
            if !self.source.iter().any(|source| source.embedded.is_some()) {
                let detail = "the sample is published to an embedded source: configure one";
                return Err(("sample".into(), detail.into()));
            }
            if sample.points_per_second == 0 {
                return Err(("sample.points_per_second".into(), "give at least 1".into()));
            }
        }
        source::validate(&self.source)?;
        self.dead_letters.validate(&self.source)
    }
}

impl StorageSettings {
    fn validate(&self) -> Result<(), (&'static str, String)> {
        if self.dir.as_os_str().is_empty() {
            return Err(("dir", "give the path of the data directory".into()));
        }
        if self.log_file_bytes < 4096 {
            return Err(("log_file_bytes", "give at least 4096".into()));
        }
        let zeros = [
            ("checkpoint_wal_bytes", self.checkpoint_wal_bytes == 0),
            ("head_bytes_max", self.head_bytes_max == 0),
            ("dead_letters_max", self.dead_letters_max == 0),
            ("dead_letter_bytes_max", self.dead_letter_bytes_max == 0),
        ];
        if let Some((key, _)) = zeros.into_iter().find(|(_, zero)| *zero) {
            return Err((key, "give at least 1".into()));
        }
        if !(0.0..=1.0).contains(&self.dead_share_max) {
            return Err(("dead_share_max", "give a share from 0 to 1".into()));
        }
        Ok(())
    }
}
