//! What one payload holds for one index.

use serde_json::{Map, Value};
use uuid::Uuid;

use super::integers::whole_of;
use super::key;
use super::kind::Kind;
use super::{cells, text::Text};
use crate::filter::{GeoPoint, datetime};
use crate::point::Path;

/// The values of one payload at an index's key, in the index's form. Equal entries need no
/// change of the index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entries {
    pub(super) own: Own,
    /// Whether there is a value of another kind; `null` is not a value.
    other: bool,
}

/// Values of the index's own kind, sorted, each once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Own {
    Bools(Vec<bool>),
    /// Keywords, or the tokens of a text.
    Words(Vec<Box<str>>),
    Uuids(Vec<u128>),
    /// Keys of floats, dates or places.
    Keys(Vec<u64>),
    Integers(Integers),
}

/// Numbers by what compares with them: `match` sees `whole` ones only, `range` sees both.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Integers {
    /// Keys of the numbers that are an i64.
    pub(super) whole: Vec<u64>,
    /// Keys, as floats, of all other numbers.
    pub(super) further: Vec<u64>,
}

impl Entries {
    /// Neither a value of the index's kind, nor of another.
    pub fn is_empty(&self) -> bool {
        !self.other && !self.has_own()
    }

    pub(super) fn has_own(&self) -> bool {
        match &self.own {
            Own::Bools(values) => !values.is_empty(),
            Own::Words(values) => !values.is_empty(),
            Own::Uuids(values) => !values.is_empty(),
            Own::Keys(values) => !values.is_empty(),
            Own::Integers(Integers { whole, further }) => {
                !whole.is_empty() || further.iter().any(|key| whole_of(*key).is_some())
            }
        }
    }

    pub(super) fn has_other(&self) -> bool {
        self.other
    }

    pub(super) fn of(kind: &Kind, field: &Path, payload: &Map<String, Value>) -> Entries {
        let mut other = false;
        // Each value is taken as the index's own, or it is another's.
        let mut each = |take: &mut dyn FnMut(&Value) -> bool| {
            field.scalars(payload, &mut |value| other |= !value.is_null() && !take(value));
        };
        let own = match kind {
            Kind::Bool(_) => Own::Bools(collect(&mut each, Value::as_bool)),
            Kind::Keyword(_) => {
                Own::Words(collect(&mut each, |value| value.as_str().map(Box::from)))
            }
            Kind::Uuid(_) => {
                Own::Uuids(collect(&mut each, |value| canonical_uuid(value.as_str()?)))
            }
            Kind::Float(_) => {
                Own::Keys(collect(&mut each, |value| value.as_f64().map(key::of_f64)))
            }
            Kind::Datetime(_) => Own::Keys(collect(&mut each, |value| {
                datetime::parse(value.as_str()?).map(key::of_i64)
            })),
            Kind::Geo(_) => Own::Keys(collect(&mut each, |value| {
                GeoPoint::of(value).and_then(|point| cells::key(point.lon, point.lat))
            })),
            Kind::Integer(_) => Own::Integers(integers(&mut each)),
            Kind::Text(text) => Own::Words(tokens(&mut each, text)),
        };
        Entries { own, other }
    }
}

type Each<'a> = dyn FnMut(&mut dyn FnMut(&Value) -> bool) + 'a;

fn collect<T: Ord>(each: &mut Each<'_>, form: impl Fn(&Value) -> Option<T>) -> Vec<T> {
    let mut values = Vec::new();
    each(&mut |value| match form(value) {
        Some(value) => {
            values.push(value);
            true
        }
        None => false,
    });
    sorted(values)
}

fn sorted<T: Ord>(mut values: Vec<T>) -> Vec<T> {
    values.sort_unstable();
    values.dedup();
    values
}

fn integers(each: &mut Each<'_>) -> Integers {
    let mut values = Integers::default();
    each(&mut |value| match (value.as_i64(), value.as_f64()) {
        (Some(whole), _) => {
            values.whole.push(key::of_i64(whole));
            true
        }
        (None, further) => {
            values.further.extend(further.map(key::of_f64));
            false
        }
    });
    Integers { whole: sorted(values.whole), further: sorted(values.further) }
}

fn tokens(each: &mut Each<'_>, text: &Text) -> Vec<Box<str>> {
    let mut tokens = Vec::new();
    each(&mut |value| match value.as_str() {
        Some(value) => {
            tokens.extend(text.options().tokens(value).into_iter().map(String::into_boxed_str));
            true
        }
        None => false,
    });
    sorted(tokens)
}

/// The number of a UUID that is spelt as UUIDs are printed. Strings are compared as they are,
/// so that another spelling is another value.
pub(super) fn canonical_uuid(text: &str) -> Option<u128> {
    let uuid = Uuid::try_parse(text).ok()?;
    let mut buffer = Uuid::encode_buffer();
    (uuid.hyphenated().encode_lower(&mut buffer) == text).then_some(uuid.as_u128())
}
