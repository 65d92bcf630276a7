//! What is refused, and how it is said.

use super::*;

#[track_caller]
fn refused(bad: &Value, at: &str, says: &str) {
    let fault = Filter::try_from(bad).expect_err(&format!("{bad} was taken"));
    assert_eq!(fault.at, at, "{fault}");
    assert!(fault.reason.contains(says), "{fault}");
}

fn on_key(predicate: Value) -> Value {
    let mut condition = predicate;
    condition["key"] = json!("a");
    json!({"must": [{"has_id": [1]}, condition]})
}

#[test]
fn unknown_fields_are_named_with_their_place_and_what_was_meant() {
    for (bad, at, says) in [
        (json!({"musst": []}), "", "a filter has no field `musst`: did you mean `must`?"),
        (json!({"filter": []}), "", "it may have `must`, `should`, `must_not`, `min_should`"),
        (json!({"must": [{"has_idd": [1]}]}), "must[0]", "did you mean `has_id`?"),
        (json!({"must": {"kye": "a", "match": {"value": 1}}}), "must", "did you mean `key`?"),
        (on_key(json!({"mtach": {"value": 1}})), "must[1]", "did you mean `match`?"),
        (on_key(json!({"match": {"valeu": 1}})), "must[1].match", "did you mean `value`?"),
        (
            on_key(json!({"range": {"ge": 1}})),
            "must[1].range",
            "it may have `lt`, `lte`, `gt`, `gte`",
        ),
        (
            json!({"should": {"nested": {"key": "a", "filter": {"must": {"x": 1}}}}}),
            "should.nested.filter.must",
            "a condition has no field `x`",
        ),
        (
            json!({"min_should": {"conditions": [{}, {"must": {"wrong": 1}}], "min_count": 1}}),
            "min_should.conditions[1].must",
            "no field `wrong`",
        ),
        (json!({"must": {"is_empty": {"kez": "a"}}}), "must.is_empty", "did you mean `key`?"),
        (
            on_key(json!({"geo_radius": {"center": {"lon": 1, "lat": 2, "z": 3}, "radius": 1}})),
            "must[1].geo_radius.center",
            "a point has no field `z`",
        ),
    ] {
        refused(&bad, at, says);
    }
}

#[test]
fn what_is_missing_or_double_is_named() {
    for (bad, at, says) in [
        (on_key(json!({})), "must[1]", "needs one of `match`, `range`"),
        (on_key(json!({"match": null})), "must[1]", "needs one of `match`, `range`"),
        (json!({"must": {"match": {"value": 1}}}), "must", "needs `key`"),
        (on_key(json!({"match": {}})), "must[1].match", "exactly one of `value`, `any`"),
        (on_key(json!({"match": {"value": 1, "text": "a"}})), "must[1].match", "exactly one of"),
        (json!({"must": {"has_id": [1], "has_vector": "a"}}), "must", "`has_id` and `has_vector`"),
        (json!({"must": {"has_id": [1], "must": []}}), "must", "`has_id` and `must`"),
        (json!({"must": {"nested": {"key": "a"}}}), "must.nested", "`nested` needs `filter`"),
        (json!({"min_should": {"conditions": []}}), "min_should", "needs `min_count`"),
        (
            json!({"min_should": {"conditions": [], "min_count": 0}}),
            "min_should.min_count",
            "at least 1",
        ),
    ] {
        refused(&bad, at, says);
    }
}

