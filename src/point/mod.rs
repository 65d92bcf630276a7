//! What a point is: its id, its vectors, its payload, and the space it lives in.

mod field;
mod id;
mod path;
mod payload;
mod schema;

pub use field::{FieldSchema, FieldType};
pub use id::{InvalidPointId, PointId};
pub use path::{InvalidPath, Path, exclude, include, merge};
pub use payload::{InvalidPayload, Payload};
pub use schema::{Distance, InvalidSchema, Schema, UNNAMED, VectorParams};

/// A point's dense number inside its collection. It is given back when the point is
/// deleted, so it means something only together with the row it was read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(pub u32);

/// One vector under its name; the unnamed vector's name is [`UNNAMED`].
#[derive(Clone, Debug, PartialEq)]
pub struct NamedVector {
    pub name: String,
    pub values: Vec<f32>,
}
