//! Queries by examples against the model's formulas and Qdrant's scores; points by chance.

use serde_json::json;

use super::model::Model;
use super::*;
use crate::ann;

fn vector(values: &[f32]) -> Example {
    Example::Vector(values.to_vec())
}

fn like(positive: Vec<Example>, negative: Vec<Example>) -> Recommend {
    Recommend { positive, negative }
}

fn by(vector: &str, objective: Objective, limit: usize) -> Search {
    search(vector, Query::Like(Like { objective, lender: None }), limit)
}

fn every_objective(a: Example, b: Example, c: Example) -> Vec<Objective> {
    let pair = |a: &Example, b: &Example| Pair { positive: a.clone(), negative: b.clone() };
    let pairs = vec![pair(&a, &b), pair(&c, &b), pair(&c, &a)];
    let several = || like(vec![a.clone(), c.clone()], vec![b.clone(), a.clone(), b.clone()]);
    vec![
        Objective::Nearest(a.clone()),
        Objective::Average(several()),
        Objective::Best(several()),
        Objective::Best(like(vec![], vec![b.clone()])),
        Objective::Sum(several()),
        Objective::Discover { target: b.clone(), context: pairs.clone() },
        Objective::Discover { target: c.clone(), context: vec![] },
        Objective::Context(pairs),
    ]
}

fn ids_of(objective: &Objective) -> Vec<PointId> {
    let pair = |pair: &Pair| [pair.positive.clone(), pair.negative.clone()];
    let examples: Vec<Example> = match objective.clone() {
        Objective::Nearest(example) => vec![example],
        Objective::Average(like) | Objective::Best(like) | Objective::Sum(like) => {
            [like.positive, like.negative].concat()
        }
        Objective::Discover { target, context } => {
            [vec![target], context.iter().flat_map(pair).collect()].concat()
        }
        Objective::Context(pairs) => pairs.iter().flat_map(pair).collect(),
    };
    let id = |example| match example {
        Example::Point(id) => Some(id),
        Example::Vector(_) => None,
    };
    examples.into_iter().filter_map(id).collect()
}

/// A vector to its score, as the objective's definition has it.
struct Scorer<'a> {
    distance: Distance,
    vector: &'a dyn Fn(&Example) -> Option<Vec<f32>>,
}

impl Scorer<'_> {
    fn close(&self, example: &Example, row: &[f32]) -> Option<f64> {
        Some(self.close_to((self.vector)(example)?, row))
    }

    /// Larger is closer.
    fn close_to(&self, mut example: Vec<f32>, row: &[f32]) -> f64 {
        if self.distance == Distance::Cosine {
            ann::normalize(&mut example);
        }
        let score = f64::from(ann::score(self.distance, &example, row).unwrap());
        match self.distance {
            Distance::Cosine | Distance::Dot => score,
            Distance::Euclid => -score.powi(2),
            Distance::Manhattan => -score,
        }
    }

    fn score(&self, objective: &Objective, row: &[f32]) -> f64 {
        let sigmoid = |x: f64| 0.5 * (x / (1.0 + x.abs()) + 1.0);
        let all = |examples: &[Example]| -> Vec<f64> {
            examples.iter().filter_map(|example| self.close(example, row)).collect()
        };
        let close = |example: &Example| self.close(example, row).unwrap();
        let nearest = |vector: Vec<f32>| {
            let close = self.close_to(vector, row);
            match self.distance {
                Distance::Euclid => (-close).sqrt(),
                Distance::Manhattan => -close,
                _ => close,
            }
        };
        match objective {
            Objective::Nearest(example) => nearest((self.vector)(example).unwrap()),
            Objective::Average(like) => {
                let mean = |examples: &[Example], at: usize| {
                    let vectors: Vec<_> = examples.iter().filter_map(self.vector).collect();
                    vectors.iter().map(|vector| vector[at]).sum::<f32>() / vectors.len() as f32
                };
                let moved = |at| 2.0 * mean(&like.positive, at) - mean(&like.negative, at);
                nearest((0..row.len()).map(moved).collect())
            }
            Objective::Best(like) => {
                let best = |close: Vec<f64>| close.into_iter().reduce(f64::max);
                let (good, bad) = (best(all(&like.positive)), best(all(&like.negative)));
                if good > bad { sigmoid(good.unwrap()) } else { -sigmoid(bad.unwrap()) }
            }
            Objective::Sum(like) => {
                all(&like.positive).iter().sum::<f64>() - all(&like.negative).iter().sum::<f64>()
            }
            Objective::Discover { target, context } => {
                let side = |pair: &Pair| {
                    let (good, bad) = (close(&pair.positive), close(&pair.negative));
                    f64::from(u8::from(good > bad)) - f64::from(u8::from(good < bad))
                };
                context.iter().map(side).sum::<f64>() + sigmoid(close(target))
            }
            Objective::Context(pairs) => {
                let loss = |pair: &Pair| {
                    let short = close(&pair.positive) - close(&pair.negative);
                    let short = (short - f64::from(f32::EPSILON)).min(0.0);
                    short / (1.0 - short)
                };
                pairs.iter().map(loss).sum()
            }
        }
    }
}

