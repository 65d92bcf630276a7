use std::collections::BTreeSet;

use proptest::prelude::*;
use roaring::RoaringBitmap;

use crate::index::sorted::{BLOCK, Sorted};

fn same(sorted: &Sorted, model: &BTreeSet<(u64, u32)>) {
    assert!(sorted.ascending(sorted.seek(|_| false)).eq(model.iter().copied()));
    assert!(sorted.descending(sorted.end()).eq(model.iter().rev().copied()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn pairs_are_those_of_an_ordered_set(
        runs in proptest::collection::vec((any::<bool>(), 0..40u64, 1..3000u32, 1..2000u32), 1..16),
        bounds in proptest::collection::vec((0..42u64, 0..42u64), 6),
    ) {
        let (mut sorted, mut model) = (Sorted::default(), BTreeSet::new());
        for (insert, key, from, count) in runs {
            for slot in (from..from + count).map(|slot| slot * 7 % 4096) {
                // Keys near each other, so that runs share blocks, and runs longer than one.
                let key = (key + u64::from(slot) % 3) % 41;
                if insert {
                    sorted.insert(key, slot);
                    model.insert((key, slot));
                } else {
                    sorted.remove(key, slot);
                    model.remove(&(key, slot));
                }
            }
        }
        same(&sorted, &model);
        for (low, high) in bounds {
            let range = sorted.seek(|key| key < low)..sorted.seek(|key| key < high);
            let expected = model.iter().filter(|(key, _)| (low..high).contains(key));
            let expected: RoaringBitmap = expected.map(|(_, slot)| *slot).collect();
            prop_assert_eq!(sorted.slots(range.clone()), expected.clone());
            if low <= high {
                let count = sorted.count_at_most(range.clone());
                prop_assert!(count >= expected.len() && (count == 0) == expected.is_empty());
            }
            let up = sorted.ascending(range.start);
            prop_assert!(up.eq(model.iter().copied().filter(|(key, _)| *key >= low)));
            let down = sorted.descending(range.start);
            prop_assert!(down.eq(model.iter().rev().copied().filter(|(key, _)| *key < low)));
            let equal: RoaringBitmap =
                model.iter().filter(|(key, _)| *key == low).map(|(_, slot)| *slot).collect();
            prop_assert_eq!(sorted.slots(sorted.equal(low)), equal);
        }
    }
}

#[test]
fn all_that_came_can_go_in_any_order() {
    let pairs: Vec<(u64, u32)> = (0..20_000u32).map(|n| (u64::from(n * 7919 % 5003), n)).collect();
    let (mut sorted, mut model) = (Sorted::default(), BTreeSet::new());
    for &(key, slot) in &pairs {
        sorted.insert(key, slot);
        model.insert((key, slot));
    }
    same(&sorted, &model);
    for (done, &(key, slot)) in pairs.iter().rev().enumerate() {
        sorted.remove(key, slot);
        model.remove(&(key, slot));
        if done % 4000 == 0 {
            same(&sorted, &model);
        }
    }
    same(&sorted, &model);
    assert_eq!(sorted.bytes(), 0);
}

#[test]
fn growing_values_fill_their_blocks() {
    let mut sorted = Sorted::default();
    for n in 0..100 * BLOCK as u32 {
        sorted.insert(u64::from(n), n);
    }
    assert!(sorted.bytes() < 13 * 100 * BLOCK as u64, "{} bytes", sorted.bytes());
    for n in 0..100 * BLOCK as u32 {
        if n % 100 != 0 {
            sorted.remove(u64::from(n), n);
        }
    }
    assert!(sorted.bytes() < 30 * BLOCK as u64, "{} bytes after removals", sorted.bytes());
}
