//! From pixels to tokens: the patches of an image behind a class token.

use candle_core::{DType, Device, Result, Tensor};
use hub_formats::architectures::{PatchGrid, Positions, TransformerConfig};
use hub_schemas::backbone::Module;

use super::{Hooks, Linear, weights::Weights};

/// The embedding block of a vision transformer (Dosovitskiy et al. 2021).
#[derive(Debug, Clone)]
pub(super) struct Patches {
    grid: PatchGrid,
    /// The convolution whose stride is its width, as the matrix `[h, c·p·p]` that it is.
    projection: Linear,
    /// `[1, 1, h]`
    class: Tensor,
    /// `[1, 1 + patches, h]`
    positions: Tensor,
}

impl Patches {
    /// `None` for a backbone that reads tokens.
    pub(super) fn load(config: &TransformerConfig, weights: &Weights<'_>) -> Result<Option<Self>> {
        let Positions::Grid(grid) = config.positions else { return Ok(None) };
        let projection = weights.get("embeddings.patch.weight")?.flatten_from(1)?.contiguous()?;
        Ok(Some(Self {
            grid,
            projection: weights.frozen(projection, Some(weights.get("embeddings.patch.bias")?))?,
            class: weights.get("embeddings.class")?,
            positions: weights.get("embeddings.grid")?,
        }))
    }

    /// The frozen bias of its convolution.
    pub(super) fn bias(&self, module: Module) -> Option<&Tensor> {
        self.projection.bias().filter(|_| module == Module::Patches)
    }

    /// `[b, c, height, width]` to `[b, 1 + patches, h]`.
    pub(super) fn forward(&self, pixels: &Tensor, hooks: &dyn Hooks) -> Result<Tensor> {
        let pixels = pixels.to_dtype(self.positions.dtype())?;
        let (b, c, height, width) = pixels.dims4()?;
        if c != self.grid.channels {
            candle_core::bail!("the image has {c} colours; this backbone reads {}", self.grid.channels);
        }
        let [rows, columns] = self.grid.cut(height, width).map_err(candle_core::Error::wrap)?;
        let [high, wide] = self.grid.patch;
        let cut = pixels.narrow(2, 0, rows * high)?.narrow(3, 0, columns * wide)?.contiguous()?;
        let cut = cut.reshape((b, c, rows, high, columns, wide))?.permute((0, 2, 4, 1, 3, 5))?;
        let cut = cut.contiguous()?.reshape((b, rows * columns, c * high * wide))?;
        let class = self.class.repeat((b, 1, 1))?;
        let projection = self.projection.with_bias_of(hooks, Module::Patches);
        let x = Tensor::cat(&[&class, &projection.forward(&cut)?], 1)?;
        x.broadcast_add(&self.positions([rows, columns], height == width)?)
    }

    /// The learned positions, stretched to another grid where the model's own code does it: not for
    /// a square image of as many patches.
    fn positions(&self, [rows, columns]: [usize; 2], is_square: bool) -> Result<Tensor> {
        let [from_rows, from_columns] = self.grid.learned();
        let as_many = rows * columns == from_rows * from_columns;
        if !self.grid.stretches || as_many && is_square {
            return Ok(self.positions.clone());
        }
        let (dtype, h) = (self.positions.dtype(), self.positions.dim(2)?);
        let device = self.positions.device();
        let patches = self.positions.narrow(1, 1, from_rows * from_columns)?;
        let patches = patches.reshape((from_rows, from_columns * h))?;
        let down = bicubic(from_rows, rows, dtype, device)?;
        let patches = down.matmul(&patches)?.reshape((rows, from_columns, h))?;
        let across = bicubic(from_columns, columns, dtype, device)?;
        let patches = across.unsqueeze(0)?.broadcast_matmul(&patches)?.reshape((1, rows * columns, h))?;
        Tensor::cat(&[&self.positions.narrow(1, 0, 1)?, &patches], 1)
    }
}

/// Cubic convolution (Keys 1981) with a = −0.75 from `from` samples to `to`, `[to, from]`: the centres
/// of the outermost pixels do not coincide, the edges do, and what lies beyond repeats the last sample.
/// What PyTorch calls `bicubic` without aligned corners.
fn bicubic(from: usize, to: usize, dtype: DType, device: &Device) -> Result<Tensor> {
    let mut weights = vec![0.0_f64; from * to];
    let scale = from as f64 / to as f64;
    for row in 0..to {
        let at = scale * (row as f64 + 0.5) - 0.5;
        let (first, share) = (at.floor(), at - at.floor());
        for (tap, weight) in cubic(share).into_iter().enumerate() {
            let column = (first + tap as f64 - 1.0).clamp(0.0, from as f64 - 1.0) as usize;
            weights[row * from + column] += weight;
        }
    }
    Tensor::from_vec(weights, (to, from), device)?.to_dtype(dtype)
}

/// Weights of the four samples around a place that is `share` behind the second.
fn cubic(share: f64) -> [f64; 4] {
    const A: f64 = -0.75;
    let near = |x: f64| ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0;
    let far = |x: f64| ((A * x - 5.0 * A) * x + 8.0 * A) * x - 4.0 * A;
    [far(share + 1.0), near(share), near(1.0 - share), far(2.0 - share)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stretching_to_the_same_size_changes_nothing_and_weights_sum_to_one() {
        let same = bicubic(5, 5, DType::F64, &Device::Cpu).expect("weights");
        let same = same.to_vec2::<f64>().expect("numbers");
        assert!((0..5).all(|i| (0..5).all(|j| (same[i][j] - f64::from(u8::from(i == j))).abs() < 1e-12)));
        let other = bicubic(4, 7, DType::F64, &Device::Cpu).expect("weights");
        let sums = other.sum(1).expect("sums").to_vec1::<f64>().expect("numbers");
        assert!(sums.iter().all(|sum| (sum - 1.0).abs() < 1e-12));
    }
}
