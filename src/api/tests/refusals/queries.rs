//! Queries by examples, in order of a field and by chance.

use super::check;

#[tokio::test]
#[rustfmt::skip] // A case is a line.
async fn queries_that_cannot_be() {
    check(&[
        ("POST", "/demo/points/query", r#"{"query": {}}"#, 400, "query is a list of numbers"),
        ("POST", "/demo/points/query", r#"{"query": {"recommend": 1}}"#, 400, "query: recommend: invalid type"),
        ("POST", "/demo/points/query", r#"{"query": {"recommend": {"positive": 1}}}"#, 400, "query: recommend: invalid type"),
        ("POST", "/demo/points/query", r#"{"query": {"recommend": {"positive": [true]}}}"#, 400, "an example is a list of numbers or a point id"),
        ("POST", "/demo/points/query", r#"{"query": {"recommend": {"positive": [{"indices": [1], "values": [1]}]}}}"#, 400, "sparse vectors"),
        ("POST", "/demo/points/query", r#"{"query": {"recommend": {"positive": [[[1, 2]]]}}}"#, 400, "multivectors"),
        ("POST", "/demo/points/query", r#"{"query": {"recommend": {"positive": [{"text": "a", "model": "m"}]}}}"#, 400, "inference"),
        ("POST", "/demo/points/query", r#"{"query": {"recommend": {"positive": [1], "strategy": "best"}}}"#, 400, "or \"sum_scores\", not `best`"),
        ("POST", "/demo/points/query", r#"{"query": {"recommend": {}}}"#, 400, "strategy `average_vector` needs a positive example"),
        ("POST", "/demo/points/query", r#"{"query": {"recommend": {"negative": [1]}}}"#, 400, "strategy `average_vector` needs a positive example"),
        ("POST", "/demo/points/query", r#"{"query": {"recommend": {"strategy": "best_score"}}}"#, 400, "strategy `best_score` needs a positive or negative example"),
        ("POST", "/demo/points/query", r#"{"query": {"recommend": {"positive": [77]}}}"#, 404, "point 77 does not exist"),
        ("POST", "/demo/points/query", r#"{"query": {"recommend": {"positive": [[1]]}}}"#, 400, "Vector dimension error: the query has 1 dimensions"),
        ("POST", "/demo/points/query", r#"{"query": {"discover": {"context": []}}}"#, 400, "missing field `target`"),
        ("POST", "/demo/points/query", r#"{"query": {"discover": {"target": null}}}"#, 400, "an example is a list"),
        ("POST", "/demo/points/query", r#"{"query": {"discover": {"target": 1, "context": [{"positive": 1}]}}}"#, 400, "missing field `negative`; context is a list of"),
        ("POST", "/demo/points/query", r#"{"query": {"context": [1]}}"#, 400, "context is a list of"),
        ("POST", "/demo/points/query", r#"{"query": {"context": {"positive": 77, "negative": 1}}}"#, 404, "point 77 does not exist"),
        ("POST", "/demo/points/query", r#"{"query": {"nearest": 1, "context": []}}"#, 400, "`nearest` and `context` are two queries: give one"),
        ("POST", "/demo/points/query", r#"{"query": {"sample": "all"}}"#, 400, "sample is \"random\", not \"all\""),
        ("POST", "/demo/points/query", r#"{"query": {"order_by": "n"}}"#, 400, "No range index for `order_by` key: `n`"),
        ("POST", "/demo/points/query", r#"{"query": {"order_by": {"key": "n", "way": 1}}}"#, 400, "order_by is a payload key"),
        ("POST", "/demo/points/query", r#"{"query": {"order_by": "n"}, "score_threshold": 1}"#, 400, "`score_threshold` with `order_by` is not supported"),
        ("POST", "/demo/points/query", r#"{"query": 1, "lookup_from": {"collection": "x"}}"#, 404, "Collection `x` doesn't exist!"),
        ("POST", "/demo/points/query", r#"{"query": 1, "lookup_from": {"vector": "x"}}"#, 400, "missing field `collection`"),
        ("POST", "/demo/points/query", r#"{"query": 1, "lookup_from": {"collection": "demo", "vector": "x"}}"#, 400, "Not existing vector name error: vector `x`"),
        ("POST", "/demo/points/query", r#"{"query": 1, "lookup_from": {"collection": "demo", "shard_key": "a"}}"#, 400, "`shard_key` of `lookup_from` is not supported"),
    ])
    .await;
}
