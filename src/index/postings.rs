//! The slots of one value: small while they are few.

use roaring::RoaringBitmap;

/// Up to here a sorted list: a bitmap takes some 50 bytes for each 65 536 slots it touches.
const FEW: usize = 512;

/// Never empty. Three words, and nothing beside them for a value of one slot.
pub(super) enum Postings {
    One(u32),
    Few(Vec<u32>),
    Many(Box<RoaringBitmap>),
}

impl Postings {
    pub(super) fn len(&self) -> u64 {
        match self {
            Postings::One(_) => 1,
            Postings::Few(slots) => slots.len() as u64,
            Postings::Many(slots) => slots.len(),
        }
    }

    pub(super) fn insert(&mut self, slot: u32) {
        match self {
            Postings::One(one) if *one == slot => {}
            Postings::One(one) => {
                *self = Postings::Few(vec![slot.min(*one), slot.max(*one)]);
            }
            Postings::Few(slots) => {
                let Err(at) = slots.binary_search(&slot) else { return };
                if slots.len() < FEW {
                    slots.insert(at, slot);
                    return;
                }
                let mut many: RoaringBitmap = slots.iter().copied().collect();
                many.insert(slot);
                *self = Postings::Many(Box::new(many));
            }
            Postings::Many(slots) => {
                slots.insert(slot);
            }
        }
    }

    /// Whether this was its last slot: the value is then gone, and the postings with it.
    pub(super) fn remove(&mut self, slot: u32) -> bool {
        match self {
            Postings::One(one) => return *one == slot,
            Postings::Few(slots) => {
                if let Ok(at) = slots.binary_search(&slot) {
                    slots.remove(at);
                }
                if let [one] = slots[..] {
                    *self = Postings::One(one);
                }
            }
            Postings::Many(slots) => {
                slots.remove(slot);
                // At half, so that a slot that comes and goes does not cost a rebuild each time.
                if slots.len() <= FEW as u64 / 2 {
                    *self = Postings::Few(slots.iter().collect());
                }
            }
        }
        false
    }

    pub(super) fn to_bitmap(&self) -> RoaringBitmap {
        match self {
            Postings::One(slot) => RoaringBitmap::from_iter([*slot]),
            Postings::Few(slots) => slots.iter().copied().collect(),
            Postings::Many(slots) => RoaringBitmap::clone(slots),
        }
    }

    pub(super) fn add_to(&self, bitmap: &mut RoaringBitmap) {
        match self {
            Postings::One(slot) => {
                bitmap.insert(*slot);
            }
            Postings::Few(slots) => bitmap.extend(slots),
            Postings::Many(slots) => *bitmap |= &**slots,
        }
    }

    /// Keeps of `bitmap` what is here too.
    pub(super) fn narrow(&self, bitmap: &mut RoaringBitmap) {
        match self {
            Postings::Many(slots) => *bitmap &= &**slots,
            few => *bitmap &= few.to_bitmap(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn postings_are_a_set(steps in proptest::collection::vec((any::<bool>(), 0..1500u32), 1..4000)) {
            let mut model = BTreeSet::from([7]);
            let mut postings = Postings::One(7);
            for (grow, slot) in steps {
                if grow || slot % 3 == 0 {
                    model.insert(slot);
                    postings.insert(slot);
                } else {
                    model.remove(&slot);
                    if postings.remove(slot) {
                        prop_assert!(model.is_empty());
                        model.insert(slot);
                        postings = Postings::One(slot);
                    }
                }
                prop_assert_eq!(postings.len(), model.len() as u64);
            }
            let expected: RoaringBitmap = model.into_iter().collect();
            prop_assert_eq!(postings.to_bitmap(), expected.clone());
            let mut odd: RoaringBitmap = (0..3000).filter(|slot| slot % 2 == 1).collect();
            let mut all = odd.clone();
            postings.add_to(&mut all);
            prop_assert_eq!(all, &odd | &expected);
            let both = &odd & &expected;
            postings.narrow(&mut odd);
            prop_assert_eq!(odd, both);
        }
    }
}
