use proptest::prelude::*;
use serde_json::json;

use super::*;

fn path(text: &str) -> Path {
    text.parse().unwrap()
}

fn map(value: Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

fn values(key: &str, payload: &Value) -> Vec<Value> {
    let mut seen = Vec::new();
    path(key).any(payload.as_object().unwrap(), &mut |value| {
        seen.push(value.clone());
        false
    });
    seen
}

#[test]
fn a_dot_does_not_enter_a_list_and_brackets_do() {
    let payload = json!({"a": [{"b": 1}, {"b": 2}], "c": {"d": 3}, "e.f": 4, "": 5});
    for (key, expected) in [
        ("a.b", json!([])),
        ("a[].b", json!([1, 2])),
        ("a[1].b", json!([2])),
        ("a[2].b", json!([])),
        ("c.d", json!([3])),
        ("c[]", json!([])),
        ("c[0]", json!([])),
        ("\"e.f\"", json!([4])),
        ("\"\"", json!([5])),
        ("a", json!([[{"b": 1}, {"b": 2}]])),
        ("z", json!([])),
    ] {
        assert_eq!(Value::from(values(key, &payload)), expected, "{key}");
    }
}

#[test]
fn a_lists_elements_stand_for_the_list_one_level_deep() {
    let payload = map(json!({"a": [1, [2, 3]], "b": 4, "c": [], "d": [[5], [6]]}));
    for (key, expected) in [
        ("a", json!([1, [2, 3]])),
        ("b", json!([4])),
        ("c", json!([])),
        ("d[]", json!([5, 6])),
        ("z", json!([])),
    ] {
        let mut seen = Vec::new();
        path(key).scalars(&payload, &mut |value| seen.push(value.clone()));
        assert_eq!(Value::from(seen), expected, "{key}");
    }
}

#[test]
fn a_path_prints_as_it_parses() {
    for text in ["a", "a.b", "a[].b", "a[][]", "\"a.b\".c", "a[0].b", "a[1][50]", "ü-_1", "\"\""] {
        assert_eq!(path(text).to_string(), text);
    }
    assert_eq!(path("\"a\".b[007]").to_string(), "a.b[7]");
    let deep = vec!["a"; STEPS_MAX + 2].join(".");
    let bad = ["", ".", "a.", ".a", "a[-1]", "a[+1]", "a[x]", "a[", "\"a", "a[]b", "a b", "[]"];
    for bad in bad.into_iter().chain(["\"a\\b\"", "a[99999999999999999999]", "a]", &deep]) {
        assert!(bad.parse::<Path>().is_err(), "{bad} was taken");
    }
    assert!(deep[2..].parse::<Path>().is_ok());
}

#[test]
fn the_elements_of_a_list_and_what_is_in_them() {
    assert_eq!(path("a").elements().to_string(), "a[]");
    assert_eq!(path("a[]").elements().to_string(), "a[]");
    assert_eq!(path("a[]").join(&path("\"b c\"[0].d")).to_string(), "a[].\"b c\"[0].d");
    assert_eq!((path("a.b").root(), path("a.b").is_top_level()), ("a", false));
    assert!(path("\"a.b\"").is_top_level());
}

/// The rules are those of `set payload` with `key` in Qdrant.
#[test]
fn values_are_merged_into_what_a_key_leads_to() {
    for (payload, key, values, expected) in [
        (json!({"a": {"b": 1}}), "a", json!({"c": 2}), json!({"a": {"b": 1, "c": 2}})),
        (json!({"a": {"b": 1}}), "a", json!({"b": null}), json!({"a": {}})),
        (json!({"a": {"b": {"c": 1}}}), "a", json!({"b": {"d": 2}}), json!({"a": {"b": {"d": 2}}})),
        (json!({}), "a.b", json!({"c": 1}), json!({"a": {"b": {"c": 1}}})),
        (json!({"a": 7}), "a.b", json!({"c": 1}), json!({"a": {"b": {"c": 1}}})),
        (json!({"a": [1]}), "a", json!({"c": 1}), json!({"a": {"c": 1}})),
        (
            json!({"a": [{}, {"b": 1}]}),
            "a[1]",
            json!({"c": 2}),
            json!({"a": [{}, {"b": 1, "c": 2}]}),
        ),
        (json!({"a": [{}, 5]}), "a[]", json!({"c": 2}), json!({"a": [{"c": 2}, {"c": 2}]})),
        (json!({"a": [{}]}), "a[].b", json!({"c": 2}), json!({"a": [{"b": {"c": 2}}]})),
        (json!({}), "a[3]", json!({"c": 1}), json!({"a": []})),
        (json!({"a": {"b": 1}}), "a[].b", json!({"c": 1}), json!({"a": []})),
        (json!({}), "a", json!({}), json!({"a": {}})),
    ] {
        let mut merged = map(payload.clone());
        path(key).merge(&mut merged, &map(values.clone()));
        assert_eq!(Value::from(merged), expected, "{values} at {key} of {payload}");
    }
}

/// A key has at most so many steps, and a message so many levels, that JSON readers, which stop at
/// 128 levels, read what was merged.
#[test]
fn merging_below_a_key_leaves_a_payload_that_can_be_read() {
    let mut values = json!({"a": 1});
    (1..64).for_each(|_| values = json!({ "a": values }));
    let key = path(&vec!["a"; STEPS_MAX + 1].join("."));
    let mut payload = Map::new();
    key.merge(&mut payload, &map(values));
    let text = serde_json::to_string(&payload).unwrap();
    assert_eq!(text.matches('{').count(), 64 + STEPS_MAX + 1);
    assert_eq!(serde_json::from_str::<Map<String, Value>>(&text).unwrap(), payload);
}

/// The rules are those of `delete payload` in Qdrant.
#[test]
fn what_a_key_leads_to_is_taken_out() {
    for (payload, key, expected) in [
        (json!({"a": 1, "b": 2}), "a", Some(json!({"b": 2}))),
        (json!({"a": {"b": 1, "c": 2}}), "a.b", Some(json!({"a": {"c": 2}}))),
        (json!({"a": [{"b": 1}, {"b": 2, "c": 3}]}), "a[].b", Some(json!({"a": [{}, {"c": 3}]}))),
        (json!({"a": [{"b": 1}, {"b": 2}]}), "a[0].b", Some(json!({"a": [{}, {"b": 2}]}))),
        (json!({"a": [1, 2]}), "a[]", Some(json!({"a": []}))),
        (json!({"a": [[1], [2]]}), "a[][]", Some(json!({"a": [[], []]}))),
        (json!({"a": [1, 2]}), "a[0]", None),
        (json!({"a": [{"b": 1}]}), "a.b", None),
        (json!({"a": []}), "a[]", None),
        (json!({"a": {"b": 1}}), "a[]", None),
        (json!({"a": 1}), "b", None),
        (json!({"a": 1}), "a.b", None),
    ] {
        let mut left = map(payload.clone());
        let changed = path(key).remove(&mut left);
        assert_eq!(changed, expected.is_some(), "{key} of {payload}");
        assert_eq!(Value::from(left), expected.unwrap_or(payload), "{key}");
    }
}

/// The rules are those of `with_payload` in Qdrant.
#[test]
fn a_part_of_a_payload_is_answered() {
    let payload = map(json!({
        "a": {"b": [{"c": 1}, {"c": 2, "d": 3}, {"d": {"e": 3}}], "f": 4},
        "g": ["h", "i"], "j": 5,
    }));
    for (keys, included, excluded) in [
        (vec![], json!({}), Value::from(payload.clone())),
        (vec!["j"], json!({"j": 5}), { json!({"a": payload["a"], "g": payload["g"]}) }),
        (
            vec!["a.b[].c"],
            json!({"a": {"b": [{"c": 1}, {"c": 2}, {}]}}),
            json!({"a": {"b": [{}, {"d": 3}, {"d": {"e": 3}}], "f": 4}, "g": ["h", "i"], "j": 5}),
        ),
        // Without brackets the elements are not reached, nor by number.
        (
            vec!["a.b.c", "a.b[0].c", "g[1]"],
            json!({"a": {"b": []}, "g": []}),
            Value::from(payload.clone()),
        ),
        (
            vec!["a.f", "g[]", "z"],
            json!({"a": {"f": 4}, "g": ["h", "i"]}),
            json!({"a": {"b": [{"c": 1}, {"c": 2, "d": 3}, {"d": {"e": 3}}]}, "g": [], "j": 5}),
        ),
        // A key that goes on below a value shows the value, and hides nothing.
        (vec!["j.k"], json!({"j": 5}), Value::from(payload.clone())),
        (vec!["a", "a.f"], json!({"a": payload["a"]}), json!({"g": ["h", "i"], "j": 5})),
    ] {
        let paths: Vec<Path> = keys.iter().map(|key| path(key)).collect();
        assert_eq!(Value::from(include(&payload, &paths)), included, "{keys:?}");
        assert_eq!(Value::from(exclude(&payload, &paths)), excluded, "{keys:?}");
    }
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        "[^\\\\\"]{0,4}".prop_map(Step::Key),
        Just(Step::Each),
        any::<usize>().prop_map(Step::Index)
    ]
}

proptest! {
    #[test]
    fn any_path_is_read_as_it_is_written(
        root in "[^\\\\\"]{0,4}",
        steps in prop::collection::vec(step(), 0..6),
    ) {
        let written = Path { root, steps };
        prop_assert_eq!(&written.to_string().parse::<Path>().unwrap(), &written);
        let json = serde_json::to_string(&written).unwrap();
        prop_assert_eq!(serde_json::from_str::<Path>(&json).unwrap(), written);
    }

    #[test]
    fn any_text_is_a_path_or_refused_and_never_a_fault(text in "[a.\\[\\]\"0 ]{0,8}") {
        if let Ok(path) = text.parse::<Path>() {
            prop_assert_eq!(path.to_string().parse::<Path>().unwrap(), path);
        }
    }
}
