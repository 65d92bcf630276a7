//! The kinds of index, and which predicates each answers.

use roaring::RoaringBitmap;

use super::entries::{Entries, Own, canonical_uuid};
use super::geo::Geo;
use super::integers::Integers;
use super::lookup::Lookup;
use super::region::{Circle, Polygon, Rectangle};
use super::sorted::Sorted;
use super::text::Text;
use super::{IndexAnswer, except, key};
use crate::filter::{AnyVariants, Match, MatchValue, Predicate, Range, TextOptions};
use crate::point::FieldType;

pub(super) enum Kind {
    Bool(Lookup<bool>),
    Keyword(Lookup<Box<str>>),
    /// UUIDs as they are printed; every other string is of another kind.
    Uuid(Lookup<u128>),
    Integer(Integers),
    Float(Sorted),
    /// Microseconds since 1970.
    Datetime(Sorted),
    Geo(Geo),
    Text(Text),
}

impl Kind {
    pub(super) fn new(of: FieldType, options: TextOptions) -> Self {
        match of {
            FieldType::Keyword => Kind::Keyword(Lookup::default()),
            FieldType::Uuid => Kind::Uuid(Lookup::default()),
            FieldType::Bool => Kind::Bool(Lookup::default()),
            FieldType::Integer => Kind::Integer(Integers::default()),
            FieldType::Float => Kind::Float(Sorted::default()),
            FieldType::Datetime => Kind::Datetime(Sorted::default()),
            FieldType::Geo => Kind::Geo(Geo::default()),
            FieldType::Text => Kind::Text(Text::new(options)),
        }
    }

    /// Entries of another kind of index change nothing.
    pub(super) fn insert(&mut self, slot: u32, entries: &Entries) {
        match (self, &entries.own) {
            (Kind::Bool(lookup), Own::Bools(values)) => lookup.insert(slot, values),
            (Kind::Keyword(lookup), Own::Words(values)) => lookup.insert(slot, values),
            (Kind::Uuid(lookup), Own::Uuids(values)) => lookup.insert(slot, values),
            (Kind::Integer(integers), Own::Integers(values)) => integers.insert(slot, values),
            (Kind::Text(text), Own::Words(tokens)) => text.lookup.insert(slot, tokens),
            (
                Kind::Float(sorted) | Kind::Datetime(sorted) | Kind::Geo(Geo { sorted }),
                Own::Keys(keys),
            ) => keys.iter().for_each(|key| sorted.insert(*key, slot)),
            _ => {}
        }
    }

    pub(super) fn remove(&mut self, slot: u32, entries: &Entries) {
        match (self, &entries.own) {
            (Kind::Bool(lookup), Own::Bools(values)) => lookup.remove(slot, values),
            (Kind::Keyword(lookup), Own::Words(values)) => lookup.remove(slot, values),
            (Kind::Uuid(lookup), Own::Uuids(values)) => lookup.remove(slot, values),
            (Kind::Integer(integers), Own::Integers(values)) => integers.remove(slot, values),
            (Kind::Text(text), Own::Words(tokens)) => text.lookup.remove(slot, tokens),
            (
                Kind::Float(sorted) | Kind::Datetime(sorted) | Kind::Geo(Geo { sorted }),
                Own::Keys(keys),
            ) => keys.iter().for_each(|key| sorted.remove(*key, slot)),
            _ => {}
        }
    }

    pub(super) fn bytes(&self) -> u64 {
        match self {
            Kind::Bool(lookup) => lookup.bytes(),
            Kind::Keyword(lookup) => lookup.bytes(),
            Kind::Uuid(lookup) => lookup.bytes(),
            Kind::Integer(integers) => integers.bytes(),
            Kind::Float(sorted) | Kind::Datetime(sorted) | Kind::Geo(Geo { sorted }) => {
                sorted.bytes()
            }
            Kind::Text(text) => text.lookup.bytes(),
        }
    }

