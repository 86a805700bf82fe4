//! One tensor of several: the rule of a kind, whatever the tensors are.

use super::{MergeKind, MergeOptions, dare, prune, sum, ties};

/// Merges tensors of one length by the rule of `kind`. `place` says for DARE which tensor of the adapter this is.
pub(super) fn combined(
    kind: MergeKind,
    mut tensors: Vec<Vec<f64>>,
    weights: &[f64],
    options: &MergeOptions,
    place: &str,
) -> Vec<f64> {
    let density = options.density.unwrap_or(1.0);
    let is_dare = kind.is_random();
    if kind.takes_density() {
        for (index, tensor) in tensors.iter_mut().enumerate() {
            if is_dare {
                dare::drop_and_rescale(tensor, density, options.seed, &format!("{place}\0{index}"));
            } else {
                prune::keep_largest(tensor, density);
            }
        }
    }
    match kind {
        MergeKind::Ties | MergeKind::TiesSvd | MergeKind::DareTies | MergeKind::DareTiesSvd => {
            ties::merge_agreeing(&tensors, weights, options.majority_sign)
        }
        _ => sum::weighted_sum(&tensors, weights),
    }
}
