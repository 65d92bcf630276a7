//! What a reader is told.

use crate::ann::AnnError;
use crate::point::PointId;

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
    Failed(AnnError),
}
