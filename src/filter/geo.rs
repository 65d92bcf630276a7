//! Places on the earth: boxes, circles and polygons.

use serde::Serialize;
use serde_json::Value;

/// Metres: the mean radius that Qdrant's distances are computed with.
const EARTH_RADIUS: f64 = 6_371_008.8;

/// Degrees: `lon` within ±180, `lat` within ±90.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct GeoPoint {
    pub lon: f64,
    pub lat: f64,
}

/// What lies strictly inside. With a left edge east of its right edge it crosses the
/// antimeridian.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct GeoBoundingBox {
    pub top_left: GeoPoint,
    pub bottom_right: GeoPoint,
}

/// What lies nearer to `center` than `radius` metres, along a great circle.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct GeoRadius {
    pub center: GeoPoint,
    pub radius: f64,
}

/// What lies inside the exterior ring, and neither inside nor on one of the interiors. Rings
/// are closed: they end where they begin. Sides are straight in degrees.
#[derive(Clone, Debug, PartialEq)]
pub struct GeoPolygon {
    pub exterior: Vec<GeoPoint>,
    pub interiors: Vec<Vec<GeoPoint>>,
}

impl GeoPoint {
    /// The place that a payload value names: `{"lon": …, "lat": …}`. Beyond the bounds it is
    /// none, as to Qdrant's index of places; without an index Qdrant would compute with it.
    pub fn of(value: &Value) -> Option<GeoPoint> {
        let degrees = |name: &str| value.get(name).and_then(Value::as_f64);
        let point = GeoPoint { lon: degrees("lon")?, lat: degrees("lat")? };
        point.is_in_bounds().then_some(point)
    }

    pub(super) fn is_in_bounds(&self) -> bool {
        (-180.0..=180.0).contains(&self.lon) && (-90.0..=90.0).contains(&self.lat)
    }

    /// Metres along a great circle, by the haversine formula.
    pub fn distance(&self, other: &GeoPoint) -> f64 {
        let half_sine = |from: f64, to: f64| ((to - from).to_radians() / 2.0).sin().powi(2);
        let square = half_sine(self.lat, other.lat)
            + self.lat.to_radians().cos()
                * other.lat.to_radians().cos()
                * half_sine(self.lon, other.lon);
        // Rounding may carry the square of opposite points past 1, where asin is not a number.
        2.0 * EARTH_RADIUS * square.min(1.0).sqrt().asin()
    }
}

impl GeoBoundingBox {
    pub fn contains(&self, point: &GeoPoint) -> bool {
        let (left, right) = (self.top_left.lon, self.bottom_right.lon);
        let between = if left > right {
            point.lon > left || point.lon < right
        } else {
            left < point.lon && point.lon < right
        };
        between && self.bottom_right.lat < point.lat && point.lat < self.top_left.lat
    }
}

impl GeoRadius {
    pub fn contains(&self, point: &GeoPoint) -> bool {
        self.center.distance(point) < self.radius
    }
}

impl GeoPolygon {
    pub fn contains(&self, point: &GeoPoint) -> bool {
        side(&self.exterior, point) == Side::Inside
            && self.interiors.iter().all(|hole| side(hole, point) == Side::Outside)
    }
}

#[derive(PartialEq)]
enum Side {
    Inside,
    On,
    Outside,
}

/// Counts how often a ray from the point to the east crosses the ring.
fn side(ring: &[GeoPoint], point: &GeoPoint) -> Side {
    let mut inside = false;
    for edge in ring.windows(2) {
        let (a, b) = (&edge[0], &edge[1]);
        // Twice the area of the triangle: its sign says on which side of the edge the point is.
        let turn = (b.lon - a.lon) * (point.lat - a.lat) - (b.lat - a.lat) * (point.lon - a.lon);
        let within = |from: f64, to: f64, at: f64| from.min(to) <= at && at <= from.max(to);
        if turn == 0.0 && within(a.lon, b.lon, point.lon) && within(a.lat, b.lat, point.lat) {
            return Side::On;
        }
        // Each edge owns its lower end and not its upper: a ray through a corner counts once.
        let (upward, downward) =
            (a.lat <= point.lat && point.lat < b.lat, b.lat <= point.lat && point.lat < a.lat);
        if upward && turn > 0.0 || downward && turn < 0.0 {
            inside = !inside;
        }
    }
    if inside { Side::Inside } else { Side::Outside }
}
