//! From a spectrogram to tokens: two convolutions over time.

use candle_core::{Result, Tensor};
use hub_formats::architectures::{FrameGrid, Positions, TransformerConfig};
use hub_schemas::{backbone::Module, method::Activation};

use super::{
    Hooks, Linear,
    weights::Weights,
    windows::{matrix_of, windows},
};
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
            let weight = matrix_of(&weights.get(&format!("{module}.weight"))?)?;
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
            x = activate(&convolution.forward(&windows(&x, 3, stride)?)?, Activation::Gelu)?;
        }
        x.broadcast_add(&self.positions)
    }
}
