//! Places on the globe as keys, and a region as ranges of keys.
//!
//! A key interleaves 32 bits of longitude with 32 bits of latitude, so that a square of the
//! grid is one range of keys at every size. A step is less than a centimetre.

use std::ops::RangeInclusive;

/// A region is taken apart into about so many squares at most.
const SQUARES: usize = 1024;

/// With no more places than this a square at the border is not taken apart: to look at each
/// place costs less.
const FEW: u64 = 64;

/// The whole grid's side, as a power of two.
const WHOLE: u32 = 32;

/// A square of the grid: its lowest column and row, and its side as a power of two. In degrees
/// it is twice as wide as high.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Square {
    pub(super) column: u32,
    pub(super) row: u32,
    side: u32,
}

/// How a region meets a square.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Touch {
    /// No place of the square is in the region.
    Outside,
    /// Not known of all its places.
    Border,
    /// Every place of the square is in the region.
    Inside,
}

/// The key of a place, or `None` if it is not on the globe.
pub(super) fn key(lon: f64, lat: f64) -> Option<u64> {
    let on_globe = (-180.0..=180.0).contains(&lon) && (-90.0..=90.0).contains(&lat);
    on_globe.then(|| spread(column(lon)) << 1 | spread(row(lat)))
}

/// Never falls where `lon` grows: each step of it rounds and none turns an order around. The
/// last column holds the 180th meridian too.
pub(super) fn column(lon: f64) -> u32 {
    ((lon + 180.0) / 360.0 * (1u64 << WHOLE) as f64) as u32
}

/// Never falls where `lat` grows, as [`column`].
pub(super) fn row(lat: f64) -> u32 {
    ((lat + 90.0) / 180.0 * (1u64 << WHOLE) as f64) as u32
}

/// Bit n becomes bit 2n.
fn spread(bits: u32) -> u64 {
    let mut spread = u64::from(bits);
    spread = (spread | spread << 16) & 0x0000_FFFF_0000_FFFF;
    spread = (spread | spread << 8) & 0x00FF_00FF_00FF_00FF;
    spread = (spread | spread << 4) & 0x0F0F_0F0F_0F0F_0F0F;
    spread = (spread | spread << 2) & 0x3333_3333_3333_3333;
    (spread | spread << 1) & 0x5555_5555_5555_5555
}

/// Bit 2n becomes bit n; the others are left out.
fn gather(bits: u64) -> u32 {
    let mut dense = bits & 0x5555_5555_5555_5555;
    dense = (dense | dense >> 1) & 0x3333_3333_3333_3333;
    dense = (dense | dense >> 2) & 0x0F0F_0F0F_0F0F_0F0F;
    dense = (dense | dense >> 4) & 0x00FF_00FF_00FF_00FF;
    dense = (dense | dense >> 8) & 0x0000_FFFF_0000_FFFF;
    (dense | dense >> 16) as u32
}

impl Square {
    /// The smallest square: all that is known of where a key's place is.
    pub(super) fn of_key(key: u64) -> Self {
        Square { column: gather(key >> 1), row: gather(key), side: 0 }
    }

    pub(super) fn last_column(&self) -> u32 {
        self.column + self.reach()
    }

    pub(super) fn last_row(&self) -> u32 {
        self.row + self.reach()
    }

    /// From its first column to its last.
    fn reach(&self) -> u32 {
        ((1u64 << self.side) - 1) as u32
    }

    /// Degrees from west to east; from south to north it is half of that.
    pub(super) fn width(&self) -> f64 {
        360.0 / (1u64 << (WHOLE - self.side)) as f64
    }

    pub(super) fn west(&self) -> f64 {
        f64::from(self.column) / (1u64 << WHOLE) as f64 * 360.0 - 180.0
    }

    pub(super) fn south(&self) -> f64 {
        f64::from(self.row) / (1u64 << WHOLE) as f64 * 180.0 - 90.0
    }

    fn keys(&self) -> RangeInclusive<u64> {
        let first = spread(self.column) << 1 | spread(self.row);
        let reach = spread(self.reach());
        first..=first + (reach << 1 | reach)
    }

    fn quarters(&self) -> [Square; 4] {
        let side = self.side - 1;
        let (column, row) = (self.column + (1 << side), self.row + (1 << side));
        [(self.column, self.row), (self.column, row), (column, self.row), (column, row)]
            .map(|(column, row)| Square { column, row, side })
    }
}

