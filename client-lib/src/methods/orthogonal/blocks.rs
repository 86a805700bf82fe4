//! Block-diagonal rotations.

use candle_core::{D, Result, Tensor};

use crate::ops::inverse;

/// The Cayley transform `(I − Q)(I + Q)⁻¹` of skew-symmetric blocks `[n, k, k]`: rotations
/// (Cayley 1846).
pub(super) fn cayley(skew: &Tensor) -> Result<Tensor> {
    let eye = identity(skew)?;
    eye.broadcast_sub(skew)?.matmul(&inverse(&eye.broadcast_add(skew)?)?)
}

/// `(I + Q)⁻¹` as a series of so many terms: `I + 2Q + 2Q² + … + Qᵏ⁻¹`, the last one once
/// (Qiu et al. 2025, as PEFT sums it).
pub(super) fn cayley_series(skew: &Tensor, terms: usize) -> Result<Tensor> {
    let mut sum = identity(skew)?.broadcast_as(skew.shape())?.contiguous()?;
    if terms < 2 {
        return Ok(sum);
    }
    sum = (sum + (skew * 2.0)?)?;
    if terms == 2 {
        return Ok(sum);
    }
    let mut power = skew.matmul(skew)?;
    sum = (sum + (&power * 2.0)?)?;
    for _ in 3..terms - 1 {
        power = power.matmul(skew)?;
        sum = (sum + (&power * 2.0)?)?;
    }
    sum + power.matmul(skew)?
}

/// `[1, k, k]` for blocks `[n, k, k]`.
fn identity(blocks: &Tensor) -> Result<Tensor> {
    Tensor::eye(blocks.dim(D::Minus1)?, blocks.dtype(), blocks.device())?.unsqueeze(0)
}

/// `x [b, t, n·k]` with every block of columns multiplied by its own `[n, k, k]`, or all by
/// one `[1, k, k]`.
pub(super) fn rotate(x: &Tensor, blocks: &Tensor) -> Result<Tensor> {
    let (b, t, width) = x.dims3()?;
    let (own, size, _) = blocks.dims3()?;
    let count = width / size;
    if own == 1 {
        return x.reshape((b * t * count, size))?.matmul(&blocks.squeeze(0)?)?.reshape((b, t, width));
    }
    let columns = x.reshape((b * t, count, size))?.transpose(0, 1)?.contiguous()?;
    columns.matmul(blocks)?.transpose(0, 1)?.contiguous()?.reshape((b, t, width))
}
