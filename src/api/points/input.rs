//! Vectors and point ids as queries have them.

use serde::Deserialize;
use serde_json::Value;

use crate::collection::Example;
use crate::point::PointId;

pub(super) const SPARSE: &str = "sparse vectors ({\"indices\", \"values\"}) are not supported by pointd: give a list of numbers";

/// `wrong` says what would be right where it stands.
pub(super) fn example(value: Value, wrong: &str) -> Result<Example, String> {
    match value {
        Value::Array(values) => dense(values).map(Example::Vector),
        Value::Number(_) | Value::String(_) => match PointId::deserialize(&value) {
            Ok(id) => Ok(Example::Point(id)),
            Err(error) => Err(format!("{error}; {wrong}")),
        },
        Value::Object(map) if map.contains_key("indices") => Err(SPARSE.to_owned()),
        Value::Object(map) if map.contains_key("model") => Err(format!(
            "inference (text, image, object with a model) is not supported by pointd: {wrong}"
        )),
        _ => Err(wrong.to_owned()),
    }
}

/// A list of numbers. Whether they are finite as f32, and as many as they should be, the
/// collection says.
pub(super) fn dense(values: Vec<Value>) -> Result<Vec<f32>, String> {
    if values.first().is_some_and(Value::is_array) {
        return Err("multivectors (lists of lists) are not supported by pointd: give one list \
                    of numbers"
            .to_owned());
    }
    let number = |(at, value): (usize, Value)| match value.as_f64() {
        Some(number) => Ok(number as f32),
        None => Err(format!("a vector is a list of numbers, its element {at} is {value}")),
    };
    values.into_iter().enumerate().map(number).collect()
}
