//! From a spectrogram to tokens: two convolutions over time.

use candle_core::{Result, Tensor};
use hub_formats::architectures::{FrameGrid, Positions, TransformerConfig};
use hub_schemas::{backbone::Module, method::Activation};

use super::{Hooks, Linear, weights::Weights};
use crate::ops::activate;

/// The convolutions with their strides.
const CONVOLUTIONS: [(Module, usize); 2] = [(Module::FirstConvolution, 1), (Module::SecondConvolution, 2)];

/// The embedding block of Whisper's encoder (Radford et al. 2022): convolutions of width 3 with a GELU
/// each, the second at every other frame, and positions that are stored.
#[derive(Debug, Clone)]
pub(super) struct Frames {
    grid: FrameGrid,
    /// As the matrices `[h, 3·c]` that they are, the frames of a window side by side.
    convolutions: [Linear; 2],
    /// `[tokens, h]`
    positions: Tensor,
}

impl Frames {
    /// `None` for a backbone that reads no spectrograms.
    pub(super) fn load(config: &TransformerConfig, weights: &Weights<'_>) -> Result<Option<Self>> {
        let Positions::Frames(grid) = config.positions else { return Ok(None) };
        let convolution = |(module, _): (Module, usize)| {
            let weight = weights.get(&format!("{module}.weight"))?;
            let weight = weight.transpose(1, 2)?.flatten_from(1)?.contiguous()?;
            weights.frozen(weight, Some(weights.get(&format!("{module}.bias"))?))
        };
        let [first, second] = CONVOLUTIONS;
        Ok(Some(Self {
            grid,
            convolutions: [convolution(first)?, convolution(second)?],
            positions: weights.get("embeddings.frames")?,
        }))
    }

    /// The frozen bias of one of its convolutions.
    pub(super) fn bias(&self, module: Module) -> Option<&Tensor> {
        let at = CONVOLUTIONS.iter().position(|(own, _)| *own == module)?;
        self.convolutions[at].bias()
    }

    /// `[b, mels, frames]` to `[b, frames / 2, h]`.
    pub(super) fn forward(&self, features: &Tensor, hooks: &dyn Hooks) -> Result<Tensor> {
        let features = features.to_dtype(self.positions.dtype())?;
        let (_, mels, frames) = features.dims3()?;
        self.grid.check(mels, frames).map_err(candle_core::Error::wrap)?;
        let mut x = features.transpose(1, 2)?.contiguous()?;
        for (convolution, (module, stride)) in self.convolutions.iter().zip(CONVOLUTIONS) {
            let convolution = convolution.with_bias_of(hooks, module);
            // GELU whatever the activation of the blocks is.
            x = activate(&convolution.forward(&windows(&x, stride)?)?, Activation::Gelu)?;
        }
        x.broadcast_add(&self.positions)
    }
}

/// Every `stride`-th frame of `x [b, t, c]` between its neighbours, with zeros beyond the ends:
/// `[b, t / stride, 3·c]` for even `t`.
fn windows(x: &Tensor, stride: usize) -> Result<Tensor> {
    let (b, t, c) = x.dims3()?;
    let padded = x.pad_with_zeros(1, 1, 1)?;
    let neighbour = |at: usize| {
        let shifted = padded.narrow(1, at, t)?.contiguous()?;
        shifted.reshape((b, t / stride, stride, c))?.narrow(2, 0, 1)?.squeeze(2)
    };
    Tensor::cat(&[neighbour(0)?, neighbour(1)?, neighbour(2)?], 2)
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device};

    use super::*;

    #[test]
    fn windows_times_weights_are_a_convolution() {
        let random = |shape: (usize, usize, usize)| {
            let n = shape.0 * shape.1 * shape.2;
            let values: Vec<f64> = (0..n).map(|i| (i as f64 * 1.7).sin()).collect();
            Tensor::from_vec(values, shape, &Device::Cpu).expect("a tensor")
        };
        let (x, kernel) = (random((2, 6, 3)), random((4, 3, 3)));
        let matrix =
            kernel.transpose(1, 2).and_then(|k| k.flatten_from(1)?.t()?.contiguous()).expect("a matrix");
        for stride in [1, 2] {
            let found = windows(&x, stride).and_then(|w| w.broadcast_matmul(&matrix)).expect("a product");
            let expected = x.transpose(1, 2).and_then(|x| x.contiguous()?.conv1d(&kernel, 1, stride, 1, 1));
            let expected = expected.and_then(|y| y.transpose(1, 2)).expect("a convolution");
            let apart =
                (found - expected).and_then(|d| d.abs()?.flatten_all()?.max(0)).expect("a difference");
            assert!(apart.to_dtype(DType::F64).and_then(|d| d.to_scalar::<f64>()).expect("a number") < 1e-12);
        }
    }
}
