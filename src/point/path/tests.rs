use super::*;

fn values(path: &str, payload: Value) -> Vec<Value> {
    let mut seen = Vec::new();
    let path: Path = path.parse().unwrap();
    path.any(payload.as_object().unwrap(), &mut |value| {
        seen.push(value.clone());
        false
    });
    seen
}

#[test]
fn a_dot_does_not_enter_a_list_and_brackets_do() {
    let payload = serde_json::json!({"a": [{"b": 1}, {"b": 2}], "c": {"d": 3}, "e.f": 4});
    assert_eq!(values("a.b", payload.clone()), Vec::<Value>::new());
    assert_eq!(values("a[].b", payload.clone()), [1, 2].map(Value::from));
    assert_eq!(values("a[1].b", payload.clone()), [Value::from(2)]);
    assert_eq!(values("a[2].b", payload.clone()), Vec::<Value>::new());
    assert_eq!(values("c.d", payload.clone()), [Value::from(3)]);
    assert_eq!(values("c[]", payload.clone()), Vec::<Value>::new());
    assert_eq!(values("\"e.f\"", payload), [Value::from(4)]);
}

#[test]
fn a_path_prints_as_it_parses() {
    for text in ["a", "a.b", "a[].b", "a[][]", "\"a.b\".c", "a[0].b", "a[1][50]", "ü-_1"] {
        assert_eq!(text.parse::<Path>().unwrap().to_string(), text);
    }
    for bad in ["", ".", "a.", ".a", "a[-1]", "a[+1]", "a[x]", "a[", "\"a", "a[]b", "a b", "[]"] {
        assert!(bad.parse::<Path>().is_err(), "{bad} was taken");
    }
}
