use super::*;

fn at(lon: f64, lat: f64) -> Value {
    json!({"lon": lon, "lat": lat})
}

fn ring(points: &[(f64, f64)]) -> Value {
    json!({"points": points.iter().map(|(lon, lat)| at(*lon, *lat)).collect::<Vec<_>>()})
}

fn square(west: f64, south: f64, east: f64, north: f64) -> Value {
    ring(&[(west, south), (east, south), (east, north), (west, north), (west, south)])
}

#[test]
fn a_place_is_an_object_within_bounds() {
    assert_eq!(GeoPoint::of(&at(1.5, -2.0)), Some(GeoPoint { lon: 1.5, lat: -2.0 }));
    assert_eq!(GeoPoint::of(&json!({"lon": 1, "lat": 2, "name": "x"})).unwrap().lon, 1.0);
    for bad in [
        json!({"lon": 1}),
        json!({"lon": "1", "lat": 2}),
        json!([1, 2]),
        json!("1,2"),
        json!(null),
        at(180.5, 0.0),
        at(0.0, -90.5),
    ] {
        assert_eq!(GeoPoint::of(&bad), None, "{bad}");
    }
}

#[test]
fn a_box_holds_what_is_strictly_inside() {
    let berlin = json!({"geo_bounding_box": {
        "top_left": at(13.403683, 52.520711), "bottom_right": at(13.455868, 52.495862)}});
    let pacific = json!({"geo_bounding_box": {
        "top_left": at(170.0, 10.0), "bottom_right": at(-170.0, -10.0)}});
    let upside_down = json!({"geo_bounding_box": {
        "top_left": at(0.0, 0.0), "bottom_right": at(10.0, 10.0)}});
    for (area, value, expected) in [
        (&berlin, at(13.41, 52.51), true),
        (&berlin, at(13.403683, 52.51), false),
        (&berlin, at(13.41, 52.520711), false),
        (&berlin, at(13.3, 52.51), false),
        (&berlin, json!([at(0.0, 0.0), at(13.41, 52.51)]), true),
        (&pacific, at(175.0, 0.0), true),
        (&pacific, at(-175.0, 0.0), true),
        (&pacific, at(180.0, 0.0), true),
        (&pacific, at(170.0, 0.0), false),
        (&pacific, at(0.0, 0.0), false),
        (&pacific, at(175.0, 11.0), false),
        (&upside_down, at(5.0, 5.0), false),
    ] {
        assert_eq!(holds_for(area, &value), expected, "{value} in {area}");
    }
}

/// The distance is what Qdrant's geometry library documents for its own haversine.
#[test]
fn a_circle_is_measured_along_a_great_circle() {
    let point = |lon, lat| GeoPoint { lon, lat };
    let distance = point(-74.006, 40.7128).distance(&point(-0.1278, 51.5074));
    assert_eq!(distance.round(), 5_570_230.0);
    let half = std::f64::consts::PI * 6_371_008.8;
    assert!((point(0.0, 0.0).distance(&point(180.0, 0.0)) - half).abs() < 1e-6);
    assert!(point(12.3, 45.6).distance(&point(-167.7, -45.6)) <= half);
    let around = |radius: f64| json!({"geo_radius": {"center": at(179.99, 0.0), "radius": radius}});
    // 0.02 degrees across the antimeridian are 2 224 metres.
    assert!(holds_for(&around(2224.0), &at(-179.99, 0.0)));
    assert!(!holds_for(&around(2223.0), &at(-179.99, 0.0)));
    assert!(holds_for(&around(1.0), &json!([at(0.0, 0.0), at(179.99, 0.0)])));
    // Strictly nearer.
    assert!(!holds_for(&around(0.0), &at(179.99, 0.0)));
}

#[test]
fn a_polygon_holds_what_is_inside_and_in_no_hole() {
    let holed = json!({"geo_polygon": {
        "exterior": square(0.0, 0.0, 10.0, 10.0),
        "interiors": [square(2.0, 2.0, 4.0, 4.0), square(6.0, 6.0, 8.0, 8.0)]}});
    // Clockwise, and not convex: a notch between (4, 10) and (6, 10) goes down to (5, 2).
    let notched = json!({"geo_polygon": {"interiors": null, "exterior": ring(&[
        (0.0, 0.0), (0.0, 10.0), (4.0, 10.0), (5.0, 2.0), (6.0, 10.0), (10.0, 10.0), (10.0, 0.0),
        (0.0, 0.0)])}});
    let peak = json!({"geo_polygon": {"exterior": ring(&[
        (0.0, 0.0), (5.0, 5.0), (10.0, 0.0), (5.0, -5.0), (0.0, 0.0)])}});
    for (area, lon, lat, expected) in [
        (&peak, -1.0, 5.0, false),
        (&peak, -1.0, -5.0, false),
        (&peak, -1.0, 0.0, false),
        (&peak, 1.0, 0.0, true),
        (&holed, 1.0, 1.0, true),
        (&holed, 5.0, 5.0, true),
        (&holed, 3.0, 3.0, false),
        (&holed, 7.0, 7.0, false),
        (&holed, 11.0, 5.0, false),
        (&holed, -1.0, 5.0, false),
        // Neither ring's line is inside.
        (&holed, 0.0, 5.0, false),
        (&holed, 10.0, 10.0, false),
        (&holed, 2.0, 3.0, false),
        (&notched, 5.0, 1.0, true),
        (&notched, 5.0, 3.0, false),
        (&notched, 5.0, 2.0, false),
        (&notched, 1.0, 9.0, true),
        (&notched, 9.0, 9.0, true),
        // Rays to the east through a corner, and along a side.
        (&notched, 1.0, 2.0, true),
        (&notched, -1.0, 2.0, false),
        (&notched, -1.0, 10.0, false),
        (&notched, -1.0, 0.0, false),
    ] {
        assert_eq!(holds_for(area, &at(lon, lat)), expected, "{lon} {lat} in {area}");
    }
}
