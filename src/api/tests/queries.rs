//! Queries by examples, in order of a field and by chance: the exact text of answers.

use super::Fixture;

async fn ask(fixture: &Fixture, body: &str) -> String {
    let (status, text) = fixture.ask("POST", "/collections/demo/points/query", body).await;
    assert_eq!(status, 200, "{body} {text}");
    text
}

async fn expect(fixture: &Fixture, body: &str, points: &str) {
    let expected = format!(r#"{{"result":{{"points":[{points}]}},"status":"ok"}}"#);
    assert_eq!(ask(fixture, body).await, expected, "{body}");
}

const UUID: &str = "936da01f-9abd-4d9d-80c7-02af85c822a8";

#[tokio::test]
async fn examples_are_vectors_and_points() {
    let fixture = Fixture::with_points().await;
    let ask = async |query: &str, rest: &str, points: &str| {
        expect(&fixture, &format!(r#"{{"query": {query}{rest}}}"#), points).await;
    };
    let third = |score| format!(r#"{{"id":"{UUID}","version":2,"score":{score}}}"#);
    let second = |score| format!(r#"{{"id":2,"version":2,"score":{score}}}"#);
    // avg(positive) = (1, 0.5), moved by (1, 0.5) - (0, 1).
    let query = r#"{"recommend": {"positive": [1, [1, 1]], "negative": [[0, 1]]}}"#;
    ask(query, "", &[second("1.0"), third("0.0")].join(",")).await;
    let query = r#"{"recommend": {"positive": [1, [1, 1]], "strategy": "average_vector"}}"#;
    ask(query, r#", "score_threshold": 0.6"#, &second("0.75")).await;
    let query =
        r#"{"recommend": {"positive": [1], "negative": [[0, 1]], "strategy": "sum_scores"}}"#;
    ask(query, "", &[second("0.0"), third("-1.0")].join(",")).await;
    ask(query, r#", "offset": 1"#, &third("-1.0")).await;
    let query =
        r#"{"recommend": {"positive": [1], "negative": [[0, 1]], "strategy": "best_score"}}"#;
    ask(query, r#", "limit": 1"#, &second("-0.6666667")).await;
    let blue = r#", "filter": {"must_not": {"key": "color", "match": {"value": "blue"}}}"#;
    ask(query, blue, &third("-0.75")).await;
    let query =
        r#"{"discover": {"target": [1, 1], "context": {"positive": [0, 1], "negative": 1}}}"#;
    ask(query, "", &[third("1.75"), second("0.75")].join(",")).await;
    let pair = format!(r#"[{{"positive": 1, "negative": "{UUID}"}}]"#);
    // Between the two: next to nothing, and how much that is depends on the order of additions.
    let body = format!(r#"{{"query": {{"context": {pair}}}, "with_payload": ["color"]}}"#);
    let (_, text) = fixture.ask("POST", "/collections/demo/points/query", &body).await;
    assert!(text.contains(r#"[{"id":2,"version":2,"score":-1.192"#), "{text}");
    assert!(text.contains(r#"e-7,"payload":{"color":"blue"}}]"#), "{text}");
    let query = format!(r#"{{"discover": {{"target": 1, "context": {pair}}}}}"#);
    ask(&query, "", &second("0.6666667")).await;
}

#[tokio::test]
async fn examples_are_looked_up_in_another_collection_and_another_vector() {
    let fixture = Fixture::with_points().await;
    let create = r#"{"vectors": {"a": {"size": 2, "distance": "Euclid"},
        "b": {"size": 2, "distance": "Dot"}, "c": {"size": 3, "distance": "Dot"}}}"#;
    assert_eq!(fixture.ask("PUT", "/collections/beside", create).await.0, 200);
    let points = r#"{"points": [{"id": 1, "vector": {"a": [0, 3], "b": [5, 0], "c": [1, 1, 1]}},
        {"id": 7, "vector": {"a": [0, 2]}}]}"#;
    let path = "/collections/beside/points";
    assert_eq!(fixture.ask("PUT", &format!("{path}?wait=true"), points).await.0, 200);
    // Point 1 of the collection that is asked is not the one that is named.
    let body =
        r#"{"query": 1, "lookup_from": {"collection": "beside", "vector": "b"}, "limit": 1}"#;
    expect(&fixture, body, r#"{"id":1,"version":2,"score":5.0}"#).await;
    let body = r#"{"query": {"recommend": {"positive": [1, 7], "strategy": "sum_scores"}},
        "lookup_from": {"collection": "beside", "vector": "b"}, "limit": 1}"#;
    expect(&fixture, body, r#"{"id":1,"version":2,"score":5.0}"#).await;
    let named =
        r#"{"query": 1, "lookup_from": {"collection": "beside", "vector": "b"}, "using": "a"}"#;
    let (status, text) = fixture.ask("POST", &format!("{path}/query"), named).await;
    assert_eq!(status, 200);
    // Its own vector `b` beside the other's `a`; the same point is left out here.
    let score = 29f32.sqrt();
    assert!(
        text.contains(&format!(r#"{{"points":[{{"id":7,"version":4,"score":{score}}}]}}"#)),
        "{text}"
    );
    for (body, status, part) in [
        (
            r#"{"query": 1, "lookup_from": {"collection": "beside"}}"#,
            400,
            "in collection `beside`: vector `` does not exist",
        ),
        (
            r#"{"query": 1, "lookup_from": {"collection": "beside", "vector": "c"}}"#,
            400,
            "vector `c` of collection `beside` has 3 dimensions, vector `` has 2",
        ),
        (
            r#"{"query": 2, "lookup_from": {"collection": "beside", "vector": "a"}}"#,
            404,
            "in collection `beside`: point 2 does not exist",
        ),
        (
            r#"{"query": 7, "lookup_from": {"collection": "beside", "vector": "b"}}"#,
            404,
            "in collection `beside`: point 7 has no such vector",
        ),
    ] {
        let (found, text) = fixture.ask("POST", "/collections/demo/points/query", body).await;
        assert_eq!(found, status, "{text}");
        assert!(text.contains(part), "{text}");
    }
    // Nothing to look up.
    let body = r#"{"query": [1, 0], "lookup_from": {"collection": "none"}, "limit": 1}"#;
    expect(&fixture, body, r#"{"id":1,"version":2,"score":1.0}"#).await;
}

#[tokio::test]
async fn points_come_in_order_of_a_field_and_by_chance() {
    let fixture = Fixture::with_points().await;
    let index = r#"{"field_name": "n", "field_schema": "integer"}"#;
    assert_eq!(fixture.ask("PUT", "/collections/demo/index?wait=true", index).await.0, 200);
    let points = r#"{"points": [{"id": 8, "payload": {"n": 5}, "vector": [1, 1]}]}"#;
    assert_eq!(fixture.ask("PUT", "/collections/demo/points?wait=true", points).await.0, 200);
    let one = r#"{"id":1,"version":2,"score":1.0,"order_value":1}"#;
    let eight = r#"{"id":8,"version":4,"score":1.0,"order_value":5}"#;
    expect(&fixture, r#"{"query": {"order_by": "n"}}"#, &[one, eight].join(",")).await;
    let body = r#"{"query": {"order_by": {"key": "n", "direction": "desc"}}, "offset": 1}"#;
    expect(&fixture, body, one).await;
    let red = r#""filter": {"must": {"key": "color", "match": {"value": "red"}}}"#;
    let sample = format!(r#"{{"query": {{"sample": "random"}}, {red}, "offset": 3}}"#);
    expect(&fixture, &sample, r#"{"id":1,"version":2,"score":1.0}"#).await;
    let text = ask(&fixture, r#"{"query": {"sample": "random"}, "limit": 3}"#).await;
    assert_eq!(text.matches(r#""score":1.0"#).count(), 3);
    let batch =
        format!(r#"{{"searches": [{sample}, {{"query": {{"order_by": "n"}}, "limit": 1}}]}}"#);
    let (_, text) = fixture.ask("POST", "/collections/demo/points/query/batch", &batch).await;
    assert!(text.contains(&format!(r#"}},{{"points":[{one}]}}]"#)), "{text}");
}
