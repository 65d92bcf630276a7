//! What a predicate says of each kind of value: lists, `null`, nothing.

use super::*;

const IS: fn(Value) -> Value = |value| json!({"match": {"value": value}});

#[test]
fn a_value_matches_itself_and_no_other_type() {
    for (expected, value, holds) in [
        (json!("a"), json!("a"), true),
        (json!("a"), json!("A"), false),
        (json!(2), json!(2), true),
        // 2.0 is a number with a fraction to Qdrant, and those are not matched.
        (json!(2), json!(2.0), false),
        (json!(2), json!(2.5), false),
        (json!(2), json!("2"), false),
        (json!(2), json!(null), false),
        (json!(-1), json!(u64::MAX), false),
        (json!(i64::MAX), json!(i64::MAX), true),
        (json!(true), json!(true), true),
        (json!(true), json!(false), false),
        (json!(true), json!("true"), false),
        (json!(1), json!(true), false),
        (json!("a"), json!({"a": "a"}), false),
        // A UUID is a string here: one spelling does not match another.
        (
            json!("550E8400-e29b-41d4-a716-446655440000"),
            json!("550e8400-e29b-41d4-a716-446655440000"),
            false,
        ),
        // One element of a list is enough; a list inside it is not looked into.
        (json!("a"), json!(["b", "a"]), true),
        (json!("a"), json!(["b"]), false),
        (json!("a"), json!([["a"]]), false),
        (json!("a"), json!([]), false),
    ] {
        assert_eq!(holds_for(&IS(expected.clone()), &value), holds, "{expected} of {value}");
    }
    assert!(!holds_for_nothing(&IS(json!("a"))));
}

#[test]
fn any_and_except_compare_with_a_list() {
    let (any, except) = (
        |list: Value| json!({"match": {"any": list}}),
        |list: Value| json!({"match": {"except": list}}),
    );
    for (list, value, in_any, in_except) in [
        (json!(["a", "b"]), json!("b"), true, false),
        (json!(["a", "b"]), json!("c"), false, true),
        (json!([1, 2]), json!(2), true, false),
        (json!([1, 2]), json!(2.0), false, true),
        (json!([1, 2]), json!(3), false, true),
        // Another type is none of the list.
        (json!([1, 2]), json!("1"), false, true),
        (json!(["1"]), json!(1), false, true),
        (json!(["a"]), json!(true), false, true),
        (json!(["a"]), json!({"a": 1}), false, true),
        // `null` is not a value.
        (json!(["a"]), json!(null), false, false),
        (json!(["a"]), json!([null]), false, false),
        // `except` asks for any element that is not in the list.
        (json!(["a"]), json!(["a", "b"]), true, true),
        (json!(["a"]), json!(["a", "a"]), true, false),
        (json!(["a"]), json!([]), false, false),
        (json!(["a"]), json!([["a"]]), false, true),
        (json!([]), json!("a"), false, true),
        (json!([]), json!(1), false, true),
        (json!([]), json!(null), false, false),
    ] {
        assert_eq!(holds_for(&any(list.clone()), &value), in_any, "{value} any of {list}");
        assert_eq!(holds_for(&except(list.clone()), &value), in_except, "{value} except {list}");
    }
    assert!(!holds_for_nothing(&any(json!(["a"]))));
    assert!(!holds_for_nothing(&except(json!(["a"]))));
}

#[test]
fn a_range_holds_for_one_element_not_for_two_together() {
    for (range, value, holds) in [
        (json!({"gte": 4, "lte": 6}), json!(4), true),
        (json!({"gt": 4, "lte": 6}), json!(4), false),
        (json!({"gt": 4, "lte": 6}), json!(6), true),
        (json!({"gt": 4, "lt": 6}), json!(5.5), true),
        (json!({"gt": 4, "lt": 6}), json!(6), false),
        (json!({"gte": 4, "lte": 6}), json!([1, 10]), false),
        (json!({"gte": 4, "lte": 6}), json!([1, 5, 10]), true),
        (json!({"gte": 4}), json!("5"), false),
        (json!({"gte": 4}), json!(null), false),
        (json!({"gte": 4}), json!([[5]]), false),
        (json!({"gt": 0, "lt": null}), json!(u64::MAX), true),
        // Compared as f64: 2^53 + 1 is 2^53 there.
        (json!({"gt": 9007199254740992_u64}), json!(9007199254740993_u64), false),
        // No bounds: any number.
        (json!({}), json!(-1.5), true),
        (json!({}), json!("a"), false),
    ] {
        assert_eq!(holds_for(&json!({"range": range}), &value), holds, "{range} of {value}");
    }
    assert!(!holds_for_nothing(&json!({"range": {}})));
}

