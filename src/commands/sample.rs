//! The sample catalogue: 4 000 made-up products with real sentence embeddings, compiled into the
//! binary so that it can be sent from any directory. `config/sample/README.md` describes the files.
//!
//! [`messages`] yields them in the form a producer would publish, one upsert per message. It does
//! not create the collection and it sends nothing.

use serde_json::Value;

/// Components of each embedding.
pub const DIMENSIONS: usize = 384;

/// A little-endian f32 scale, then one signed byte per component.
const ROW_BYTES: usize = 4 + DIMENSIONS;

/// One payload, a JSON object, per line.
const PRODUCTS: &str = include_str!("../../config/sample/products.jsonl");

/// One row per line of [`PRODUCTS`], in the same order.
const VECTORS: &[u8] = include_bytes!("../../config/sample/vectors.i8");

// A truncated vector file must not compile.
const _: () = assert!(VECTORS.len().is_multiple_of(ROW_BYTES));

/// How many products there are, and so how many messages.
pub const COUNT: usize = VECTORS.len() / ROW_BYTES;

/// Every product as `(key, message)`: the id in decimal, which keeps one point in one Kafka
/// partition, and `{"collection": …, "upsert": {"points": [{"id", "vector", "payload"}]}}` as
/// JSON. Ids run from 1. Vectors have unit length.
pub fn messages(collection: &str) -> impl Iterator<Item = (String, Vec<u8>)> {
    let collection = Value::from(collection).to_string();
    products().enumerate().map(move |(index, (payload, vector))| {
        let id = index + 1;
        // `Display` prints the fewest digits that read back as the same f32.
        let vector = vector.map(|component| component.to_string()).join(",");
        let message = format!(
            r#"{{"collection":{collection},"upsert":{{"points":[{{"id":{id},"vector":[{vector}],"payload":{payload}}}]}}}}"#
        );
        (id.to_string(), message.into_bytes())
    })
}

/// The payload's JSON text and the unit vector of every product.
fn products() -> impl Iterator<Item = (&'static str, [f32; DIMENSIONS])> {
    let (rows, _) = VECTORS.as_chunks::<ROW_BYTES>();
    PRODUCTS.lines().zip(rows.iter().map(unit_vector))
}

fn unit_vector(row: &[u8; ROW_BYTES]) -> [f32; DIMENSIONS] {
    let [a, b, c, d, codes @ ..] = row;
    let scale = f32::from_le_bytes([*a, *b, *c, *d]);
    let mut vector = codes.map(|code| scale * f32::from(code.cast_signed()));
    // Rounding to bytes leaves the length off by up to a thousandth.
    let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
    for component in &mut vector {
        *component /= length;
    }
    vector
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    fn field(payload: &str, name: &str) -> String {
        let payload: Value = serde_json::from_str(payload).unwrap();
        payload[name].as_str().unwrap().to_owned()
    }

    #[test]
    fn every_message_is_one_upsert_of_a_complete_product() {
        let mut titles = BTreeSet::new();
        let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
        let mut sent = 0;
        for (index, (key, message)) in messages("shop \"a\"").enumerate() {
            let message: Value = serde_json::from_slice(&message).unwrap();
            assert_eq!(message["collection"], "shop \"a\"");
            let points = message["upsert"]["points"].as_array().unwrap();
            assert_eq!(points.len(), 1);
            let point = &points[0];
            assert_eq!(point["id"], index + 1);
            assert_eq!(key, (index + 1).to_string());

            let vector: Vec<f64> = serde_json::from_value(point["vector"].clone()).unwrap();
            assert_eq!(vector.len(), DIMENSIONS);
            let length = vector.iter().map(|x| x * x).sum::<f64>().sqrt();
            assert!((length - 1.0).abs() < 1e-5, "product {key} has a vector of length {length}");

            let payload = &point["payload"];
            assert!(payload["price"].as_f64().unwrap() > 0.0);
            assert!(payload["city"].is_string());
            let date = payload["date"].as_str().unwrap();
            humantime_serde::re::humantime::parse_rfc3339(date)
                .unwrap_or_else(|error| panic!("{date}: {error}"));
            let kind = payload["category"].as_str().unwrap();
            let colored = !matches!(kind, "books" | "drinks" | "food");
            assert_eq!(payload["color"].is_string(), colored, "{payload}");
            *kinds.entry(kind.to_owned()).or_default() += 1;
            titles.insert(payload["title"].as_str().unwrap().to_owned());
            sent += 1;
        }
        assert_eq!(sent, COUNT);
        assert_eq!(PRODUCTS.lines().count(), COUNT);
        assert_eq!(titles.len(), COUNT, "two products share a title");
        assert_eq!(kinds.len(), 32);
        assert!(kinds.values().all(|count| *count == COUNT / 32), "{kinds:?}");
    }

    #[test]
    fn neighbours_of_a_product_are_of_its_kind() {
        let all: Vec<_> = products().collect();
        // Kinds come in turn, so vectors that slipped by a line would still agree on the kind:
        // only what the title names shows that each product has its own.
        for (wanted, noun) in [
            ("Simple water-saving shower curtain in white", "shower curtain"),
            ("Handmade muslin changing mat", "changing mat"),
            ("Award-winning beard oil for curly hair", "beard oil"),
            ("The Clockmaker: a mystery novel about a stolen manuscript", "manuscript"),
            ("Entry-level mahogany drum kit for jazz players", "drum kit"),
        ] {
            let (payload, vector) =
                all.iter().find(|(payload, _)| field(payload, "title") == wanted).unwrap();
            let mut others: Vec<(f32, &str)> = all
                .iter()
                .filter(|(other, _)| other != payload)
                .map(|(other, theirs)| {
                    (vector.iter().zip(theirs).map(|(a, b)| a * b).sum::<f32>(), *other)
                })
                .collect();
            others.sort_by(|a, b| b.0.total_cmp(&a.0));
            let nearest = &others[..5];
            for (_, other) in nearest {
                assert_eq!(field(other, "category"), field(payload, "category"), "{nearest:?}");
            }
            let named = nearest.iter().filter(|(_, other)| field(other, "title").contains(noun));
            assert!(named.count() >= 3, "{wanted}: {nearest:?}");
        }
    }
}