fn is_near(a: f32, b: f32) -> bool {
    (a - b).abs() <= 2e-5 * a.abs().max(b.abs()).max(1.0)
}

/// `found` are the best of `all`, whose scores are known up to rounding.
fn agree(found: &[ScoredPoint], all: &BTreeMap<PointId, f32>, search: &Search, largest: bool) {
    let mut scores: Vec<f32> = all.values().copied().collect();
    scores.sort_by(|a, b| if largest { b.total_cmp(a) } else { a.total_cmp(b) });
    let expected: Vec<f32> = scores.into_iter().skip(search.offset).take(search.limit).collect();
    assert_eq!(found.len(), expected.len(), "{search:?}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(is_near(found.score, expected), "{found:?} {expected} {search:?}");
        assert!(is_near(found.score, all[&found.point.id]), "{found:?} {search:?}");
    }
    for pair in found.windows(2) {
        let (a, b) = (&pair[0], &pair[1]);
        let in_order = if largest { a.score > b.score } else { a.score < b.score };
        assert!(in_order || a.score == b.score && a.point.id < b.point.id, "{search:?}");
    }
}

fn is_largest(objective: &Objective, distance: Distance) -> bool {
    let nearest = matches!(objective, Objective::Nearest(_) | Objective::Average(_));
    !nearest || distance.larger_is_closer()
}

impl Model {
    pub(super) fn check_examples(
        &self,
        collection: &Collection,
        filter: &Filter,
        matching: &[PointId],
        name: &str,
    ) {
        let params = &schema().vectors[name];
        let has = |name: &str| {
            let has = self.points.iter().filter(|(_, point)| point.vectors.contains_key(name));
            has.map(|(id, _)| *id).next_back()
        };
        let given = |values: [f32; 3]| vector(&values[..params.size]);
        let (a, b) = (given([0.5, -1.0, 2.25]), given([-1.75, 0.625, 0.125]));
        // Another vector of as many dimensions.
        let lender = (name == "dot").then_some("l2");
        let point = has(lender.unwrap_or(name)).map(Example::Point);
        let c = point.unwrap_or_else(|| given([1.0, 1.5, -0.75]));
        for objective in every_objective(a, b, c) {
            let lent = |example: &Example| match example {
                Example::Vector(vector) => Some(vector.clone()),
                Example::Point(id) => self.points[id].vectors.get(lender.unwrap_or(name)).cloned(),
            };
            let scorer = Scorer { distance: params.distance, vector: &lent };
            let named = ids_of(&objective);
            let scored = |id: &&PointId| {
                let row = self.points[*id].vectors.get(name)?;
                Some((**id, scorer.score(&objective, row) as f32))
            };
            let others = matching.iter().filter(|id| !named.contains(id));
            let all: BTreeMap<PointId, f32> = others.filter_map(|id| scored(&id)).collect();
            let largest = is_largest(&objective, params.distance);
            for (limit, offset) in [(100, 0), (2, 1)] {
                let lender = lender.map(str::to_owned);
                let query = Query::Like(Like { objective: objective.clone(), lender });
                let search =
                    Search { filter: filter.clone(), offset, ..search(name, query, limit) };
                agree(&collection.search(&search).unwrap(), &all, &search, largest);
            }
        }
    }
}

