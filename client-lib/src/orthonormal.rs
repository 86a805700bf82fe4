//! Matrices with orthonormal rows: how they are made, and how they stay so in training.

/// Makes the rows of `matrix`, row-major with `columns` columns and at most as many rows,
/// orthonormal: the factor `Q` of the QR decomposition of its transpose with a positive
/// diagonal in `R`.
///
/// Of a Gaussian matrix the result is uniformly distributed; after a step of an optimiser
/// it is the retraction onto the Stiefel manifold (Absil et al., "Optimization Algorithms
/// on Matrix Manifolds", 2008, 4.1.1). Modified Gram–Schmidt, twice, which is orthogonal to
/// the last bits ("twice is enough", Giraud et al. 2005). A row that depends on those before
/// it becomes a unit vector that does not.
pub(crate) fn orthonormalise(matrix: &mut [f64], columns: usize) {
    let rows = matrix.len() / columns.max(1);
    for row in 0..rows {
        let (done, rest) = matrix.split_at_mut(row * columns);
        let own = &mut rest[..columns];
        let before = norm(own);
        for _ in 0..2 {
            subtract(done, own, columns);
        }
        if norm(own) > before * 1e-10 && before > 0.0 {
            scale(own);
            continue;
        }
        // One of the axes is not in the span of fewer rows than there are axes.
        for axis in 0..columns {
            own.fill(0.0);
            own[axis] = 1.0;
            for _ in 0..2 {
                subtract(done, own, columns);
            }
            if norm(own) > 0.5 / (columns as f64).sqrt() {
                break;
            }
        }
        scale(own);
    }
}

/// Takes the parts along each of the rows of `done` out of `own`.
fn subtract(done: &[f64], own: &mut [f64], columns: usize) {
    for other in done.chunks_exact(columns) {
        let dot: f64 = other.iter().zip(own.iter()).map(|(a, b)| a * b).sum();
        own.iter_mut().zip(other).for_each(|(own, other)| *own -= dot * other);
    }
}

fn norm(row: &[f64]) -> f64 {
    row.iter().map(|v| v * v).sum::<f64>().sqrt()
}

fn scale(row: &mut [f64]) {
    let norm = norm(row);
    for v in row {
        *v /= norm;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_orthonormal(matrix: &[f64], columns: usize) -> bool {
        let rows: Vec<&[f64]> = matrix.chunks_exact(columns).collect();
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        (0..rows.len()).all(|i| {
            (0..rows.len()).all(|j| (dot(rows[i], rows[j]) - f64::from(u8::from(i == j))).abs() < 1e-14)
        })
    }

    #[test]
    fn rows_become_orthonormal_and_orthonormal_rows_stay() {
        let mut matrix: Vec<f64> = (0..24).map(|i| (f64::from(i) * 1.7).sin()).collect();
        orthonormalise(&mut matrix, 6);
        assert!(is_orthonormal(&matrix, 6));
        let again = matrix.clone();
        orthonormalise(&mut matrix, 6);
        assert!(matrix.iter().zip(&again).all(|(a, b)| (a - b).abs() < 1e-14));
    }

    #[test]
    fn dependent_and_empty_rows_become_others() {
        let mut matrix = vec![1.0, 2.0, 3.0, 2.0, 4.0, 6.0, 0.0, 0.0, 0.0];
        orthonormalise(&mut matrix, 3);
        assert!(is_orthonormal(&matrix, 3));
    }
}
