//! Side by side: the exact sum, at the sum of the ranks.
//!
//! `A = [w₁ s₁ A₁; w₂ s₂ A₂; …]` stacked, `B = [B₁ B₂ …]` in a row, scaling one, so
//! `B A = Σ wᵢ sᵢ Bᵢ Aᵢ` (PEFT's `cat`).

use super::{Factors, Matrix, MergeError};

/// The factors of `Σ wᵢ ΔWᵢ`, of rank `Σ rᵢ`. All update one weight.
pub(super) fn side_by_side(parts: &[(&Factors, f64)]) -> Result<Factors, MergeError> {
    let rank = parts.iter().map(|(factors, _)| factors.rank()).sum();
    let [outputs, inputs] = parts.first().ok_or(MergeError::Empty)?.0.weight_shape();
    let mut a = Vec::with_capacity(rank * inputs);
    for (factors, weight) in parts {
        a.extend(factors.a().data().iter().map(|v| v * weight * factors.scaling()));
    }
    let mut b = Vec::with_capacity(outputs * rank);
    for row in 0..outputs {
        for (factors, _) in parts {
            let r = factors.rank();
            b.extend_from_slice(&factors.b().data()[row * r..(row + 1) * r]);
        }
    }
    Factors::new(Matrix::new(rank, inputs, a)?, Matrix::new(outputs, rank, b)?, 1.0)
}
