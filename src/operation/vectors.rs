//! Vectors as they are written in JSON: one without a name, or several by name.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{MapAccess, SeqAccess, Visitor};

use super::{Reason, Refusal};
use crate::point::{NamedVector, PointId, UNNAMED};

/// A vector's numbers. Read as f64, so that one beyond f32's range becomes infinite and is
/// refused by name; read as f32 it would be a fault of the JSON text.
struct Values(Vec<f32>);

impl<'de> Deserialize<'de> for Values {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Numbers;
        impl<'de> Visitor<'de> for Numbers {
            type Value = Values;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a vector (a list of numbers; no sparse vectors)")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Values, A::Error> {
                Ok(Values(numbers(seq)?))
            }
        }
        deserializer.deserialize_seq(Numbers)
    }
}

fn numbers<'de, A: SeqAccess<'de>>(mut seq: A) -> Result<Vec<f32>, A::Error> {
    let mut values = Vec::with_capacity(128);
    while let Some(Number(value)) = seq.next_element()? {
        values.push(value as f32);
    }
    // A batch of vectors of one number each would take 130 times its text.
    if values.len() < 64 {
        values.shrink_to_fit();
    }
    Ok(values)
}

/// An f64 that says what else cannot stand in its place.
struct Number(f64);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl Visitor<'_> for Any {
            type Value = Number;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number (multivectors are not supported)")
            }

            fn visit_f64<E>(self, value: f64) -> Result<Number, E> {
                Ok(Number(value))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Number, E> {
                Ok(Number(value as f64))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Number, E> {
                Ok(Number(value as f64))
            }
        }
        deserializer.deserialize_f64(Any)
    }
}

/// One unnamed vector, or vectors by name. A hand-written visitor, because serde's untagged
/// enums buffer every number of every vector first.
#[derive(Debug)]
pub(super) enum VectorsBody {
    Unnamed(Vec<f32>),
    Named(Vec<(String, Vec<f32>)>),
}

#[derive(Debug)]
pub(super) enum BatchVectorsBody {
    Unnamed(Vec<Vec<f32>>),
    Named(BTreeMap<String, Vec<Vec<f32>>>),
}

impl<'de> Deserialize<'de> for VectorsBody {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Vectors;
        impl<'de> Visitor<'de> for Vectors {
            type Value = VectorsBody;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a vector (a list of numbers), or an object of vectors by name")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<VectorsBody, A::Error> {
                Ok(VectorsBody::Unnamed(numbers(seq)?))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<VectorsBody, A::Error> {
                let mut named: Vec<(String, Vec<f32>)> = Vec::new();
                while let Some((name, Values(values))) = map.next_entry()? {
                    if named.iter().any(|(known, _)| *known == name) {
                        let twice = format_args!("vector `{name}` is given twice").to_string();
                        return Err(serde::de::Error::custom(twice));
                    }
                    named.push((name, values));
                }
                Ok(VectorsBody::Named(named))
            }
        }
        deserializer.deserialize_any(Vectors)
    }
}

impl<'de> Deserialize<'de> for BatchVectorsBody {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Vectors;
        impl<'de> Visitor<'de> for Vectors {
            type Value = BatchVectorsBody;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of vectors, or an object of lists of vectors by name")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut vectors = Vec::new();
                while let Some(Values(values)) = seq.next_element()? {
                    vectors.push(values);
                }
                Ok(BatchVectorsBody::Unnamed(vectors))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut named = BTreeMap::new();
                while let Some((name, vectors)) = map.next_entry::<String, Vec<Values>>()? {
                    named.insert(name, vectors.into_iter().map(|Values(values)| values).collect());
                }
                Ok(BatchVectorsBody::Named(named))
            }
        }
        deserializer.deserialize_any(Vectors)
    }
}

impl VectorsBody {
    /// The vectors of point `id`, under their names.
    pub(super) fn into_named(self, id: PointId) -> Result<Vec<NamedVector>, Refusal> {
        match self {
            VectorsBody::Unnamed(values) => Ok(vec![named_vector(id, UNNAMED.to_owned(), values)?]),
            VectorsBody::Named(vectors) => {
                vectors.into_iter().map(|(name, values)| named_vector(id, name, values)).collect()
            }
        }
    }
}

/// A vector under its name, if it can be one of point `id`: neither empty nor with a value that
/// is not finite.
pub fn named_vector(id: PointId, name: String, values: Vec<f32>) -> Result<NamedVector, Refusal> {
    let refuse = |what: String| {
        let vector = if name == UNNAMED { "the vector".into() } else { format!("vector `{name}`") };
        Refusal::new(Reason::InvalidVector, format!("{vector} of point {id} {what}"))
    };
    if values.is_empty() {
        return Err(refuse("is empty".into()));
    }
    // 1e39 is a number of JSON, and infinite as an f32.
    if let Some(at) = values.iter().position(|value| !value.is_finite()) {
        return Err(refuse(format!("has a value at {at} that is not a finite 32-bit float")));
    }
    Ok(NamedVector { name, values })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_vectors_take_no_more_than_their_numbers() {
        let BatchVectorsBody::Unnamed(vectors) = serde_json::from_str("[[1],[2,3]]").unwrap()
        else {
            unreachable!()
        };
        assert!(vectors.iter().all(|vector| vector.capacity() < 8));
    }
}
