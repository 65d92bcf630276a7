//! Regions of the globe, as far as they meet squares of the grid.
//!
//! A square of keys holds every place whose key is in it, and the answer about it is never
//! wrong; near a region's edge it is *border*.

use super::cells::{Square, Touch, column, row};
use crate::filter::{GeoBoundingBox, GeoPoint, GeoPolygon, GeoRadius};

pub(super) trait Region {
    fn touch(&self, square: &Square) -> Touch;
}

/// A bounding box in columns and rows. Comparing these is exact: a place in a column between
/// those of two meridians lies between the meridians, because columns never fall where
/// longitudes grow.
pub(super) struct Rectangle {
    /// Open intervals; two of them across the antimeridian.
    columns: Vec<(i64, i64)>,
    rows: (i64, i64),
}

impl Rectangle {
    pub(super) fn of(area: &GeoBoundingBox) -> Self {
        let left = i64::from(column(area.top_left.lon));
        let right = i64::from(column(area.bottom_right.lon));
        let columns = if area.top_left.lon > area.bottom_right.lon {
            vec![(left, i64::from(u32::MAX) + 1), (-1, right)]
        } else {
            vec![(left, right)]
        };
        let rows = (i64::from(row(area.bottom_right.lat)), i64::from(row(area.top_left.lat)));
        Rectangle { columns, rows }
    }
}

impl Region for Rectangle {
    fn touch(&self, square: &Square) -> Touch {
        let columns = (square.column, square.last_column());
        let across = self.columns.iter().map(|interval| meet(*interval, columns));
        let along = meet(self.rows, (square.row, square.last_row()));
        across.map(|across| both(across, along)).fold(Touch::Outside, either)
    }
}

/// How an open interval meets the cells from `first` to `last`. Its ends lie somewhere in
/// their cells.
fn meet((low, high): (i64, i64), (first, last): (u32, u32)) -> Touch {
    let (first, last) = (i64::from(first), i64::from(last));
    if low < first && last < high {
        Touch::Inside
    } else if last < low || high < first || high < low {
        Touch::Outside
    } else {
        Touch::Border
    }
}

fn both(a: Touch, b: Touch) -> Touch {
    match (a, b) {
        (Touch::Outside, _) | (_, Touch::Outside) => Touch::Outside,
        (Touch::Inside, Touch::Inside) => Touch::Inside,
        _ => Touch::Border,
    }
}

fn either(a: Touch, b: Touch) -> Touch {
    match (a, b) {
        (Touch::Inside, _) | (_, Touch::Inside) => Touch::Inside,
        (Touch::Outside, Touch::Outside) => Touch::Outside,
        _ => Touch::Border,
    }
}

/// All places nearer to a centre than a radius. The poles and the antimeridian need no care:
/// distances do not see them.
pub(super) struct Circle {
    center: GeoPoint,
    radius: f64,
}

/// Metres of a degree of latitude, rounded up.
const DEGREE: f64 = 111_200.0;

/// Metres: more than the rounding of two distances, even between opposite ends of the earth.
const MARGIN: f64 = 1.0;

impl Circle {
    pub(super) fn of(area: &GeoRadius) -> Self {
        Circle { center: area.center, radius: area.radius }
    }
}

impl Region for Circle {
    fn touch(&self, square: &Square) -> Touch {
        let width = square.width();
        let middle =
            GeoPoint { lon: square.west() + width / 2.0, lat: square.south() + width / 4.0 };
        // From the middle to any place of the square: along the middle's parallel, whose degrees
        // are shorter away from the equator, then along a meridian.
        let shorter = middle.lat.to_radians().cos();
        let reach = (width / 2.0 * shorter + width / 4.0) * DEGREE + MARGIN;
        let distance = self.center.distance(&middle);
        if distance + reach < self.radius {
            Touch::Inside
        } else if distance - reach > self.radius {
            Touch::Outside
        } else {
            Touch::Border
        }
    }
}

/// A polygon with straight sides in degrees. A square that no side comes near lies on one side
/// of all of them, and its middle speaks for it.
pub(super) struct Polygon<'a> {
    area: &'a GeoPolygon,
    /// Corners as west, south, east, north of all.
    bounds: [f64; 4],
}

/// Degrees: more than the rounding of a place to its square and of the computations here.
const NEAR: f64 = 1e-9;

/// What the area of a triangle, in square degrees and twice, may be off by.
const TURN: f64 = 1e-9;

impl<'a> Polygon<'a> {
    pub(super) fn of(area: &'a GeoPolygon) -> Self {
        let mut bounds = [f64::MAX, f64::MAX, f64::MIN, f64::MIN];
        for corner in &area.exterior {
            bounds[0] = bounds[0].min(corner.lon);
            bounds[1] = bounds[1].min(corner.lat);
            bounds[2] = bounds[2].max(corner.lon);
            bounds[3] = bounds[3].max(corner.lat);
        }
        Polygon { area, bounds }
    }
}

impl Region for Polygon<'_> {
    fn touch(&self, square: &Square) -> Touch {
        let (west, south, width) = (square.west(), square.south(), square.width());
        let around = [west - NEAR, south - NEAR, west + width + NEAR, south + width / 2.0 + NEAR];
        if !overlap(&self.bounds, &around) {
            return Touch::Outside;
        }
        let mut rings = std::iter::once(&self.area.exterior).chain(&self.area.interiors);
        if rings.any(|ring| ring.windows(2).any(|side| comes_near(&side[0], &side[1], &around))) {
            return Touch::Border;
        }
        let middle = GeoPoint { lon: west + width / 2.0, lat: south + width / 4.0 };
        if self.area.contains(&middle) { Touch::Inside } else { Touch::Outside }
    }
}

fn overlap(a: &[f64; 4], b: &[f64; 4]) -> bool {
    a[0] <= b[2] && b[0] <= a[2] && a[1] <= b[3] && b[1] <= a[3]
}

/// Whether the side from `a` to `b` may meet the rectangle. Errs only towards `true`.
fn comes_near(a: &GeoPoint, b: &GeoPoint, around: &[f64; 4]) -> bool {
    let span = [a.lon.min(b.lon), a.lat.min(b.lat), a.lon.max(b.lon), a.lat.max(b.lat)];
    if !overlap(&span, around) {
        return false;
    }
    let [west, south, east, north] = *around;
    let turns = [(west, south), (west, north), (east, south), (east, north)]
        .map(|(lon, lat)| (b.lon - a.lon) * (lat - a.lat) - (b.lat - a.lat) * (lon - a.lon));
    // All corners clearly on one side of the line.
    !(turns.iter().all(|turn| *turn > TURN) || turns.iter().all(|turn| *turn < -TURN))
}
