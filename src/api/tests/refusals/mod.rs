//! What is refused, with which status, and in which words.

mod changes;
mod queries;

use super::{Fixture, without_time};

const POINTS: &str = "/collections/demo/points";

/// Method, path below `/collections`, body, status, and a part of the message.
type Case = (&'static str, &'static str, &'static str, u16, &'static str);

async fn check(cases: &[Case]) {
    let fixture = Fixture::with_points().await;
    let mut wrong = Vec::new();
    for (method, path, body, status, message) in cases {
        let at = format!("/collections{path}");
        let (given, text) = fixture.ask(method, &at, body).await;
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        let error = value["status"]["error"].as_str().unwrap_or_default();
        if given != *status || !error.contains(message) {
            wrong.push(format!("{method} {at} {body}: {given} {text}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // None of it did anything.
    let count = fixture.ask("POST", &format!("{POINTS}/count"), "{}").await.1;
    assert_eq!(count, r#"{"result":{"count":3},"status":"ok"}"#);
    assert_eq!(fixture.doors.catalog.applied().0, 2);
    assert_eq!(fixture.doors.catalog.dead_letters().len(), 0);
}

#[tokio::test]
async fn places_that_do_not_exist() {
    check(&[
        ("GET", "/none", "", 404, "Not found: Collection `none` doesn't exist!"),
        ("PUT", "/none/points", r#"{"points": []}"#, 404, "Collection `none` doesn't exist!"),
        ("POST", "/none/points/delete", r#"{"points": [1]}"#, 404, "`none` doesn't exist!"),
        ("POST", "/none/points/scroll", "{}", 404, "`none` doesn't exist!"),
        ("POST", "/none/points/query", "{}", 404, "`none` doesn't exist!"),
        ("GET", "/none/points/1", "", 404, "`none` doesn't exist!"),
        ("GET", "/demo/points/77", "", 404, "Not found: Point with id 77 does not exists!"),
        ("POST", "/demo/points/query", r#"{"query": 77}"#, 404, "point 77 does not exist"),
        ("GET", "/demo/nowhere", "", 404, "pointd has no GET /collections/demo/nowhere"),
        ("PUT", "/demo/facet", "{}", 404, "pointd has no PUT /collections/demo/facet"),
        ("PUT", "/none/points/vectors", r#"{"points": [{"id": 1, "vector": [1]}]}"#, 404, "`none`"),
        ("POST", "/none/points/batch", r#"{"operations": []}"#, 404, "`none` doesn't exist!"),
        ("DELETE", "/none/index/a", "", 404, "`none` doesn't exist!"),
        (
            "PUT",
            "/demo/points/vectors",
            r#"{"points": [{"id": 1, "vector": [1, 1]}, {"id": 77, "vector": [1, 1]}]}"#,
            404,
            "Not found: No point with id 77 found",
        ),
        ("GET", "/demo/index", "", 405, "does not take GET"),
        ("GET", "/demo/points/payload", "", 405, "does not take GET"),
        ("PATCH", "/demo", "{}", 405, "/collections/demo does not take PATCH"),
        ("GET", "/demo/points/scroll/", "", 404, "pointd has no GET"),
        ("POST", "/demo/points/1", "{}", 405, "does not take POST"),
        (
            "PUT",
            "/demo",
            r#"{"vectors": {"size": 1, "distance": "Dot"}}"#,
            409,
            "Collection `demo` already exists!",
        ),
    ])
    .await;
}

#[tokio::test]
#[rustfmt::skip] // A case is a line.
async fn collections_that_cannot_be() {
    check(&[
        ("PUT", "/a", "", 400, "Format error in JSON body: EOF"),
        ("PUT", "/a", "{}", 422, "vectors: missing: give"),
        ("PUT", "/a", r#"{"vectors": {"size": 0, "distance": "Dot"}}"#, 422, "size 0 is out of range"),
        ("PUT", "/a", r#"{"vectors": {"size": 70000, "distance": "Dot"}}"#, 422, "out of range"),
        ("PUT", "/a", r#"{"vectors": {"size": -1, "distance": "Dot"}}"#, 400, "vectors: invalid value"),
        ("PUT", "/a", r#"{"vectors": {"size": 4, "distance": "cosine"}}"#, 400, "expected one of `Cosine`"),
        ("PUT", "/a", r#"{"vectors": {"size": 4}}"#, 400, "missing field `distance`"),
        ("PUT", "/a", r#"{"vectors": {"v": {"size": 4}}}"#, 400, "`v`: missing field `distance`"),
        ("PUT", "/a", r#"{"vectors": {"v": 4}}"#, 400, "a vector is"),
        ("PUT", "/a", r#"{"vectors": [4]}"#, 400, "vectors: invalid type"),
        ("PUT", "/a", r#"{"vectors": {"size": 4, "distance": "Dot", "datatype": "uint8"}}"#, 400, "`uint8` is not supported"),
        ("PUT", "/a", r#"{"vectors": {"size": 4, "distance": "Dot", "multivector_config": {"comparator": "max_sim"}}}"#, 400, "`multivector_config` is not supported"),
        ("PUT", "/a", r#"{"vectors": {"size": 4, "distance": "Dot"}, "sparse_vectors": {"s": {}}}"#, 400, "`sparse_vectors` is not supported"),
        ("PUT", "/a", r#"{"vectors": {"size": 4, "distance": "Dot"}, "sharding_method": "custom"}"#, 400, "`sharding_method` is not supported"),
        ("PUT", "/a", r#"{"vectors": {"size": 4, "distance": "Dot"}, "metadata": {"a": 1}}"#, 400, "`metadata` is not supported"),
        ("PUT", "/a%2Fb", r#"{"vectors": {"size": 4, "distance": "Dot"}}"#, 422, "cannot contain '/'"),
        ("PUT", "/..%2f..", r#"{"vectors": {"size": 4, "distance": "Dot"}}"#, 422, "cannot contain '/'"),
        ("PUT", "/%2e%2e", r#"{"vectors": {"size": 4, "distance": "Dot"}}"#, 422, "cannot be a collection's name"),
        ("PUT", "/a%00", r#"{"vectors": {"size": 4, "distance": "Dot"}}"#, 422, "cannot contain"),
        ("PUT", "/a%ff", r#"{"vectors": {"size": 4, "distance": "Dot"}}"#, 400, "path parameters"),
        ("PUT", "/a?timeout=0", r#"{"vectors": {"size": 4, "distance": "Dot"}}"#, 422, "query parameters: [timeout: value 0"),
    ])
    .await;
}

#[tokio::test]
#[rustfmt::skip] // A case is a line.
async fn writes_that_cannot_be() {
    check(&[
        ("PUT", "/demo/points", "not json", 400, "Format error in JSON body: expected"),
        ("PUT", "/demo/points", r#"{"points": [{"id": 1}"#, 400, "EOF while parsing"),
        ("PUT", "/demo/points", r#"[]"#, 400, "Format error in JSON body"),
        ("PUT", "/demo/points", "{}", 400, "either `points`"),
        ("PUT", "/demo/points", r#"{"points": [], "batch": {"ids": [], "vectors": []}}"#, 400, "either `points`"),
        ("PUT", "/demo/points", r#"{"points": [{"vector": [1, 2]}]}"#, 400, "points[0] has no `id`"),
        ("PUT", "/demo/points", r#"{"points": [{"id": -1, "vector": [1, 2]}]}"#, 400, "points[0].id: invalid type: integer `-1`"),
        ("PUT", "/demo/points", r#"{"points": [{"id": "x", "vector": [1, 2]}]}"#, 400, "`x` is not a point id"),
        ("PUT", "/demo/points", r#"{"points": [{"id": 1.5, "vector": [1, 2]}]}"#, 400, "points[0].id: invalid type"),
        ("PUT", "/demo/points", r#"{"points": [{"id": 18446744073709551616, "vector": [1, 2]}]}"#, 400, "points[0].id"),
        ("PUT", "/demo/points", r#"{"points": [{"id": 1, "vector": [1, "2"]}]}"#, 400, "points[0].vector"),
        ("PUT", "/demo/points", r#"{"points": [{"id": 1, "vector": [1, 1e39]}]}"#, 400, "not a finite 32-bit float"),
        ("PUT", "/demo/points", r#"{"points": [{"id": 1, "vector": []}]}"#, 400, "vector of point 1 is empty"),
        ("PUT", "/demo/points", r#"{"points": [{"id": 1, "vector": [1, 2, 3]}]}"#, 400, "Wrong input: "),
        ("PUT", "/demo/points", r#"{"points": [{"id": 1, "vector": {"x": [1, 2]}}]}"#, 400, "`x`"),
        ("PUT", "/demo/points", r#"{"points": [{"id": 1, "vector": [1, 2], "payload": [1]}]}"#, 400, "points[0].payload"),
        ("PUT", "/demo/points", r#"{"batch": {"ids": [1, 2], "vectors": [[1, 2]]}}"#, 400, "a batch of 2 ids has 1 vectors"),
        ("PUT", "/demo/points", r#"{"points": [], "shard_key": "a"}"#, 400, "`shard_key` is not supported"),
        ("PUT", "/demo/points", r#"{"points": [], "update_filter": {"must": []}}"#, 400, "`update_filter` is not supported"),
        ("PUT", "/demo/points", r#"{"points": [], "update_mode": "insert_only"}"#, 400, "`update_mode` other than `upsert`"),
        ("PUT", "/demo/points?wait=yes", r#"{"points": []}"#, 400, "Format error in query parameters"),
        ("PUT", "/demo/points?timeout=soon", r#"{"points": []}"#, 400, "Format error in query parameters"),
        ("POST", "/demo/points/delete", "{}", 400, "say which points with either `points` (a list of point ids) or `filter`"),
        ("POST", "/demo/points/delete", r#"{"points": 1}"#, 400, "points: invalid type"),
    ])
    .await;
}

#[tokio::test]
async fn payloads_that_nest_too_deep() {
    let fixture = Fixture::with_points().await;
    let (open, close) = (r#"{"a":"#.repeat(70), "}".repeat(70));
    let body = format!(r#"{{"points": [{{"id": 1, "payload": {open}1{close}}}]}}"#);
    let (status, text) = fixture.ask("PUT", POINTS, &body).await;
    assert_eq!(status, 400);
    assert!(text.contains("nests deeper than 64"), "{text}");
}

#[tokio::test]
#[rustfmt::skip] // A case is a line.
async fn reads_that_cannot_be() {
    check(&[
        ("GET", "/demo/points/abc", "", 400, "path parameters: `abc` is not a point id"),
        ("GET", "/demo/points/-1", "", 400, "is not a point id"),
        ("GET", "/demo/points/18446744073709551616", "", 400, "is not a point id"),
        ("POST", "/demo/points", "{}", 400, "missing field `ids`"),
        ("POST", "/demo/points", r#"{"ids": ["x"]}"#, 400, "ids[0]"),
        ("POST", "/demo/points", r#"{"ids": [1], "with_payload": 1}"#, 400, "with_payload is true, false"),
        ("POST", "/demo/points", r#"{"ids": [1], "with_payload": {"incl": []}}"#, 400, "with_payload is true, false"),
        ("POST", "/demo/points", r#"{"ids": [1], "with_payload": ["a."]}"#, 400, "with_payload: `a.` is not a key"),
        ("POST", "/demo/points", r#"{"ids": [1], "with_vector": "x"}"#, 400, "with_vector is true, false"),
        ("POST", "/demo/points", r#"{"ids": [1], "with_vector": true, "with_vectors": true}"#, 400, "duplicate field"),
        ("POST", "/demo/points", r#"{"ids": [1], "with_vector": ["x"]}"#, 400, "`x`"),
        ("POST", "/demo/points/scroll", r#"{"limit": 0}"#, 422, "[limit: value 0 invalid"),
        ("POST", "/demo/points/scroll", r#"{"limit": 10001}"#, 422, "at most 10000"),
        ("POST", "/demo/points/scroll", r#"{"order_by": "n"}"#, 400, "No range index for `order_by` key: `n`"),
        ("POST", "/demo/points/scroll", r#"{"filter": {"musst": []}}"#, 400, "filter: a filter has no field `musst`: did you mean `must`?"),
        ("POST", "/demo/points/scroll", r#"{"filter": {"must": [{"key": "a"}]}}"#, 400, "at `must[0]`: a condition on a key needs one of `match`"),
        ("POST", "/demo/points/count", r#"{"filter": {"must": [{"key": "a", "match": {"value": 1.5}}]}}"#, 400, "Format error"),
        ("POST", "/demo/points/count", r#"{"shard_key": "x"}"#, 400, "`shard_key` is not supported"),
        ("POST", "/demo/points/count", "", 400, "Format error in JSON body: EOF"),
    ])
    .await;
}

#[tokio::test]
#[rustfmt::skip] // A case is a line.
async fn searches_that_cannot_be() {
    check(&[
        ("POST", "/demo/points/search", r#"{"limit": 1}"#, 400, "missing field `vector`"),
        ("POST", "/demo/points/search", r#"{"vector": [1, 2]}"#, 400, "missing field `limit`"),
        ("POST", "/demo/points/search", r#"{"vector": [1, 2], "limit": 0}"#, 422, "limit: value 0"),
        ("POST", "/demo/points/search", r#"{"vector": [1, 2], "limit": 10000, "offset": 1}"#, 422, "together at most 10000"),
        ("POST", "/demo/points/search", r#"{"vector": [1], "limit": 1}"#, 400, "1 dimensions"),
        ("POST", "/demo/points/search", r#"{"vector": [], "limit": 1}"#, 400, "0 dimensions"),
        ("POST", "/demo/points/search", r#"{"vector": [1, null], "limit": 1}"#, 400, "its element 1 is null"),
        ("POST", "/demo/points/search", r#"{"vector": [1, 1e39], "limit": 1}"#, 400, "not a finite"),
        ("POST", "/demo/points/search", r#"{"vector": {"name": "x", "vector": [1, 2]}, "limit": 1}"#, 400, "`x`"),
        ("POST", "/demo/points/search", r#"{"vector": {"name": "x", "vector": {"indices": [1], "values": [1]}}, "limit": 1}"#, 400, "sparse vectors"),
        ("POST", "/demo/points/search", r#"{"vector": "x", "limit": 1}"#, 400, "vector is a list of numbers"),
        ("POST", "/demo/points/query", r#"{"query": [[1, 2]]}"#, 400, "multivectors"),
        ("POST", "/demo/points/query", r#"{"query": {"indices": [1], "values": [1]}}"#, 400, "sparse vectors"),
        ("POST", "/demo/points/query", r#"{"query": {"fusion": "rrf"}}"#, 400, "a `fusion` query is not supported"),
        ("POST", "/demo/points/query", r#"{"query": {"nearest": [1, 2], "mmr": {"diversity": 0.5}}}"#, 400, "`mmr` is not supported"),
        ("POST", "/demo/points/query", r#"{"query": {"text": "hello", "model": "m"}}"#, 400, "inference"),
        ("POST", "/demo/points/query", r#"{"query": "not-a-uuid"}"#, 400, "is not a point id"),
        ("POST", "/demo/points/query", r#"{"query": -1}"#, 400, "query is a list of numbers"),
        ("POST", "/demo/points/query", r#"{"query": true}"#, 400, "query is a list of numbers"),
        ("POST", "/demo/points/query", r#"{"query": [1, 2], "prefetch": {"query": [1, 2]}}"#, 400, "`prefetch` is not supported"),
        ("POST", "/demo/points/query", r#"{"query": [1, 2], "using": "x"}"#, 400, "`x`"),
        ("POST", "/demo/points/query", r#"{"score_threshold": 0.5}"#, 400, "`score_threshold` without `query`"),
        ("POST", "/demo/points/query", r#"{"query": [1, 2], "params": {"hnsw_ef": -1}}"#, 400, "params.hnsw_ef"),
        ("POST", "/demo/points/search/batch", r#"{"searches": [{"vector": [1, 2], "limit": 1}, {"vector": [1], "limit": 1}]}"#, 400, "1 dimensions"),
        ("POST", "/demo/points/query/batch", r#"{"searches": [{"query": {"rrf": {"k": 2}}}]}"#, 400, "searches[0].query: a `rrf` query"),
    ])
    .await;
}

#[tokio::test]
async fn a_refusal_has_qdrants_shape_and_says_what_is_allowed() {
    let fixture = Fixture::new();
    let (status, text) = fixture.ask("GET", "/collections/x", "").await;
    assert_eq!(status, 404);
    let exact = r#"{"status":{"error":"Not found: Collection `x` doesn't exist!"}}"#;
    assert_eq!(without_time(&text), exact);
    let wrong = fixture.response("PATCH", "/collections/x", "").await;
    let allow = wrong.headers()["allow"].to_str().unwrap();
    for method in ["GET", "PUT", "DELETE"] {
        assert!(allow.contains(method), "{allow}");
    }
    let (status, text) = fixture.ask("GET", "/dead-letters?limit=0", "").await;
    assert_eq!(status, 422, "{text}");
    assert_eq!(fixture.ask("GET", "/dead-letters?offset=x", "").await.0, 400);
}

#[tokio::test]
#[rustfmt::skip] // A case is a line.
async fn indexes_that_cannot_be() {
    check(&[
        ("PUT", "/demo/index", "{}", 400, "missing field `field_name`"),
        ("PUT", "/demo/index", r#"{"field_name": "a"}"#, 422, "[field_schema: missing: give a type as \"keyword\", \"integer\""),
        ("PUT", "/demo/index", r#"{"field_name": "a", "field_schema": null}"#, 422, "[field_schema: missing: give a type"),
        ("PUT", "/demo/index", r#"{"field_name": "a.", "field_schema": "keyword"}"#, 400, "field_name: `a.` is not a key"),
        ("PUT", "/demo/index", r#"{"field_name": 1, "field_schema": "keyword"}"#, 400, "field_name: invalid type"),
        ("PUT", "/demo/index", r#"{"field_name": "a", "field_schema": "keywords"}"#, 400, "field_schema: \"keywords\" is not a type of field: give a type as"),
        ("PUT", "/demo/index", r#"{"field_name": "a", "field_schema": 1}"#, 400, "field_schema: 1 is not a field's schema: give a type as"),
        ("PUT", "/demo/index", r#"{"field_name": "a", "field_schema": {"tokenizer": "word"}}"#, 400, "a field's schema without its `type`: give a type as"),
        ("PUT", "/demo/index", r#"{"field_name": "a", "field_schema": {"type": ["text"]}}"#, 400, "[\"text\"] is not a type of field"),
        ("PUT", "/demo/index", r#"{"field_name": "a", "field_schema": {"type": "keyword", "tenant": true}}"#, 422, "[field_schema: `tenant` is not a parameter"),
        ("PUT", "/demo/index", r#"{"field_name": "a", "field_schema": {"type": "text", "stemmer": "english"}}"#, 422, "`stemmer` is not built in: leave it out"),
        ("PUT", "/none/index", r#"{"field_name": "a", "field_schema": "keyword"}"#, 404, "`none` doesn't exist!"),
        ("DELETE", "/demo/index/a%5B", "", 400, "path parameters: `a[` is not a key"),
        ("DELETE", "/demo/index", "", 405, "does not take DELETE"),
    ])
    .await;
}
