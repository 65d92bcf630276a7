use super::*;

fn by(kind: &str, text: &str) -> Value {
    json!({"match": {kind: text}})
}

#[test]
fn without_an_index_words_are_compared_in_any_case() {
    for (kind, text, value, expected) in [
        ("text", "good", json!("goodness"), false),
        ("text", "GOOD", json!("Good, and cheap!"), true),
        ("text", "good cheap", json!("Good, and cheap!"), true),
        ("text", "good fast", json!("Good, and cheap!"), false),
        // All of them in one string.
        ("text", "good cheap", json!(["good", "cheap"]), false),
        ("text", "", json!("anything"), false),
        ("text", "5", json!(5), false),
        ("text", "a", json!(["b", "a b"]), true),
        ("phrase", "and CHEAP", json!("Good, and cheap!"), true),
        ("phrase", "cheap and", json!("Good, and cheap!"), false),
        ("text_any", "fast good", json!("Good, and cheap!"), true),
        ("text_any", "fast", json!("Good, and cheap!"), false),
        ("text_any", " ", json!("anything"), false),
    ] {
        assert_eq!(holds_for(&by(kind, text), &value), expected, "{kind} {text} of {value}");
    }
}

/// With an index on `key` alone.
fn holds_with(key: &str, options: &TextOptions, condition: &Value, payload: &Value) -> bool {
    let filter = filter(json!({"must": condition}));
    let payload = payload.as_object().unwrap();
    let text = |asked: &Path| (asked.to_string() == key).then_some(options);
    let has_vector = &|_: &str| false;
    filter.matches(&Subject { id: PointId::Number(7), payload, has_vector, text: &text })
}

#[test]
fn with_an_index_tokens_are_compared() {
    let phrases = TextOptions { phrase_matching: true, ..TextOptions::default() };
    for (kind, text, value, expected) in [
        ("text", "good", json!("goodness"), false),
        ("text", "Cheap GOOD", json!("Good, and cheap!"), true),
        ("text", "good fast", json!("Good, and cheap!"), false),
        // The strings of a list are one text, but a phrase stays in one of them.
        ("text", "good cheap", json!(["good", 5, "cheap"]), true),
        ("phrase", "good cheap", json!(["good", "cheap"]), false),
        ("phrase", "and cheap", json!("Good, and cheap!"), true),
        ("phrase", "good cheap", json!("Good, and cheap!"), false),
        ("text_any", "fast cheap", json!("Good, and cheap!"), true),
        ("text_any", "fast", json!("Good, and cheap!"), false),
        // A query without tokens matches nothing.
        ("text", "", json!("anything"), false),
        ("text_any", "!", json!("anything"), false),
        ("phrase", "!", json!("anything"), false),
        ("text", "5", json!(5), false),
    ] {
        let mut condition = by(kind, text);
        condition["key"] = json!("a");
        let holds = holds_with("a", &phrases, &condition, &json!({"a": value}));
        assert_eq!(holds, expected, "{kind} {text} of {value}");
    }
    let phrase = json!({"key": "a", "match": {"phrase": "good"}});
    assert!(holds_with("a", &phrases, &phrase, &json!({"a": "good"})));
    assert!(!holds_with("a", &TextOptions::default(), &phrase, &json!({"a": "good"})));
    // Other conditions on the key are what they are.
    let value = json!({"key": "a", "match": {"value": "Good"}});
    assert!(holds_with("a", &phrases, &value, &json!({"a": "Good"})));
}

#[test]
fn inside_nested_the_index_is_that_of_the_whole_key() {
    let condition = |text: &str| {
        let inner = json!({"key": "a", "match": {"text": text}});
        json!({"nested": {"key": "list", "filter": {"must": inner}}})
    };
    let payload = json!({"list": [{"a": "goodness"}, {"a": "cheap"}]});
    let options = TextOptions::default();
    assert!(!holds_with("list[].a", &options, &condition("good"), &payload));
    assert!(holds_with("list[].a", &options, &condition("CHEAP"), &payload));
    // An index on the key `a` of the payload has no say.
    let by_case = TextOptions { lowercase: false, ..TextOptions::default() };
    assert!(holds_with("a", &by_case, &condition("CHEAP"), &payload));
    assert!(!holds_with("list[].a", &by_case, &condition("CHEAP"), &payload));
}

#[test]
fn text_is_cut_into_tokens() {
    let options = |value: Value| serde_json::from_value::<TextOptions>(value).unwrap();
    for (given, text, tokens, query) in [
        (json!({}), "Hello, Wörld-2 a", vec!["hello", "wörld", "2", "a"], None),
        (json!({"lowercase": false}), "Hello a", vec!["Hello", "a"], None),
        (json!({"tokenizer": "whitespace"}), " Hello,  x-y ", vec!["hello,", "x-y"], None),
        (json!({"min_token_len": 2, "max_token_len": 3}), "a bb ccc dddd", vec!["bb", "ccc"], None),
        (
            json!({"tokenizer": "prefix"}),
            "Hél a",
            vec!["h", "hé", "hél", "a"],
            Some(vec!["hél", "a"]),
        ),
        (
            json!({"tokenizer": "prefix", "min_token_len": 0}),
            "ab",
            vec!["a", "ab"],
            Some(vec!["ab"]),
        ),
        (
            json!({"tokenizer": "prefix", "min_token_len": 2, "max_token_len": 3}),
            "hello a мир",
            vec!["he", "hel", "ми", "мир"],
            Some(vec!["hel", "мир"]),
        ),
    ] {
        let options = options(given.clone());
        assert_eq!(options.tokens(text), tokens, "{given}");
        assert_eq!(options.query_tokens(text), query.unwrap_or(tokens), "{given}");
        let written = serde_json::to_value(&options).unwrap();
        assert_eq!(serde_json::from_value::<TextOptions>(written).unwrap(), options);
    }
    for (bad, says) in [
        (json!({"tokenizer": "multilingual"}), "is not built in: take `word`"),
        (json!({"tokenizer": "words"}), "`words` is not a tokenizer"),
        (json!({"stemmer": "english"}), "unknown field `stemmer`"),
    ] {
        let fault = serde_json::from_value::<TextOptions>(bad).unwrap_err().to_string();
        assert!(fault.contains(says), "{fault}");
    }
}
