//! The weighted sum of what all layers give: what Whisper's classifier reads where its configuration says
//! `use_weighted_layer_sum`.
//!
//! `Σᵢ softmax(w)ᵢ xᵢ` over the first layer's input, what every layer gives to the next, and the last state behind the
//! final norm (`WhisperForAudioClassification` of `transformers`). The weights are the checkpoint's own, and frozen.

use candle_core::{Result, Tensor};
use hub_formats::architectures::{LAYER_WEIGHTS, TransformerConfig};

use super::{hooks::repeat_rows, weights::Weights};

/// The softmax of the checkpoint's weights, `[layers + 1]`; all alike where it does not hold any, as a fresh class has
/// them. `None` where nothing is weighed.
pub(super) fn load(config: &TransformerConfig, weights: &Weights<'_>) -> Result<Option<Tensor>> {
    if !config.encoder.weighs_layers {
        return Ok(None);
    }
    let count = config.shape.num_layers + 1;
    let own = match weights.optional(LAYER_WEIGHTS)? {
        Some(own) => own,
        None => Tensor::ones(count, weights.dtype, weights.device)?,
    };
    let powers = own.broadcast_sub(&own.max_keepdim(0)?)?.exp()?;
    powers.broadcast_div(&powers.sum_keepdim(0)?).map(Some)
}

/// A sum as it grows.
pub(super) struct LayerSum<'a> {
    weights: Option<&'a Tensor>,
    count: usize,
    sum: Option<Tensor>,
}

impl<'a> LayerSum<'a> {
    /// Of nothing yet; it stays nothing without weights.
    pub(super) fn new(weights: Option<&'a Tensor>) -> Self {
        Self { weights, count: 0, sum: None }
    }

    /// Adds a state `[b, t, h]`; behind adapters in parallel there are more rows than before.
    pub(super) fn add(&mut self, state: &Tensor) -> Result<()> {
        let Some(weights) = self.weights else { return Ok(()) };
        let term = state.broadcast_mul(&weights.narrow(0, self.count, 1)?)?;
        self.count += 1;
        self.sum = Some(match self.sum.take() {
            Some(sum) => (repeat_rows(&sum, state.dim(0)?)? + term)?,
            None => term,
        });
        Ok(())
    }

    /// The whole sum.
    pub(super) fn finish(self) -> Option<Tensor> {
        self.sum
    }
}