fn five(directory: &Path, distance: Distance) -> Collection {
    let collection = create(directory, Schema::unnamed(2, distance), eager());
    let rows = [[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [2.0, 3.0], [-1.0, 2.0]];
    let points =
        (1..).zip(rows).map(|(id, row)| point(number(id), vec![named("", &row)], json!({})));
    collection.apply(Seq(1), &[Operation::Upsert(points.collect())]).unwrap();
    collection
}

/// What Qdrant's engine answers to the same.
#[test]
#[rustfmt::skip] // A case is a line.
fn scores_are_qdrants() {
    let (a, b, target) = (vector(&[1.0, 0.5]), vector(&[0.0, 2.0]), vector(&[1.0, 1.0]));
    let pair = || vec![Pair { positive: a.clone(), negative: b.clone() }];
    let best = Objective::Best(like(vec![a.clone()], vec![b.clone()]));
    let sum = Objective::Sum(like(vec![a.clone()], vec![b.clone()]));
    let discover = Objective::Discover { target, context: pair() };
    let context = Objective::Context(pair());
    for (distance, objective, expected) in [
        (Distance::Euclid, &best, [(1, 0.4), (3, 0.4), (4, -0.083_333_34), (2, -0.25), (5, -0.25)]),
        (Distance::Euclid, &sum, [(1, 4.75), (3, 1.75), (2, -0.25), (4, -2.25), (5, -5.25)]),
        (Distance::Euclid, &discover, [(3, 1.5), (1, 1.25), (2, -0.75), (4, -0.916_666_6), (5, -0.916_666_6)]),
        (Distance::Euclid, &context, [(1, 0.0), (3, 0.0), (2, -0.200_000_08), (4, -0.692_307_7), (5, -0.84)]),
        (Distance::Manhattan, &best, [(1, 0.333_333_3), (3, 0.333_333_3), (4, -0.125), (2, -0.25), (5, -0.25)]),
        (Distance::Manhattan, &sum, [(1, 2.5), (3, 1.5), (2, -0.5), (4, -0.5), (5, -2.5)]),
        (Distance::Manhattan, &discover, [(3, 1.5), (1, 1.25), (2, -0.75), (4, -0.875), (5, -0.875)]),
        (Distance::Manhattan, &context, [(1, 0.0), (3, 0.0), (2, -0.333_333_37), (4, -0.333_333_37), (5, -0.714_285_7)]),
        (Distance::Dot, &best, [(1, 0.75), (2, -0.833_333_4), (3, -0.833_333_4), (5, -0.9), (4, -0.928_571_46)]),
        (Distance::Dot, &sum, [(1, 1.0), (3, -0.5), (2, -1.5), (4, -2.5), (5, -4.0)]),
        (Distance::Dot, &discover, [(1, 1.75), (4, -0.083_333_37), (3, -0.166_666_63), (2, -0.25), (5, -0.25)]),
        (Distance::Dot, &context, [(1, 0.0), (3, -0.333_333_37), (2, -0.6), (4, -0.714_285_7), (5, -0.8)]),
        (Distance::Cosine, &best, [(3, 0.743_416_5), (1, 0.736_068), (4, 0.732_368_9), (5, -0.736_068), (2, -0.75)]),
        (Distance::Cosine, &sum, [(1, 0.894_427_2), (3, 0.241_576_5), (4, 0.036_192_77), (2, -0.552_786_4), (5, -0.894_427_2)]),
        (Distance::Cosine, &discover, [(3, 1.75), (4, 1.747_548_8), (1, 1.707_106_8), (2, -0.292_893_23), (5, -0.379_873_45)]),
        (Distance::Cosine, &context, [(1, 0.0), (3, 0.0), (4, 0.0), (2, -0.355_996_46), (5, -0.472_136)]),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let collection = five(directory.path(), distance);
        let found = collection.search(&by("", objective.clone(), 10)).unwrap();
        let ids: Vec<PointId> = found.iter().map(|scored| scored.point.id).collect();
        assert_eq!(ids, expected.map(|(id, _)| number(id)), "{distance:?} {objective:?}");
        for (found, (_, score)) in found.iter().zip(expected) {
            assert!(is_near(found.score, score), "{found:?} {score} {distance:?} {objective:?}");
        }
    }
}

#[test]
fn a_threshold_asks_for_larger_scores_of_examples_and_for_closer_ones_of_an_average() {
    let directory = tempfile::tempdir().unwrap();
    let collection = five(directory.path(), Distance::Euclid);
    let ids = |objective, threshold| {
        let search = Search { score_threshold: Some(threshold), ..by("", objective, 10) };
        let found = collection.search(&search).unwrap();
        found.iter().map(|scored| scored.point.id).collect::<Vec<_>>()
    };
    let examples = || like(vec![vector(&[1.0, 0.5])], vec![vector(&[0.0, 2.0])]);
    assert_eq!(ids(Objective::Sum(examples()), -2.2), [1, 3, 2].map(number));
    let average = like(vec![vector(&[1.0, 0.0]), vector(&[1.0, 1.0])], vec![]);
    assert_eq!(ids(Objective::Average(average), 0.75), [1, 3].map(number));
}

#[test]
fn examples_that_cannot_be_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let collection = five(directory.path(), Distance::Dot);
    let bare = upsert(number(9), vec![], json!({}));
    collection.apply(Seq(2), &[bare]).unwrap();
    let ask = |objective| collection.search(&by("", objective, 10));
    let at = |id| Example::Point(number(id));
    let none = |strategy, wanted| Err(ReadError::NoExample { strategy, wanted });
    // A point without the vector is passed over, as long as another is left.
    let found = ask(Objective::Sum(like(vec![at(9), at(1)], vec![]))).unwrap();
    assert_eq!(found.len(), 4);
    let both = "positive or negative";
    assert_eq!(ask(Objective::Sum(like(vec![at(9)], vec![]))), none("sum_scores", both));
    assert_eq!(ask(Objective::Best(like(vec![], vec![]))), none("best_score", both));
    let average = Objective::Average(like(vec![at(9)], vec![at(1)]));
    assert_eq!(ask(average), none("average_vector", "positive"));
    for (missing, error) in
        [(7, ReadError::NoSuchPoint(number(7))), (9, ReadError::NoVector(number(9)))]
    {
        let pair = Pair { positive: at(1), negative: at(missing) };
        assert_eq!(ask(Objective::Context(vec![pair])), Err(error));
    }
    let recommend = Objective::Best(like(vec![at(1)], vec![at(7)]));
    assert_eq!(ask(recommend), Err(ReadError::NoSuchPoint(number(7))));
    let wrong = ReadError::WrongDimension { name: String::new(), given: 1, expected: 2 };
    let short = Objective::Average(like(vec![at(1)], vec![vector(&[1.0])]));
    assert_eq!(ask(short), Err(wrong));
    let far = Objective::Average(like(vec![vector(&[f32::MAX, 0.0])], vec![at(1)]));
    assert_eq!(ask(far), Err(ReadError::NotFinite));
    let zero = ask(Objective::Context(vec![])).unwrap();
    assert!(zero.len() == 5 && zero.iter().all(|scored| scored.score == 0.0));
}

