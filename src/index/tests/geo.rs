use proptest::prelude::*;
use serde_json::json;

use super::Twin;
use super::any::{area, place};
use crate::filter::{GeoPoint, Predicate};
use crate::point::{FieldSchema, FieldType};

/// Places around an area's edge and at large.
fn twin(places: &[(f64, f64)]) -> Twin {
    let mut twin = Twin::new("f", &FieldSchema::from(FieldType::Geo));
    for (slot, (lon, lat)) in places.iter().enumerate() {
        twin.put(slot as u32, Some(json!({"f": {"lon": lon, "lat": lat}})));
    }
    twin
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn only_places_at_an_edge_are_left_to_the_payload(
        places in proptest::collection::vec(place(), 300),
        areas in proptest::collection::vec(area(), 10),
    ) {
        let twin = twin(&places);
        for area in areas {
            let Some(answer) = twin.answer(&area) else { panic!("{area:?} has no answer") };
            let Predicate::GeoRadius(circle) = area else { continue };
            for slot in answer.maybe {
                let (lon, lat) = places[slot as usize];
                let distance = circle.center.distance(&GeoPoint { lon, lat });
                prop_assert!((distance - circle.radius).abs() < 2.0, "{distance} of {circle:?}");
            }
        }
    }
}

#[test]
fn an_area_is_nearly_all_sure() {
    let places: Vec<_> = (0..40_000u32)
        .map(|n| {
            (f64::from(n * 7919 % 36_000) / 100.0 - 180.0, f64::from(n % 18_000) / 100.0 - 90.0)
        })
        .collect();
    let twin = twin(&places);
    for area in [
        json!({"geo_bounding_box": {
            "top_left": {"lon": 170.003, "lat": 60.003}, "bottom_right": {"lon": -20.003, "lat": -60.003}
        }}),
        json!({"geo_radius": {"center": {"lon": 179.9, "lat": 88}, "radius": 3_000_000.0}}),
        json!({"geo_polygon": {"exterior": {"points": [
            {"lon": -100.003, "lat": -50.003}, {"lon": 120, "lat": -60}, {"lon": 10.003, "lat": 80.003},
            {"lon": -100.003, "lat": -50.003}
        ]}}}),
    ] {
        let mut condition = area.clone();
        condition["key"] = "f".into();
        let filter: crate::filter::Filter =
            serde_json::from_value(json!({"must": [condition]})).unwrap();
        let crate::filter::Condition::Field(field) = &filter.must[0] else { panic!("{area}") };
        let answer = twin.answer(&field.predicates[0]).unwrap();
        assert!(answer.sure.len() > 500 && answer.maybe.is_empty(), "{area}: {answer:?}");
    }
}