#[test]
fn values_of_a_wrong_kind_are_named() {
    for (bad, at, says) in [
        (json!([]), "", "a filter is expected here, not `[]`"),
        (json!({"must": 5}), "must", "a condition or a list of conditions is expected here"),
        (json!({"must": [[]]}), "must[0]", "a condition is expected here, not `[]`"),
        (json!({"must": {"key": "a b", "match": {"value": 1}}}), "must.key", "`a b` is not a key"),
        (json!({"must": {"has_id": 1}}), "must.has_id", "a list of point ids"),
        (json!({"must": {"has_id": [1, "x"]}}), "must.has_id[1]", "`x` is not a point id"),
        (on_key(json!({"match": {"value": 1.5}})), "must[1].match.value", "give a `range`"),
        (on_key(json!({"match": {"value": []}})), "must[1].match.value", "not `[]`"),
        (on_key(json!({"match": {"any": ["a", 1]}})), "must[1].match.any[1]", "a string, as every"),
        (on_key(json!({"match": {"any": [1, "a"]}})), "must[1].match.any[1]", "integer, as every"),
        (on_key(json!({"match": {"except": [1.5]}})), "must[1].match.except[0]", "integer"),
        (on_key(json!({"match": {"any": "a"}})), "must[1].match.any", "a list of strings"),
        (on_key(json!({"match": {"text": 1}})), "must[1].match.text", "a string"),
        (on_key(json!({"range": {"gt": true}})), "must[1].range.gt", "a number"),
        (on_key(json!({"range": {"gt": "5"}})), "must[1].range.gt", "a date such as"),
        (on_key(json!({"range": {"gt": 5, "lt": "2020-01-01"}})), "must[1].range", "both kinds"),
        (on_key(json!({"values_count": {"gt": -1}})), "must[1].values_count.gt", "from 0"),
        (on_key(json!({"is_null": "yes"})), "must[1].is_null", "`true` or `false`"),
    ] {
        refused(&bad, at, says);
    }
}

#[test]
fn places_that_are_none_are_named() {
    let (a, b, c) =
        (json!({"lon": 0, "lat": 0}), json!({"lon": 1, "lat": 0}), json!({"lon": 1, "lat": 1}));
    let exterior = |points: Value| on_key(json!({"geo_polygon": {"exterior": {"points": points}}}));
    for (bad, at, says) in [
        (
            exterior(json!([a, b, a])),
            "exterior",
            "at least 4 points, the last being the first: here are 3",
        ),
        (exterior(json!([a, b, c, b])), "exterior", "a ring is closed"),
        (exterior(json!([a, b, c, {"lon": 0, "lat": 1}])), "exterior", "a ring is closed"),
        (exterior(json!([])), "exterior", "here are 0"),
        (exterior(json!([a, b, {"lon": 181, "lat": 1}, a])), "exterior.points[2]", "`lon` 181"),
    ] {
        refused(&bad, &format!("must[1].geo_polygon.{at}"), says);
    }
    let good = json!({"points": [a, b, c, a]});
    refused(
        &on_key(json!({"geo_polygon": {"exterior": good, "interiors": [good, {"points": [a]}]}})),
        "must[1].geo_polygon.interiors[1]",
        "at least 4 points",
    );
    refused(
        &on_key(
            json!({"geo_bounding_box": {"top_left": {"lon": 0, "lat": 91}, "bottom_right": a}}),
        ),
        "must[1].geo_bounding_box.top_left",
        "`lat` within -90 and 90",
    );
    refused(&on_key(json!({"geo_radius": {"center": a}})), "must[1].geo_radius", "needs `radius`");
}

#[test]
fn a_fault_reads_as_one_sentence() {
    let text = r#"{"must": [{"key": "a", "mtach": {"value": 1}}]}"#;
    let fault = serde_json::from_str::<Filter>(text).unwrap_err().to_string();
    let expected = "at `must[0]`: a condition on a key has no field `mtach`: did you mean `match`?";
    assert!(fault.starts_with(expected), "{fault}");
    let long = json!({"must": "x".repeat(1000)});
    assert!(Filter::try_from(&long).unwrap_err().to_string().len() < 200);
}

/// Of two values of one name a JSON reader keeps the last: a delete would select more.
#[test]
fn nothing_is_given_twice() {
    for (text, name) in [
        (r#"{"must": [{"has_id": [1]}], "must": []}"#, "must"),
        (r#"{"must": [{"should": [], "should": {"has_id": [1]}}]}"#, "should"),
        (r#"{"must": {"key": "a", "key": "b", "match": {"value": 1}}}"#, "key"),
        (r#"{"must": {"key": "a", "range": {"lt": 1, "lt": 2}}}"#, "lt"),
    ] {
        let error = serde_json::from_str::<Filter>(text).unwrap_err().to_string();
        assert!(error.starts_with(&format!("`{name}` is given twice in one object")), "{error}");
    }
    let once = r#"{"must": [{"key": "a", "range": {"lt": -1.8910000000000053}}, {"has_id": [18446744073709551615]}]}"#;
    let value: serde_json::Value = serde_json::from_str(once).unwrap();
    assert_eq!(serde_json::from_str::<Filter>(once).unwrap(), Filter::try_from(&value).unwrap());
}
