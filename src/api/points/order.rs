//! `order_by`: a key, or `{"key", "direction", "start_from"}`.

use serde::Deserialize;
use serde_json::Value;

use crate::filter::datetime;
use crate::index::{Direction, OrderValue};
use crate::point::Path;

#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "Value")]
pub(super) struct OrderBy {
    pub(super) key: Path,
    pub(super) direction: Direction,
    pub(super) start_from: Option<OrderValue>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OrderByBody {
    key: String,
    direction: Option<String>,
    start_from: Option<Value>,
}

const WRONG: &str = "order_by is a payload key, or {\"key\": …, \"direction\": \"asc\" or \"desc\", \
                     \"start_from\": a number or a date}";

impl TryFrom<Value> for OrderBy {
    type Error = String;

    fn try_from(value: Value) -> Result<Self, String> {
        let body = match value {
            Value::String(key) => OrderByBody { key, direction: None, start_from: None },
            Value::Object(_) => {
                serde_json::from_value(value).map_err(|error| format!("{error}; {WRONG}"))?
            }
            _ => return Err(WRONG.to_owned()),
        };
        let key = body.key.parse().map_err(|error| format!("order_by: {error}"))?;
        let direction = match body.direction.as_deref() {
            None | Some("asc") => Direction::Ascending,
            Some("desc") => Direction::Descending,
            Some(other) => {
                return Err(format!("order_by: direction `{other}` is neither `asc` nor `desc`"));
            }
        };
        let start_from = body.start_from.map(start_from).transpose()?;
        Ok(OrderBy { key, direction, start_from })
    }
}

fn start_from(value: Value) -> Result<OrderValue, String> {
    let read = match &value {
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(integer), _) => Some(OrderValue::Integer(integer)),
            (None, float) => float.map(OrderValue::Float),
        },
        Value::String(text) => datetime::parse(text).map(OrderValue::Datetime),
        _ => None,
    };
    read.ok_or_else(|| format!("order_by: start_from {value} is neither a number nor a date"))
}
