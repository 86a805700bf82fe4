//! Where an answer starts and ends (Devlin et al. 2019, section 4.2). Loss: the mean of
//! the cross-entropies of both ends over the positions.

use candle_core::{Result, Tensor};
use hub_schemas::head::QuestionAnsweringHead;

use super::{HeadInput, Tensors, linear_layers::LinearLayers};

/// A loaded question answering head.
#[derive(Debug)]
pub struct QuestionAnswering(LinearLayers);

impl QuestionAnswering {
    pub(super) fn new(config: &QuestionAnsweringHead, tensors: &Tensors) -> Result<Self> {
        LinearLayers::new(&config.stack(), tensors).map(Self)
    }

    /// Scores `[b, t, 2]`: of the start, then of the end. Padding is not masked, as in both libraries.
    pub(super) fn forward(&self, input: &HeadInput<'_>) -> Result<Tensor> {
        self.0.forward(input.features.state, input.mode)
    }
}
