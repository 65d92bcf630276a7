//! Every HTTP example of the contract, with its answer; and the same change sent as a message
//! leaves the same points.

use serde_json::{Value, json};

use crate::brokers::kafka::Kafka;
use crate::harness::{Pointd, Setup};

/// One example, with `{collection_name}` filled in by the test.
struct Example {
    /// Of the collection before it: `plain` has points 0, 3 and 100, `named` too.
    kind: Kind,
    method: &'static str,
    /// After `/collections/{collection_name}`.
    path: &'static str,
    body: &'static str,
    /// The name of the operation in a message; reads have none.
    operation: Option<&'static str>,
    /// What the points are then, by id: payload and names of vectors.
    leaves: &'static str,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Plain,
    Named,
}

use Kind::{Named, Plain};

const RED_AND_GREEN: &str = r#"{"0": {"color": "red"}, "3": {"color": "green", "price": 3},
    "100": {"color": "red", "price": 100}"#;

const CHANGES: &[Example] = &[
    Example {
        kind: Plain,
        method: "PUT",
        path: "/points",
        body: r#"{"points": [{"id": "5c56c793-69f3-4fbf-87e6-c4bf54c28c26",
            "payload": {"color": "red"}, "vector": [0.9, 0.1, 0.1]}]}"#,
        operation: Some("upsert"),
        leaves: r#", "5c56c793-69f3-4fbf-87e6-c4bf54c28c26": {"color": "red"}}"#,
    },
    Example {
        kind: Plain,
        method: "PUT",
        path: "/points",
        body: r#"{"points": [{"id": 1, "payload": {"color": "red"}, "vector": [0.9, 0.1, 0.1]}]}"#,
        operation: Some("upsert"),
        leaves: r#", "1": {"color": "red"}}"#,
    },
    Example {
        kind: Plain,
        method: "PUT",
        path: "/points",
        body: r#"{"batch": {"ids": [1, 2, 3],
            "payloads": [{"color": "red"}, {"color": "green"}, {"color": "blue"}],
            "vectors": [[0.9, 0.1, 0.1], [0.1, 0.9, 0.1], [0.1, 0.1, 0.9]]}}"#,
        operation: Some("upsert"),
        leaves: r#", "1": {"color": "red"}, "2": {"color": "green"}, "3": {"color": "blue"}}"#,
    },
    Example {
        kind: Plain,
        method: "PUT",
        path: "/points",
        body: r#"{"points": [
            {"id": 1, "payload": {"color": "red"}, "vector": [0.9, 0.1, 0.1]},
            {"id": 2, "payload": {"color": "green"}, "vector": [0.1, 0.9, 0.1]},
            {"id": 3, "payload": {"color": "blue"}, "vector": [0.1, 0.1, 0.9]}]}"#,
        operation: Some("upsert"),
        leaves: r#", "1": {"color": "red"}, "2": {"color": "green"}, "3": {"color": "blue"}}"#,
    },
    Example {
        kind: Named,
        method: "PUT",
        path: "/points",
        body: r#"{"points": [
            {"id": 1, "vector": {"image": [0.9, 0.1, 0.1, 0.2],
                "text": [0.4, 0.7, 0.1, 0.8, 0.1, 0.1, 0.9, 0.2]}},
            {"id": 2, "vector": {"image": [0.2, 0.1, 0.3, 0.9],
                "text": [0.5, 0.2, 0.7, 0.4, 0.7, 0.2, 0.3, 0.9]}}]}"#,
        operation: Some("upsert"),
        leaves: r#", "1": {}, "2": {}}"#,
    },
    Example {
        kind: Named,
        method: "PUT",
        path: "/points/vectors",
        body: r#"{"points": [{"id": 1, "vector": {"image": [0.1, 0.2, 0.3, 0.4]}},
            {"id": 2, "vector": {"text": [0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2]}}]}"#,
        operation: Some("update_vectors"),
        leaves: r#", "1": {}, "2": {}}"#,
    },
    Example {
        kind: Named,
        method: "POST",
        path: "/points/vectors/delete",
        body: r#"{"points": [0, 3, 100], "vectors": ["text", "image"]}"#,
        operation: Some("delete_vectors"),
        leaves: "}",
    },
    Example {
        kind: Plain,
        method: "POST",
        path: "/points/payload",
        body: r#"{"payload": {"property1": "string", "property2": "string"}, "points": [0, 3, 100]}"#,
        operation: Some("set_payload"),
        leaves: r#", "0": {"color": "red", "property1": "string", "property2": "string"},
            "3": {"color": "green", "price": 3, "property1": "string", "property2": "string"},
            "100": {"color": "red", "price": 100, "property1": "string", "property2": "string"}}"#,
    },
    Example {
        kind: Plain,
        method: "POST",
        path: "/points/payload",
        body: r#"{"payload": {"property1": "string", "property2": "string"},
            "filter": {"must": [{"key": "color", "match": {"value": "red"}}]}}"#,
        operation: Some("set_payload"),
        leaves: r#", "0": {"color": "red", "property1": "string", "property2": "string"},
            "100": {"color": "red", "price": 100, "property1": "string", "property2": "string"}}"#,
    },
    Example {
        kind: Plain,
        method: "POST",
        path: "/points/payload/delete",
        body: r#"{"keys": ["color", "price"], "points": [0, 3, 100]}"#,
        operation: Some("delete_payload"),
        leaves: r#", "0": {}, "3": {}, "100": {}}"#,
    },
    Example {
        kind: Plain,
        method: "POST",
        path: "/points/payload/delete",
        body: r#"{"keys": ["color", "price"],
            "filter": {"must": [{"key": "color", "match": {"value": "red"}}]}}"#,
        operation: Some("delete_payload"),
        leaves: r#", "0": {}, "100": {}}"#,
    },
    Example {
        kind: Plain,
        method: "POST",
        path: "/points/payload/clear",
        body: r#"{"points": [0, 3, 100]}"#,
        operation: Some("clear_payload"),
        leaves: r#", "0": {}, "3": {}, "100": {}}"#,
    },
    Example {
        kind: Plain,
        method: "POST",
        path: "/points/delete",
        body: r#"{"points": [0, 3, 100]}"#,
        operation: Some("delete"),
        leaves: r#", "0": null, "3": null, "100": null}"#,
    },
    Example {
        kind: Plain,
        method: "POST",
        path: "/points/delete",
        body: r#"{"filter": {"must": [{"key": "color", "match": {"value": "red"}}]}}"#,
        operation: Some("delete"),
        leaves: r#", "0": null, "100": null}"#,
    },
];

