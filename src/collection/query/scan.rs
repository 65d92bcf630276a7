//! Many rows scored one after the other.

use super::Aim;
use super::combine::{Combined, similarity};
use crate::ann::{self, AnnError, Matrix};
use crate::point::Distance;
use crate::rows::Segment;

/// Rows that are compared with one example before the next example's turn: few enough that they
/// are still in a cache.
const BLOCK_ROWS: usize = 1024;

impl Aim {
    /// Whether a larger score is a better one.
    pub(in crate::collection) fn larger_is_better(&self, distance: Distance) -> bool {
        match self {
            Aim::Nearest(_) => distance.larger_is_closer(),
            Aim::Combined(_) => true,
        }
    }

    pub(in crate::collection) fn score(
        &self,
        distance: Distance,
        vector: &[f32],
    ) -> Result<f32, AnnError> {
        match self {
            Aim::Nearest(query) => ann::score(distance, query, vector),
            Aim::Combined(combined) => combined.score(vector),
        }
    }

    /// Scores rows of a segment, given in ascending order.
    pub(in crate::collection) fn scan(
        &self,
        distance: Distance,
        segment: &Segment,
        rows: impl Iterator<Item = u32>,
        visit: &mut dyn FnMut(u32, f32),
    ) -> Result<(), AnnError> {
        match self {
            Aim::Nearest(query) => scan(distance, query, segment, rows, visit),
            Aim::Combined(combined) => combined.scan(distance, segment, rows, visit),
        }
    }
}

impl Combined {
    fn scan(
        &self,
        distance: Distance,
        segment: &Segment,
        mut rows: impl Iterator<Item = u32>,
        visit: &mut dyn FnMut(u32, f32),
    ) -> Result<(), AnnError> {
        let width = self.examples.len();
        let mut block: Vec<u32> = Vec::with_capacity(BLOCK_ROWS);
        // A row's similarities side by side.
        let mut similarities = vec![0.0; BLOCK_ROWS * width];
        loop {
            block.clear();
            block.extend(rows.by_ref().take(BLOCK_ROWS));
            if block.is_empty() {
                return Ok(());
            }
            for (at, example) in self.examples.iter().enumerate() {
                let mut cell = at;
                scan(distance, example, segment, block.iter().copied(), &mut |_, score| {
                    similarities[cell] = similarity(distance, score);
                    cell += width;
                })?;
            }
            for (at, row) in block.iter().enumerate() {
                visit(*row, self.of(&similarities[at * width..(at + 1) * width]));
            }
        }
    }
}

/// Scores rows of a segment, given in ascending order, and visits them in that order.
fn scan(
    distance: Distance,
    query: &[f32],
    segment: &Segment,
    rows: impl Iterator<Item = u32>,
    visit: &mut dyn FnMut(u32, f32),
) -> Result<(), AnnError> {
    match segment {
        Segment::File(file) => {
            let matrix = Matrix::new(file.values(), file.dimensions())?;
            ann::scan(distance, query, matrix, rows, visit)
        }
        Segment::Memory(chunks) => {
            let mut rows = rows.peekable();
            for (first, values) in chunks.matrices() {
                let matrix = Matrix::new(values, query.len())?;
                let end = first + matrix.rows();
                if rows.peek().is_none_or(|row| *row >= end) {
                    continue;
                }
                let inside = std::iter::from_fn(|| rows.next_if(|row| *row < end));
                let inside = inside.map(|row| row - first);
                ann::scan(distance, query, matrix, inside, |row, score| {
                    visit(first + row, score);
                })?;
            }
            Ok(())
        }
    }
}
