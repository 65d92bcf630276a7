//! How generated points are written, and how values are packed: the forms that pointd reads.

use std::io::{self, Write};

use clap::ValueEnum;
use flate2::Compression;
use flate2::write::GzEncoder;
use prost::Message as _;
use qdrant_client::qdrant as proto;
use serde::Serialize;
use serde_json::{Map, Value};

use super::ProduceError;
use super::messages::Outgoing;
use crate::format::{CONTENT_ENCODING, CONTENT_TYPE, TYPE};

/// What the values of generated points are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// An upsert, as JSON.
    #[default]
    Json,
    /// Qdrant's `UpsertPoints`.
    Protobuf,
    /// The record form of Qdrant's sink for Kafka Connect: one point in each.
    Record,
}

/// How every value is packed as a whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Packing {
    #[default]
    None,
    Gzip,
    Zstd,
}

pub type Headers = Vec<(&'static str, &'static str)>;

#[derive(Serialize)]
pub struct Point {
    pub id: u64,
    pub vector: Vec<f32>,
    pub payload: Map<String, Value>,
}

#[derive(Serialize)]
struct Upsert<'a> {
    collection: &'a str,
    upsert: Points,
}

#[derive(Serialize)]
struct Points {
    points: Vec<Point>,
}

#[derive(Serialize)]
struct Record<'a> {
    collection_name: &'a str,
    #[serde(flatten)]
    point: Point,
}

impl Form {
    /// A message of these points, and the headers that say what it is. JSON needs none.
    pub fn write(
        self,
        collection: &str,
        mut points: Vec<Point>,
    ) -> Result<(Vec<u8>, Headers), ProduceError> {
        let text = match self {
            Form::Json => serde_json::to_vec(&Upsert { collection, upsert: Points { points } }),
            Form::Record => match points.pop() {
                Some(point) if points.is_empty() => {
                    serde_json::to_vec(&Record { collection_name: collection, point })
                }
                _ => return Err(ProduceError::OnePerRecord),
            },
            Form::Protobuf => {
                let message = proto::UpsertPoints {
                    collection_name: collection.to_owned(),
                    points: points.into_iter().map(point_struct).collect(),
                    ..proto::UpsertPoints::default()
                };
                let headers =
                    vec![(CONTENT_TYPE, "application/protobuf"), (TYPE, "qdrant.UpsertPoints")];
                return Ok((message.encode_to_vec(), headers));
            }
        };
        let text = text.map_err(|source| ProduceError::NotJson { line: 0, source })?;
        Ok((text, Headers::new()))
    }
}

impl Packing {
    pub fn pack(self, mut message: Outgoing) -> io::Result<Outgoing> {
        let (body, encoding) = match self {
            Packing::None => return Ok(message),
            Packing::Gzip => {
                let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
                encoder.write_all(&message.body)?;
                (encoder.finish()?, "gzip")
            }
            // 0 is the library's own default.
            Packing::Zstd => (zstd::bulk::compress(&message.body, 0)?, "zstd"),
        };
        message.body = body;
        message.headers.push((CONTENT_ENCODING, encoding));
        Ok(message)
    }
}

fn point_struct(point: Point) -> proto::PointStruct {
    let dense = proto::DenseVector { data: point.vector };
    let vector = proto::Vector {
        vector: Some(proto::vector::Vector::Dense(dense)),
        ..proto::Vector::default()
    };
    let options = proto::vectors::VectorsOptions::Vector(vector);
    proto::PointStruct {
        id: Some(point.id.into()),
        payload: point.payload.into_iter().map(|(key, given)| (key, value(given))).collect(),
        vectors: Some(proto::Vectors { vectors_options: Some(options) }),
    }
}

/// A payload's value as protobuf says it.
pub fn value(given: Value) -> proto::Value {
    use proto::value::Kind;
    let kind = match given {
        Value::Null => Kind::NullValue(proto::NullValue::NullValue.into()),
        Value::Bool(flag) => Kind::BoolValue(flag),
        Value::Number(number) => match number.as_i64() {
            Some(integer) => Kind::IntegerValue(integer),
            None => Kind::DoubleValue(number.as_f64().unwrap_or_default()),
        },
        Value::String(text) => Kind::StringValue(text),
        Value::Array(values) => {
            let values = values.into_iter().map(value).collect();
            Kind::ListValue(proto::ListValue { values })
        }
        Value::Object(members) => {
            let members = members.into_iter().map(|(key, given)| (key, value(given)));
            Kind::StructValue(proto::Struct { fields: members.collect() })
        }
    };
    proto::Value { kind: Some(kind) }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::commands::produce::generate::point;
    use crate::format::{Decoding, Format, Incoming, TopicCollections, decode};
    use crate::operation::{Limits, Message};

    fn read(message: &Outgoing) -> Message {
        let decoding = Decoding {
            format: Format::Auto,
            collection: None,
            topics: TopicCollections::default(),
            limits: Limits { message_bytes_max: 1 << 20 },
        };
        let headers = message.headers.iter();
        let headers: Vec<_> = headers
            .map(|(name, value)| ((*name).to_owned(), Bytes::from_static(value.as_bytes())))
            .collect();
        let (value, key) = (Some(&message.body[..]), None);
        decode(&Incoming { topic: None, key, value, headers: &headers }, &decoding).unwrap()
    }

    #[test]
    fn every_form_and_packing_is_read_as_the_same_points() {
        let write = |form: Form, packing: Packing| {
            let (vector, payload) = point(3, 9, 16, 4);
            let points = vec![Point { id: 9, vector, payload }];
            let (body, headers) = form.write("c", points).unwrap();
            packing.pack(Outgoing { key: None, body, points: 1, headers }).unwrap()
        };
        let expected = read(&write(Form::Json, Packing::None));
        for form in [Form::Json, Form::Protobuf, Form::Record] {
            for packing in [Packing::None, Packing::Gzip, Packing::Zstd] {
                assert_eq!(read(&write(form, packing)), expected, "{form:?} {packing:?}");
            }
        }
    }

    #[test]
    fn a_record_is_of_one_point() {
        assert!(matches!(Form::Record.write("c", vec![]), Err(ProduceError::OnePerRecord)));
    }
}