/// Points 0, 3 and 100; the named collection also has 1 and 2, for its updates.
fn given(kind: Kind) -> Value {
    let payloads: serde_json::Map<String, Value> =
        serde_json::from_str(&format!("{RED_AND_GREEN}}}")).unwrap();
    let vector = |id: u64| match kind {
        Plain => json!([1.0, id, 0.5]),
        Named => json!({"image": [1.0, id, 0.5, 2.0], "text": [id, 1, 2, 3, 4, 5, 6, 7]}),
    };
    let point = |(id, payload): (&String, &Value)| {
        let id: u64 = id.parse().unwrap();
        json!({"id": id, "payload": payload, "vector": vector(id)})
    };
    let mut points: Vec<Value> = payloads.iter().map(point).collect();
    if kind == Named {
        points.extend([1, 2].map(|id| json!({"id": id, "vector": vector(id)})));
    }
    json!({ "points": points })
}

fn create(pointd: &Pointd, collection: &str, kind: Kind) {
    let size = |size: u64| json!({"size": size, "distance": "Dot"});
    let vectors = match kind {
        Plain => size(3),
        Named => json!({"image": size(4), "text": size(8)}),
    };
    let made = pointd.put(&format!("/collections/{collection}"), &json!({ "vectors": vectors }));
    assert_eq!(made["result"], true, "{made}");
    let path = format!("/collections/{collection}/points?wait=true");
    assert_eq!(pointd.put(&path, &given(kind))["result"]["status"], "completed");
}

