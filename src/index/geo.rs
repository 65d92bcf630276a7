//! Places by their keys.

use super::IndexAnswer;
use super::cells::{self, Square, Touch};
use super::gather::Gather;
use super::region::Region;
use super::sorted::Sorted;

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
        for (keys, inside) in cells::ranges(|square| region.touch(square)) {
            let start = self.sorted.seek(|key| key < *keys.start());
            let end = self.sorted.seek(|key| key <= *keys.end());
            for (keys, slots) in self.sorted.slices(start..end) {
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
}
