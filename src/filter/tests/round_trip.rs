//! What is written is read as it was, and the laws that any filter obeys.

use proptest::prelude::*;

use super::*;

fn path() -> impl Strategy<Value = Path> {
    prop::sample::select(vec!["a", "b", "c", "a.b", "a[].b", "c[0]", "\"x y\".z"])
        .prop_map(|text| text.parse().unwrap())
}

fn word() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["a", "b", "a b", "2020-01-01", ""]).prop_map(str::to_owned)
}

fn point() -> impl Strategy<Value = GeoPoint> {
    (-180.0..=180.0, -90.0..=90.0).prop_map(|(lon, lat)| GeoPoint { lon, lat })
}

fn ring() -> impl Strategy<Value = Vec<GeoPoint>> {
    prop::collection::vec(point(), 3..6).prop_map(|mut points| {
        points.push(points[0]);
        points
    })
}

fn range<T: Clone + std::fmt::Debug>(
    bound: impl Strategy<Value = T> + Clone,
) -> impl Strategy<Value = Range<T>> {
    let bound = || prop::option::of(bound.clone());
    (bound(), bound(), bound(), bound()).prop_map(|(lt, lte, gt, gte)| Range { lt, lte, gt, gte })
}

fn matching() -> impl Strategy<Value = Match> {
    let value = prop_oneof![
        any::<bool>().prop_map(MatchValue::Bool),
        (-2..3_i64).prop_map(MatchValue::Integer),
        word().prop_map(MatchValue::Keyword),
    ];
    let list = || {
        prop_oneof![
            prop::collection::btree_set(word(), 0..3).prop_map(AnyVariants::Strings),
            prop::collection::btree_set(-2..3_i64, 1..3).prop_map(AnyVariants::Integers),
        ]
    };
    prop_oneof![
        value.prop_map(Match::Value),
        list().prop_map(Match::Any),
        list().prop_map(Match::Except),
        word().prop_map(Match::Text),
        word().prop_map(Match::TextAny),
        word().prop_map(Match::Phrase),
    ]
}

fn area() -> impl Strategy<Value = Predicate> {
    let a_box = (point(), point()).prop_map(|(top_left, bottom_right)| {
        Predicate::GeoBoundingBox(GeoBoundingBox { top_left, bottom_right })
    });
    let circle = (point(), 0.0..1e7)
        .prop_map(|(center, radius)| Predicate::GeoRadius(GeoRadius { center, radius }));
    let polygon =
        (ring(), prop::collection::vec(ring(), 0..3)).prop_map(|(exterior, interiors)| {
            Predicate::GeoPolygon(GeoPolygon { exterior, interiors })
        });
    prop_oneof![a_box, circle, polygon]
}

/// A date range without bounds is written as a number range is, and means the same: nothing
/// that is a number is a date. So at least one bound.
fn dates() -> impl Strategy<Value = Predicate> {
    let moment = -4_000_000_000_000_000..4_000_000_000_000_000_i64;
    (range(moment.clone()), moment).prop_map(|(mut range, lt)| {
        range.lt = Some(lt);
        Predicate::DatetimeRange(range)
    })
}

fn field() -> impl Strategy<Value = FieldCondition> {
    let numbers =
        range(prop_oneof![(-3..4_i32).prop_map(f64::from), -1e300..1e300].boxed()).boxed();
    let predicates = prop_oneof![
        matching().prop_map(|matching| vec![Predicate::Match(matching)]),
        numbers.clone().prop_map(|range| vec![Predicate::Range(range)]),
        dates().prop_map(|dates| vec![dates]),
        area().prop_map(|area| vec![area]),
        (matching(), numbers, area()).prop_map(|(matching, range, area)| {
            vec![Predicate::Match(matching), Predicate::Range(range), area]
        }),
        range(0..4_u64).prop_map(|range| vec![Predicate::ValuesCount(range)]),
        any::<bool>().prop_map(|flag| vec![Predicate::IsEmpty(flag)]),
        any::<bool>().prop_map(|flag| vec![Predicate::IsNull(flag)]),
    ];
    (path(), predicates).prop_map(|(key, predicates)| FieldCondition::new(key, predicates))
}

fn condition() -> impl Strategy<Value = Condition> {
    let ids = prop::collection::vec(any::<u64>().prop_map(PointId::Number), 0..4);
    let leaf = prop_oneof![
        6 => field().prop_map(Condition::Field),
        1 => path().prop_map(Condition::IsEmpty),
        1 => path().prop_map(Condition::IsNull),
        1 => ids.prop_map(|ids| Condition::HasId(ids.into_iter().collect())),
        1 => prop::sample::select(vec!["image", ""]).prop_map(|name| Condition::HasVector(name.to_owned())),
    ];
    leaf.prop_recursive(3, 24, 3, |inner| {
        let filter = filter_of(inner);
        prop_oneof![
            filter.clone().prop_map(Condition::Filter),
            (path(), filter).prop_map(|(key, filter)| Condition::Nested { key, filter }),
        ]
    })
}

fn filter_of(
    condition: impl Strategy<Value = Condition> + Clone + 'static,
) -> BoxedStrategy<Filter> {
    let conditions = || prop::collection::vec(condition.clone(), 0..3);
    let counted = (conditions(), 1..4_usize)
        .prop_map(|(conditions, min_count)| MinShould { conditions, min_count });
    (conditions(), conditions(), conditions(), prop::option::of(counted))
        .prop_map(|(must, should, must_not, min_should)| Filter {
            must,
            should,
            must_not,
            min_should,
        })
        .boxed()
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-2..3_i64).prop_map(Value::from),
        Just(json!(1.5)),
        word().prop_map(Value::from),
        point().prop_map(|point| json!(point)),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map("[abz]", inner, 0..3)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn payload() -> impl Strategy<Value = Value> {
    prop::collection::btree_map("[abc]|x y", value(), 0..4)
        .prop_map(|map| Value::Object(map.into_iter().collect()))
}

