//! A with A and B with B: cheap, and only roughly the sum of the updates.
//!
//! PEFT's `linear`, `ties`, `dare_linear`, `dare_ties` and `magnitude_prune`. With
//! `cᵢ = wᵢ sᵢ`, `A` is the rule applied to `Aᵢ` with the weights `sign(cᵢ) √|cᵢ|`,
//! `B` the rule applied to `Bᵢ` with the weights `√|cᵢ|`; the scaling is one. The
//! sign stands on one side only, or it would cancel. For `linear`
//!
//! ```text
//! B A = Σᵢ cᵢ Bᵢ Aᵢ + Σ_{i≠j} sign(cⱼ) √|cᵢ cⱼ| Bᵢ Aⱼ
//! ```
//!
//! The second sum are cross terms that nobody asked for: `cat` and `svd` have none.

use super::{Factors, Matrix, MergeError, MergeKind, MergeOptions, combine::combined};

/// Merges the factors of one linear layer. All update one weight, with one rank.
pub(super) fn merged(
    kind: MergeKind,
    parts: &[(&Factors, f64)],
    options: &MergeOptions,
    place: &str,
) -> Result<Factors, MergeError> {
    let rank = equal_rank(kind, parts)?;
    let [outputs, inputs] = parts.first().ok_or(MergeError::Empty)?.0.weight_shape();
    let scaled = parts.iter().map(|(factors, weight)| weight * factors.scaling());
    let of_b: Vec<f64> = scaled.clone().map(|c| c.abs().sqrt()).collect();
    let of_a: Vec<f64> = scaled.zip(&of_b).map(|(c, root)| if c >= 0.0 { *root } else { -root }).collect();
    let all = |pick: fn(&Factors) -> &Matrix| {
        parts.iter().map(|(factors, _)| pick(factors).data().to_vec()).collect::<Vec<_>>()
    };
    let a = combined(kind, all(Factors::a), &of_a, options, &format!("{place}\0a"));
    let b = combined(kind, all(Factors::b), &of_b, options, &format!("{place}\0b"));
    Factors::new(Matrix::new(rank, inputs, a)?, Matrix::new(outputs, rank, b)?, 1.0)
}

/// The rank that all have.
pub(super) fn equal_rank(kind: MergeKind, parts: &[(&Factors, f64)]) -> Result<usize, MergeError> {
    let ranks: Vec<usize> = parts.iter().map(|(factors, _)| factors.rank()).collect();
    match ranks.as_slice() {
        [first, rest @ ..] if rest.iter().all(|rank| rank == first) => Ok(*first),
        _ => Err(MergeError::Ranks { kind, ranks }),
    }
}
