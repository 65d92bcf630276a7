//! What a collection should be, written as simply as possible, and the comparison.

use serde_json::{Map, json};

use super::*;
use crate::ann;
use crate::filter::Subject;

#[derive(Clone, Debug, PartialEq)]
pub struct ModelPoint {
    version: Seq,
    payload: Map<String, Value>,
    vectors: BTreeMap<String, Vec<f32>>,
}

#[derive(Clone, Default)]
pub struct Model {
    points: BTreeMap<PointId, ModelPoint>,
}

impl Model {
    pub fn apply(&mut self, seq: Seq, operations: &[Operation]) {
        for operation in operations {
            match operation {
                Operation::Upsert(points) => {
                    for point in points {
                        let vector = |vector: &NamedVector| {
                            let mut values = vector.values.clone();
                            if schema().vectors[&vector.name].distance == Distance::Cosine {
                                assert!(ann::normalize(&mut values));
                            }
                            (vector.name.clone(), values)
                        };
                        let model = ModelPoint {
                            version: seq,
                            payload: point.payload.to_map().unwrap(),
                            vectors: point.vectors.iter().map(vector).collect(),
                        };
                        self.points.insert(point.id, model);
                    }
                }
                Operation::DeletePoints(ids) => {
                    for id in ids {
                        self.points.remove(id);
                    }
                }
                _ => unreachable!(),
            }
        }
    }

    fn view(&self, id: PointId) -> Option<PointView> {
        let point = self.points.get(&id)?;
        Some(PointView {
            id,
            version: point.version,
            payload: Some(Payload::from_map(&point.payload)),
            vectors: Some(point.vectors.clone().into_iter().collect()),
        })
    }

    fn matching(&self, filter: &Filter) -> Vec<PointId> {
        let matches = |(id, point): &(&PointId, &ModelPoint)| {
            let payload = &point.payload;
            let has_vector = &|name: &str| point.vectors.contains_key(name);
            filter.matches(&Subject { id: **id, payload, has_vector, text: &|_| None })
        };
        self.points.iter().filter(matches).map(|(id, _)| *id).collect()
    }

    /// Every reader of the collection answers what the model does.
    pub fn check(&self, collection: &Collection, ids: &[PointId]) {
        let views: Vec<PointView> = ids.iter().filter_map(|id| self.view(*id)).collect();
        assert_eq!(collection.retrieve(ids, &everything()).unwrap(), views);
        assert_eq!(collection.info().points, self.points.len() as u64);
        for filter in filters(ids) {
            let matching = self.matching(&filter);
            assert_eq!(collection.count(&filter), matching.len() as u64, "{filter:?}");
            for limit in [1, 2, 3, 100] {
                self.check_scroll(collection, &filter, &matching, limit);
            }
            for name in schema().vectors.keys() {
                self.check_search(collection, &filter, &matching, name);
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
                Some(least) if params.distance.larger_is_closer() => scored.score >= least,
                Some(most) => scored.score <= most,
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

fn filters(ids: &[PointId]) -> Vec<Filter> {
    let red = json!({"key": "color", "match": {"value": "red"}});
    let one = json!({"key": "size", "match": {"value": 1}});
    let some: Vec<Value> =
        ids.iter().step_by(3).map(|id| serde_json::to_value(id).unwrap()).collect();
    let some = json!({"has_id": some});
    let all = [
        json!({}),
        json!({"must": [red]}),
        json!({"must_not": [red]}),
        json!({"must": [some]}),
        json!({"must_not": [some]}),
        json!({"must": [some, red]}),
        json!({"should": [some, red]}),
        json!({"should": [red, one], "must_not": [some]}),
        json!({"must": [{"must_not": [some, red]}], "should": [one, {"must": [one]}]}),
        json!({"must_not": [{"should": [red, some]}]}),
        json!({"should": [{"has_id": []}]}),
    ];
    all.into_iter().map(filter).collect()
}
