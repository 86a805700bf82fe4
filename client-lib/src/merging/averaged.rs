//! The averages of `adapters` for LoRA (`average_adapter`).
//!
//! All adapters have one configuration, whose scaling the result keeps.
//!
//! - `average` (its `linear`): `A = Σ wᵢ Aᵢ`, `B = Σ wᵢ Bᵢ`. A negative weight turns
//!   both factors around and so nothing: `(-B)(-A) = B A`.
//! - `lora_linear_only_negate_b`: `A = Σ |wᵢ| Aᵢ`, `B = Σ wᵢ Bᵢ`, so that a negative
//!   weight subtracts (Zhang et al., "Composing Parameter-Efficient Modules with
//!   Arithmetic Operations", 2023).
//! - `lora_delta_w_svd`: the best update of the new rank of `Σ wᵢ Bᵢ Aᵢ`. `adapters`
//!   keeps `α` here, so that another rank changes the effective scale `α / r`; ours
//!   keeps the scale.

use super::{
    Factors, Matrix, MergeError, MergeKind, MergeOptions, Svd, cat::side_by_side, decomposed::new_rank,
    factorwise::equal_rank, sum::weighted_sum,
};

/// Averages the factors of one linear layer. All update one weight, with one scaling.
pub(super) fn merged(
    kind: MergeKind,
    parts: &[(&Factors, f64)],
    options: &MergeOptions,
) -> Result<Factors, MergeError> {
    let [outputs, inputs] = parts.first().ok_or(MergeError::Empty)?.0.weight_shape();
    let scaling = equal_scaling(kind, parts)?;
    if kind == MergeKind::DeltaWSvd {
        let unscaled = parts.iter().map(|(f, w)| Ok((Factors::new(f.a().clone(), f.b().clone(), 1.0)?, *w)));
        let unscaled = unscaled.collect::<Result<Vec<_>, MergeError>>()?;
        let borrowed: Vec<(&Factors, f64)> = unscaled.iter().map(|(f, w)| (f, *w)).collect();
        let sum = side_by_side(&borrowed)?;
        return Ok(Svd::of_product(sum.b(), sum.a())?.truncated(new_rank(parts, options)).times(scaling));
    }
    let rank = equal_rank(kind, parts)?;
    let of_b: Vec<f64> = parts.iter().map(|(_, weight)| *weight).collect();
    let of_a: Vec<f64> = if kind == MergeKind::LinearOnlyNegateB {
        of_b.iter().map(|w| w.abs()).collect()
    } else {
        of_b.clone()
    };
    let all = |pick: fn(&Factors) -> &Matrix| {
        parts.iter().map(|(factors, _)| pick(factors).data().to_vec()).collect::<Vec<_>>()
    };
    let a = Matrix::new(rank, inputs, weighted_sum(&all(Factors::a), &of_a))?;
    let b = Matrix::new(outputs, rank, weighted_sum(&all(Factors::b), &of_b))?;
    Factors::new(a, b, scaling)
}

fn equal_scaling(kind: MergeKind, parts: &[(&Factors, f64)]) -> Result<f64, MergeError> {
    let scalings: Vec<f64> = parts.iter().map(|(factors, _)| factors.scaling()).collect();
    match scalings.as_slice() {
        [first, rest @ ..] if rest.iter().all(|s| (s - first).abs() <= 1e-12 * first.abs()) => Ok(*first),
        _ => Err(MergeError::Scalings { kind, scalings }),
    }
}
