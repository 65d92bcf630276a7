//! How conditions combine, and those that look at something else than a value.

use super::*;

const YES: &str = r#"{"has_id": [7]}"#;
const NO: &str = r#"{"has_id": [8]}"#;

#[test]
fn clauses_combine() {
    for (text, expected) in [
        ("{}", true),
        (r#"{"must": [Y, Y]}"#, true),
        (r#"{"must": [Y, N]}"#, false),
        (r#"{"must": Y}"#, true),
        (r#"{"must": N}"#, false),
        (r#"{"should": [N, Y]}"#, true),
        (r#"{"should": [N, N]}"#, false),
        (r#"{"must_not": [N, N]}"#, true),
        (r#"{"must_not": [N, Y]}"#, false),
        (r#"{"must": Y, "should": [N], "must_not": N}"#, false),
        (r#"{"must": Y, "should": [Y], "must_not": N}"#, true),
        (r#"{"min_should": {"conditions": [Y, N, Y], "min_count": 2}}"#, true),
        (r#"{"min_should": {"conditions": [Y, N, N], "min_count": 2}}"#, false),
        (r#"{"min_should": {"conditions": [Y], "min_count": 2}}"#, false),
        (r#"{"min_should": {"conditions": [], "min_count": 1}}"#, false),
        (r#"{"must": {"should": [N, {"must_not": N}]}}"#, true),
        (r#"{"must": {"should": [N, {"must_not": Y}]}}"#, false),
        // A clause that is empty or `null` asks for nothing.
        (r#"{"must": [], "should": [], "must_not": []}"#, true),
        (r#"{"must": null, "should": null, "must_not": null, "min_should": null}"#, true),
        (r#"{"must": Y, "should": []}"#, true),
        (r#"{"must": [{}]}"#, true),
        (r#"{"must_not": [{}]}"#, false),
    ] {
        let text = text.replace('Y', YES).replace('N', NO);
        let filter: Filter = serde_json::from_str(&text).unwrap();
        assert_eq!(matches(&filter, &json!({})), expected, "{text}");
    }
}

#[test]
fn only_a_filter_without_conditions_is_empty() {
    for (text, expected) in [
        (json!({}), true),
        (json!({"must": [], "should": null}), true),
        (json!({"must": [{}]}), false),
        (json!({"min_should": {"conditions": [], "min_count": 1}}), false),
        (json!({"must_not": {"has_vector": ""}}), false),
    ] {
        assert_eq!(filter(text.clone()).is_empty(), expected, "{text}");
    }
}

#[test]
fn ids_and_vectors_are_looked_at() {
    let uuid = "f9168c5e-ceb2-4faa-b6bf-329bf39fa1e4";
    assert!(holds(&json!({"has_id": [9, 7, 7, uuid]}), &json!({})));
    assert!(!holds(&json!({"has_id": [8, uuid]}), &json!({})));
    assert!(!holds(&json!({"has_id": []}), &json!({})));
    assert!(holds(&json!({"has_vector": "image"}), &json!({})));
    assert!(!holds(&json!({"has_vector": ""}), &json!({})));
}

#[test]
fn ids_are_sorted_and_each_once() {
    let ids: Ids = [3, 1, 2, 3].map(PointId::Number).into_iter().collect();
    assert_eq!(ids.iter().collect::<Vec<_>>(), [1, 2, 3].map(PointId::Number));
    assert!(ids.contains(PointId::Number(3)) && !ids.contains(PointId::Number(4)));
    assert_eq!((ids.len(), ids.is_empty(), Ids::default().is_empty()), (3, false, true));
}

#[test]
fn a_nested_filter_looks_at_one_element_at_a_time() {
    let payload = json!({
        "diet": [
            {"food": "leaves", "likes": false},
            {"food": "meat", "likes": true, "parts": [{"n": 1}, {"n": 2}]},
            "hay",
        ],
        "one": {"food": "meat", "likes": true},
    });
    let food = |name: &str| json!({"key": "food", "match": {"value": name}});
    let likes = json!({"key": "likes", "match": {"value": true}});
    let nested = |key: &str, must: Value| json!({"nested": {"key": key, "filter": {"must": must}}});
    let part = |n: i64| nested("parts", json!({"key": "n", "match": {"value": n}}));
    for (condition, expected) in [
        (nested("diet", json!([food("meat"), likes])), true),
        (nested("diet[]", json!([food("meat"), likes])), true),
        (nested("diet", json!([food("leaves"), likes])), false),
        (nested("diet[1]", json!(food("meat"))), false),
        // What is no list has no elements.
        (nested("one", json!(likes)), false),
        (nested("missing", json!([])), false),
        (nested("diet", json!([])), true),
        (nested("diet", part(2)), true),
        (nested("diet", part(3)), false),
        (nested("diet[].parts", json!({"key": "n", "match": {"value": 2}})), true),
        (json!({"nested": {"key": "diet", "filter": {"must_not": food("leaves")}}}), true),
        // Inside there is neither an id nor a vector.
        (nested("diet", json!({"has_id": [7]})), false),
        (nested("diet", json!({"has_vector": "image"})), false),
        (json!({"nested": {"key": "diet", "filter": {"must_not": {"has_id": [7]}}}}), true),
    ] {
        assert_eq!(holds(&condition, &payload), expected, "{condition}");
    }
}

/// Qdrant evaluates an empty `should` differently inside `nested` and outside; here it asks for
/// nothing in both.
#[test]
fn an_empty_clause_asks_for_nothing_inside_nested_too() {
    let condition = json!({"nested": {"key": "a", "filter": {"should": []}}});
    assert!(holds(&condition, &json!({"a": [{}]})));
}

#[test]
fn a_filter_tells_which_keys_it_looks_at() {
    let looking = filter(json!({
        "must": [{"key": "a.b", "match": {"value": 1}}, {"has_id": [1]}],
        "should": {"is_null": {"key": "c[]"}},
        "must_not": {"must": {"nested": {"key": "d", "filter": {"must": {"is_empty": {"key": "x"}}}}}},
        "min_should": {"conditions": [{"is_empty": {"key": "\"e.f\""}}], "min_count": 1},
    }));
    assert_eq!(looking.roots(), ["a", "c", "d", "e.f"].into());
    let blind = filter(json!({"must": [{"has_id": [1]}, {"has_vector": "a"}, {}]}));
    assert!(blind.roots().is_empty());
}