    /// `known` and `other` are the slots with values of this kind, and of others.
    pub(super) fn answer(
        &self,
        predicate: &Predicate,
        known: &RoaringBitmap,
        other: &RoaringBitmap,
    ) -> Option<IndexAnswer> {
        match (self, predicate) {
            (Kind::Geo(geo), Predicate::GeoBoundingBox(area)) => {
                Some(geo.answer(&Rectangle::of(area)))
            }
            (Kind::Geo(geo), Predicate::GeoRadius(area)) => Some(geo.answer(&Circle::of(area))),
            (Kind::Geo(geo), Predicate::GeoPolygon(area)) => Some(geo.answer(&Polygon::of(area))),
            (Kind::Integer(integers), Predicate::Range(range)) => {
                Some(IndexAnswer::sure(integers.range(range)))
            }
            (Kind::Float(sorted), Predicate::Range(range)) => {
                Some(IndexAnswer::sure(slots_within(sorted, range, key::to_f64)))
            }
            (Kind::Datetime(sorted), Predicate::DatetimeRange(range)) => {
                Some(IndexAnswer::sure(slots_within(sorted, range, key::to_i64)))
            }
            (_, Predicate::Match(matched)) => self.answer_match(matched, known, other),
            _ => None,
        }
    }

    fn answer_match(
        &self,
        matched: &Match,
        known: &RoaringBitmap,
        other: &RoaringBitmap,
    ) -> Option<IndexAnswer> {
        match (self, matched) {
            (Kind::Text(text), query) => text.answer(query),
            (_, Match::Value(value)) => {
                let one = match value {
                    MatchValue::Bool(value) => return self.answer_bool(*value, other),
                    MatchValue::Integer(value) => AnyVariants::Integers([*value].into()),
                    MatchValue::Keyword(value) => AnyVariants::Strings([value.clone()].into()),
                };
                self.answer_any(&one, other)
            }
            (_, Match::Any(list)) => self.answer_any(list, other),
            (_, Match::Except(list)) => except::answer(self, list, known, other),
            (_, Match::Text(_) | Match::TextAny(_) | Match::Phrase(_)) => None,
        }
    }

    fn answer_bool(&self, value: bool, other: &RoaringBitmap) -> Option<IndexAnswer> {
        match self {
            Kind::Bool(lookup) => Some(IndexAnswer::sure(lookup.any([&value].into_iter()))),
            // All others hold no booleans among their own values.
            _ => Some(IndexAnswer::maybe(other.clone())),
        }
    }

    fn answer_any(&self, list: &AnyVariants, other: &RoaringBitmap) -> Option<IndexAnswer> {
        match (self, list) {
            (Kind::Keyword(lookup), AnyVariants::Strings(list)) => {
                Some(IndexAnswer::sure(lookup.any(list.iter().map(String::as_str))))
            }
            (Kind::Uuid(lookup), AnyVariants::Strings(list)) => {
                let uuids: Vec<u128> =
                    list.iter().filter_map(|text| canonical_uuid(text)).collect();
                let found = IndexAnswer::sure(lookup.any(uuids.iter()));
                let all = uuids.len() == list.len();
                Some(if all { found } else { found.or_maybe(other) })
            }
            (Kind::Integer(integers), AnyVariants::Integers(list)) => {
                Some(IndexAnswer::sure(integers.any(list)))
            }
            // 5.0 has the key of 5 and is not matched by it.
            (Kind::Float(sorted), AnyVariants::Integers(list)) => {
                let mut found = RoaringBitmap::new();
                for value in list {
                    found |= sorted.slots(sorted.equal(key::of_f64(*value as f64)));
                }
                Some(IndexAnswer::maybe(found))
            }
            (Kind::Datetime(_), AnyVariants::Strings(_)) | (Kind::Text(_), _) => None,
            // The list is of a kind that is not among the index's own values.
            _ => Some(IndexAnswer::maybe(other.clone())),
        }
    }
}

/// The slots with a key inside the bounds. `value` gives a key's value, and never falls where
/// the key grows.
pub(super) fn slots_within<T: Copy + PartialOrd>(
    sorted: &Sorted,
    range: &Range<T>,
    value: impl Fn(u64) -> T,
) -> RoaringBitmap {
    let start = sorted.seek(|key| {
        let value = value(key);
        range.gt.is_some_and(|bound| value <= bound) || range.gte.is_some_and(|bound| value < bound)
    });
    let end = sorted.seek(|key| {
        let value = value(key);
        range.lt.is_none_or(|bound| value < bound) && range.lte.is_none_or(|bound| value <= bound)
    });
    // Bounds that exclude each other end before they start.
    if start < end { sorted.slots(start..end) } else { RoaringBitmap::new() }
}
