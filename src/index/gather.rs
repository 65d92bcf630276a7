//! Slots in any order, some of them more than once, made into a bitmap.

use roaring::RoaringBitmap;

/// One slot in so many and more: setting bits is then faster than sorting.
const DENSE: u64 = 256;

pub(super) struct Gather {
    few: Vec<u32>,
    /// One bit a slot, least significant first; empty while the slots are few.
    bits: Vec<u8>,
    /// One past the highest slot to be expected.
    slots_end: u64,
}

impl Gather {
    pub(super) fn new(slots_end: u64) -> Self {
        Gather { few: Vec::new(), bits: Vec::new(), slots_end }
    }

    pub(super) fn extend(&mut self, slots: &[u32]) {
        if self.bits.is_empty() {
            if (self.few.len() + slots.len()) as u64 * DENSE < self.slots_end {
                self.few.extend_from_slice(slots);
                return;
            }
            self.bits = vec![0; self.slots_end.div_ceil(8).max(1) as usize];
            let few = std::mem::take(&mut self.few);
            self.set(&few);
        }
        self.set(slots);
    }

    fn set(&mut self, slots: &[u32]) {
        for &slot in slots {
            let (byte, bit) = (slot as usize / 8, 1 << (slot % 8));
            match self.bits.get_mut(byte) {
                Some(bits) => *bits |= bit,
                None => {
                    self.bits.resize(byte + 1, 0);
                    self.bits[byte] = bit;
                }
            }
        }
    }

    pub(super) fn finish(mut self) -> RoaringBitmap {
        if self.bits.is_empty() {
            self.few.sort_unstable();
            return self.few.into_iter().collect();
        }
        RoaringBitmap::from_lsb0_bytes(0, &self.bits)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_goes_in_comes_out_once(
            parts in proptest::collection::vec(proptest::collection::vec(0..200_000u32, 0..500), 0..6),
            slots_end in prop_oneof![Just(0u64), Just(100_000), Just(200_000), Just(1 << 22)],
        ) {
            let mut gather = Gather::new(slots_end);
            parts.iter().for_each(|part| gather.extend(part));
            prop_assert_eq!(gather.finish(), parts.concat().into_iter().collect::<RoaringBitmap>());
        }
    }
}
