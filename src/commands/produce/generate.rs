//! Points made of a seed: the same seed and id give the same point, on every machine and in
//! every version, so that tests and benchmarks know what a collection must hold.

use serde_json::{Map, Value, json};

const WORDS: [&str; 12] = [
    "amber", "basil", "cedar", "delta", "ember", "fjord", "grove", "heron", "iris", "juniper",
    "karst", "lotus",
];

/// How far a point lies from its cluster's centre, where centres are about 1 from the origin
/// in every dimension.
const SPREAD: f32 = 0.3;

/// SplitMix64: a published generator of a few operations, fixed for ever.
struct Random(u64);

impl Random {
    fn new(seed: u64, salt: u64) -> Self {
        let mut random = Random(seed ^ salt.wrapping_mul(0xd6e8_feb8_6659_fd93));
        // Neighbouring seeds part at the first step.
        random.0 = random.next();
        random
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// 0 to `bound`, exclusive.
    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    /// About normal, mean 0, variance 1: four uniform numbers of one draw.
    fn normal(&mut self) -> f32 {
        let bits = self.next();
        let sum: u64 = (0..4).map(|part| (bits >> (16 * part)) & 0xffff).sum();
        // Mean of the sum 131 070, standard deviation 37 837.
        (sum as f32 - 131_070.0) / 37_837.0
    }
}

/// A point's vector, near the centre of its cluster, and its payload. `clusters` of 0 counts
/// as 1.
pub fn point(seed: u64, id: u64, dim: usize, clusters: u64) -> (Vec<f32>, Map<String, Value>) {
    let mut random = Random::new(seed, id.wrapping_add(1));
    let cluster = random.below(clusters);
    let mut centre = Random::new(!seed, cluster.wrapping_add(1));
    let vector = (0..dim).map(|_| centre.normal() + SPREAD * random.normal()).collect();
    (vector, payload(&mut random, id, cluster))
}

/// Fields of every type that filters know.
fn payload(random: &mut Random, id: u64, cluster: u64) -> Map<String, Value> {
    let word = |random: &mut Random| WORDS[random.below(WORDS.len() as u64) as usize];
    let tags: Vec<&str> = (0..random.below(4)).map(|_| word(random)).collect();
    let latitude = (random.below(180_000) as f64 - 90_000.0) / 1000.0;
    let longitude = (random.below(360_000) as f64 - 180_000.0) / 1000.0;
    let fields = json!({
        "name": format!("{} {id}", word(random)),
        "cluster": cluster,
        "price": random.below(100_000) as f64 / 100.0,
        "in_stock": random.below(4) > 0,
        "tags": tags,
        "added": format!(
            "2025-{:02}-{:02}T{:02}:00:00Z",
            random.below(12) + 1,
            random.below(28) + 1,
            random.below(24)
        ),
        "place": { "lat": latitude, "lon": longitude },
    });
    match fields {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn distance(a: &[f32], b: &[f32]) -> f32 {
        a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum::<f32>().sqrt()
    }

    #[test]
    fn a_point_stays_what_it_was_when_this_was_written() {
        let (vector, payload) = point(7, 42, 4, 10);
        assert_eq!(vector, [-1.4892302, -0.06333221, 1.9983561, 0.009030819]);
        let expected = json!({
            "name": "grove 42",
            "cluster": 9,
            "price": 771.41,
            "in_stock": true,
            "tags": [],
            "added": "2025-09-04T19:00:00Z",
            "place": { "lat": -26.452, "lon": 179.372 },
        });
        assert_eq!(Value::Object(payload), expected);
    }

    #[test]
    fn the_same_seed_gives_the_same_point_and_another_another() {
        assert_eq!(point(7, 42, 16, 10), point(7, 42, 16, 10));
        assert_ne!(point(7, 42, 16, 10), point(8, 42, 16, 10));
        assert_ne!(point(7, 42, 16, 10), point(7, 43, 16, 10));
    }

    #[test]
    fn points_of_a_cluster_lie_together() {
        let points: Vec<_> = (0..200).map(|id| point(1, id, 32, 4)).collect();
        let (mut near, mut far) = (f32::MIN, f32::MAX);
        for (one, one_payload) in &points {
            assert!(one.iter().all(|value| value.is_finite()));
            for (other, other_payload) in &points {
                if one_payload["cluster"] == other_payload["cluster"] {
                    near = near.max(distance(one, other));
                } else {
                    far = far.min(distance(one, other));
                }
            }
        }
        assert!(near < far, "{near} within a cluster, {far} between two");
    }
}
