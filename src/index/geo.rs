//! Places by their keys.

use std::ops::{Range, RangeInclusive};

use super::IndexAnswer;
use super::cells::{self, Square, Touch};
use super::gather::Gather;
use super::region::Region;
use super::sorted::{Place, Sorted};

#[derive(Default)]
pub(super) struct Geo {
    pub(super) sorted: Sorted,
}

impl Geo {
    /// Places in squares at the border are told apart by their own smallest square, so that
    /// *maybe* is only what lies within about a metre of the region's edge.
    pub(super) fn answer(&self, region: &impl Region) -> IndexAnswer {
        let mut sure = Gather::new(self.sorted.slots_end());
        let mut maybe = Gather::new(self.sorted.slots_end());
        let count = |keys: &_| self.sorted.count_at_most(self.within(keys));
        for (keys, inside) in cells::ranges(|square| region.touch(square), count) {
            for (keys, slots) in self.sorted.slices(self.within(&keys)) {
                if inside {
                    sure.extend(slots);
                    continue;
                }
                for (key, slot) in keys.iter().zip(slots) {
                    match region.touch(&Square::of_key(*key)) {
                        Touch::Outside => {}
                        Touch::Border => maybe.extend(&[*slot]),
                        Touch::Inside => sure.extend(&[*slot]),
                    }
                }
            }
        }
        IndexAnswer::sure(sure.finish()).or_maybe(&maybe.finish())
    }

    fn within(&self, keys: &RangeInclusive<u64>) -> Range<Place> {
        let start = self.sorted.seek(|key| key < *keys.start());
        start..self.sorted.seek(|key| key <= *keys.end())
    }
}
