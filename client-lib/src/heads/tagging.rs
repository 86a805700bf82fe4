//! A class for every token. Loss: cross-entropy over the tokens that are not padding
//! and whose label is not −100.

use candle_core::{Result, Tensor};
use hub_schemas::head::TaggingHead;

use super::{HeadInput, Tensors, linear_layers::LinearLayers, token_states};

/// A loaded tagging head.
#[derive(Debug)]
pub struct Tagging {
    layers: LinearLayers,
    behind_pooler: bool,
}

impl Tagging {
    pub(super) fn new(config: &TaggingHead, tensors: &Tensors) -> Result<Self> {
        let layers = LinearLayers::new(&config.stack(), tensors)?;
        Ok(Self { layers, behind_pooler: config.behind_pooler })
    }

    /// Scores `[b, t, labels]`, those of padding included.
    pub(super) fn forward(&self, input: &HeadInput<'_>) -> Result<Tensor> {
        let state = token_states(input, self.behind_pooler)?;
        self.layers.classify(&state, input)
    }
}
