//! What can be wrong with a read, and with a collection's files.

use std::path::PathBuf;

use crate::point::PointId;
use crate::rows::FORMAT;

/// What is wrong with a read. The API answers each but `Failed` as a client error.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum ReadError {
    #[error("vector `{given}` does not exist in this collection: it has {known}")]
    UnknownVector { given: String, known: String },
    #[error("the query has {given} dimensions, vector `{name}` has {expected}")]
    WrongDimension { name: String, given: usize, expected: usize },
    #[error("the query has a value that is not a finite 32-bit float")]
    NotFinite,
    #[error("point {0} does not exist")]
    NoSuchPoint(PointId),
    #[error("point {0} has no such vector")]
    NoVector(PointId),
    #[error(
        "a recommendation with the strategy `{strategy}` needs a {wanted} example: a vector, or a \
         point that has the vector"
    )]
    NoExample { strategy: &'static str, wanted: &'static str },
    #[error(
        "No range index for `order_by` key: `{key}`. Please create one to use `order_by`: an \
         integer, float or datetime index"
    )]
    NoOrder { key: String },
    /// Not the client's fault.
    #[error("the search failed: {0}")]
    Failed(crate::ann::AnnError),
}

/// Why a collection's files cannot be used. Names the file and the remedy.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("{}: {what}. The file is part of the manifest: restore it from a copy, or restore the whole data directory", file.display())]
    Damaged { file: PathBuf, what: String },
    #[error("{}: {source}", file.display())]
    Io { file: PathBuf, source: std::io::Error },
    #[error("{}: its format is {found}, this program reads up to {FORMAT}. Upgrade the program", file.display())]
    Newer { file: PathBuf, found: u32 },
}
