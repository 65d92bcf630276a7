//! Scores of single vectors and of many rows.

use super::{AnnError, Distance, Matrix, ffi};

/// Rows per call into the shim: enough that the call costs nothing, few enough that their
/// numbers and scores stay in the first-level cache.
const BLOCK: usize = 256;

/// The score of two vectors as the API answers it: the inner product for `Cosine` (whose vectors
/// are normalised when stored) and `Dot`, the distance itself for `Euclid` and `Manhattan`.
pub fn score(distance: Distance, a: &[f32], b: &[f32]) -> Result<f32, AnnError> {
    same_dimensions(a.len(), b)?;
    Ok(ffi::score(distance, a, b))
}

/// Scores `which` rows of the matrix, in the given order; runs of consecutive rows, such as a
/// range, are the fastest.
pub fn scan(
    distance: Distance,
    query: &[f32],
    matrix: Matrix<'_>,
    which: impl IntoIterator<Item = u32>,
    mut visit: impl FnMut(u32, f32),
) -> Result<(), AnnError> {
    same_dimensions(matrix.dimensions, query)?;
    let mut which = which.into_iter();
    let mut rows = Vec::with_capacity(BLOCK);
    let mut scores = [0f32; BLOCK];
    loop {
        rows.clear();
        rows.extend(which.by_ref().take(BLOCK));
        let (Some(first), Some(last)) = (rows.first().copied(), rows.last().copied()) else {
            return Ok(());
        };
        if let Some(row) = rows.iter().copied().find(|row| *row >= matrix.rows) {
            return Err(AnnError::Row { row, rows: matrix.rows });
        }
        let scores = &mut scores[..rows.len()];
        if is_run(&rows, first, last) {
            ffi::score_range(distance, query, matrix, first, scores);
        } else {
            ffi::score_list(distance, query, matrix, &rows, scores);
        }
        for (row, score) in rows.iter().zip(scores.iter()) {
            visit(*row, *score);
        }
    }
}

fn is_run(rows: &[u32], first: u32, last: u32) -> bool {
    last.wrapping_sub(first) as usize == rows.len() - 1
        && rows.windows(2).all(|pair| pair[0] < pair[1])
}

fn same_dimensions(expected: usize, vector: &[f32]) -> Result<(), AnnError> {
    if vector.len() == expected {
        Ok(())
    } else {
        Err(AnnError::Dimensions { expected, found: vector.len() })
    }
}

/// Scales a vector to length 1, as Qdrant does for `Cosine` before it stores or searches one.
///
/// A vector that already has length 1 (to about one part in a million) stays as it is, bit for
/// bit, so doing it twice is doing it once. A zero vector has no direction: it stays as it is and
/// the answer is false. Qdrant's bound for zero is a squared length below `f32::EPSILON`.
pub fn normalize(values: &mut [f32]) -> bool {
    // In f64, so that no finite vector is too long to have a length.
    let squared: f64 = values.iter().map(|value| f64::from(*value) * f64::from(*value)).sum();
    if squared < f64::from(f32::EPSILON) {
        return false;
    }
    if (squared - 1.0).abs() > 1e-6 {
        let length = squared.sqrt();
        for value in values {
            *value = (f64::from(*value) / length) as f32;
        }
    }
    true
}
