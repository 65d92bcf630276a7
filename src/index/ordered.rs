//! Slots in the order of their values.

use std::cmp::Ordering;

use super::key;
use super::kind::Kind;
use super::sorted::Sorted;

/// A value that points are ordered by. Values of one index are of one variant.
#[derive(Clone, Copy, Debug)]
pub enum OrderValue {
    Integer(i64),
    Float(f64),
    /// Microseconds since 1970.
    Datetime(i64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    Ascending,
    Descending,
}

impl OrderValue {
    /// Its variant, and its place within that.
    fn key(&self) -> (u8, u64) {
        match self {
            OrderValue::Integer(value) => (0, key::of_i64(*value)),
            OrderValue::Float(value) => (1, key::of_f64(*value)),
            OrderValue::Datetime(value) => (2, key::of_i64(*value)),
        }
    }

    /// How a whole number compares with this value, whatever its variant.
    fn against_whole(&self, value: i64) -> Ordering {
        match self {
            OrderValue::Integer(own) | OrderValue::Datetime(own) => value.cmp(own),
            OrderValue::Float(own) => key::of_f64(value as f64).cmp(&key::of_f64(*own)),
        }
    }

    fn against_float(&self, value: f64) -> Ordering {
        let own = match self {
            OrderValue::Integer(own) | OrderValue::Datetime(own) => *own as f64,
            OrderValue::Float(own) => *own,
        };
        key::of_f64(value).cmp(&key::of_f64(own))
    }
}

impl PartialEq for OrderValue {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for OrderValue {}

impl PartialOrd for OrderValue {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// By variant, then by value; -0 equals 0.
impl Ord for OrderValue {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key())
    }
}

type Walk<'a> = Box<dyn Iterator<Item = (OrderValue, u32)> + 'a>;

pub(super) fn walk(
    kind: &Kind,
    from: Option<OrderValue>,
    direction: Direction,
) -> Option<Walk<'_>> {
    let whole = move |key| from.map(|from| from.against_whole(key::to_i64(key)));
    let float = move |key| from.map(|from| from.against_float(key::to_f64(key)));
    let integer = |key| OrderValue::Integer(key::to_i64(key));
    let datetime = |key| OrderValue::Datetime(key::to_i64(key));
    match kind {
        Kind::Integer(integers) => Some(steps(&integers.whole, direction, whole, integer)),
        Kind::Datetime(sorted) => Some(steps(sorted, direction, whole, datetime)),
        Kind::Float(sorted) => {
            Some(steps(sorted, direction, float, |key| OrderValue::Float(key::to_f64(key))))
        }
        Kind::Bool(_) | Kind::Keyword(_) | Kind::Uuid(_) | Kind::Geo(_) | Kind::Text(_) => None,
    }
}

/// `against` says how a key compares with where to start, if that is given.
fn steps<'a>(
    sorted: &'a Sorted,
    direction: Direction,
    against: impl Fn(u64) -> Option<Ordering>,
    value: impl Fn(u64) -> OrderValue + 'a,
) -> Walk<'a> {
    match direction {
        Direction::Ascending => {
            let start = sorted.seek(|key| against(key).is_some_and(Ordering::is_lt));
            Box::new(sorted.ascending(start).map(move |(key, slot)| (value(key), slot)))
        }
        Direction::Descending => {
            let end = sorted.seek(|key| against(key).is_none_or(Ordering::is_le));
            Box::new(sorted.descending(end).map(move |(key, slot)| (value(key), slot)))
        }
    }
}
