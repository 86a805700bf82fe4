//! The rule on the updates themselves, then the best update of a rank.
//!
//! PEFT's `svd` and the rules that end in `_svd`: each `ΔWᵢ = sᵢ Bᵢ Aᵢ` is formed,
//! the rule applied with the weights `wᵢ`, and the result [decomposed](super::Svd)
//! at the new rank; the scaling is one. PEFT's `svd_full_matrices` chooses between
//! two forms of a decomposition that are cut to the same first columns, so it has
//! no counterpart here.

use super::{Factors, MergeError, MergeKind, MergeOptions, Svd, cat::side_by_side, clamp, combine::combined};
use crate::merging::Matrix;

/// Merges the updates of one linear layer. All update one weight.
pub(super) fn merged(
    kind: MergeKind,
    parts: &[(&Factors, f64)],
    options: &MergeOptions,
    place: &str,
) -> Result<Factors, MergeError> {
    let svd = if kind == MergeKind::Svd {
        // A sum of products is the product of the factors side by side.
        let sum = side_by_side(parts)?;
        Svd::of_product(sum.b(), sum.a())?
    } else {
        let [outputs, inputs] = parts.first().ok_or(MergeError::Empty)?.0.weight_shape();
        let updates = parts.iter().map(|(factors, _)| Ok(factors.delta()?.into_data()));
        let updates = updates.collect::<Result<Vec<_>, MergeError>>()?;
        let weights: Vec<f64> = parts.iter().map(|(_, weight)| *weight).collect();
        let update = combined(kind, updates, &weights, options, &format!("{place}\0delta"));
        Svd::of(&Matrix::new(outputs, inputs, update)?)?
    };
    let truncated = svd.truncated(new_rank(parts, options));
    options.clamp.map_or(Ok(truncated.clone()), |quantile| clamp::clamped(&truncated, quantile))
}

/// What was asked for, or the largest rank that goes in.
pub(super) fn new_rank(parts: &[(&Factors, f64)], options: &MergeOptions) -> usize {
    let largest = || parts.iter().map(|(factors, _)| factors.rank()).max().unwrap_or_default();
    options.rank.unwrap_or_else(largest)
}
