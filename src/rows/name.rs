//! Names of directories and files of a collection: made and parsed here, and nowhere else.
//!
//! A vector's name never becomes part of a path; its directory has the number of its place in
//! the schema's order.

/// The directory of the payload column, inside the collection's.
pub const PAYLOAD_DIRECTORY: &str = "payload";

/// The directory of the vector with this place in the schema, counted from 0.
pub fn vector_directory(place: usize) -> String {
    format!("vector-{place}")
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileName {
    Segment(u32),
    /// The graph over the segment of this number.
    Graph(u32),
}

impl std::fmt::Display for FileName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            FileName::Segment(number) => write!(f, "{number}.arrow"),
            FileName::Graph(number) => write!(f, "{number}.graph"),
        }
    }
}

impl FileName {
    /// `None` for every name this module did not make.
    pub fn parse(name: &str) -> Option<FileName> {
        let (stem, suffix) = name.split_once('.')?;
        let number = stem.parse().ok()?;
        let parsed = match suffix {
            "arrow" => FileName::Segment(number),
            "graph" => FileName::Graph(number),
            _ => return None,
        };
        (parsed.to_string() == name).then_some(parsed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_parses_as_it_prints() {
        for name in [FileName::Segment(0), FileName::Graph(7), FileName::Segment(u32::MAX)] {
            assert_eq!(FileName::parse(&name.to_string()), Some(name));
        }
        for other in ["7.tmp", "07.arrow", "+7.arrow", "7", ".arrow", "7.arrow.arrow", "x.graph"] {
            assert_eq!(FileName::parse(other), None, "{other}");
        }
    }
}
