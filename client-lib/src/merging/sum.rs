//! The weighted sum of task vectors.
//!
//! `τ = Σ wᵢ τᵢ` (Ilharco et al., "Editing Models with Task Arithmetic", 2023). A
//! weight may be negative: that is task negation, which takes away what an adapter
//! learned, and `A - B` is the analogy of two adapters.

/// `Σ wᵢ τᵢ`, element by element. All tensors have one length; summed in the order given.
pub(super) fn weighted_sum(tensors: &[Vec<f64>], weights: &[f64]) -> Vec<f64> {
    let mut sum = vec![0.0; tensors.first().map_or(0, Vec::len)];
    for (tensor, weight) in tensors.iter().zip(weights) {
        for (total, value) in sum.iter_mut().zip(tensor) {
            *total += weight * value;
        }
    }
    sum
}
