//! The space of a collection: its vector names, their dimensions and distances.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The name of the vector of a collection that was created with a single, unnamed vector.
pub const UNNAMED: &str = "";

/// The most dimensions a vector may have, as in Qdrant.
const SIZE_MAX: usize = 65_536;

/// How alike two vectors are. Qdrant's names; a score of `Euclid` and `Manhattan` is a
/// distance (smaller is closer), of `Cosine` and `Dot` a similarity (larger is closer).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Distance {
    Cosine,
    Dot,
    Euclid,
    Manhattan,
}

impl Distance {
    /// Whether a larger score is a closer point.
    pub fn larger_is_closer(self) -> bool {
        matches!(self, Distance::Cosine | Distance::Dot)
    }
}

/// One vector's parameters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VectorParams {
    /// Dimensions, 1 to 65536.
    pub size: usize,
    pub distance: Distance,
}

/// The vectors of a collection by name. An unnamed single vector has the name [`UNNAMED`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schema {
    pub vectors: BTreeMap<String, VectorParams>,
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum InvalidSchema {
    #[error("vector `{name}`: size {size} is out of range, give 1 to {SIZE_MAX}")]
    Size { name: String, size: usize },
    #[error("vector name `{name}` is too long: at most 255 bytes")]
    Name { name: String },
    #[error("the unnamed vector stands alone: name every vector, or give one without a name")]
    UnnamedAmongOthers,
}

impl Schema {
    pub fn unnamed(size: usize, distance: Distance) -> Self {
        Schema { vectors: BTreeMap::from([(UNNAMED.to_owned(), VectorParams { size, distance })]) }
    }

    pub fn validate(&self) -> Result<(), InvalidSchema> {
        if self.vectors.len() > 1 && self.vectors.contains_key(UNNAMED) {
            return Err(InvalidSchema::UnnamedAmongOthers);
        }
        for (name, params) in &self.vectors {
            if name.len() > 255 {
                return Err(InvalidSchema::Name { name: name.chars().take(80).collect() });
            }
            if params.size == 0 || params.size > SIZE_MAX {
                return Err(InvalidSchema::Size { name: name.clone(), size: params.size });
            }
        }
        Ok(())
    }
}