/// Everything there is, by id.
fn points(pointd: &Pointd, collection: &str) -> Vec<Value> {
    let body = json!({"limit": 100, "with_vector": true});
    let page = pointd.post(&format!("/collections/{collection}/points/scroll"), &body);
    page["result"]["points"].as_array().unwrap().clone()
}

fn check_left(example: &Example, points: &[Value]) {
    let mut expected: serde_json::Map<String, Value> =
        serde_json::from_str(&format!("{RED_AND_GREEN}}}")).unwrap();
    if example.kind == Named {
        expected.extend(["1", "2"].map(|id| (id.to_owned(), json!({}))));
    }
    let change = example.leaves.trim_start_matches([',', ' ']);
    let change = if change == "}" { "{}".to_owned() } else { format!("{{{change}") };
    expected.extend(serde_json::from_str::<serde_json::Map<_, _>>(&change).unwrap());
    expected.retain(|_, payload| !payload.is_null());
    let id = |point: &Value| match &point["id"] {
        Value::String(id) => id.clone(),
        id => id.to_string(),
    };
    let found: serde_json::Map<String, Value> =
        points.iter().map(|point| (id(point), point["payload"].clone())).collect();
    assert_eq!(found, expected, "{} {}", example.path, example.body);
    let of = |id: u64| points.iter().find(|point| point["id"] == id).map(|point| &point["vector"]);
    match example.path {
        "/points/vectors" => {
            let (one, two) = (of(1).unwrap(), of(2).unwrap());
            assert_eq!(one["image"], json!([0.1, 0.2, 0.3, 0.4]));
            assert_eq!(one["text"], json!([1.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]));
            assert_eq!(two["image"], json!([1.0, 2.0, 0.5, 2.0]));
            assert_eq!(two["text"], json!([0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2]));
        }
        "/points/vectors/delete" => {
            assert_eq!([of(0), of(3), of(100)], [Some(&json!({})); 3]);
            assert!(of(1).unwrap().get("text").is_some());
        }
        _ => {}
    }
}

fn send(pointd: &Pointd, method: &str, path: &str, body: &Value) -> Value {
    if method == "PUT" { pointd.put(path, body) } else { pointd.post(path, body) }
}

#[test]
fn every_change_of_the_contract_is_made_over_http_and_by_message_alike() {
    let kafka = Kafka::shared("the contract's examples as messages");
    let setup = Setup::new();
    let source = kafka.as_ref().map_or(String::new(), |kafka| {
        kafka.create_topic("contract", 1);
        let brokers = kafka.bootstrap();
        format!(
            "[[source]]\nname = \"s\"\n[source.kafka]\nbrokers = \"{brokers}\"\n\
             topics = [\"contract\"]\ngroup = \"contract\"\n"
        )
    });
    setup.configure(&source);
    let pointd = setup.start();
    for (place, example) in CHANGES.iter().enumerate() {
        let body: Value = serde_json::from_str(example.body).unwrap();
        let (by_http, by_message) = (format!("http-{place}"), format!("message-{place}"));
        create(&pointd, &by_http, example.kind);
        let path = format!("/collections/{by_http}{}", example.path);
        let acknowledged = send(&pointd, example.method, &path, &body);
        let result = &acknowledged["result"];
        assert_eq!(acknowledged["status"], "ok", "{acknowledged}");
        assert_eq!(result["status"], "acknowledged");
        assert!(acknowledged["time"].is_f64() && result["operation_id"].is_u64());
        // Once more, waited for: the same change changes nothing.
        let completed = send(&pointd, example.method, &format!("{path}?wait=true"), &body);
        assert_eq!(completed["result"]["status"], "completed", "{completed}");
        let left = points(&pointd, &by_http);
        check_left(example, &left);

        let (Some(kafka), Some(operation)) = (&kafka, example.operation) else { continue };
        create(&pointd, &by_message, example.kind);
        let message = json!({"collection": by_message, operation: body}).to_string();
        kafka.publish("contract", 0, [message.as_str()]);
        let read = format!("/collections/{by_message}/points/count?not_before=contract/0@{place}");
        assert_eq!(pointd.post(&read, &json!({}))["status"], "ok");
        assert_eq!(points(&pointd, &by_message), left, "{message}");
    }
    assert_eq!(pointd.get("/dead-letters")["result"]["total"], 0);
    assert!(pointd.terminate().success());
}

