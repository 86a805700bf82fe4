//! A class for every token. Loss: cross-entropy over the tokens that are not padding
//! and whose label is not −100.

use candle_core::{Result, Tensor};
use hub_schemas::head::TaggingHead;

use super::{HeadInput, Tensors, linear_layers::LinearLayers};

/// A loaded tagging head.
#[derive(Debug)]
pub struct Tagging(LinearLayers);

impl Tagging {
    pub(super) fn new(config: &TaggingHead, tensors: &Tensors) -> Result<Self> {
        LinearLayers::new(&config.stack(), tensors).map(Self)
    }

    /// Scores `[b, t, labels]`, those of padding included.
    pub(super) fn forward(&self, input: &HeadInput<'_>) -> Result<Tensor> {
        self.0.forward(input.features.state, input.mode)
    }
}
