//! The parameters an index may be asked for with.

use serde_json::{Map, Value};

use crate::filter::TextOptions;
use crate::point::{FieldSchema, FieldType};

/// Where Qdrant keeps an index and how it uses it: taken, and without effect here.
const EVERYWHERE: &[&str] = &["on_disk", "enable_hnsw"];

/// Checks them, and gives the options of a text index (the default ones for other kinds).
pub(super) fn check(schema: &FieldSchema) -> Result<TextOptions, String> {
    let mut own = Map::new();
    for (name, value) in schema.params.iter().flatten() {
        let switch = EVERYWHERE.contains(&&**name) || switches(schema.data_type).contains(&&**name);
        match value {
            Value::Null | Value::Bool(_) if switch => {}
            value if switch => return Err(format!("`{name}` is {value}: give true or false")),
            Value::Null | Value::Bool(false) if is_left_out(schema.data_type, name) => {}
            _ if is_left_out(schema.data_type, name) => {
                return Err(format!("`{name}` is not built in: leave it out"));
            }
            // Null is the default, as for every parameter.
            Value::Null if is_of_text(schema.data_type, name) => {}
            value if is_of_text(schema.data_type, name) => {
                own.insert(name.clone(), value.clone());
            }
            _ => return Err(unknown(schema.data_type, name)),
        }
    }
    let options: TextOptions =
        serde_json::from_value(Value::Object(own)).map_err(|error| error.to_string())?;
    match (options.min_token_len, options.max_token_len) {
        (Some(least), Some(most)) if least > most => Err(format!(
            "`min_token_len` is {least} and `max_token_len` {most}: no token can be both, give a \
             smaller least or a larger most"
        )),
        _ => Ok(options),
    }
}

/// Parameters that are true or false and decide nothing about what matches.
fn switches(kind: FieldType) -> &'static [&'static str] {
    match kind {
        FieldType::Keyword | FieldType::Uuid => &["is_tenant"],
        FieldType::Integer => &["lookup", "range", "is_principal"],
        FieldType::Float | FieldType::Datetime => &["is_principal"],
        FieldType::Geo | FieldType::Bool | FieldType::Text => &[],
    }
}

const TEXT: &[&str] =
    &["tokenizer", "min_token_len", "max_token_len", "lowercase", "phrase_matching"];

fn is_of_text(kind: FieldType, name: &str) -> bool {
    kind == FieldType::Text && TEXT.contains(&name)
}

/// What Qdrant's text index has and this one has not; `ascii_folding: false` asks for nothing.
fn is_left_out(kind: FieldType, name: &str) -> bool {
    kind == FieldType::Text && ["stopwords", "stemmer", "ascii_folding"].contains(&name)
}

fn unknown(kind: FieldType, name: &str) -> String {
    let text = if kind == FieldType::Text { TEXT } else { &[] };
    let known: Vec<String> = [text, switches(kind), EVERYWHERE]
        .concat()
        .iter()
        .map(|known| format!("`{known}`"))
        .collect();
    format!("`{name}` is not a parameter of this kind of index: it has {}", known.join(", "))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check_of(data_type: FieldType, params: Value) -> Result<TextOptions, String> {
        check(&FieldSchema { data_type, params: params.as_object().cloned() })
    }

    #[test]
    fn the_parameters_of_the_interface_are_taken() {
        for (data_type, params) in [
            (FieldType::Keyword, json!({"is_tenant": true, "on_disk": false})),
            (FieldType::Integer, json!({"lookup": false, "range": true, "is_principal": null})),
            (FieldType::Float, json!({"is_principal": true})),
            (FieldType::Geo, json!({"on_disk": true, "enable_hnsw": false})),
            (FieldType::Text, json!({"stemmer": null, "ascii_folding": false})),
            (FieldType::Bool, Value::Null),
        ] {
            assert_eq!(check_of(data_type, params), Ok(TextOptions::default()));
        }
        let options = check_of(
            FieldType::Text,
            json!({"tokenizer": "prefix", "min_token_len": 2, "lowercase": false}),
        );
        assert_eq!(options.as_ref().map(|options| options.min_token_len), Ok(Some(2)));
    }

    #[test]
    fn others_are_refused_with_what_would_be_right() {
        for (data_type, params, right) in [
            (FieldType::Keyword, json!({"is_tennant": true}), "`is_tenant`"),
            (FieldType::Keyword, json!({"lookup": true}), "`is_tenant`"),
            (FieldType::Integer, json!({"range": 1}), "true or false"),
            (FieldType::Text, json!({"tokenizer": "multilingual"}), "`word`"),
            (FieldType::Text, json!({"stemmer": {"type": "snowball"}}), "leave it out"),
            (FieldType::Text, json!({"ascii_folding": true}), "leave it out"),
            (FieldType::Text, json!({"min_token_len": 5, "max_token_len": 2}), "smaller least"),
            (FieldType::Text, json!({"min_token_len": -1}), "usize"),
        ] {
            let refusal = check_of(data_type, params.clone()).unwrap_err();
            assert!(refusal.contains(right), "{params}: {refusal}");
        }
    }
}
