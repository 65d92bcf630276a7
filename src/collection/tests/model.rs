//! What a collection should be, written as simply as possible, and the comparison.

use serde_json::{Map, json};

use super::*;
use crate::ann;
use crate::filter::{Subject, TextOptions};
use crate::index::{Direction, FieldIndex, OrderValue};
use crate::operation::PointVectors;
use crate::point::{FieldSchema, Path, merge};

#[derive(Clone, Debug, PartialEq)]
pub struct ModelPoint {
    version: Seq,
    payload: Map<String, Value>,
    pub(super) vectors: BTreeMap<String, Vec<f32>>,
}

#[derive(Clone, Default)]
pub struct Model {
    pub(super) points: BTreeMap<PointId, ModelPoint>,
    indexes: BTreeMap<Path, FieldSchema>,
}

impl Model {
    pub fn create_index(&mut self, field: &Path, schema: &FieldSchema) {
        self.indexes.insert(field.clone(), schema.clone());
    }

    pub fn delete_index(&mut self, field: &Path) {
        self.indexes.remove(field);
    }

    pub fn has(&self, id: PointId) -> bool {
        self.points.contains_key(&id)
    }

    pub fn apply(&mut self, seq: Seq, operations: &[Operation]) {
        for operation in operations {
            self.apply_one(seq, operation);
        }
    }

    fn apply_one(&mut self, seq: Seq, operation: &Operation) {
        let merged = |payload: &mut Map<String, Value>, values: &Payload, key: &Option<Path>| {
            let values = values.to_map().unwrap();
            match key {
                Some(key) => key.merge(payload, &values),
                None => merge(payload, &values),
            }
        };
        match operation {
            Operation::Upsert(points) => {
                for point in points {
                    let model = ModelPoint {
                        version: seq,
                        payload: point.payload.to_map().unwrap(),
                        vectors: point.vectors.iter().map(stored).collect(),
                    };
                    self.points.insert(point.id, model);
                }
            }
            Operation::DeletePoints(points) => {
                for id in self.selected(points) {
                    self.points.remove(&id);
                }
            }
            Operation::UpdateVectors(points) => {
                for PointVectors { id, vectors } in points {
                    let point = self.points.get_mut(id).unwrap();
                    point.vectors.extend(vectors.iter().map(stored));
                    if !vectors.is_empty() {
                        point.version = seq;
                    }
                }
            }
            Operation::DeleteVectors { points, names } => self.each(points, |point| {
                let mut gone = |name: &String| point.vectors.remove(name).is_some();
                if names.iter().filter(|name| gone(name)).count() > 0 {
                    point.version = seq;
                }
            }),
            Operation::SetPayload { points, payload, key } => self.each(points, |point| {
                merged(&mut point.payload, payload, key);
                point.version = seq;
            }),
            Operation::OverwritePayload { points, payload } => self.each(points, |point| {
                point.payload = payload.to_map().unwrap();
                point.version = seq;
            }),
            Operation::DeletePayload { points, keys } => self.each(points, |point| {
                for key in keys {
                    key.remove(&mut point.payload);
                }
                point.version = seq;
            }),
            Operation::ClearPayload(points) => self.each(points, |point| {
                point.payload.clear();
                point.version = seq;
            }),
            _ => unreachable!(),
        }
    }

    fn each(&mut self, points: &Selector, mut change: impl FnMut(&mut ModelPoint)) {
        for id in self.selected(points) {
            change(self.points.get_mut(&id).unwrap());
        }
    }

    fn selected(&self, points: &Selector) -> Vec<PointId> {
        match points {
            Selector::Ids(ids) => ids.clone(),
            Selector::Filter(filter) => self.matching(filter),
        }
    }

    pub(super) fn view(&self, id: PointId) -> Option<PointView> {
        let point = self.points.get(&id)?;
        Some(PointView {
            id,
            version: point.version,
            payload: Some(Payload::from_map(&point.payload)),
            vectors: Some(point.vectors.clone().into_iter().collect()),
        })
    }

    pub fn matching(&self, filter: &Filter) -> Vec<PointId> {
        let texts: BTreeMap<Path, TextOptions> = self
            .indexes
            .iter()
            .filter_map(|(field, schema)| {
                let index = FieldIndex::new(field, schema).unwrap();
                Some((field.clone(), index.text_options()?.clone()))
            })
            .collect();
        let matches = |(id, point): &(&PointId, &ModelPoint)| {
            filter.matches(&Subject {
                id: **id,
                payload: &point.payload,
                has_vector: &|name| point.vectors.contains_key(name),
                text: &|key| texts.get(key),
            })
        };
        self.points.iter().filter(matches).map(|(id, _)| *id).collect()
    }

