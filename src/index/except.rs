//! `except`: a value outside a list. Of several values one is enough, of whatever kind.

use roaring::RoaringBitmap;

use super::IndexAnswer;
use super::entries::canonical_uuid;
use super::kind::Kind;
use super::postings::Postings;
use crate::filter::AnyVariants;

pub(super) fn answer(
    kind: &Kind,
    list: &AnyVariants,
    known: &RoaringBitmap,
    other: &RoaringBitmap,
) -> Option<IndexAnswer> {
    match (kind, list) {
        (Kind::Keyword(lookup), AnyVariants::Strings(list)) => {
            let listed = list.iter().filter_map(|text| lookup.get(text.as_str()));
            let found = outside(known, lookup.several(), listed.map(Postings::to_bitmap));
            Some(found.or_sure(other))
        }
        (Kind::Uuid(lookup), AnyVariants::Strings(list)) => {
            let uuids: Vec<u128> = list.iter().filter_map(|text| canonical_uuid(text)).collect();
            let listed = uuids.iter().filter_map(|uuid| lookup.get(uuid));
            let found = outside(known, lookup.several(), listed.map(Postings::to_bitmap));
            let all = uuids.len() == list.len();
            Some(if all { found.or_sure(other) } else { found.or_maybe(other) })
        }
        (Kind::Integer(integers), AnyVariants::Integers(list)) => {
            let listed = list.iter().map(|value| integers.one(*value));
            Some(outside(known, &integers.several, listed).or_sure(other))
        }
        // Their own values are in no list of the other kind.
        (Kind::Keyword(_) | Kind::Uuid(_), AnyVariants::Integers(_))
        | (Kind::Integer(_), AnyVariants::Strings(_))
        | (Kind::Bool(_) | Kind::Geo(_), _)
        | (Kind::Float(_), AnyVariants::Strings(_))
        | (Kind::Datetime(_), AnyVariants::Integers(_)) => {
            Some(IndexAnswer::sure(known.clone()).or_maybe(other))
        }
        (Kind::Float(_), AnyVariants::Integers(_))
        | (Kind::Datetime(_), AnyVariants::Strings(_))
        | (Kind::Text(_), _) => None,
    }
}

/// The slots with a value outside a list, of the slots `known` with values of its kind.
///
/// `listed` gives, for each different value of the list, the slots that have it; `several` are
/// the slots with more than one value. Exact but for slots with two of the listed values and
/// more: they may have another one beside.
fn outside(
    known: &RoaringBitmap,
    several: &RoaringBitmap,
    listed: impl Iterator<Item = RoaringBitmap>,
) -> IndexAnswer {
    let (mut once, mut twice) = (RoaringBitmap::new(), RoaringBitmap::new());
    for slots in listed {
        twice |= &once & &slots;
        once |= slots;
    }
    let more_than_listed = (several & &once) - &twice;
    IndexAnswer { sure: (known - once) | more_than_listed, maybe: several & twice }
}
