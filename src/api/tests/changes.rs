//! Changes of a part of points, several at once, and payload indexes: what is answered, and
//! what readers see then.

use serde_json::{Value, json};

use super::Fixture;

const POINTS: &str = "/collections/demo/points";

async fn ask(fixture: &Fixture, method: &str, path: &str, body: Value) -> Value {
    let (status, text) = fixture.ask(method, path, &body.to_string()).await;
    assert_eq!(status, 200, "{method} {path} {body}: {text}");
    let mut answer: Value = serde_json::from_str(&text).unwrap();
    answer["result"].take()
}

/// Writes, and checks that the answer is that of the next operation.
async fn write(fixture: &Fixture, method: &str, path: &str, body: Value) {
    let next = fixture.doors.catalog.applied().next().0;
    let answer = ask(fixture, method, &format!("{POINTS}{path}?wait=true"), body).await;
    assert_eq!(answer, json!({"operation_id": next, "status": "completed"}), "{path}");
}

/// The payload and the vector of points 1 and 2.
async fn points(fixture: &Fixture) -> Value {
    let body = json!({"ids": [1, 2], "with_vector": true});
    let points = ask(fixture, "POST", POINTS, body).await;
    let seen = |point: &Value| json!([point["payload"], point["vector"]]);
    points.as_array().unwrap().iter().map(seen).collect()
}

#[tokio::test]
async fn every_change_of_payload_is_seen() {
    let fixture = Fixture::with_points().await;
    let red = json!({"must": {"key": "color", "match": {"value": "red"}}});
    let one = json!([1.0, 0.0]);
    let two = json!([{"color": "blue"}, [0.5, 0.5]]);
    let body = json!({"payload": {"a": {"b": 1}}, "points": [1]});
    write(&fixture, "POST", "/payload", body).await;
    let payload = json!({"color": "red", "n": 1, "a": {"b": 1}});
    assert_eq!(points(&fixture).await, json!([[payload, one], two]));
    let body = json!({"payload": {"c": 2}, "filter": red, "key": "a"});
    write(&fixture, "POST", "/payload", body).await;
    let payload = json!({"color": "red", "n": 1, "a": {"b": 1, "c": 2}});
    assert_eq!(points(&fixture).await, json!([[payload, one], two]));
    write(&fixture, "POST", "/payload/delete", json!({"keys": ["a.b", "n"], "filter": red})).await;
    assert_eq!(points(&fixture).await, json!([[{"color": "red", "a": {"c": 2}}, one], two]));
    write(&fixture, "PUT", "/payload", json!({"payload": {"d": [1]}, "points": [1]})).await;
    assert_eq!(points(&fixture).await, json!([[{"d": [1]}, one], two]));
    write(&fixture, "POST", "/payload/clear", json!({"filter": {}})).await;
    assert_eq!(points(&fixture).await, json!([[{}, one], [{}, [0.5, 0.5]]]));
}

#[tokio::test]
async fn every_change_of_vectors_is_seen() {
    let fixture = Fixture::with_points().await;
    let (one, two) = (json!({"color": "red", "n": 1}), json!({"color": "blue"}));
    write(&fixture, "PUT", "/vectors", json!({"points": [{"id": 1, "vector": [3, 4]}]})).await;
    assert_eq!(points(&fixture).await, json!([[one, [3.0, 4.0]], [two, [0.5, 0.5]]]));
    write(&fixture, "POST", "/vectors/delete", json!({"points": [1], "vector": [""]})).await;
    assert_eq!(points(&fixture).await, json!([[one, {}], [two, [0.5, 0.5]]]));
    let all_with_a_vector = json!({"must": [{"has_vector": ""}]});
    let body = json!({"filter": all_with_a_vector});
    write(&fixture, "POST", "/delete", body).await;
    assert_eq!(points(&fixture).await, json!([[one, {}]]));
}

#[tokio::test]
async fn a_batch_is_one_operation_and_each_of_it_is_answered() {
    let fixture = Fixture::with_points().await;
    let operations = json!({"operations": [
        {"upsert": {"points": [{"id": 9, "vector": [1, 1]}]}},
        {"set_payload": {"payload": {"a": 1}, "filter": {"must": [{"has_id": [9]}]}}},
        {"update_vectors": {"points": [{"id": 9, "vector": [2, 2]}]}},
        {"delete": {"points": [1]}},
    ]});
    let path = format!("{POINTS}/batch?wait=true");
    let update = json!({"operation_id": 3, "status": "completed"});
    let answer = ask(&fixture, "POST", &path, operations).await;
    assert_eq!(answer, json!([update, update, update, update]));
    let nine = ask(&fixture, "GET", &format!("{POINTS}/9"), Value::Null).await;
    assert_eq!(nine, json!({"id": 9, "payload": {"a": 1}, "vector": [2.0, 2.0]}));
    assert_eq!(points(&fixture).await.as_array().unwrap().len(), 1);
    // None at all is no operation.
    assert_eq!(ask(&fixture, "POST", &path, json!({"operations": []})).await, json!([]));
    assert_eq!(fixture.doors.catalog.applied().0, 3);
    let unwaited = format!("{POINTS}/batch");
    let delete = json!({"operations": [{"clear_payload": {"points": []}}]});
    let acknowledged = json!([{"operation_id": 4, "status": "acknowledged"}]);
    assert_eq!(ask(&fixture, "POST", &unwaited, delete).await, acknowledged);
}

#[tokio::test]
async fn an_index_is_described_as_it_was_asked_for() {
    let fixture = Fixture::with_points().await;
    let put = async |body: Value, seq: u64| {
        let answer = ask(&fixture, "PUT", "/collections/demo/index?wait=true", body).await;
        assert_eq!(answer, json!({"operation_id": seq, "status": "completed"}));
    };
    let described = async || {
        let mut info = ask(&fixture, "GET", "/collections/demo", Value::Null).await;
        let mut schema = info["payload_schema"].take();
        for (_, index) in schema.as_object_mut().unwrap() {
            assert!(index.as_object_mut().unwrap().remove("points").unwrap().is_u64());
        }
        schema
    };
    put(json!({"field_name": "color", "field_schema": "keyword"}), 3).await;
    put(json!({"field_name": "a[].b", "field_schema": {"type": "float"}}), 4).await;
    let text = json!({"type": "text", "tokenizer": "word", "lowercase": true});
    put(json!({"field_name": "n", "field_schema": text}), 5).await;
    let expected = json!({
        "color": {"data_type": "keyword"},
        "a[].b": {"data_type": "float"},
        "n": {"data_type": "text", "params": text},
    });
    assert_eq!(described().await, expected);
    for (seq, field) in [(6, "a%5B%5D.b"), (7, "n"), (8, "nowhere")] {
        let path = format!("/collections/demo/index/{field}?wait=true");
        let answer = ask(&fixture, "DELETE", &path, Value::Null).await;
        assert_eq!(answer, json!({"operation_id": seq, "status": "completed"}));
    }
    assert_eq!(described().await, json!({"color": {"data_type": "keyword"}}));
}
