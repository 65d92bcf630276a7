//! The messages to publish: lines of a file, or generated points.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use serde_json::{Map, Value};

use super::form::{Headers, Point};
use super::generate::point;
use super::{Generated, ProduceError, sample};

#[derive(Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// What the partition is chosen by.
    pub key: Option<String>,
    pub body: Vec<u8>,
    pub points: u64,
    pub headers: Headers,
}

pub type Messages = Box<dyn Iterator<Item = Result<Outgoing, ProduceError>>>;

/// One message per line of `path` (`-` is standard input); empty lines are left out. The key is
/// the id of a message's first point; with a key field, each line is a JSON object that has it.
pub fn lines(path: &Path, key_field: Option<String>) -> Result<Messages, ProduceError> {
    let name = path.display().to_string();
    let unreadable = move |error| ProduceError::Unreadable { path: name.clone(), source: error };
    let input: Box<dyn BufRead> = if path == Path::new("-") {
        Box::new(BufReader::new(io::stdin()))
    } else {
        Box::new(BufReader::new(File::open(path).map_err(&unreadable)?))
    };
    let numbered = input.split(b'\n').enumerate();
    Ok(Box::new(numbered.filter_map(move |(index, line)| {
        let mut body = match line {
            Ok(line) => line,
            Err(error) => return Some(Err(unreadable(error))),
        };
        if body.last() == Some(&b'\r') {
            body.pop();
        }
        if body.is_empty() {
            return None;
        }
        let key = match key_field.as_deref() {
            Some(field) => key_of(&body, field, index + 1).map(Some),
            None => Ok(first_id(&body)),
        };
        Some(key.map(|key| Outgoing { key, body, points: 1, headers: Headers::new() }))
    })))
}

/// The first point id of a message: keyed by it, operations on one point stay in one partition.
/// A line that is no message is published as it is, without a key.
fn first_id(line: &[u8]) -> Option<String> {
    let message: Value = serde_json::from_slice(line).ok()?;
    let first = message.pointer("/operations/0").unwrap_or(&message).as_object()?;
    // A point, or an id, is first in `points` of every operation; only an upsert has columns.
    let places = ["/points/0/id", "/points/0", "/batch/ids/0"];
    let id = |body: &Value| places.iter().find_map(|place| body.pointer(place).cloned());
    match first.values().find_map(id)? {
        Value::String(text) => Some(text),
        id @ Value::Number(_) => Some(id.to_string()),
        _ => None,
    }
}

fn key_of(line: &[u8], field: &str, number: usize) -> Result<String, ProduceError> {
    let missing = || ProduceError::NoKey { line: number, field: field.to_owned() };
    let object: Map<String, Value> = serde_json::from_slice(line)
        .map_err(|source| ProduceError::NotJson { line: number, source })?;
    match object.get(field) {
        Some(Value::String(text)) => Ok(text.clone()),
        Some(value @ (Value::Number(_) | Value::Bool(_))) => Ok(value.to_string()),
        _ => Err(missing()),
    }
}

/// The sample catalogue, keyed by id.
pub fn sample(collection: &str) -> Messages {
    let messages: Vec<_> = sample::messages(collection).collect();
    let outgoing =
        |(key, body)| Ok(Outgoing { key: Some(key), body, points: 1, headers: Headers::new() });
    Box::new(messages.into_iter().map(outgoing))
}

/// Upserts of points 0 and up. A message is keyed by its first id, and the same ids always
/// travel together, so an id stays in its partition.
pub fn generated(of: Generated) -> Messages {
    let starts = (0..of.points).step_by(usize::try_from(of.per_message.max(1)).unwrap_or(1));
    Box::new(starts.map(move |first| {
        let ids = first..of.points.min(first.saturating_add(of.per_message.max(1)));
        let count = ids.end - ids.start;
        let points = ids.map(|id| {
            let (vector, payload) = point(of.seed, id, of.dim, of.clusters);
            Point { id, vector, payload }
        });
        let (body, headers) = of.form.write(&of.collection, points.collect())?;
        Ok(Outgoing { key: Some(first.to_string()), body, points: count, headers })
    }))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::super::form::Form;
    use super::*;

    fn from_file(text: &str, key: Option<&str>) -> Vec<Result<Outgoing, ProduceError>> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        lines(file.path(), key.map(str::to_owned)).unwrap().collect()
    }

    #[test]
    fn every_line_is_a_message_as_it_is() {
        let messages = from_file("{\"id\": 1}\r\n\nnot json\n{}", None);
        let bodies: Vec<Vec<u8>> =
            messages.into_iter().map(|message| message.unwrap().body).collect();
        assert_eq!(bodies, [&b"{\"id\": 1}"[..], b"not json", b"{}"]);
    }

    #[test]
    fn a_key_field_keys_each_line_or_says_which_lacks_it() {
        let messages = from_file("{\"id\": 1}\n{\"id\": \"a\"}\n{}\n[]", Some("id"));
        assert_eq!(messages[0].as_ref().unwrap().key.as_deref(), Some("1"));
        assert_eq!(messages[1].as_ref().unwrap().key.as_deref(), Some("a"));
        assert!(matches!(messages[2], Err(ProduceError::NoKey { line: 3, .. })));
        assert!(matches!(messages[3], Err(ProduceError::NotJson { line: 4, .. })));
    }

    #[test]
    fn a_message_is_keyed_by_its_first_point() {
        for (line, key) in [
            (r#"{"upsert": {"points": [{"id": 7}, {"id": 8}]}}"#, Some("7")),
            (r#"{"upsert": {"batch": {"ids": ["a"], "vectors": [[1]]}}}"#, Some("a")),
            (r#"{"collection": "c", "delete": {"points": [7]}}"#, Some("7")),
            (r#"{"update_vectors": {"points": [{"id": 7, "vector": [1]}]}}"#, Some("7")),
            (r#"{"set_payload": {"payload": {}, "points": ["a"]}}"#, Some("a")),
            (r#"{"operations": [{"clear_payload": {"points": [7]}}]}"#, Some("7")),
            (r#"{"delete": {"filter": {}}}"#, None),
            (r#"{"upsert": {"points": [{"vector": [1]}]}}"#, None),
        ] {
            let message = from_file(line, None).remove(0).unwrap();
            assert_eq!(message.key.as_deref(), key, "{line}");
        }
    }

    #[test]
    fn generated_points_are_all_there_in_messages_of_the_size_asked_for() {
        let of = Generated {
            points: 10,
            dim: 3,
            seed: 1,
            clusters: 2,
            collection: "c".into(),
            per_message: 4,
            form: Form::Json,
        };
        let messages: Vec<Outgoing> = generated(of).map(Result::unwrap).collect();
        let keys: Vec<_> = messages.iter().map(|message| message.key.clone().unwrap()).collect();
        assert_eq!(keys, ["0", "4", "8"]);
        let mut ids = Vec::new();
        for message in &messages {
            let value: Value = serde_json::from_slice(&message.body).unwrap();
            assert_eq!(value["collection"], "c");
            for found in value["upsert"]["points"].as_array().unwrap() {
                let id = found["id"].as_u64().unwrap();
                let (vector, payload) = point(1, id, 3, 2);
                let read: Vec<f32> = serde_json::from_value(found["vector"].clone()).unwrap();
                assert_eq!(read, vector, "f32 survives its text");
                assert_eq!(found["payload"], Value::Object(payload));
                ids.push(id);
            }
        }
        assert_eq!(ids, (0..10).collect::<Vec<_>>());
    }
}