#[test]
fn every_read_of_the_contract_answers_as_it_says() {
    let setup = Setup::new();
    setup.configure("");
    let pointd = setup.start();
    create(&pointd, "c", Plain);
    let red = r#"{"filter": {"must": [{"key": "color", "match": {"value": "red"}}]}"#;
    let read = |path: &str, body: &str| {
        let body: Value = serde_json::from_str(body).unwrap();
        let answer = pointd.post(&format!("/collections/c{path}"), &body);
        assert_eq!(answer["status"], "ok", "{answer}");
        assert!(answer["time"].is_f64());
        answer["result"].clone()
    };
    let retrieved = read("/points", r#"{"ids": [0, 3, 100]}"#);
    let ids: Vec<&Value> = retrieved.as_array().unwrap().iter().map(|point| &point["id"]).collect();
    assert_eq!(ids, [0, 3, 100]);
    assert_eq!(retrieved[0], json!({"id": 0, "payload": {"color": "red"}}));

    let one = pointd.get("/collections/c/points/0")["result"].clone();
    assert_eq!(one, json!({"id": 0, "payload": {"color": "red"}, "vector": [1.0, 0.0, 0.5]}));
    let missing = pointd.get("/collections/c/points/7");
    assert!(missing["status"]["error"].as_str().unwrap().starts_with("Not found"), "{missing}");

    let page = read(
        "/points/scroll",
        &format!(r#"{red}, "limit": 1, "with_payload": true, "with_vector": false}}"#),
    );
    let first = json!({"id": 0, "payload": {"color": "red"}});
    assert_eq!(page, json!({"points": [first], "next_page_offset": 100}));
    let next = format!(r#"{red}, "limit": 1, "offset": 100}}"#);
    let page = read("/points/scroll", &next);
    assert_eq!(page["next_page_offset"], Value::Null);
    assert_eq!(page["points"][0]["id"], 100);

    let counted = read("/points/count", &format!(r#"{red}, "exact": true}}"#));
    assert_eq!(counted, json!({"count": 2}));
    assert!(pointd.terminate().success());
}

/// The applier lags behind what is acknowledged; who writes one request after the other must not
/// notice.
#[test]
fn a_point_may_be_named_as_soon_as_its_upsert_was_acknowledged() {
    let setup = Setup::new();
    setup.configure("");
    let pointd = setup.start();
    create(&pointd, "c", Plain);
    for id in 1000..1500 {
        let point = json!({"id": id, "vector": [1, 2, 3]});
        let upserted = pointd.put("/collections/c/points", &json!({"points": [point]}));
        assert_eq!(upserted["result"]["status"], "acknowledged");
        let body = json!({"payload": {"seen": true}, "points": [id]});
        let set = pointd.post("/collections/c/points/payload", &body);
        assert_eq!(set["result"]["status"], "acknowledged", "{set}");
    }
    assert_eq!(pointd.get("/dead-letters")["result"]["total"], 0);
    assert!(pointd.terminate().success());
}
