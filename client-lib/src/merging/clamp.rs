//! Clamping the factors of a decomposition.
//!
//! PEFT's `svd_clamp`, from the LoRA scripts of kohya-ss: with `h` the given quantile
//! of the elements of both factors together, every element is limited to `-h..=h`.
//! The quantile is of signed numbers, so it depends on the signs of the singular
//! vectors; see [`Svd`](super::Svd) for ours.

use super::{Factors, Matrix, MergeError};

/// Both factors limited to their common quantile.
pub(super) fn clamped(factors: &Factors, quantile: f64) -> Result<Factors, MergeError> {
    let mut values: Vec<f64> = factors.b().data().iter().chain(factors.a().data()).copied().collect();
    values.sort_unstable_by(f64::total_cmp);
    let at = interpolated(&values, quantile);
    if at <= 0.0 {
        return Err(MergeError::Clamp { quantile, at });
    }
    let limit =
        |m: &Matrix| Matrix::new(m.rows(), m.cols(), m.data().iter().map(|v| v.clamp(-at, at)).collect());
    Factors::new(limit(factors.a())?, limit(factors.b())?, factors.scaling())
}

/// The quantile of sorted numbers, linear between neighbours, as `torch.quantile` has it.
fn interpolated(sorted: &[f64], quantile: f64) -> f64 {
    let place = quantile * sorted.len().saturating_sub(1) as f64;
    let below = sorted.get(place.floor() as usize).copied().unwrap_or_default();
    let above = sorted.get(place.ceil() as usize).copied().unwrap_or(below);
    below + (above - below) * place.fract()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_lies_between_its_neighbours() {
        assert!((interpolated(&[1.0, 2.0, 4.0], 0.75) - 3.0).abs() < 1e-15);
        let at = |quantiles: &[f64]| -> Vec<f64> {
            quantiles.iter().map(|q| interpolated(&[1.0, 2.0, 4.0], *q)).collect()
        };
        assert_eq!(at(&[0.0, 0.5, 1.0]), [1.0, 2.0, 4.0]);
    }
}
