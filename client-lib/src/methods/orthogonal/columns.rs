//! Orthonormal columns.

use candle_core::{DType, Result, Tensor};

/// The columns of `[n, k]` made orthonormal from the first to the last (Schmidt 1907), in the order in which they stand.
pub(in crate::methods) fn gram_schmidt(columns: &Tensor) -> Result<Tensor> {
    let mut found: Vec<Tensor> = Vec::new();
    for index in 0..columns.dim(1)? {
        let mut column = columns.narrow(1, index, 1)?;
        for before in &found {
            let along = (before * &column)?.sum_keepdim(0)?;
            column = (column - before.broadcast_mul(&along)?)?;
        }
        found.push(column.broadcast_div(&column.sqr()?.sum_keepdim(0)?.sqrt()?)?);
    }
    Tensor::cat(&found, 1)
}

/// `Q [n, k]` of `P = Q R [n, k]`, `k ≤ n`, with the signs that LAPACK's `geqrf` chooses and so PyTorch.
pub(in crate::methods) fn orthonormal_factor(matrix: &Tensor) -> Result<Tensor> {
    let rows = matrix.detach().to_dtype(DType::F64)?.to_vec2::<f64>()?;
    let signs = Tensor::new(diagonal_signs(rows), matrix.device())?.to_dtype(matrix.dtype())?;
    gram_schmidt(matrix)?.broadcast_mul(&signs)
}

/// The signs of `R`'s diagonal where every column is reflected onto its axis: away from the element that stands there
/// (Golub & Van Loan, "Matrix Computations", 5.1).
fn diagonal_signs(mut rows: Vec<Vec<f64>>) -> Vec<f64> {
    let columns = rows.first().map_or(0, Vec::len);
    let mut signs = Vec::with_capacity(columns);
    for at in 0..columns.min(rows.len()) {
        let first = rows[at][at];
        let below: f64 = rows[at + 1..].iter().map(|row| row[at] * row[at]).sum();
        // Nothing to reflect: the element stays as it is.
        if below == 0.0 {
            signs.push(if first < 0.0 { -1.0 } else { 1.0 });
            continue;
        }
        let sign = if first < 0.0 { 1.0 } else { -1.0 };
        signs.push(sign);
        let mut direction: Vec<f64> = rows[at..].iter().map(|row| row[at]).collect();
        direction[0] -= sign * (first * first + below).sqrt();
        let length: f64 = direction.iter().map(|x| x * x).sum();
        for column in at..columns {
            let along: f64 = direction.iter().zip(&rows[at..]).map(|(x, row)| x * row[column]).sum();
            for (x, row) in direction.iter().zip(&mut rows[at..]) {
                row[column] -= 2.0 * along / length * x;
            }
        }
    }
    signs
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Tensor};

    use super::orthonormal_factor;

    #[test]
    fn signs_are_those_of_lapack() {
        let matrix = [[3.0, 1.0], [4.0, 2.0], [0.0, 2.0]];
        let q = Tensor::new(&matrix, &Device::Cpu).and_then(|m| orthonormal_factor(&m)).expect("a factor");
        let q = q.to_vec2::<f64>().expect("values");
        // numpy.linalg.qr
        let expected = [[-0.6, 0.156_892_908], [-0.8, -0.117_669_681], [0.0, -0.980_580_676]];
        for (row, expected) in q.iter().zip(expected) {
            assert!(row.iter().zip(expected).all(|(a, b): (&f64, f64)| (a - b).abs() < 1e-8), "{q:?}");
        }
    }
}
