//! `DoRA` (Liu et al. 2024): the length of every row of an updated weight is learned.
//!
//! With an update `ΔW` of factor `f`: `y = m / ‖W + f ΔW‖ ⊙ (W + f ΔW) x + b`. As in the
//! paper's section 4.3 the norm counts as a constant in the backward pass. `adapters`
//! leaves `f` out of the norm and scales the bias too.

use candle_core::{D, Result, Tensor};
use hub_schemas::method::Dora;

use crate::backbones::LinearInput;

/// What a low-rank method brings to `DoRA`.
pub(super) struct Decomposed<'a> {
    /// `m [out]`
    pub(super) magnitude: &'a Tensor,
    /// `ΔW [out, in]`
    pub(super) update: Tensor,
    /// `f`
    pub(super) factor: f64,
    /// `f ΔW x`, as the method computes it, `[b, t, out]`.
    pub(super) delta: Tensor,
}

/// The whole output of a linear layer.
pub(super) fn transform(dora: Dora, at: &LinearInput<'_>, parts: Decomposed<'_>) -> Result<Tensor> {
    let Decomposed { magnitude, update, factor, delta } = parts;
    let factor = if dora == Dora::Scaled { factor } else { 1.0 };
    let updated = (at.linear.weight()? + (update * factor)?)?;
    let scale = row_scale(magnitude, &updated)?;
    match dora {
        Dora::Unscaled => (at.linear.forward(at.x)? + delta)?.broadcast_mul(&scale),
        Dora::Scaled => {
            let y = (at.linear.forward_without_bias(at.x)? + delta)?.broadcast_mul(&scale)?;
            match at.linear.bias() {
                Some(bias) => y.broadcast_add(bias),
                None => Ok(y),
            }
        }
    }
}

/// `y` with rows scaled as `adapters` does: by the magnitudes over the norms of `W + ΔW`, without `f`.
pub(super) fn rescale(
    at: &LinearInput<'_>,
    magnitude: &Tensor,
    update: Tensor,
    y: &Tensor,
) -> Result<Tensor> {
    y.broadcast_mul(&row_scale(magnitude, &(at.linear.weight()? + update)?)?)
}

/// `m / ‖W'‖` of every row of an updated weight `W' [out, in]`: `[out]`.
pub(super) fn row_scale(magnitude: &Tensor, updated: &Tensor) -> Result<Tensor> {
    magnitude / updated.sqr()?.sum(D::Minus1)?.sqrt()?.detach()
}
