//! What the messages of the plan make of a collection, by the rules as they are written down.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    pub vector: Value,
    pub payload: Map<String, Value>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Model {
    pub points: BTreeMap<u64, Point>,
    /// Messages that could not be applied.
    pub refused: u64,
}

impl Model {
    pub fn apply(&mut self, text: &str) {
        if self.try_apply(text).is_none() {
            self.refused += 1;
        }
    }

    /// `None`: it changes nothing, it is a dead letter.
    fn try_apply(&mut self, text: &str) -> Option<()> {
        let message: Value = serde_json::from_str(text).ok()?;
        let (operation, body) = message.as_object()?.iter().next()?;
        match operation.as_str() {
            "upsert" => {
                for point in body["points"].as_array()? {
                    let (vector, payload) = (point["vector"].clone(), point["payload"].clone());
                    let payload = payload.as_object()?.clone();
                    self.points.insert(point["id"].as_u64()?, Point { vector, payload });
                }
            }
            "update_vectors" => {
                for point in body["points"].as_array()? {
                    self.points.get_mut(&point["id"].as_u64()?)?.vector = point["vector"].clone();
                }
            }
            "set_payload" if body["points"].is_array() => {
                let keys = body["payload"].as_object()?;
                for id in body["points"].as_array()? {
                    self.points.get_mut(&id.as_u64()?)?.payload.extend(keys.clone());
                }
            }
            "set_payload" => {
                let keys = body["payload"].as_object()?;
                let chosen = self.points.values_mut().filter(|it| matches(&body["filter"], it));
                for point in chosen {
                    point.payload.extend(keys.clone());
                }
            }
            "delete" if body["filter"].is_object() => {
                self.points.retain(|_, point| !matches(&body["filter"], point));
            }
            "delete" => {
                for id in body["points"].as_array()? {
                    self.points.remove(&id.as_u64()?);
                }
            }
            other => panic!("the plan has no {other}"),
        }
        Some(())
    }
}

fn matches(filter: &Value, point: &Point) -> bool {
    filter["must"].as_array().unwrap().iter().all(|condition| {
        let value = &point.payload[condition["key"].as_str().unwrap()];
        match condition["range"]["lt"].as_u64() {
            Some(below) => value.as_u64().unwrap() < below,
            None => *value == condition["match"]["value"],
        }
    })
}

#[test]
fn what_is_not_idempotent_shows_when_it_is_applied_twice() {
    let once: Vec<String> = (0..2000).map(super::plan::text).collect();
    let fed = |texts: &mut dyn Iterator<Item = &String>| {
        let mut model = Model::default();
        texts.for_each(|text| model.apply(text));
        model
    };
    let right = fed(&mut once.iter());
    assert!(right.refused > 100 && right.points.len() > 20, "{} points", right.points.len());
    // The whole beginning again at the end, and the last two the other way round.
    assert_ne!(fed(&mut once.iter().chain(&once[..500])).points, right.points);
    let again = fed(&mut once.iter().chain(&once[1800..1900]));
    assert_ne!(again.points, right.points);
}
