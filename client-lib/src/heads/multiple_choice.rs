//! Which of several continuations is the right one: each is a sequence of its own and
//! gets one score. Loss: cross-entropy over the choices.

use candle_core::{Result, Tensor};
use hub_schemas::head::{MultipleChoiceHead, Pooling};

use super::{HeadInput, Tensors, linear_layers::LinearLayers, pooling::pool};

/// A loaded multiple choice head.
#[derive(Debug)]
pub struct MultipleChoice {
    num_choices: usize,
    pooling: Pooling,
    layers: LinearLayers,
}

impl MultipleChoice {
    pub(super) fn new(config: &MultipleChoiceHead, tensors: &Tensors) -> Result<Self> {
        Ok(Self {
            num_choices: config.num_choices,
            pooling: config.pooling,
            layers: LinearLayers::new(&config.stack(), tensors)?,
        })
    }

    /// Scores `[b, choices]` from a batch of `b · choices` sequences, the choices of one
    /// example next to each other. How many there are is what the batch says or, where
    /// it says nothing, what the head was trained with.
    pub(super) fn forward(&self, input: &HeadInput<'_>) -> Result<Tensor> {
        let choices = input.batch.head_inputs.choices.unwrap_or(self.num_choices).max(1);
        let rows = input.features.state.dim(0)?;
        if !rows.is_multiple_of(choices) {
            candle_core::bail!(
                "the batch has {rows} sequences; with {choices} choices each it needs a multiple"
            )
        }
        let pooled = pool(self.pooling, &input.features)?;
        self.layers.classify(&pooled, input)?.reshape((rows / choices, choices))
    }
}
