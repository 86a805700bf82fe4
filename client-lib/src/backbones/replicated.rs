//! A backbone with another stack of its own blocks: PEFT's `layer_replication`, after Kim et al., "SOLAR 10.7B: Scaling
//! Large Language Models with Simple yet Effective Depth Up-Scaling" (2023).

use candle_core::Result;

use super::Backbone;

impl Backbone {
    /// The same weights with these blocks, in this order: a block may stand there several times, under another number
    /// each time, and shares its tensors. It looks as far around or back as it did in its own place, as PEFT's copies do,
    /// whose kind of attention is decided when the layer is made.
    ///
    /// Refuses blocks that there are not, and stacks that PEFT finds no layers in: those of an encoder with a decoder, and
    /// those whose layers share a block.
    pub fn replicated(&self, layers: &[usize]) -> Result<Self> {
        let shape = self.config.shape;
        let own: Vec<usize> = (0..shape.num_layers).collect();
        if self.decoder.is_some() || self.applied_blocks() != own {
            candle_core::bail!(
                "layers of {} backbones can't be replicated: PEFT finds no single list of layers in them",
                self.config.architecture
            );
        }
        let block = |(index, &layer): (usize, &usize)| match self.blocks.get(layer) {
            Some(block) => Ok(block.numbered(index)),
            None => candle_core::bail!("layer {layer} is to be replicated; there are {}", self.blocks.len()),
        };
        let mut replicated = self.clone();
        replicated.blocks = layers.iter().enumerate().map(block).collect::<Result<_>>()?;
        replicated.config.shape.num_layers = layers.len();
        Ok(replicated)
    }
}
