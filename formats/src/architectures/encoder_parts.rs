//! What only some encoders have.

use hub_schemas::method::Activation;

use super::Rope;

/// Parts of an encoder that most architectures have in the usual form.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch that checkpoints have of their own")]
pub struct EncoderParts {
    /// Behind the pooler's linear layer.
    pub pooler_activation: Activation,
    /// How many layers are computed, where several apply the same block (Lan et al. 2020): the
    /// blocks are applied in order, each by equally many layers in a row.
    pub applied_layers: Option<usize>,
    /// Whether a pooler in the checkpoint is left out: one of another width than the hidden size, which no head here reads.
    pub skips_pooler: bool,
    /// Whether the pooler reads the mean over the tokens and not the first one.
    pub pools_mean: bool,
    /// Whether there is no table of positions although nothing is turned.
    pub lacks_positions: bool,
    /// Attention that compares contents with relative positions.
    pub disentangled: Option<Disentangled>,
    /// A convolution over neighbouring tokens beside the first block.
    pub convolution: Option<Convolution>,
    /// Layers that look only around.
    pub local: Option<LocalAttention>,
    /// Whether layer norms have no biases.
    pub lacks_norm_bias: bool,
    /// Whether the layer for keys has no bias where those for queries and values have one.
    pub lacks_key_bias: bool,
    /// Width of the projection in a classifier of the model class.
    pub head_projection: Option<usize>,
    /// Whether that classifier reads a weighted sum of what all layers give.
    pub weighs_layers: bool,
}

/// Disentangled attention (He et al. 2021).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch that checkpoints have of their own")]
pub struct Disentangled {
    /// Whether relative positions are attended to at all.
    pub is_relative: bool,
    /// Whether contents of queries are compared with positions of keys.
    pub content_to_position: bool,
    /// Whether positions of queries are compared with contents of keys.
    pub position_to_content: bool,
    /// Whether positions are projected by the layers that project contents.
    pub shares_projections: bool,
    /// Whether the table of positions is normalised.
    pub has_norm: bool,
    /// Buckets of distances to one side; `None` where every distance has its own.
    pub buckets: Option<usize>,
    /// The farthest distance that is told from those beyond.
    pub farthest: usize,
}

impl Disentangled {
    /// Half the rows of the table of positions.
    pub fn span(&self) -> usize {
        self.buckets.unwrap_or(self.farthest)
    }

    /// How many terms a score has.
    pub fn terms(&self) -> usize {
        1 + usize::from(self.content_to_position) + usize::from(self.position_to_content)
    }
}

/// A convolution over neighbouring tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Convolution {
    /// How many tokens it reads, an odd number.
    pub kernel: usize,
    /// Into how many groups inputs and outputs are divided.
    pub groups: usize,
    /// Behind it.
    pub activation: Activation,
}

/// Layers that look only around, but for every so many (Warner et al. 2024).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LocalAttention {
    /// Layers whose number this divides look everywhere.
    pub every: usize,
    /// How far the others look to both sides.
    pub reach: usize,
    /// The rotary positions of the others.
    pub rope: Rope,
}

impl LocalAttention {
    /// Whether a layer looks only around.
    pub fn holds(&self, layer: usize) -> bool {
        !layer.is_multiple_of(self.every)
    }
}

impl Default for EncoderParts {
    fn default() -> Self {
        Self {
            pooler_activation: Activation::Tanh,
            applied_layers: None,
            pools_mean: false,
            skips_pooler: false,
            lacks_positions: false,
            disentangled: None,
            convolution: None,
            local: None,
            lacks_norm_bias: false,
            lacks_key_bias: false,
            head_projection: None,
            weighs_layers: false,
        }
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
