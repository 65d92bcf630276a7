//! The exact text of answers.

use super::Fixture;

async fn expect(fixture: &Fixture, method: &str, path: &str, body: &str, result: &str) {
    let (status, text) = fixture.ask(method, path, body).await;
    assert_eq!(text, format!(r#"{{"result":{result},"status":"ok"}}"#), "{method} {path} {body}");
    assert_eq!(status, 200);
}

#[tokio::test]
async fn collections_live_and_die() {
    let fixture = Fixture::new();
    let ask = async |method: &str, path: &str, body: &str, result: &str| {
        expect(&fixture, method, path, body, result).await
    };
    ask("GET", "/collections", "", r#"{"collections":[]}"#).await;
    ask("GET", "/collections/a/exists", "", r#"{"exists":false}"#).await;
    ask("DELETE", "/collections/a", "", "false").await;
    let single = r#"{"vectors": {"size": 4, "distance": "Cosine", "on_disk": true},
        "hnsw_config": {"m": 8}, "optimizers_config": {}, "shard_number": 1,
        "quantization_config": {"scalar": {"type": "int8"}}, "nobody_knows": 1}"#;
    ask("PUT", "/collections/a", single, "true").await;
    let named = r#"{"vectors": {"size": {"size": 2, "distance": "Dot"},
        "text": {"size": 3, "distance": "Euclid", "datatype": "float32"}}}"#;
    ask("PUT", "/collections/b%20c", named, "true").await;
    ask("GET", "/collections/a/exists", "", r#"{"exists":true}"#).await;
    ask("GET", "/collections", "", r#"{"collections":[{"name":"a"},{"name":"b c"}]}"#).await;
    ask("DELETE", "/collections/a", "", "true").await;
    ask("GET", "/collections", "", r#"{"collections":[{"name":"b c"}]}"#).await;
    let (_, text) = fixture.ask("GET", "/collections/b c".replace(' ', "%20").as_str(), "").await;
    let vectors = r#""params":{"vectors":{"size":{"size":2,"distance":"Dot"},"text":{"size":3,"distance":"Euclid"}},"#;
    assert!(text.contains(vectors), "{text}");
}

#[tokio::test]
async fn a_collection_describes_itself() {
    let fixture = Fixture::with_points().await;
    let (status, text) = fixture.ask("GET", "/collections/demo", "").await;
    assert_eq!(status, 200);
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    let result = &value["result"];
    assert_eq!(result["status"], "green");
    assert_eq!(result["points_count"], 3);
    assert_eq!(result["indexed_vectors_count"], 0);
    assert_eq!(
        result["config"]["params"],
        serde_json::json!({
            "vectors": {"size": 2, "distance": "Dot"}, "shard_number": 1, "replication_factor": 1,
            "write_consistency_factor": 1, "on_disk_payload": true
        })
    );
    assert_eq!(result["config"]["hnsw_config"]["m"], 16);
}

#[tokio::test]
async fn writes_are_answered_with_their_seq() {
    let fixture = Fixture::with_points().await;
    let ask = async |method: &str, path: &str, body: &str, result: &str| {
        expect(&fixture, method, path, body, result).await
    };
    let point = r#"{"points": [{"id": 9, "vector": [1, 1]}]}"#;
    let acknowledged = r#"{"operation_id":3,"status":"acknowledged"}"#;
    ask("PUT", "/collections/demo/points", point, acknowledged).await;
    let completed = r#"{"operation_id":4,"status":"completed"}"#;
    ask("PUT", "/collections/demo/points?wait=true&ordering=weak", point, completed).await;
    let batch = r#"{"batch": {"ids": [10, 11], "vectors": [[1, 1], [2, 2]],
        "payloads": [{"a": 1}, null]}}"#;
    let completed = r#"{"operation_id":5,"status":"completed"}"#;
    ask("PUT", "/collections/demo/points?wait=true&timeout=5", batch, completed).await;
    let ids = r#"{"points": [9, 10, 11, 12]}"#;
    let completed = r#"{"operation_id":6,"status":"completed"}"#;
    ask("POST", "/collections/demo/points/delete?wait=true", ids, completed).await;
    ask("POST", "/collections/demo/points/count", "{}", r#"{"count":3}"#).await;
}

const UUID: &str = "936da01f-9abd-4d9d-80c7-02af85c822a8";

#[tokio::test]
async fn points_are_retrieved() {
    let fixture = Fixture::with_points().await;
    let ask = async |method: &str, path: &str, body: &str, result: &str| {
        expect(&fixture, method, path, body, result).await
    };
    let whole = r#"{"id":1,"payload":{"color":"red","n":1},"vector":[1.0,0.0]}"#;
    ask("GET", "/collections/demo/points/1", "", whole).await;
    let empty = format!(r#"{{"id":"{UUID}","payload":{{}},"vector":[0.0,1.0]}}"#);
    for spelling in [UUID, "936DA01F9ABD4d9d80C702AF85C822A8"] {
        ask("GET", &format!("/collections/demo/points/{spelling}"), "", &empty).await;
    }
    let path = "/collections/demo/points";
    // In the order asked for; those that do not exist left out; payload unless told otherwise.
    let body = r#"{"ids": [2, 77, 1]}"#;
    let result =
        r#"[{"id":2,"payload":{"color":"blue"}},{"id":1,"payload":{"color":"red","n":1}}]"#;
    ask("POST", path, body, result).await;
    for (fields, result) in [
        (r#""with_payload": false"#, r#"[{"id":1}]"#),
        (r#""with_payload": ["n"]"#, r#"[{"id":1,"payload":{"n":1}}]"#),
        (r#""with_payload": {"include": ["n"]}"#, r#"[{"id":1,"payload":{"n":1}}]"#),
        (r#""with_payload": {"exclude": ["n"]}"#, r#"[{"id":1,"payload":{"color":"red"}}]"#),
        (
            r#""with_payload": [], "with_vector": true"#,
            r#"[{"id":1,"payload":{},"vector":[1.0,0.0]}]"#,
        ),
        (r#""with_payload": false, "with_vectors": true"#, r#"[{"id":1,"vector":[1.0,0.0]}]"#),
        (r#""with_payload": false, "with_vector": [""]"#, r#"[{"id":1,"vector":[1.0,0.0]}]"#),
    ] {
        ask("POST", path, &format!(r#"{{"ids": [1], {fields}}}"#), result).await;
    }
}

#[tokio::test]
async fn ids_keep_all_64_bits_and_named_vectors_their_names() {
    let fixture = Fixture::new();
    let ask = async |method: &str, path: &str, body: &str, result: &str| {
        expect(&fixture, method, path, body, result).await
    };
    let named = r#"{"vectors": {"image": {"size": 2, "distance": "Dot"},
        "text": {"size": 1, "distance": "Dot"}}}"#;
    ask("PUT", "/collections/c", named, "true").await;
    let points = r#"{"points": [
        {"id": 18446744073709551615, "vector": {"image": [1, 2], "text": [3]}},
        {"id": 5, "vector": {"text": [4]}}, {"id": 6}, {"id": 7, "vector": {}}]}"#;
    let done = r#"{"operation_id":2,"status":"completed"}"#;
    ask("PUT", "/collections/c/points?wait=true", points, done).await;
    let whole =
        r#"{"id":18446744073709551615,"payload":{},"vector":{"image":[1.0,2.0],"text":[3.0]}}"#;
    ask("GET", "/collections/c/points/18446744073709551615", "", whole).await;
    ask("GET", "/collections/c/points/6", "", r#"{"id":6,"payload":{},"vector":{}}"#).await;
    let body = r#"{"ids": [18446744073709551615], "with_payload": false, "with_vector": ["text"]}"#;
    let result = r#"[{"id":18446744073709551615,"vector":{"text":[3.0]}}]"#;
    ask("POST", "/collections/c/points", body, result).await;
    let body = r#"{"query": [1], "using": "text", "limit": 1}"#;
    let result = r#"{"points":[{"id":5,"version":2,"score":4.0}]}"#;
    ask("POST", "/collections/c/points/query", body, result).await;
    let body = r#"{"vector": {"name": "text", "vector": [1]}, "limit": 1}"#;
    let result = r#"[{"id":5,"version":2,"score":4.0}]"#;
    ask("POST", "/collections/c/points/search", body, result).await;
}

#[tokio::test]
async fn a_scroll_goes_page_by_page() {
    let fixture = Fixture::with_points().await;
    let ask = async |body: &str, result: &str| {
        expect(&fixture, "POST", "/collections/demo/points/scroll", body, result).await;
    };
    let first = r#"{"points":[{"id":1}],"next_page_offset":2}"#;
    ask(r#"{"limit": 1, "with_payload": false}"#, first).await;
    let last = format!(r#"{{"points":[{{"id":2}},{{"id":"{UUID}"}}],"next_page_offset":null}}"#);
    ask(r#"{"offset": 2, "with_payload": false}"#, &last).await;
    let red = r#"{"filter": {"must": [{"key": "color", "match": {"value": "red"}}]}}"#;
    let result = r#"{"points":[{"id":1,"payload":{"color":"red","n":1}}],"next_page_offset":null}"#;
    ask(red, result).await;
    let count =
        r#"{"filter": {"must_not": {"key": "color", "match": {"value": "red"}}}, "exact": false}"#;
    expect(&fixture, "POST", "/collections/demo/points/count", count, r#"{"count":2}"#).await;
}

#[tokio::test]
async fn searches_answer_scored_points() {
    let fixture = Fixture::with_points().await;
    let ask = async |path: &str, body: &str, result: &str| {
        expect(&fixture, "POST", &format!("/collections/demo/points/{path}"), body, result).await;
    };
    let top = r#"[{"id":1,"version":2,"score":1.0},{"id":2,"version":2,"score":0.5}]"#;
    ask("search", r#"{"vector": [1, 0], "limit": 2}"#, top).await;
    let points = format!(r#"{{"points":{top}}}"#);
    ask("query", r#"{"query": [1, 0], "limit": 2}"#, &points).await;
    ask("query", r#"{"query": {"nearest": [1, 0]}, "limit": 2, "params": {"exact": true, "hnsw_ef": 64, "indexed_only": true}}"#, &points).await;
    let second =
        r#"[{"id":2,"version":2,"score":0.5,"payload":{"color":"blue"},"vector":[0.5,0.5]}]"#;
    let body =
        r#"{"vector": [1, 0], "limit": 1, "offset": 1, "with_payload": true, "with_vector": true}"#;
    ask("search", body, second).await;
    let body = r#"{"vector": [1, 0], "limit": 9, "score_threshold": 0.7}"#;
    ask("search", body, r#"[{"id":1,"version":2,"score":1.0}]"#).await;
    // A point's own vector; the point itself is left out.
    let like_one = r#"{"points":[{"id":2,"version":2,"score":0.5}]}"#;
    ask("query", r#"{"query": 1, "limit": 1}"#, like_one).await;
    ask("query", r#"{"query": {"nearest": 1}, "limit": 1}"#, like_one).await;
    let like_uuid = format!(r#"{{"query": "{UUID}", "limit": 1}}"#);
    ask("query", &like_uuid, like_one).await;
    // No query: by id.
    let body = r#"{"offset": 1, "limit": 1, "with_payload": ["color"]}"#;
    let result = r#"{"points":[{"id":2,"version":2,"score":1.0,"payload":{"color":"blue"}}]}"#;
    ask("query", body, result).await;
}

#[tokio::test]
async fn batches_answer_in_order() {
    let fixture = Fixture::with_points().await;
    let ask = async |path: &str, body: &str, result: &str| {
        expect(&fixture, "POST", &format!("/collections/demo/points/{path}"), body, result).await;
    };
    let one = r#"{"id":1,"version":2,"score":1.0}"#;
    let two = r#"{"id":2,"version":2,"score":0.5}"#;
    let body = r#"{"searches": [{"vector": [1, 0], "limit": 1},
        {"vector": [1, 0], "limit": 1, "offset": 1}]}"#;
    ask("search/batch", body, &format!("[[{one}],[{two}]]")).await;
    let body = r#"{"searches": [{"query": [1, 0], "limit": 1}, {"query": 1, "limit": 1}]}"#;
    let result = format!(r#"[{{"points":[{one}]}},{{"points":[{two}]}}]"#);
    ask("query/batch", body, &result).await;
    ask("search/batch", r#"{"searches": []}"#, "[]").await;
}