/// More rows than one block has, in memory and in a file, some of them gone.
#[test]
fn every_row_is_compared_with_every_example() {
    const ROWS: u64 = 3000;
    let directory = tempfile::tempdir().unwrap();
    let collection = create(directory.path(), Schema::unnamed(3, Distance::Euclid), eager());
    let row = |id: u64| [0.7, 0.3, 0.11].map(|step| (id as f32 * step).sin());
    for first in (0..ROWS).step_by(500) {
        let points =
            (first..first + 500).map(|id| point(number(id), vec![named("", &row(id))], json!({})));
        collection.apply(Seq(first + 1), &[Operation::Upsert(points.collect())]).unwrap();
    }
    let gone: Vec<PointId> = (0..ROWS).filter(|id| id % 7 == 3).map(number).collect();
    let delete = Operation::DeletePoints(Selector::Ids(gone));
    collection.apply(Seq(ROWS + 1), &[delete]).unwrap();
    let check = || {
        let c = Example::Point(number(5));
        for objective in every_objective(vector(&[0.5, 0.1, 0.2]), vector(&[0.9, -0.4, 0.3]), c) {
            let lent = |example: &Example| match example {
                Example::Vector(vector) => Some(vector.clone()),
                Example::Point(_) => Some(row(5).to_vec()),
            };
            let scorer = Scorer { distance: Distance::Euclid, vector: &lent };
            let named = ids_of(&objective);
            let there = (0..ROWS).filter(|id| id % 7 != 3 && !named.contains(&number(*id)));
            let score = |id| (number(id), scorer.score(&objective, &row(id)) as f32);
            let all: BTreeMap<PointId, f32> = there.map(score).collect();
            let search = by("", objective.clone(), ROWS as usize);
            let largest = is_largest(&objective, Distance::Euclid);
            agree(&collection.search(&search).unwrap(), &all, &search, largest);
        }
    };
    check();
    checkpoint(&collection);
    check();
    while collection.build_graph(&mut || false).unwrap() {}
    assert!(collection.info().indexed_vectors > 0);
    check();
}

