//! Slots in the order of their values.

use std::cmp::Ordering;

use super::integers::whole_of;
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
    match kind {
        Kind::Integer(integers) => {
            let own = steps(&integers.whole, direction, whole);
            let own = own.map(|(key, slot)| (key::to_i64(key), slot));
            let further = steps(&integers.further, direction, float);
            let further = further.filter_map(|(key, slot)| Some((whole_of(key)?, slot)));
            let merged = merge(own, further, direction);
            Some(Box::new(merged.map(|(value, slot)| (OrderValue::Integer(value), slot))))
        }
        Kind::Datetime(sorted) => {
            let value = |key| OrderValue::Datetime(key::to_i64(key));
            Some(Box::new(
                steps(sorted, direction, whole).map(move |(key, slot)| (value(key), slot)),
            ))
        }
        Kind::Float(sorted) => {
            let value = |key| OrderValue::Float(key::to_f64(key));
            Some(Box::new(
                steps(sorted, direction, float).map(move |(key, slot)| (value(key), slot)),
            ))
        }
        Kind::Bool(_) | Kind::Keyword(_) | Kind::Uuid(_) | Kind::Geo(_) | Kind::Text(_) => None,
    }
}

/// `against` says how a key compares with where to start, if that is given.
fn steps(
    sorted: &Sorted,
    direction: Direction,
    against: impl Fn(u64) -> Option<Ordering>,
) -> Box<dyn Iterator<Item = (u64, u32)> + '_> {
    match direction {
        Direction::Ascending => {
            let start = sorted.seek(|key| against(key).is_some_and(Ordering::is_lt));
            Box::new(sorted.ascending(start))
        }
        Direction::Descending => {
            let end = sorted.seek(|key| against(key).is_none_or(Ordering::is_le));
            Box::new(sorted.descending(end))
        }
    }
}

/// Two orders as one; what is in both comes once.
fn merge(
    a: impl Iterator<Item = (i64, u32)>,
    b: impl Iterator<Item = (i64, u32)>,
    direction: Direction,
) -> impl Iterator<Item = (i64, u32)> {
    let (mut a, mut b) = (a.peekable(), b.peekable());
    std::iter::from_fn(move || {
        let order = match (a.peek(), b.peek()) {
            (Some(a), Some(b)) if direction == Direction::Ascending => a.cmp(b),
            (Some(a), Some(b)) => b.cmp(a),
            (_, None) => Ordering::Less,
            (None, _) => Ordering::Greater,
        };
        if order.is_eq() {
            b.next();
        }
        if order.is_gt() { b.next() } else { a.next() }
    })
}