fn all(must: Vec<Condition>) -> Filter {
    Filter { must, ..Filter::default() }
}

fn some(should: Vec<Condition>) -> Filter {
    Filter { should, ..Filter::default() }
}

fn none(must_not: Vec<Condition>) -> Filter {
    Filter { must_not, ..Filter::default() }
}

fn not(condition: &Condition) -> Condition {
    Condition::Filter(none(vec![condition.clone()]))
}

proptest! {
    #[test]
    fn a_filter_is_read_as_it_is_written(written in filter_of(condition().boxed())) {
        let text = serde_json::to_string(&written).unwrap();
        let read: Filter = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(&read, &written, "{}", text);
        prop_assert_eq!(serde_json::to_string(&read).unwrap(), text);
    }

    #[test]
    fn not_all_is_some_not(conditions in prop::collection::vec(condition(), 1..4), payload in payload()) {
        let nots: Vec<Condition> = conditions.iter().map(not).collect();
        let every = matches(&all(conditions.clone()), &payload);
        prop_assert_eq!(!every, matches(&some(nots.clone()), &payload));
        let any = matches(&some(conditions.clone()), &payload);
        prop_assert_eq!(!any, matches(&all(nots), &payload));
        prop_assert_eq!(!any, matches(&none(conditions), &payload));
    }

    #[test]
    fn counting_agrees_with_one_by_one(
        conditions in prop::collection::vec(condition(), 0..4),
        min_count in 1..4_usize,
        payload in payload(),
    ) {
        let holding = conditions.iter().filter(|one| matches(&all(vec![(*one).clone()]), &payload));
        let expected = holding.count() >= min_count;
        let min_should = Some(MinShould { conditions, min_count });
        prop_assert_eq!(matches(&Filter { min_should, ..Filter::default() }, &payload), expected);
    }

    /// A key that is not among the roots may change as it likes.
    #[test]
    fn only_the_roots_are_looked_at(filter in filter_of(condition().boxed()), payload in payload()) {
        let roots = filter.roots();
        let mut less = payload.clone();
        less.as_object_mut().unwrap().retain(|key, _| roots.contains(key.as_str()));
        prop_assert_eq!(matches(&filter, &payload), matches(&filter, &less));
    }
}

/// The deepest filter, in the widest of its forms, inside ten levels of something else.
#[test]
fn the_deepest_filter_can_be_read_back() {
    let nested = |depth: usize| {
        let corner = |lon: u8, lat: u8| json!({"lon": lon, "lat": lat});
        let square = json!({"points": [corner(0, 0), corner(1, 0), corner(1, 1), corner(0, 0)]});
        let polygon = json!({"exterior": square, "interiors": [square]});
        let mut filter = json!({"must": {"key": "a", "geo_polygon": polygon}});
        for _ in 1..depth {
            let condition = json!({"nested": {"key": "a", "filter": filter}});
            filter = json!({"min_should": {"conditions": condition, "min_count": 1}});
        }
        filter
    };
    let deepest = Filter::try_from(&nested(DEPTH_MAX)).unwrap();
    let mut text = serde_json::to_string(&deepest).unwrap();
    (0..10).for_each(|_| text = format!("[{text}]"));
    let mut read: Value = serde_json::from_str(&text).unwrap();
    (0..10).for_each(|_| read = read[0].take());
    assert_eq!(Filter::try_from(&read).unwrap(), deepest);
    let fault = Filter::try_from(&nested(DEPTH_MAX + 1)).unwrap_err();
    assert!(fault.reason.contains("at most 20 deep"), "{fault}");
}

#[test]
fn what_json_cannot_hold_is_not_written() {
    let key: Path = "a".parse().unwrap();
    let number = |lt| Predicate::Range(Range { lt: Some(lt), ..Range::default() });
    for predicates in
        [vec![number(f64::NAN)], vec![number(f64::INFINITY)], vec![number(1.0), number(2.0)]]
    {
        let condition = FieldCondition::new(key.clone(), predicates);
        assert!(serde_json::to_string(&condition).is_err(), "{condition:?}");
    }
}

/// The written form is in logs: it may gain fields, and changes none.
#[test]
fn the_written_form_stays() {
    let text = r#"{"must":[{"key":"a[].b","match":{"any":["x","y"]}},{"key":"c","range":{"lt":1.5}},{"key":"d","range":{"lte":"2020-01-01T00:00:00Z","gt":"1969-12-31T23:59:59.999Z"}},{"is_empty":{"key":"e"}},{"is_null":{"key":"f"}}],"should":[{"has_id":[1,"f9168c5e-ceb2-4faa-b6bf-329bf39fa1e4"]},{"has_vector":""},{"nested":{"key":"g","filter":{"must_not":[{"key":"h","is_empty":false}]}}}],"must_not":[{"key":"i","match":{"value":5},"geo_radius":{"center":{"lon":1.0,"lat":2.0},"radius":3.0}}],"min_should":{"conditions":[{"should":[{"key":"j","values_count":{"gte":2}}]}],"min_count":1}}"#;
    let read: Filter = serde_json::from_str(text).unwrap();
    assert_eq!(serde_json::to_string(&read).unwrap(), text);
}