#[test]
fn points_come_by_chance_each_once_and_each_as_often() {
    let directory = tempfile::tempdir().unwrap();
    let collection = create(directory.path(), Schema::unnamed(1, Distance::Dot), eager());
    for id in 0..8 {
        let operation = upsert(number(id), vec![], json!({"even": id % 2 == 0}));
        collection.apply(Seq(id + 1), &[operation]).unwrap();
    }
    let gone = Operation::DeletePoints(Selector::Ids(vec![number(6)]));
    collection.apply(Seq(9), &[gone, upsert(number(20), vec![], json!({"even": true}))]).unwrap();
    let even = filter(json!({"must": [{"key": "even", "match": {"value": true}}]}));
    let draw = |filter: &Filter, limit, seed| -> Vec<PointId> {
        let filter = filter.clone();
        let sample = Sample { filter, limit, select: Select::default(), seed };
        collection.sample(&sample).unwrap().iter().map(|point| point.id).collect()
    };
    let (mut times, mut first) = (BTreeMap::new(), BTreeMap::new());
    for seed in 0..2000 {
        let drawn = draw(&even, 2, seed);
        assert!(drawn.len() == 2 && drawn[0] != drawn[1]);
        *first.entry(drawn[0]).or_insert(0) += 1;
        for id in drawn {
            *times.entry(id).or_insert(0) += 1;
        }
    }
    let evens = [0, 2, 4, 20].map(number);
    assert_eq!(times.keys().copied().collect::<Vec<_>>(), evens);
    // Five standard deviations.
    assert!(times.values().all(|times| (888..=1112).contains(times)), "{times:?}");
    assert!(first.values().all(|times| (403..=597).contains(times)), "{first:?}");
    let mut all = draw(&Filter::default(), 100, 1);
    all.sort_unstable();
    assert_eq!(all, [0, 1, 2, 3, 4, 5, 7, 20].map(number));
    assert_eq!(draw(&even, 3, 5), draw(&even, 3, 5));
    assert_eq!(draw(&filter(json!({"must": [{"has_id": []}]})), 3, 5), []);
}