#[test]
fn values_are_counted() {
    for (value, count) in [
        (json!(null), 0),
        (json!([]), 0),
        (json!([null]), 1),
        (json!("abc"), 1),
        (json!({"b": 1, "c": 2}), 1),
        (json!([1, 2, [3, 4]]), 3),
    ] {
        let equal = |count: u64| json!({"values_count": {"gte": count, "lt": count + 1}});
        assert!(holds_for(&equal(count), &value), "{value}");
        assert!(!holds_for(&equal(count + 1), &value), "{value}");
    }
    // Nothing counts 0.
    assert!(holds_for_nothing(&json!({"values_count": {"lt": 1}})));
    assert!(!holds_for_nothing(&json!({"values_count": {"gt": 0}})));
}

/// The condition `is_empty` and the predicate of that name; `is_null` likewise.
#[test]
fn empty_and_null_are_told_apart() {
    for (value, empty, null) in [
        (Some(json!(null)), true, true),
        (Some(json!([])), true, false),
        (Some(json!([null])), false, true),
        (Some(json!([null, 1])), false, true),
        (Some(json!([[]])), false, false),
        (Some(json!([[null]])), false, false),
        (Some(json!("")), false, false),
        (Some(json!(0)), false, false),
        (Some(json!(false)), false, false),
        (Some(json!({})), false, false),
        (None, true, false),
    ] {
        let payload = value.map_or(json!({"b": 1}), |value| json!({"a": value}));
        for (condition, expected) in [
            (json!({"is_empty": {"key": "a"}}), empty),
            (json!({"key": "a", "is_empty": true}), empty),
            (json!({"key": "a", "is_empty": false}), !empty),
            (json!({"is_null": {"key": "a"}}), null),
            (json!({"key": "a", "is_null": true}), null),
            (json!({"key": "a", "is_null": false}), !null),
        ] {
            assert_eq!(holds(&condition, &payload), expected, "{condition} of {payload}");
        }
    }
}

/// With brackets a key leads to several values: the condition `is_empty` asks for all, `is_null`
/// and every predicate for one.
#[test]
fn several_values_at_a_key() {
    let payload = json!({"a": [{"b": null}, {"b": 1}, {"c": 2}], "d": [{"b": null}, {"b": []}]});
    for (condition, expected) in [
        (json!({"is_empty": {"key": "a[].b"}}), false),
        (json!({"is_empty": {"key": "d[].b"}}), true),
        (json!({"is_empty": {"key": "a[].z"}}), true),
        (json!({"is_null": {"key": "a[].b"}}), true),
        (json!({"is_null": {"key": "a[].c"}}), false),
        (json!({"key": "a[].b", "is_empty": true}), true),
        (json!({"key": "a[].b", "is_empty": false}), true),
        (json!({"key": "d[].b", "is_empty": false}), false),
        (json!({"key": "a[].b", "is_null": true}), true),
        (json!({"key": "a[].b", "is_null": false}), true),
        (json!({"key": "a[].b", "values_count": {"gt": 0}}), true),
        (json!({"key": "a[].b", "match": {"value": 1}}), true),
        (json!({"key": "a.b", "match": {"value": 1}}), false),
        (json!({"key": "a[1].b", "match": {"value": 1}}), true),
        (json!({"key": "a[0].b", "match": {"value": 1}}), false),
    ] {
        assert_eq!(holds(&condition, &payload), expected, "{condition}");
    }
}

#[test]
fn of_several_predicates_one_is_enough() {
    let either = json!({"match": {"value": "a"}, "range": {"gt": 5}});
    for (value, expected) in
        [(json!("a"), true), (json!(6), true), (json!(["b", 6]), true), (json!(5), false)]
    {
        assert_eq!(holds_for(&either, &value), expected, "{value}");
    }
}

#[test]
fn a_count_and_the_flags_are_looked_at_alone_and_in_this_order() {
    let count = json!({"gte": 2});
    for (predicate, value, expected) in [
        (json!({"match": {"value": "a"}, "values_count": count}), json!("a"), false),
        (json!({"is_empty": true, "values_count": count}), json!([]), false),
        (json!({"is_empty": true, "match": {"value": "a"}}), json!("a"), false),
        (json!({"is_null": false, "is_empty": true}), json!("a"), false),
        (json!({"is_null": true, "match": {"value": "a"}}), json!("a"), false),
    ] {
        assert_eq!(holds_for(&predicate, &value), expected, "{predicate} of {value}");
    }
}