    /// In order of a field, by a look at every payload.
    fn check_order(&self, collection: &Collection, filter: &Filter) {
        for (key, schema) in &self.indexes {
            let mut values = Vec::new();
            for id in self.matching(filter) {
                let mut whole = FieldIndex::new(key, schema).unwrap();
                whole.insert(0, &whole.extract(&self.points[&id].payload));
                let Some(own) = whole.ordered(None, Direction::Ascending) else { continue };
                values.extend(own.map(|(value, _)| (value, id)));
            }
            values.sort_unstable();
            for (limit, skipped, direction) in [
                (100, 0, Direction::Ascending),
                (2, 1, Direction::Ascending),
                (3, 2, Direction::Descending),
            ] {
                if direction == Direction::Descending {
                    values.sort_by(|(a, one), (b, other)| b.cmp(a).then(one.cmp(other)));
                }
                let start_from = values.get(skipped).map(|(value, _)| *value);
                let ordered = Ordered {
                    filter: filter.clone(),
                    key: key.clone(),
                    direction,
                    start_from: start_from.filter(|_| skipped > 0),
                    limit,
                    select: everything(),
                };
                let Ok(found) = collection.ordered(&ordered) else {
                    assert!(values.is_empty());
                    continue;
                };
                let first = values.iter().position(|(value, _)| Some(*value) == start_from);
                let from = first.filter(|_| skipped > 0).unwrap_or(0);
                let view = |(value, id): &(OrderValue, PointId)| (self.view(*id).unwrap(), *value);
                let expected: Vec<_> = values[from..].iter().take(limit).map(view).collect();
                assert_eq!(found, expected, "{filter:?} by {key}");
            }
        }
    }

    /// Every reader of the collection answers what the model does.
    pub fn check(&self, collection: &Collection, ids: &[PointId]) {
        let views: Vec<PointView> = ids.iter().filter_map(|id| self.view(*id)).collect();
        assert_eq!(collection.retrieve(ids, &everything()).unwrap(), views);
        assert_eq!(collection.info().points, self.points.len() as u64);
        for filter in filters(ids) {
            let matching = self.matching(&filter);
            assert_eq!(collection.count(&filter), matching.len() as u64, "{filter:?}");
            self.check_order(collection, &filter);
            for limit in [1, 2, 3, 100] {
                self.check_scroll(collection, &filter, &matching, limit);
            }
            for name in schema().vectors.keys() {
                self.check_search(collection, &filter, &matching, name);
                self.check_examples(collection, &filter, &matching, name);
            }
        }
    }

    fn check_scroll(
        &self,
        collection: &Collection,
        filter: &Filter,
        matching: &[PointId],
        limit: usize,
    ) {
        let (mut offset, mut seen) = (None, Vec::new());
        loop {
            let filter = filter.clone();
            let scroll = Scroll { filter, offset, limit, select: everything() };
            let page = collection.scroll(&scroll).unwrap();
            assert!(page.points.len() == limit || page.next_page_offset.is_none());
            seen.extend(page.points);
            offset = page.next_page_offset;
            match offset {
                Some(next) => assert_eq!(next, matching[seen.len()]),
                None => break,
            }
        }
        let expected: Vec<PointView> = matching.iter().filter_map(|id| self.view(*id)).collect();
        assert_eq!(seen, expected, "{filter:?} by {limit}");
    }

    fn check_search(
        &self,
        collection: &Collection,
        filter: &Filter,
        matching: &[PointId],
        name: &str,
    ) {
        let params = &schema().vectors[name];
        let query: Vec<f32> = [0.5, -1.0, 2.0][..params.size].to_vec();
        let mut compared = query.clone();
        if params.distance == Distance::Cosine {
            ann::normalize(&mut compared);
        }
        let (all, largest) = self.ranked(matching, name, &compared, None);
        for (limit, offset, threshold) in [(100, 0, false), (2, 0, false), (2, 1, true)] {
            let threshold = largest.filter(|_| threshold);
            let mut search = search(name, Query::Vector(query.clone()), limit);
            (search.filter, search.offset) = (filter.clone(), offset);
            (search.score_threshold, search.select) = (threshold, everything());
            let good = |scored: &&ScoredPoint| match threshold {
                Some(least) if params.distance.larger_is_closer() => scored.score > least,
                Some(most) => scored.score < most,
                None => true,
            };
            let expected: Vec<ScoredPoint> =
                all.iter().filter(good).skip(offset).take(limit).cloned().collect();
            assert_eq!(collection.search(&search).unwrap(), expected, "{filter:?} {name}");
            search.exact = true;
            assert_eq!(collection.search(&search).unwrap(), expected, "{filter:?} {name}");
        }
        self.check_search_by_point(collection, filter, matching, name);
    }

