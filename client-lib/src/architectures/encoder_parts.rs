//! What only some encoders have.

use hub_schemas::method::Activation;

/// Parts of an encoder that most architectures have in the usual form.
#[derive(Debug, Clone, PartialEq)]
pub struct EncoderParts {
    /// Behind the pooler's linear layer.
    pub pooler_activation: Activation,
    /// How many layers are computed, where several apply the same block (Lan et al. 2020): the
    /// blocks are applied in order, each by equally many layers in a row.
    pub applied_layers: Option<usize>,
}

impl Default for EncoderParts {
    fn default() -> Self {
        Self { pooler_activation: Activation::Tanh, applied_layers: None }
    }
}

impl EncoderParts {
    /// The block that each layer applies, of so many blocks.
    pub fn applied_blocks(&self, blocks: usize) -> Vec<usize> {
        let layers = self.applied_layers.unwrap_or(blocks);
        let each = layers as f64 / blocks.max(1) as f64;
        (0..layers).map(|layer| (layer as f64 / each) as usize).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_that_share_weights_stand_in_a_row() {
        let parts = EncoderParts { applied_layers: Some(6), ..EncoderParts::default() };
        assert_eq!(parts.applied_blocks(1), [0; 6]);
        assert_eq!(parts.applied_blocks(2), [0, 0, 0, 1, 1, 1]);
        assert_eq!(EncoderParts::default().applied_blocks(3), [0, 1, 2]);
    }
}