/// Ranges of keys, ascending, that hold every place of a region, and whether they hold no other.
///
/// `count` says how many places there are in a range of keys. It may say too much, and says 0
/// only if there is none.
pub(super) fn ranges(
    touch: impl Fn(&Square) -> Touch,
    count: impl Fn(&RangeInclusive<u64>) -> u64,
) -> Vec<(RangeInclusive<u64>, bool)> {
    let mut border = vec![Square { column: 0, row: 0, side: WHOLE }];
    let mut found = Vec::new();
    // Size by size, so that what is left of the budget goes to the largest squares first.
    while border.len() * 4 + found.len() <= SQUARES && border.first().is_some_and(|s| s.side > 0) {
        let mut smaller = Vec::new();
        for square in border.iter().flat_map(Square::quarters) {
            let keys = square.keys();
            match (touch(&square), count(&keys)) {
                (Touch::Outside, _) | (_, 0) => {}
                (Touch::Inside, _) => found.push((keys, true)),
                (Touch::Border, 1..=FEW) => found.push((keys, false)),
                (Touch::Border, _) => smaller.push(square),
            }
        }
        border = smaller;
    }
    found.extend(border.iter().map(|square| (square.keys(), false)));
    found.sort_unstable_by_key(|(keys, _)| *keys.start());
    found.dedup_by(|next, last| {
        let joined = last.1 == next.1 && *last.0.end() + 1 == *next.0.start();
        if joined {
            last.0 = *last.0.start()..=*next.0.end();
        }
        joined
    });
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_key_leads_back_to_its_place(lon in -180.0..=180.0, lat in -90.0..=90.0) {
            let square = Square::of_key(key(lon, lat).unwrap());
            prop_assert_eq!((square.column, square.row), (column(lon), row(lat)));
            let (west, south, width) = (square.west(), square.south(), square.width());
            prop_assert!((west - 1e-9..=west + width + 1e-9).contains(&lon));
            prop_assert!((south - 1e-9..=south + width / 2.0 + 1e-9).contains(&lat));
        }

        #[test]
        fn squares_hold_their_keys_and_quarters(lon in -180.0..180.0, lat in -90.0..90.0) {
            let key = key(lon, lat).unwrap();
            let mut square = Square { column: 0, row: 0, side: WHOLE };
            prop_assert_eq!(square.keys(), 0..=u64::MAX);
            while square.side > 0 {
                let holding: Vec<_> =
                    square.quarters().into_iter().filter(|q| q.keys().contains(&key)).collect();
                prop_assert_eq!(holding.len(), 1);
                square = holding[0];
                prop_assert!((square.column..=square.last_column()).contains(&column(lon)));
                prop_assert!((square.row..=square.last_row()).contains(&row(lat)));
            }
            prop_assert_eq!(square, Square::of_key(key));
        }
    }

    #[test]
    fn what_is_off_the_globe_has_no_key() {
        for (lon, lat) in [(180.1, 0.0), (-181.0, 0.0), (0.0, 90.5), (0.0, -91.0), (f64::NAN, 0.0)]
        {
            assert_eq!(key(lon, lat), None);
        }
        assert_eq!(key(180.0, 90.0), Some(u64::MAX));
        assert_eq!(key(-180.0, -90.0), Some(0));
    }

    #[test]
    fn a_region_takes_a_bounded_number_of_ranges_and_misses_no_key_of_it() {
        let wanted = |s: &Square| (s.column..=s.last_column()).contains(&0x8000_1234);
        let touch = |s: &Square| if wanted(s) { Touch::Border } else { Touch::Outside };
        let found = ranges(touch, |_| u64::MAX);
        assert!(found.len() <= SQUARES, "{}", found.len());
        for row in [0, 77, u32::MAX] {
            let key = spread(0x8000_1234) << 1 | spread(row);
            assert!(found.iter().any(|(keys, _)| keys.contains(&key)));
        }
        assert_eq!(ranges(|_| Touch::Inside, |_| 1), [(0..=u64::MAX, true)]);
        assert_eq!(ranges(|_| Touch::Outside, |_| 1), []);
        assert_eq!(ranges(|_| Touch::Border, |_| 0), []);
        assert_eq!(ranges(|_| Touch::Border, |_| FEW), [(0..=u64::MAX, false)]);
    }
}