    fn check_search_by_point(
        &self,
        collection: &Collection,
        filter: &Filter,
        matching: &[PointId],
        name: &str,
    ) {
        let with =
            |(id, point): (&PointId, &ModelPoint)| Some((*id, point.vectors.get(name)?.clone()));
        let Some((id, vector)) = self.points.iter().find_map(with) else { return };
        let mut search = search(name, Query::Point(id), 3);
        (search.filter, search.select) = (filter.clone(), everything());
        let (mut expected, _) = self.ranked(matching, name, &vector, Some(id));
        expected.truncate(3);
        assert_eq!(collection.search(&search).unwrap(), expected, "{filter:?} {name} like {id}");
    }

    /// All that match and have the vector, best first, and the score in the middle.
    fn ranked(
        &self,
        matching: &[PointId],
        name: &str,
        query: &[f32],
        except: Option<PointId>,
    ) -> (Vec<ScoredPoint>, Option<f32>) {
        let distance = schema().vectors[name].distance;
        let scored = |id: &PointId| {
            let vector = self.points[id].vectors.get(name)?;
            let score = ann::score(distance, query, vector).unwrap();
            (except != Some(*id)).then(|| ScoredPoint { point: self.view(*id).unwrap(), score })
        };
        let mut all: Vec<ScoredPoint> = matching.iter().filter_map(scored).collect();
        all.sort_by(|a, b| {
            let by_score = a.score.total_cmp(&b.score);
            let by_score = if distance.larger_is_closer() { by_score.reverse() } else { by_score };
            by_score.then(a.point.id.cmp(&b.point.id))
        });
        let middle = all.get(all.len() / 2).map(|scored| scored.score);
        (all, middle)
    }
}

/// As it is kept.
fn stored(vector: &NamedVector) -> (String, Vec<f32>) {
    let mut values = vector.values.clone();
    if schema().vectors[&vector.name].distance == Distance::Cosine {
        assert!(ann::normalize(&mut values));
    }
    (vector.name.clone(), values)
}

pub fn filters(ids: &[PointId]) -> Vec<Filter> {
    let red = json!({"key": "color", "match": {"value": "red"}});
    let one = json!({"key": "size", "match": {"value": 1}});
    let large = json!({"key": "size", "range": {"gte": 1}});
    let late = json!({"key": "at", "range": {"gt": "2024-01-01"}});
    let quick = json!({"key": "text", "match": {"text": "quick FOX"}});
    let dot = json!({"has_vector": "dot"});
    let some: Vec<Value> =
        ids.iter().step_by(3).map(|id| serde_json::to_value(id).unwrap()).collect();
    let some = json!({"has_id": some});
    let all = [
        json!({}),
        json!({"must": [red]}),
        json!({"must_not": [red]}),
        json!({"must": [some]}),
        json!({"must_not": [some, dot]}),
        json!({"must": [some, red]}),
        json!({"should": [some, red]}),
        json!({"should": [red, one], "must_not": [some]}),
        json!({"must": [{"must_not": [some, red]}], "should": [one, {"must": [one]}]}),
        json!({"must_not": [{"should": [red, some]}]}),
        json!({"should": [{"has_id": []}]}),
        json!({"must": [large, dot]}),
        json!({"should": [late, quick]}),
        json!({"must_not": [large, late]}),
        json!({"min_should": {"conditions": [red, large, late, dot, some], "min_count": 3}}),
        json!({"must_not": [{"min_should": {"conditions": [one, late, quick], "min_count": 2}}]}),
        json!({"must": [{"key": "color", "match": {"except": ["red"]}}]}),
        json!({"must": [{"is_empty": {"key": "color"}}]}),
        json!({"must": [{"key": "nested.size", "range": {"lt": 2}}]}),
    ];
    all.into_iter().map(filter).collect()
}
