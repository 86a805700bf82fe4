//! Where an answer starts and ends (Devlin et al. 2019, section 4.2). Loss: the mean of
//! the cross-entropies of both ends over the positions.

use candle_core::{Result, Tensor};
use hub_schemas::{backbone::Module, head::QuestionAnsweringHead};

use super::{Features, HeadInput, Tensors, linear_layers::LinearLayers, token_states};

/// A loaded question answering head.
#[derive(Debug)]
pub struct QuestionAnswering {
    layers: LinearLayers,
    scaled_as_words: bool,
    behind_pooler: bool,
}

impl QuestionAnswering {
    pub(super) fn new(config: &QuestionAnsweringHead, tensors: &Tensors) -> Result<Self> {
        let layers = LinearLayers::new(&config.stack(), tensors)?;
        let QuestionAnsweringHead { scaled_as_words, behind_pooler, .. } = *config;
        Ok(Self { layers, scaled_as_words, behind_pooler })
    }

    /// Scores `[b, t, 2]`: of the start, then of the end. Padding is not masked, as in both libraries.
    pub(super) fn forward(&self, input: &HeadInput<'_>) -> Result<Tensor> {
        let Features { backbone, hooks, attention_mask, read, .. } = input.features;
        let state = token_states(input, self.behind_pooler)?;
        let scale = backbone.config().seq2seq.output_scale.filter(|_| self.scaled_as_words);
        let state = &scale.map_or_else(|| Ok(state.clone()), |scale| &state * scale)?;
        match self.layers.single() {
            // The head of a model class, whose layer an adapter may change.
            Some(layer) => {
                let x = self.layers.dropped(state, input.mode)?;
                backbone.behind(Module::QaOutputs, &x, layer, (attention_mask, read), (hooks, input.mode))
            }
            None => self.layers.forward(state, input.mode),
        }
    }
}
